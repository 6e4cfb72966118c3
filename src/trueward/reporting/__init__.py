"""One self-contained page about a model, a comparison of models, or a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trueward.core.errors import UsageError
from trueward.model.reward_model import RewardModel

from .page import Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from trueward.benchmark import Runs
    from trueward.data.log import Log, Test

ROWS = 20_000  # of a log and of a test that a report reads


def report(
    what: RewardModel | Mapping[str, RewardModel] | Runs,
    log: Log | None = None,
    test: Test | None = None,
    *,
    seed: int = 0,
    rows: int = ROWS,
    command: str | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Page:
    """A page about a model, about several by name, or about a benchmark's runs; ``.save("report.html")``.

    It holds what there is to hold: of the fit alone its warnings, weights, noise rates and card; with a log
    findings, sensitivity, scores and examples; with gold labels or a clean test figures and calibration. Of
    a log or a test with more than ``rows`` rows whole prompts are drawn at random, and the page says so.
    ``command``: what makes the page again. ``say`` gets a line as each part begins.
    """
    from .benchmark import of_runs  # noqa: PLC0415 - what draws and lays out loads when it is asked for
    from .models import of_models  # noqa: PLC0415

    if isinstance(what, RewardModel):
        what = {what.method: what}
    if isinstance(what, Mapping):
        return of_models(what, log, test, command=command, seed=seed, rows=rows, say=say)
    if log is not None or test is not None:
        raise UsageError("a benchmark's report takes no log and no test: the runs have their own")
    return of_runs(what, command=command)


__all__ = ["Page", "report"]
