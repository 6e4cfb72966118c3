"""The metrics of a tuning, step by step: kept beside the checkpoint, and sent to trackers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.tracking import METRICS, read_lines
from trueward.estimation.method import Method, settings
from trueward.fitting.record import training_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trueward.core.tracking import Trackers
    from trueward.training.config import Train
    from trueward.training.problem import TrainingProblem


class TuningMetrics:
    """Points of a tuning, in the order of its steps, which trackers get, too.

    A resumed tuning repeats the steps after its checkpoint; their earlier points are dropped. Trackers get
    the points before them first.

    Parameters
    ----------
    folder : str, Path or None
        Folder of the checkpoint, where the points are kept as ``metrics.jsonl``.
    frozen_loss : float
        Validation loss of the frozen model: the point at step 0.
    trackers : Trackers
        Receive the points.

    """

    def __init__(self, folder: str | Path | None, frozen_loss: float, trackers: Trackers) -> None:
        self._file = None if folder is None else Path(folder) / METRICS
        self._trackers, self._begun = trackers, False
        before = [] if self._file is None else read_lines(self._file)
        self._points = before or [{"step": 0, "epoch": 0, "validation_loss": frozen_loss}]

    def __call__(self, point: dict[str, float]) -> None:
        """Keep a point, and send it."""
        self._begin(point["step"])
        finite = {k: v if math.isfinite(v) else None for k, v in point.items()}
        self._points.append(finite)
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as f:
                f.write(f"{json.dumps(finite)}\n")
        self._trackers.log(finite)

    def write(self, file: Path) -> None:
        """Write all points as JSON lines; those of a tuning that had ended before are sent first."""
        self._begin(math.inf)
        file.write_text("".join(f"{json.dumps(p)}\n" for p in self._points), encoding="utf-8")

    def _begin(self, first: float) -> None:
        """Keep and send the points before the first step of this process."""
        if self._begun:
            return
        self._begun = True
        self._points = [p for p in self._points if p["step"] < first]
        if self._file is not None:
            self.write(self._file)
        for point in self._points:
            self._trackers.log(point)


def run_settings(problem: TrainingProblem, cfg: Train, tuned: Mapping[str, Any]) -> dict[str, Any]:
    """Return what trackers show as the settings of a tuning.

    Parameters
    ----------
    problem : TrainingProblem
        The training problem of a method.
    cfg : Train
        The settings of the training.
    tuned : mapping
        ``tuned`` of the model's report.

    """
    method = problem.objective
    assert isinstance(method, Method)
    return recorded_settings(
        {
            "method": method.name,
            "options": settings(method),
            "report": {"training": training_settings(cfg), "tuned": tuned},
        }
    )


def recorded_settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same settings out of ``model.json``.

    Parameters
    ----------
    record : mapping
        Its content.

    """
    training, tuned = record["report"]["training"], record["report"]["tuned"]
    return {
        "method": record["method"],
        **record["options"],
        **{k: v for k, v in training.items() if not k.endswith("_loss")},
        **{k: v for k, v in tuned.items() if not k.endswith("_loss")},
    }
