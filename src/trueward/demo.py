"""The main job on a world whose truth is known: simulate, inspect, fit six ways, compare."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from .data import Labelled, split_rows
from .evaluate import evaluate
from .features import encode
from .files import replacing
from .fit import fit
from .inspect import inspect
from .log import read_log, read_test
from .worlds import helpdesk, simulate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import polars as pl

    from .evaluate import Metrics
    from .worlds import World

FITS: dict[str, dict[str, Any]] = {
    "oracle": {},
    "naive": {},
    "ips": {},
    "causalrm": {},
    "implicitrm": {"identify": "scar"},
    "anchored": {},
}
GOLD = 300  # trusted labels in the log, which anchored alone reads
SHOWN = {
    "auroc": "AUROC",
    "r2": "R2",
    "pair_accuracy": "pair accuracy",
    "best_of_n_lift": "best-of-n lift",
}


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demo found: the log's inspection and every method's metrics on the clean test."""

    scenario: dict[str, Any]
    inspection: str
    metrics: dict[str, Metrics]

    def table(self) -> str:
        """The comparison as aligned text, every figure with its 95 % interval."""
        width = max(map(len, self.metrics))
        head = f"{'':<{width}}" + "".join(f"  {name:>22}" for name in SHOWN.values())
        lines = [
            f"{name:<{width}}" + "".join(f"  {_cell(found, k):>22}" for k in SHOWN)
            for name, found in self.metrics.items()
        ]
        return "\n".join([head, *lines])

    def page(self) -> str:
        """The same as one self-contained HTML page."""
        head = "".join(f"<th>{name}</th>" for name in SHOWN.values())
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th>"
            + "".join(f"<td>{_cell(found, k)}{_bar(found, k)}</td>" for k in SHOWN)
            + "</tr>"
            for name, found in self.metrics.items()
        )
        facts = ", ".join(f"{k} {v}" for k, v in self.scenario.items() if k != "realised")
        return PAGE.format(
            head=head, rows=rows, facts=html.escape(facts), inspection=html.escape(self.inspection)
        )


def run(say: Callable[[str], None], *, seed: int = 0, prompts: int = 1500) -> Demo:
    """Run the demo; ``say`` gets a line as each part is done."""
    world = _world(helpdesk(prompts, seed=seed), seed)
    log = replace(read_log(world.log), source="the simulated log")
    say(f"simulated {len(log)} answers of a help desk, {log.coverage:.0%} of them with a thumb")
    inspection = str(inspect(log))
    say(inspection)
    data = encode(log)
    truth = Labelled(
        data.x,
        torch.tensor(world.truth["label"].to_numpy(), dtype=torch.float32),
        group=data.group,
        backbone=data.backbone,
    )
    test = encode(read_test(world.test))
    train, val = split_rows(len(data), 0.2, seed, data.group)
    metrics = {}
    for name, options in FITS.items():
        source = truth if name == "oracle" else data
        model = fit(name, source[train], source[val], seed=seed, **options)
        metrics[name] = evaluate(model, test, seed=seed)
        say(f"fitted {name}: AUROC {metrics[name]['auroc'].value:.3f}")
    return Demo(world.scenario, inspection, metrics)


def write_page(demo: Demo, file: Path) -> None:
    """Write the HTML page, all of it or nothing."""
    with replacing(file) as path:
        path.write_text(demo.page(), encoding="utf-8")


def write_world(folder: Path, seed: int = 0) -> None:
    """Write the demo's world as `simulate` does, to try the other commands on."""
    _world(helpdesk(seed=seed), seed).write(folder)


def _world(rated: pl.DataFrame, seed: int) -> World:
    return simulate(
        rated, mechanism="rating", alpha=0.5, rho_01=0.1, rho_10=0.2, gold=GOLD, seed=seed
    )


def _cell(found: Metrics, name: str) -> str:
    e = found[name]
    if e.value is None:
        return "-"
    band = "" if e.low is None or e.high is None else f" [{e.low:.3f}, {e.high:.3f}]"
    return f"{e.value:.3f}{band}"


def _bar(found: Metrics, name: str) -> str:
    """An interval on [0, 1] as inline SVG."""
    e = found[name]
    if e.value is None or e.low is None or e.high is None:
        return ""
    low, mid, high = (160 * min(1.0, max(0.0, v)) for v in (e.low, e.value, e.high))
    return (
        '<svg width="160" height="10" role="img"><rect width="160" height="10" class="track"/>'
        f'<rect x="{low:.1f}" y="3" width="{max(1.0, high - low):.1f}" height="4" class="band"/>'
        f'<rect x="{mid - 1:.1f}" width="2" height="10" class="mid"/></svg>'
    )


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>trueward demo</title>
<style>
 body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
 table {{ border-collapse: collapse; }} th, td {{ padding: .4rem .8rem; text-align: left; }}
 tr + tr {{ border-top: 1px solid #ddd; }} svg {{ display: block; }}
 .track {{ fill: #eee; }} .band {{ fill: #7aa6d8; }} .mid {{ fill: #124; }}
 pre {{ background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: 13px; }}
</style>
<h1>Six reward models from one log</h1>
<p>A generated help desk: answers of known quality, thumbs from the few users who react, some of them
wrong. <code>oracle</code> is fitted on every clean label and is the ceiling; the others see only the log;
<code>implicitrm</code> sees only the thumbs up, <code>anchored</code> also 300 trusted labels. All are
measured on clean labels of other questions; brackets and bars are 95 % intervals.</p>
<table><tr><th></th>{head}</tr>{rows}</table>
<p>Scenario: {facts}.</p>
<h2>What <code>inspect</code> says of the log</h2><pre>{inspection}</pre>
</html>
"""
