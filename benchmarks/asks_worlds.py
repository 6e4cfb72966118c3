"""Measure what a lottery of asks buys in worlds of known truth, one line a fit; resumable.

python benchmarks/asks_worlds.py --data ../shared/data --out runs/asks.jsonl --until 16:45
python benchmarks/asks_page.py --runs runs/asks.jsonl --coverage runs/asks_coverage.json --arms runs/asked_arms.json --out docs/asked_worlds.md

A world is a table of rated answers (generated or real), a seed, the share of responses that is asked, and a violation of the
assumptions or none. Its log is fitted by naive, by three_outcome without and with the asks, and, where 100 gold labels
are on the asked who stayed silent (fewer where fewer stayed silent), by three_outcome and anchored with both.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from sklearn.metrics import roc_auc_score

import trueward as tw
from trueward.benchmark.answers import Location
from trueward.benchmark.sets import SETS
from trueward.core.errors import TruewardError
from trueward.features.backbones import backbone
from trueward.features.columns import to_feedback
from trueward.features.encoding import features
from trueward.fitting.fit import configure, resolve
from trueward.fitting.out_of_fold import estimate_nuisances
from trueward.fitting.prepared import PreparedLog
from trueward.fitting.record import composed_model
from trueward.simulation import simulate

ROWS = 9_000  # of a table, at most
WIDTH = 64  # principal directions of the built-in features
RATE, ANSWERING, ALPHA = 0.05, 0.6, 3**-0.5  # unasked reactions, answers, odds ratio 3
SHARES = (0.1, 0.03)
GOLD = 100
HALF_SEEN = {"seen": 0.5}
WORLDS: dict[str, dict[str, Any]] = {
    "good react more": {},
    "bad react more": {"liked": False},
    "missing at random": {"alpha": 1.0},
    "asking halves selection": {"weaker": 0.5},
    "log link": {"link": "log"},
    "half unseen, logged": HALF_SEEN,
    "half unseen, not logged": HALF_SEEN | {"log_seen": False},
    "selection varies with x": {"varies": 1.0},
    "frailty": {"frailty": 1.5},
    "politeness": {"polite": 0.1},
}
AS_ASSUMED = ("good react more", "bad react more", "missing at random", "half unseen, logged")
FITS: dict[str, tuple[str, dict[str, Any], bool]] = {  # method, options, with gold labels
    "naive": ("naive", {}, False),
    "three_outcome, asks left out": ("three_outcome", {"asked": "no"}, False),
    "three_outcome": ("three_outcome", {}, False),
    "three_outcome + gold": ("three_outcome", {}, True),
    "anchored + gold": ("anchored", {}, True),
}


def table(
    name: str, data: Path, folder: Path
) -> tuple[pl.DataFrame, np.ndarray[Any, Any], float | None]:
    """Return the rated answers of a set, their features, and the threshold; features are kept in a file."""
    kept = folder / f"asks_{name}.npz"
    answers = SETS[name].read(Location(data=data, rows=ROWS))
    frame = answers.frame.unique(["prompt", "response"], maintain_order=True)
    if len(frame) > ROWS:
        prompts = frame["prompt"].unique(maintain_order=True)
        some = prompts.sample(fraction=ROWS / len(frame), seed=0)
        frame = frame.filter(pl.col("prompt").is_in(some.implode()))
    if not kept.exists():
        x = features(
            backbone("wordllama"), frame["prompt"].to_list(), frame["response"].to_list(), None
        )
        x = x.float()
        x = (x - x.mean(0)) / (x.std(0) + 1e-6)
        torch.manual_seed(0)
        _, _, v = torch.svd_lowrank(x, WIDTH, niter=3)
        np.savez(kept, x=(x @ v / (x @ v)[:, 0].std()).numpy())
    return frame, np.load(kept)["x"], answers.threshold


def fitted(
    method: str, options: dict[str, Any], log: tuple[Any, Any], seed: int, shared: dict[Any, Any]
) -> tw.RewardModel:
    """Fit a method as `tw.fit` does, with the networks that another method on the same rows has trained."""
    if method == "naive":
        return tw.fit(method, *log, seed=seed)
    chosen, cfg = configure(method, {"seed": seed, **options})
    chosen, reasons = resolve(chosen, log[0])
    rows = PreparedLog.of(chosen, *log, cfg)
    data = rows.cross_fit_data(cfg)
    nuisances = estimate_nuisances(chosen, data, shared)
    return composed_model(rows, chosen, cfg, nuisances, data.projection, reasons)


def one(
    frame: pl.DataFrame,
    x: np.ndarray[Any, Any],
    threshold: float | None,
    world: str,
    share: float,
    seed: int,
) -> list[dict[str, Any]]:
    """Draw one world and fit every method on it."""
    options = {"share": share, "answering": ANSWERING} | WORLDS[world]
    settings = {
        "alpha": options.pop("alpha", ALPHA),
        "rate": RATE,
        "seed": seed,
        "threshold": threshold,
    }
    draw = lambda gold: simulate(  # noqa: E731
        frame,
        mechanism="asked",
        features=x,
        gold=gold,
        options=options | {"gold_on": "silent"},
        **settings,
    )
    plain = draw(0)
    silent = plain.log.filter((pl.col("asked") == 1) & pl.col("feedback").is_null())
    shown = silent.filter(pl.col("seen") == 1) if "seen" in silent.columns else silent
    gold = draw(min(GOLD, len(shown)))
    row_of = {pair: i for i, pair in enumerate(frame.select("prompt", "response").iter_rows())}

    def inputs(rows: pl.DataFrame) -> torch.Tensor:
        return torch.from_numpy(
            x[[row_of[p] for p in rows.select("prompt", "response").iter_rows()]]
        ).float()

    label, held = plain.test["label"].to_numpy(), inputs(plain.test)
    log_share = float(plain.truth["label"].mean())  # type: ignore[arg-type]
    logs = {
        with_gold: to_feedback(tw.read_log(w.log), inputs(w.log), None).split(0.2, seed)
        for with_gold, w in ((False, plain), (True, gold))
    }
    rows, shared = [], {}  # gold labels change no network, so every fit has the same ones
    for name, (method, more, with_gold) in FITS.items():
        start = time.perf_counter()
        row: dict[str, Any] = {"fit": name, "log_rows": len(plain.log), "share_good": log_share}
        try:
            model = fitted(method, more, logs[with_gold], seed, shared)
        except TruewardError as e:
            rows.append(row | {"error": str(e)})
            continue
        scores = model.score_features(held)
        assert scores.reward is not None
        p = torch.sigmoid(scores.reward.double()).numpy()
        said = model.report["nuisances"].get("selection", {})
        rows.append(
            row
            | {
                "auroc": float(roc_auc_score(label, p)),
                "brier": float(np.mean((p - label) ** 2)),
                "mean_error": float(p.mean() - label.mean()),
                "range": said.get("share_good_range"),
                "estimate": said.get("share_good"),
                "weights": said.get("weights"),
                "seconds": round(time.perf_counter() - start, 2),
            }
        )
    return rows


def main() -> None:
    """Run every world that the file lacks, the plain worlds at 10 % first, until the given time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", default="helpdesk,gptfuzz,arena")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--until", help="HH:MM, stop before another world begins after it")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if args.out.exists():
        lines = [json.loads(line) for line in args.out.read_text("utf-8").splitlines()]
        done = {(r["set"], r["world"], r["share"], r["seed"]) for r in lines}
    tables = {name: table(name, args.data, args.out.parent) for name in args.sets.split(",")}
    first = itertools.product(range(args.seeds), SHARES[:1], AS_ASSUMED[:3], tables)
    rest = itertools.product(range(args.seeds), SHARES, WORLDS, tables)
    for seed, share, world, name in [*first, *rest]:
        if (name, world, share, seed) in done:
            continue
        done.add((name, world, share, seed))
        if args.until and datetime.now().strftime("%H:%M") >= args.until:  # noqa: DTZ005
            print("stopped by --until; run again to go on")
            return
        about = {"set": name, "world": world, "share": share, "seed": seed}
        rows = one(*tables[name], world, share, seed)
        with args.out.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(about | row) + "\n" for row in rows))
        print(about, [round(r.get("seconds", 0), 1) for r in rows], flush=True)


if __name__ == "__main__":
    main()
