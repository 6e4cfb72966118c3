"""The main job on a world whose truth is known: simulate, inspect, fit six ways, compare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from trueward.data.feedback import Labelled
from trueward.data.log import read_log, read_test
from trueward.data.splits import split_rows
from trueward.evaluation.evaluate import evaluate
from trueward.features import encode
from trueward.fitting.fit import fit
from trueward.inspection import inspect
from trueward.reporting import report
from trueward.simulation import helpdesk, simulate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import polars as pl

    from trueward.data.log import Log, Test
    from trueward.evaluation.measure import Metrics
    from trueward.model.reward_model import RewardModel
    from trueward.reporting import Page
    from trueward.simulation import World

FITS: dict[str, dict[str, Any]] = {
    "oracle": {},
    "naive": {},
    "ips": {},
    "causalrm": {},
    "implicitrm": {"identify": "scar"},
    "anchored": {},
}
GOLD = 300  # trusted labels in the log, which anchored alone reads
LEAD = (
    "A generated help desk: answers of known quality, thumbs from the few users who react, some of them "
    "wrong. oracle is fitted on every clean label and is the ceiling; the others see only the log; "
    "implicitrm sees only the thumbs up, anchored also 300 trusted labels. All are measured on clean labels "
    "of other questions."
)
SHOWN = {
    "auroc": "AUROC",
    "r2": "R2",
    "pair_accuracy": "pair accuracy",
    "best_of_n_lift": "best-of-n lift",
}


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demo made and found: every method's model, and its metrics on the clean test."""

    scenario: dict[str, Any]
    metrics: dict[str, Metrics]
    models: dict[str, RewardModel]
    log: Log
    test: Test

    def table(self) -> str:
        """The comparison as aligned text, every figure with its 95 % interval."""
        width = max(map(len, self.metrics))
        head = f"{'':<{width}}" + "".join(f"  {name:>22}" for name in SHOWN.values())
        lines = [
            f"{name:<{width}}" + "".join(f"  {found[k]!s:>22}" for k in SHOWN)
            for name, found in self.metrics.items()
        ]
        return "\n".join([head, *lines])

    def page(self, command: str | None = None) -> Page:
        """The report of the six models beside each other."""
        found = report(self.models, self.log, self.test, command=command)
        facts = ", ".join(f"{k} {v}" for k, v in self.scenario.items() if k != "realised")
        return replace(
            found, title="Six reward models from one log", lead=f"{LEAD} World: {facts}."
        )


def run(say: Callable[[str], None], *, seed: int = 0, prompts: int = 1500) -> Demo:
    """Run the demo; ``say`` gets a line as each part is done."""
    world = _world(helpdesk(prompts, seed=seed), seed)
    log = replace(read_log(world.log), source="the simulated log")
    say(
        f"simulated {len(log)} answers of a help desk, {log.feedback_rate:.0%} of them with a thumb"
    )
    say(str(inspect(log)))
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
        say(f"fitted {name}: AUROC {metrics[name]['auroc'].value:.3f}")
    return Demo(world.scenario, metrics, models, log, clean)


def write_world(folder: Path, seed: int = 0) -> None:
    """Write the demo's world as `simulate` does, to try the other commands on."""
    _world(helpdesk(seed=seed), seed).write(folder)


def _world(rated: pl.DataFrame, seed: int) -> World:
    return simulate(
        rated, mechanism="rating", alpha=0.5, rho_01=0.1, rho_10=0.2, gold=GOLD, seed=seed
    )
