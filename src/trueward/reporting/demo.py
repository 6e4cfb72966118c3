"""The demo: simulate a log with known truth, inspect it, fit six methods and compare them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from trueward.data.feedback import Labelled
from trueward.data.log_reading import read_log
from trueward.data.splits import split_rows
from trueward.data.truth import read_test
from trueward.evaluation.evaluate import evaluate
from trueward.features import encode
from trueward.fitting.fit import fit
from trueward.inspection import inspect
from trueward.reporting import report
from trueward.reporting.page import Prose
from trueward.simulation import helpdesk, simulate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import polars as pl

    from trueward.data.log import Log
    from trueward.data.truth import Test
    from trueward.evaluation.measure import Metrics
    from trueward.model.reward_model import RewardModel
    from trueward.reporting import Page
    from trueward.simulation import World

#: Method -> its options.
FITS: dict[str, dict[str, Any]] = {
    "oracle": {},
    "naive": {},
    "ips": {},
    "causalrm": {},
    "implicitrm": {"identify": "scar"},
    "anchored": {},
}
#: Gold labels in the log; only `anchored` uses them.
GOLD = 300
#: Introduction of the page.
LEAD = (
    "A generated help desk: answers of known quality and thumbs from the few users who react, some of them "
    "wrong. oracle is trained on all true labels and is an upper bound. The other methods use only the log: "
    "implicitrm only the thumbs up, anchored also 300 gold labels. All are evaluated on true labels of other "
    "questions."
)
#: Metric -> heading of its column.
COLUMNS = {
    "auroc": "AUROC",
    "r2": "R2",
    "pair_accuracy": "pair accuracy",
    "best_of_n_lift": "best-of-n lift",
}


@dataclass(frozen=True, eq=False)
class Demo:
    """Result of the demo.

    Attributes
    ----------
    scenario : dict
        Settings and realised rates of the simulation.
    metrics : dict of str to Metrics
        Metrics of each method on the clean test set.
    models : dict of str to RewardModel
        Model of each method.
    log : Log
        The simulated log.
    test : Test
        The clean test set.

    """

    scenario: dict[str, Any]
    metrics: dict[str, Metrics]
    models: dict[str, RewardModel]
    log: Log
    test: Test

    def table(self) -> str:
        """Return the comparison as aligned text, each metric with its 95 % interval."""
        width = max(map(len, self.metrics))
        head = f"{'':<{width}}" + "".join(f"  {name:>22}" for name in COLUMNS.values())
        lines = [
            f"{name:<{width}}" + "".join(f"  {metrics[k]!s:>22}" for k in COLUMNS)
            for name, metrics in self.metrics.items()
        ]
        return "\n".join([head, *lines])

    def page(self, command: str | None = None) -> Page:
        """Return the report that compares the six models.

        Parameters
        ----------
        command : str, optional
            The command that made the page, shown on it.

        Returns
        -------
        Page

        """
        page = report(self.models, self.log, self.test, command=command)
        facts = ", ".join(f"{k} {v}" for k, v in self.scenario.items() if k != "realised")
        *sections, last = page.sections
        last = replace(last, blocks=[*last.blocks, Prose(f"The simulated world: {facts}.")])
        title = "Six reward models from one log"
        return replace(page, title=title, lead=LEAD, sections=[*sections, last])


def run(progress: Callable[[str], None], *, seed: int = 0, prompts: int = 1500) -> Demo:
    """Run the demo.

    Parameters
    ----------
    progress : callable
        Receives a line of text after each step.
    seed : int
        Seed of the simulation and of the fits.
    prompts : int
        Number of questions of the help desk.

    Returns
    -------
    Demo

    """
    world = _world(helpdesk(prompts, seed=seed), seed)
    log = replace(read_log(world.log), source="the simulated log")
    progress(
        f"simulated {len(log)} answers of a help desk, {log.feedback_rate:.0%} of them with a thumb"
    )
    progress(str(inspect(log)))
    data = encode(log)
    truth = Labelled(
        data.x,
        torch.tensor(world.truth["label"].to_numpy(), dtype=torch.float32),
        group=data.group,
        backbone=data.backbone,
    )
    clean = read_test(world.test)
    test = encode(clean)
    train, val = split_rows(len(data), 0.2, seed, data.group)
    models, metrics = {}, {}
    for name, options in FITS.items():
        source = truth if name == "oracle" else data
        models[name] = fit(name, source[train], source[val], seed=seed, **options)
        metrics[name] = evaluate(models[name], test, seed=seed)
        progress(f"fitted {name}: AUROC {metrics[name]['auroc'].value:.3f}")
    return Demo(world.scenario, metrics, models, log, clean)


def write_world(folder: Path, seed: int = 0) -> None:
    """Write the simulated world of the demo, as input for the other commands.

    Parameters
    ----------
    folder : Path
        Gets the files of `World.write`.
    seed : int
        Seed of the simulation.

    """
    _world(helpdesk(seed=seed), seed).write(folder)


def _world(rated: pl.DataFrame, seed: int) -> World:
    return simulate(
        rated, mechanism="rating", alpha=0.5, rho_01=0.1, rho_10=0.2, gold=GOLD, seed=seed
    )
