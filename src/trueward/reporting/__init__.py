"""Self-contained HTML reports of a model, of several models, or of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from trueward.core.arguments import FUNCTION, TEXT, WHOLE, Kind, described, require_kinds
from trueward.core.errors import UsageError
from trueward.data.log_reading import as_log, as_test
from trueward.model.reward_model import RewardModel, fitted, load
from trueward.production.monitoring import Monitor

from .drift_section import with_drift
from .page import Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from trueward.benchmark import Runs
    from trueward.data.log import Log
    from trueward.data.truth import Test

ROWS = 20_000  # largest number of rows of a log, and of a test, that a report reads


def report(
    what: RewardModel | str | Path | Mapping[str, RewardModel | str | Path] | Runs,
    log: Log | object | None = None,
    test: Test | object | None = None,
    *,
    drift: Monitor | None = None,
    seed: int = 0,
    rows: int = ROWS,
    command: str | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Page:
    """Build a report of one model, of several models, or of the runs of a benchmark.

    Parameters
    ----------
    what : RewardModel, str, Path, mapping of str to RewardModel, or Runs
        A model, models by name, the runs of a benchmark, or the folder of one of these.
    log : Log, path or table, optional
        Adds findings, sensitivity, scores and examples; with gold labels also an audit and calibration.
    test : Test, path or table, optional
        Adds metrics on true labels, calibration, and mean scores at every rating.
    drift : Monitor, optional
        Result of `trueward.monitor`: adds a section on what has changed, period by period.
    seed : int, default 0
        Seed of the intervals and of the sample of prompts.
    rows : int, default 20,000
        Largest number of rows read of the log, and of the test; above it whole prompts are drawn at random,
        those with gold labels first, and the page states it.
    command : str, optional
        Command that reproduces the page, shown on it.
    say : callable, optional
        Is called with a line of text as each part begins.

    Returns
    -------
    Page
        One HTML file without scripts or requests: ``.html()`` or ``.save(file)``.

    Raises
    ------
    UsageError
        If a log, a test or drifts are given with the runs of a benchmark, or there are no models.

    Examples
    --------
    >>> import torch, trueward as tw
    >>> x = torch.linspace(-1, 1, 100)[:, None]
    >>> log = tw.Feedback(x, (x[:, 0] > 0).float(), torch.ones(100), group=torch.arange(100) // 2)
    >>> page = tw.report(tw.fit("naive", *log.split(0.2), epochs=1))
    >>> [section.title for section in page.sections][:2]
    ['Verdict', 'What was fitted']

    """
    from trueward.benchmark.runs import Runs  # noqa: PLC0415 - loads the benchmark

    from .benchmark_report import benchmark_page  # noqa: PLC0415 - loads the drawing code
    from .model_report import model_page  # noqa: PLC0415 - loads the drawing code

    require_kinds(
        "report",
        seed=(seed, WHOLE),
        rows=(rows, WHOLE),
        command=(command, TEXT.or_none),
        say=(say, FUNCTION),
        drift=(drift, Kind("what monitor gives", lambda v: isinstance(v, Monitor)).or_none),
    )
    log = None if log is None else as_log(log, "report")
    test = None if test is None else as_test(test, "report")
    if isinstance(what, str | PathLike):
        what = _opened(Path(what))
    if isinstance(what, RewardModel):
        what = {what.method: what}
    if isinstance(what, Mapping):
        models = {str(name): fitted(model, "report") for name, model in what.items()}
        page = model_page(models, log, test, command=command, seed=seed, rows=rows, say=say)
        return page if drift is None else with_drift(page, drift)
    if log is not None or test is not None or drift is not None:
        raise UsageError(
            "a report of a benchmark takes no log and no test: its runs have their own"
        )
    if not isinstance(what, Runs):
        raise UsageError(
            "report takes a model, a dictionary of models by name, the runs of a benchmark, or a folder of "
            f"one of these, not {described(what)}"
        )
    return benchmark_page(what, command=command)


def _opened(folder: Path) -> RewardModel | Runs:
    """The model, or the runs of a benchmark, that a folder holds."""
    from trueward.benchmark.runs import ABOUT, Runs  # noqa: PLC0415 - loads the benchmark

    if not (folder / "model.json").is_file() and (folder / ABOUT).is_file():
        return Runs.read(folder)
    return load(folder)


__all__ = ["Page", "report"]
