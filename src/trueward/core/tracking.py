"""Metrics of a run as JSON lines, and trackers that get them: trackio, TensorBoard, MLflow, W&B."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any, Self

from .errors import TruewardError, UsageError
from .suggest import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

METRICS = "metrics.jsonl"  # of a run's folder: one line a point, each with its step
TRIED = ("trackio", "tensorboard", "mlflow", "wandb")
PROJECT = "trueward"  # where the variable of a tracker names no other
#: variable with the project, and keyword with the name of the run
PROJECT_OF = {
    "trackio": "TRACKIO_PROJECT",
    "wandb": "WANDB_PROJECT",
    "mlflow": "MLFLOW_EXPERIMENT_NAME",
}
RUN_OF = {"trackio": "name", "wandb": "name", "mlflow": "run_name"}
TENSORBOARD_FOLDER = "TENSORBOARD_LOGGING_DIR"  # as transformers reads it; else ./runs
UNUSUAL = re.compile(r"[^\w\-./ ]")  # characters that MLflow refuses in names
LOG = logging.getLogger("trueward")
LEFT_OUT = "%s; the run goes on, and `trueward track FOLDER --to NAME` sends its record later"


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Read the points of a run; a last line that is cut short is left out.

    Parameters
    ----------
    file : Path
        JSON lines.

    Returns
    -------
    list of dict
        Empty if there is no such file.

    Raises
    ------
    TruewardError
        If another line is no point with a step.

    """
    if not file.is_file():
        return []
    points: list[dict[str, Any]] = []
    lines = file.read_text("utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            point = json.loads(line)
            points.append({**point, "step": int(point["step"])})
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as e:
            if number == len(lines):
                break
            raise TruewardError(
                f"{file}: line {number} should hold the metrics of a step as a JSON object with a number "
                f"`step`, and does not ({type(e).__name__}): restore the file"
            ) from e
    return points


def known_trackers(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of trackers, each once.

    Parameters
    ----------
    names : iterable of str
        What the user asks for.

    Raises
    ------
    UsageError
        If accelerate has no tracker of a name.

    """
    asked = tuple(dict.fromkeys(names))
    known = set(TRIED)
    if asked and not known.issuperset(asked):
        with contextlib.suppress(ImportError):
            known |= set(_classes())
    for name in asked:
        if not isinstance(name, str) or name not in known:
            raise UsageError(f"--track: there is no tracker {name!r}: {suggestion(name, TRIED)}")
    return asked


class Trackers:
    """Trackers that get the points of one run.

    A tracker that is not installed, has no login, or fails is left out with one sentence; the run goes on.

    Parameters
    ----------
    names : iterable of str
        Names of trackers, as accelerate knows them.
    run : str
        Name of the run.
    settings : mapping
        Its settings; nested ones get names with dots.
    say : callable, optional
        Receives the sentences; by default they are warnings in the log, with what to do.

    Raises
    ------
    UsageError
        If there is no tracker of a name.

    Examples
    --------
    >>> trackers = Trackers([], "rm", {"lr": 0.001})
    >>> trackers.log({"step": 1, "loss": 0.7})
    >>> trackers.finish()

    """

    def __init__(
        self,
        names: Iterable[str],
        run: str,
        settings: Mapping[str, Any],
        *,
        say: Callable[[str], None] = lambda reason: LOG.warning(LEFT_OUT, reason),
    ) -> None:
        self._say = say
        self._open: dict[str, Any] = {}
        for name in known_trackers(names):
            with self._or_left_out(name):
                self._open[name] = _begun(name, run, dict(_flat(settings)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.finish()

    def log(self, point: Mapping[str, Any]) -> None:
        """Send the finite numbers of one point.

        Parameters
        ----------
        point : mapping
            ``step``, and values by name.

        """
        values = {
            _plain(k): v
            for k, v in point.items()
            if k != "step" and isinstance(v, int | float) and math.isfinite(v)
        }
        for name in list(self._open):
            with self._or_left_out(name):
                self._open[name].log(values, step=point["step"])

    def finish(self) -> None:
        """Close the trackers."""
        for name in list(self._open):
            with self._or_left_out(name):
                self._open[name].finish()
            self._open.pop(name, None)

    @contextlib.contextmanager
    def _or_left_out(self, name: str) -> Iterator[None]:
        """Leave out a tracker that fails, and say so; what it prints goes to standard error."""
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
                warnings.simplefilter("ignore")
                yield
        except Exception as e:  # noqa: BLE001 - packages of others may raise anything, and the run goes on
            failed = self._open.pop(name, None)
            if failed is not None:
                with contextlib.suppress(Exception), contextlib.redirect_stdout(sys.stderr):
                    failed.finish()
            self._say(f"{name} is left out: {_reason(name, e)}")


def _reason(name: str, e: Exception) -> str:
    if isinstance(e, ImportError):
        package = name if e.name in (None, "tensorboardX") else e.name  # either package will do
        extra = "'trueward[track]'" if package in ("accelerate", "trackio") else package
        return f"{package} is not installed (pip install {extra})"
    if isinstance(e, TruewardError):
        return str(e)
    words = " ".join(str(e).split()) or "no reason is given"
    return f"{type(e).__name__}: {words if len(words) <= 200 else f'{words[:197]}...'}"


def _classes() -> dict[str, Any]:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS  # noqa: PLC0415 - heavy, and optional

    return LOGGER_TYPE_TO_CLASS  # type: ignore[no-any-return]


def _begun(name: str, run: str, settings: dict[str, Any]) -> Any:
    """Start one of accelerate's trackers."""
    classes = _classes()
    import torch  # noqa: PLC0415 - seconds to load
    from accelerate import PartialState  # noqa: PLC0415 - heavy, and optional

    PartialState(cpu=not torch.accelerator.is_available())  # accelerate's trackers log through it
    project = os.environ.get(PROJECT_OF.get(name, ""), "") or PROJECT
    if name == "wandb":
        _require_login()
    if classes[name].requires_logging_directory:
        tracker = classes[name](f"{project}/{run}", os.environ.get(TENSORBOARD_FOLDER) or "runs")
    else:
        tracker = classes[name](project, **({RUN_OF[name]: run} if name in RUN_OF else {}))
    tracker.main_process_only = False  # only one process has trackers
    tracker.start()
    tracker.store_init_configuration(settings)
    return tracker


def _require_login() -> None:
    """Refuse W&B without a login, which would ask on a terminal and hold the run up."""
    import wandb  # noqa: PLC0415 - heavy, and optional

    local = os.environ.get("WANDB_MODE") in ("offline", "dryrun", "disabled")
    if local:
        return
    try:
        found = wandb.login(prompt=False)
    except TypeError:  # an older version
        found = wandb.api.api_key
    if not found:
        raise TruewardError("there is no login: run `wandb login`, or set WANDB_MODE=offline")


def _plain(name: str) -> str:
    return UNUSUAL.sub("_", name)


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Settings as text, numbers and truth values with dotted names; those of no value are left out."""
    for key, value in settings.items():
        name = f"{above}{_plain(str(key))}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, bool | int | float | str):
            yield name, value
        elif value is not None:
            yield name, json.dumps(value, default=str)
