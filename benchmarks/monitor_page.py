"""Measure `trueward monitor` in worlds with a drift of known kind and week: docs/monitor.md.

    python benchmarks/monitor_page.py --replicates 20 --out monitor.json

Every stream has a reference of its own, drawn from the help desk of `trueward.simulation`, a reward model that is fitted
on it, and weeks drawn from the other rows. In one world nothing changes; in the others one thing does at the start of
week 9.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

import trueward as tw
from trueward.features.columns import to_feedback
from trueward.production.monitoring.drift import NAMES
from trueward.production.monitoring.monitor import TOLERANCE, compare
from trueward.production.monitoring.rows import describe
from trueward.simulation import helpdesk, simulate
from trueward.simulation.helpdesk_tasks import PRODUCTS

POOL = 20_000  # questions, each with one answer
REFERENCE, WEEKLY = 3000, 300  # responses
NULL_WEEKS, WEEKS, DRIFT = 52, 26, 9  # the drift begins with week 9
RATE, ALPHA = 0.2, 0.7
POOR = ("vague", "off_topic", "wrong_product", "truncated", "refusing", "rude")  # kinds of answers
WORLDS = {
    "none": "nothing changes",
    "traffic": "half of the questions are about a sixth of the products",
    "behaviour": "the rate of ratings rises from 20 % to 32 %, by the same factor for all",
    "quality": "half of the answers of the poor kinds no longer occur",
    "calibration": "25 % of the good answers are now rated bad",
}


@dataclass(frozen=True)
class Pool:
    """Questions and answers that every stream is drawn from, with their features."""

    desk: pl.DataFrame
    x: torch.Tensor
    backbone: str


def pool() -> Pool:
    """Generate and encode the texts once."""
    desk = simulate(helpdesk(POOL, answers=1), mechanism="mcar", test_share=0.001)
    desk = desk.log.select("prompt", "response").join(
        helpdesk(POOL, answers=1), on=["prompt", "response"], maintain_order="left"
    )
    data = tw.encode(
        tw.read_log(desk.select("prompt", "response", feedback=pl.lit(1))), cache=False
    )
    return Pool(desk, data.x, str(data.backbone))


def run(source: Pool, world: str, seed: int) -> dict[str, Any]:
    """Monitor one stream; the first week in which each drift is detected, and in which it fires."""
    weeks = NULL_WEEKS if world == "none" else WEEKS
    logs = {False: _feedback(source, seed), True: _feedback(source, seed, world)}
    rng = np.random.default_rng([seed, list(WORLDS).index(world)])
    order = rng.permutation(len(source.desk))
    reference, rest = order[:REFERENCE], order[REFERENCE:]
    likely = {False: np.ones(len(rest)), True: _likely(source, world, rest, rng)}
    drawn = [
        rng.choice(rest, WEEKLY, p=likely[new] / likely[new].sum())
        for new in (world != "none" and week >= DRIFT for week in range(1, weeks + 1))
    ]
    number = np.repeat(np.arange(1, weeks + 1), WEEKLY)
    rows = np.concatenate([reference, *drawn])
    late = np.r_[np.zeros(REFERENCE, bool), number >= DRIFT] & (world != "none")
    frame = pl.concat([logs[False][rows[~late].tolist()], logs[True][rows[late].tolist()]])
    both = tw.read_log(frame.with_columns(prompt_id=pl.int_range(pl.len()).cast(pl.String)))
    data = to_feedback(both, source.x[torch.from_numpy(rows)], source.backbone)
    first = torch.arange(REFERENCE)
    model = tw.fit("naive", *data[first].split(0.2), seed=seed)
    began = time.perf_counter()
    described = describe(model, both, data, REFERENCE, clicks=False)
    names = [str(w) for w in range(1, weeks + 1)]
    periods = compare(described, REFERENCE, number, names, alpha=0.05, tolerance=TOLERANCE)
    seconds = time.perf_counter() - began
    found: dict[str, dict[str, int | None]] = {"detected": {}, "fires": {}}
    for kind, when in found.items():
        for name in NAMES:
            hits = [i + 1 for i, p in enumerate(periods) if getattr(p.strongest[name], kind)]
            when[name] = min(hits, default=None)
    newest = {name: periods[-1].strongest[name].to_json() for name in NAMES}
    return {"world": world, "seed": seed, **found, "newest": newest, "seconds": seconds}


def _feedback(source: Pool, seed: int, world: str = "none") -> pl.DataFrame:
    """Feedback on every row of the pool, as users of a world give it."""
    settings: dict[str, Any] = {"mechanism": "rating", "alpha": ALPHA, "test_share": 0.0001}
    settings |= {"rate": 0.32 if world == "behaviour" else RATE}
    settings |= {"rho_01": 0.25} if world == "calibration" else {}
    made = simulate(source.desk.drop("kind", "prompt_id"), seed=seed, **settings).log
    made = made.select("prompt", "response", "feedback")
    return source.desk.select("prompt", "response").join(
        made, on=["prompt", "response"], how="left", maintain_order="left"
    )


def _likely(source: Pool, world: str, rest: Any, rng: np.random.Generator) -> Any:
    """How likely each row is drawn after the drift."""
    part = source.desk[rest.tolist()]
    if world == "quality":
        return np.where(part["kind"].is_in(list(POOR)).to_numpy(), 0.5, 1.0)
    if world == "traffic":
        names = [p.name for p in PRODUCTS]
        chosen = "|".join(rng.choice(names, max(2, len(names) // 6), replace=False))
        few = part["prompt"].str.contains(chosen).to_numpy()
        return np.where(few, 1.0 / max(few.mean(), 1e-9), 1.0)
    return np.ones(len(rest))


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: by world, alarms before the drift, which drifts are named after it, and the delay."""
    lines = [
        "| world | streams | any alarm without its drift | "
        + " | ".join(f"{n} detected" for n in NAMES)
        + " | delay, weeks: median (largest) | fires after, weeks |",
        "|---" * (len(NAMES) + 5) + "|",
    ]
    for world in WORLDS:
        mine = [r for r in results if r["world"] == world]
        if not mine:
            continue
        others = [n for n in NAMES if n != world]
        early = [
            r
            for r in mine
            if any(r["detected"][n] for n in others)
            or (world != "none" and (r["detected"][world] or 99) < DRIFT)
        ]
        named = [sum(r["detected"][n] is not None for r in mine) for n in NAMES]
        delay = [
            sorted(r[kind][world] - DRIFT + 1 for r in mine if world != "none" and r[kind][world])
            for kind in ("detected", "fires")
        ]
        told = [
            f"{np.median(d):.0f} ({max(d)}), {len(d)} of {len(mine)}" if d else "-" for d in delay
        ]
        lines.append(
            f"| {world} | {len(mine)} | {len(early)} | "
            + " | ".join(map(str, named))
            + f" | {told[0]} | {told[1]} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the replicates that the file does not hold yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("--worlds", nargs="*", default=list(WORLDS), choices=list(WORLDS))
    parser.add_argument("--out", type=Path, default=Path("monitor.json"))
    given = parser.parse_args()
    results = json.loads(given.out.read_text()) if given.out.exists() else []
    done = {(r["world"], r["seed"]) for r in results}
    source = pool()
    for seed in range(given.replicates):
        for world in given.worlds:
            if (world, seed) not in done:
                results.append(run(source, world, seed))
                given.out.write_text(json.dumps(results))
    print(table(results))
    print(f"seconds a stream, median: {np.median([r['seconds'] for r in results]):.1f}")


if __name__ == "__main__":
    main()
