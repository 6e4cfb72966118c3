"""The record of a run, sent to trackers after it has ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.benchmark import Runs
from trueward.benchmark.metric_points import metric_points
from trueward.benchmark.runs import ABOUT
from trueward.core.arguments import PATH, SEVERAL, TEXT, require_kinds
from trueward.core.errors import TruewardError, UsageError
from trueward.core.tracking import METRICS, Trackers, known_trackers, read_lines
from trueward.fitting.finetune.metrics import recorded_settings
from trueward.model.folder import OWN, read_record
from trueward.rlhf.align import RECORD

if TYPE_CHECKING:
    from collections.abc import Sequence


def track(folder: str | Path, to: str | Sequence[str], *, run: str | None = None) -> int:
    """Send the record of a run to trackers, as the run itself does with ``--track``.

    Parameters
    ----------
    folder : str or Path
        Folder of `align`, of `fit --tune` or of `benchmark run`. The folder ``OUT.checkpoint`` of a stopped
        `align` has a record, too.
    to : str or sequence of str
        Trackers: trackio, tensorboard, mlflow, wandb, or another of accelerate.
    run : str, optional
        Name of the run in the trackers; default: that of the folder.

    Returns
    -------
    int
        Number of points that every tracker has received.

    Raises
    ------
    UsageError
        If there is no tracker of a name, or none is named.
    TruewardError
        If the folder has no record, or a tracker has not received all of it.

    Examples
    --------
    >>> track("policy", "tensorbord")
    Traceback (most recent call last):
    ...
    trueward.core.errors.UsageError: track: there is no tracker 'tensorbord': did you mean tensorboard?

    """
    require_kinds("track", folder=(folder, PATH), run=(run, TEXT.or_none))
    names = [to] if isinstance(to, str) else to
    require_kinds("track", to=(names, SEVERAL))
    names = list(names)
    if not names:
        raise UsageError("expected the name of at least one tracker, found none")
    failures: list[str] = []
    path = Path(folder).resolve()
    known_trackers(names)
    settings, points = _record(path)
    if not points:
        raise TruewardError(
            f"the record of {folder} has no finished step yet: wait for the first one"
        )
    with Trackers(names, run or path.name, settings, say=failures.append) as trackers:
        for point in points:
            trackers.log(point)
    if failures:
        raise TruewardError("; ".join(failures))
    return len(points)


def _record(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Settings and points of a run."""
    if (folder / ABOUT).is_file():
        runs = Runs.read(folder)
        return runs.about, metric_points(runs)
    if (folder / RECORD).is_file():
        return _settings_of_align(folder / RECORD), read_lines(folder / METRICS)
    if (folder / "model.json").is_file() and (folder / OWN / METRICS).is_file():
        return recorded_settings(read_record(folder)), read_lines(folder / OWN / METRICS)
    raise TruewardError(
        f"{folder} has no record of a run: expected the folder of trueward align, of fit --tune or of "
        "benchmark run"
    )


def _settings_of_align(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_text("utf-8"))
        return {k: v for k, v in record.items() if k != "ended"}
    except (OSError, ValueError, AttributeError, RecursionError) as e:
        raise TruewardError(f"{file} is damaged ({e}): restore the file") from e
