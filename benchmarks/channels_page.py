"""One click channel or several: R2 of methods for clicks on the generated help desk.

python benchmarks/channels_page.py

Five seeds, with two or three independent channels or with channels that depend on the user, at two rates of the first
channel. `implicitrm` uses the first channel as a log of clicks and gets the true prior, which a product does not have.
The interval [P(click), 1] of one channel is compared with the true P(good | kind of answer) in each decile of the test
answers by P(click): the mean truth must lie in the mean interval.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import polars as pl
import torch

import trueward as tw
from trueward.data.feedback import Labelled
from trueward.data.splits import split_rows
from trueward.simulation.helpdesk import RATINGS, helpdesk

MECHANISMS = ("two_channel", "channels", "channels_users")
# Mean activity of the first channel; the second has half of it, the third a quarter.
RATES = (0.5, 0.2)
SEEDS = (0, 1, 2, 3, 4)
TENTHS = 10
PROMPTS = 3000
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "oracle": ("oracle", {}),
    "channels": ("channels", {}),
    "channels form=likelihood": ("channels", {"form": "likelihood"}),
    "channels form=ratio": ("channels", {"form": "ratio"}),
    "implicitrm, one click, true prior": ("implicitrm", {"identify": "scar"}),
    "naive, one click": ("naive", {}),
}


def one_click(log: pl.DataFrame) -> pl.DataFrame:
    """Return the first channel as a log of clicks, 1 or missing."""
    clicked = pl.when(pl.col("channel.copy") > 0).then(1.0).alias("feedback")
    return log.with_columns(clicked).drop(c for c in log.columns if c.startswith("channel."))


def measured(mechanism: str, rate: float, seed: int) -> tuple[dict[str, float], float]:
    """Return R2 of every method, and the share of deciles in which the interval of one channel holds."""
    rated = helpdesk(PROMPTS, seed=seed)
    world = tw.simulate(rated, mechanism=mechanism, rate=rate, seed=seed)
    test = tw.encode(tw.read_test(world.test))
    logs = {"channels": encoded(world.log), "click": encoded(one_click(world.log))}
    label = torch.tensor(world.truth["label"].to_numpy(), dtype=torch.float32)
    base = logs["channels"]
    truth = Labelled(base.x, label, group=base.group, backbone=base.backbone)
    train, val = split_rows(len(label), 0.2, seed, base.group)
    found = {}
    for name, (method, options) in METHODS.items():
        source = (
            truth if method == "oracle" else logs["channels" if method == "channels" else "click"]
        )
        given = {"prior": float(label.mean())} if method == "implicitrm" else {}
        model = tw.fit(method, source[train], source[val], seed=seed, **options, **given)
        value = tw.evaluate(model, test, draws=0)["r2"].value
        found[name] = float("nan") if value is None else value
    click = logs["click"]
    options = {"identify": "none", "allow_unidentified": True}
    model = tw.fit("implicitrm", click[train], click[val], seed=seed, **options)
    kinds = world.test.join(
        rated.select("prompt", "response", "kind"),
        on=["prompt", "response"],
        how="left",
        maintain_order="left",
    )["kind"].to_numpy()
    low = model.score_features(test.x).low
    assert low is not None
    return found, held(low.numpy(), kinds)


def held(low: np.ndarray, kinds: np.ndarray) -> float:
    """Return the share of deciles of ``low`` with a mean P(good | kind) of at least the mean ``low``."""
    good = np.array([sum(RATINGS[k][3:]) for k in kinds])
    tenths = np.array_split(np.argsort(low), TENTHS)
    return float(np.mean([good[rows].mean() >= low[rows].mean() for rows in tenths]))


def encoded(log: pl.DataFrame) -> tw.Feedback:
    """Return the features and the feedback of a log."""
    return tw.encode(tw.read_log(log))


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    print("| world | rate | " + " | ".join(METHODS) + " | channels / oracle | interval holds |")
    print("|---|---:|" + "---:|" * (len(METHODS) + 2))
    for mechanism in MECHANISMS:
        for rate in RATES:
            runs = [measured(mechanism, rate, seed) for seed in SEEDS]
            mean = {name: float(np.mean([r[name] for r, _ in runs])) for name in METHODS}
            share = [r["channels"] / r["oracle"] for r, _ in runs]
            print(
                f"| {mechanism} | {rate:g} | "
                + " | ".join(f"{v:.3f}" for v in mean.values())
                + f" | {np.mean(share):.0%} ({min(share):.0%} to {max(share):.0%})"
                + f" | {np.mean([h for _, h in runs]):.0%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
