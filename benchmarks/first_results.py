"""First results on real texts: methods on four rated sets, and one real feedback log.

python benchmarks/first_results.py --data ../shared/data --out docs/first_results.md

This command prints all numbers of docs/first_results.md. The methods use only the simulated log; the clean test prompts
are used once, by `evaluate`.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from first_results_page import page
from qa_feedback import qa_section

import trueward as tw
from trueward.core.errors import TruewardError
from trueward.data.splits import split_rows

if TYPE_CHECKING:
    from collections.abc import Callable

NOISE = {"rho_01": 0.1, "rho_10": 0.2}
METHODS: dict[str, tuple[str, dict[str, object]]] = {
    "oracle": ("oracle", {}),
    "naive": ("naive", {}),
    "ips": ("ips", {}),
    "snips": ("snips", {}),
    "dr": ("dr", {}),
    "causalrm": ("causalrm", {}),
    "causalrm, true rates given": ("causalrm", NOISE),
    "causalrm preset=paper": ("causalrm", {"preset": "paper"}),
    "implicitrm identify=scar": ("implicitrm", {"identify": "scar"}),
}
ALPHAS, SEEDS = (0.5, 0.2), (0, 1, 2)
RATE = 0.2


def gptfuzz(folder: Path) -> pl.DataFrame:
    d = pl.read_parquet(folder / "gptfuzz_human_labeled" / "data.parquet")
    return d.select("prompt", "response", pl.col("jailbroken").cast(pl.Float64).alias("rating"))


def upworthy(folder: Path) -> pl.DataFrame:
    """Return quintiles of the click-through rate for over 1 000 impressions; the A/B test is the prompt."""
    d = pl.read_parquet(folder / "upworthy_ab_tests" / "data.parquet")
    d = d.filter(pl.col("impressions") > 1000)
    rank = (pl.col("clicks") / pl.col("impressions")).rank("ordinal") - 1
    text = pl.coalesce("lede", "excerpt", pl.lit("")).str.replace_all("<[^>]*>", "")
    return d.select(
        text.alias("prompt"),
        pl.col("headline").alias("response"),
        (rank * 5 // pl.len()).cast(pl.Float64).alias("rating"),
        pl.col("clickability_test_id").alias("prompt_id"),
    )


def arena(folder: Path) -> pl.DataFrame:
    d = pl.read_parquet(folder / "arena_bench_v1_gpt4_score10" / "data.parquet")
    ids = pl.col("prompt_id").cast(pl.String)
    return d.select("prompt", "response", pl.col("score").alias("rating"), ids)


def topical(folder: Path) -> pl.DataFrame:
    d = pl.read_parquet(folder / "topical_chat_turn_ratings" / "data.parquet")
    return d.filter(pl.col("rating").is_not_null()).select(
        pl.col("context").alias("prompt"),
        "response",
        pl.col("rating").cast(pl.Float64),
        pl.col("conv_id").alias("prompt_id"),
    )


@dataclass(frozen=True)
class RatedSet:
    """A rated set: its folder, reader, threshold and description."""

    folder: str
    read: Callable[[Path], pl.DataFrame]
    threshold: float | None  # r* = rating > threshold; None: the median of the levels
    description: str


SETS = {
    "gptfuzz": RatedSet(
        "gptfuzz_human_labeled",
        gptfuzz,
        None,
        "answers to harmful questions; 1 = jailbroken (human)",
    ),
    "upworthy": RatedSet(
        "upworthy_ab_tests", upworthy, None, "headlines; click-through quintile, good = top two"
    ),
    "arena": RatedSet(
        "arena_bench_v1_gpt4_score10", arena, None, "model answers; judge's grade, good = above 5.5"
    ),
    "topical_chat": RatedSet(
        "topical_chat_turn_ratings",
        topical,
        3.0,
        "human chat turns; partner's rating, good = 4 of 0..4 (the median level, 2, leaves 93 % good)",
    ),
}


def job(where: tuple[str, str, float, int]) -> list[dict[str, object]]:
    """Fit all methods on one simulated log; return one row a method."""
    data, name, alpha, seed = where
    torch.set_num_threads(1)
    chosen = SETS[name]
    world = tw.simulate(
        chosen.read(Path(data)), mechanism="rating", alpha=alpha, rate=RATE, seed=seed,
        threshold=chosen.threshold, **NOISE,
    )  # fmt: skip
    log = tw.encode(tw.read_log(world.log))
    label = torch.tensor(world.truth["label"].to_numpy(), dtype=torch.float32)
    truth = tw.Labelled(log.x, label, group=log.group, backbone=log.backbone)
    test = tw.encode(tw.read_test(world.test))
    train, val = split_rows(len(log), 0.2, seed, log.group)
    rows: list[dict[str, object]] = []
    for title, (method, options) in METHODS.items():
        source = truth if method == "oracle" else log
        row: dict[str, object] = {"set": name, "alpha": alpha, "seed": seed, "method": title}
        started = time.monotonic()
        try:
            model = tw.fit(method, source[train], source[val], seed=seed, **options)
            found = tw.evaluate(model, test, seed=seed).to_json()
            row |= {k: v["value"] for k, v in found.items()} | {
                "warnings": model.report["warnings"]
            }
            row["mean_reward"] = float(model.score_features(test.x).preferred.mean())
            if "flip_rates" in model.report["nuisances"]:
                rates = model.report["nuisances"]["flip_rates"]
                row["rates"] = [rates[k]["value"] for k in ("rho_01", "rho_10")]
        except TruewardError as e:
            row["failed"] = str(e)
        rows.append({**row, "seconds": round(time.monotonic() - started, 1)})
    rows[0] |= {"good": float(label.mean()), "rows": len(log), "rated": int(log.o.sum())}
    return rows


def run(data: Path, names: list[str], workers: int) -> list[dict[str, object]]:
    """Run all jobs in single-threaded processes, the largest sets first."""
    jobs = [(str(data), n, a, s) for n in reversed(names) for a in ALPHAS for s in SEEDS]
    rows: list[dict[str, object]] = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for where, found in zip(jobs, pool.map(job, jobs), strict=True):
            took = sum(float(r["seconds"]) for r in found)
            print(f"{where[1]} alpha={where[2]} seed={where[3]}: {took:.0f} s of fits", flush=True)
            rows += found
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--json", type=Path, help="also write the rows as JSON")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    if not args.data.is_dir():
        raise SystemExit(f"no data at {args.data}: give --data")
    rows = run(args.data, args.sets, args.workers)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    text = page(
        rows, {n: SETS[n].description for n in args.sets}, qa_section(args.data), seeds=len(SEEDS)
    )
    if args.out:
        args.out.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
