"""Measure estimated noise rates, and what they do to a fit: `docs/noise_rates.md`.

    python benchmarks/noise_rates_page.py > docs/noise_rates.md       # about 10 minutes of one core

Logs of 4,000 responses, P(good) = sigmoid(slope x_1), half of them rated at random unless the row says
otherwise. A proxy is fitted out of fold as in every fit.
"""

from __future__ import annotations

import argparse
import math
import warnings
from dataclasses import replace

import numpy as np
import torch

import trueward as tw
from trueward.core.errors import TruewardError

#: width of the features, slope, share of rated rows, rho_01, rho_10
WORLDS = (
    (4, 8.0, 0.5, 0.1, 0.2),
    (64, 8.0, 0.5, 0.1, 0.2),
    (16, 3.0, 0.5, 0.1, 0.2),
    (16, 3.0, 0.1, 0.1, 0.2),
    (16, 1.5, 0.5, 0.1, 0.2),
    (64, 0.7, 0.5, 0.1, 0.2),
    (64, 8.0, 0.5, 0.0, 0.0),
    (16, 3.0, 0.5, 0.0, 0.0),
    (16, 1.5, 0.5, 0.0, 0.0),
    (64, 0.7, 0.5, 0.0, 0.0),
)
GOLD = 300  # of the log, drawn at random
FITS = {
    "naive": ("naive", {}, False),
    "once": ("f_correction", {"quantile": 0.99}, False),
    "levels": ("f_correction", {}, False),
    "gold": ("f_correction", {}, True),
}


def world(seed: int, width: int, slope: float, share: float, rho_01: float, rho_10: float) -> tuple:
    """Return a log, the same with gold labels on some rows, and P(good) of new responses."""
    g = torch.Generator().manual_seed(seed)
    n = 4000
    x = torch.randn(n, width, generator=g)
    r = (torch.rand(n, generator=g) < torch.sigmoid(slope * x[:, 0])).float()
    flip = torch.rand(n, generator=g) < torch.where(r > 0, rho_01, rho_10)
    o = (torch.rand(n, generator=g) < share).float()
    log = tw.Feedback(x, torch.where(flip, 1 - r, r) * o, o, group=torch.arange(n) // 4)
    drawn = torch.randperm(n, generator=g)[:GOLD]
    gold = torch.full((n,), torch.nan).index_put((drawn,), r[drawn])
    fresh = torch.randn(n, width, generator=g)
    return log, replace(log, gold=gold), fresh, torch.sigmoid(slope * fresh[:, 0])


def measured(seed: int, at: tuple) -> dict[str, dict[str, float]]:
    """Return the rates of every fit, whether their intervals hold, and its error on new responses."""
    log, audited, fresh, truth = world(seed, *at)
    known = dict(zip(("rho_01", "rho_10"), at[-2:], strict=True))
    found: dict[str, dict[str, float]] = {}
    for name, (method, options, gold) in FITS.items():
        try:
            model = tw.fit(method, *(audited if gold else log).split(0.2), seed=seed, **options)
        except TruewardError:
            found[name] = {"refused": 1.0}
            continue
        p = model.score_features(fresh).preferred.double().numpy()
        q = truth.double().numpy()
        about = model.report["nuisances"].get("flip_rates", {})
        found[name] = {
            "auroc": auroc(p, q),
            "rmse": math.sqrt(float(np.mean(np.square(p - q)))),
            **{k: about[k]["value"] for k in known if k in about},
            **{
                f"{k} held": float(about[k]["low"] <= v <= about[k]["high"])
                for k, v in known.items()
                if k in about
            },
        }
    return found


def auroc(p: np.ndarray, q: np.ndarray) -> float:
    """Return the AUROC of p for labels that are drawn from q."""
    order = np.argsort(p)
    good, bad = q[order], 1 - q[order]
    return float(good @ (np.cumsum(bad) - bad / 2) / good.sum() / bad.sum())


def main() -> None:
    """Print the page."""
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--seeds", type=int, default=5)
    seeds = read.parse_args().seeds
    warnings.simplefilter("ignore")
    print(HEAD.format(seeds=seeds))
    for at in WORLDS:
        each = [measured(seed, at) for seed in range(seeds)]
        width, slope, share, rho_01, rho_10 = at
        first = f"| {width}, {slope:g}, {share:.0%}, {rho_01:g} / {rho_10:g} |"
        for name in FITS:
            runs = [one[name] for one in each if "refused" not in one[name]]
            lost = seeds - len(runs)
            cells = [name + (f" ({lost} refused)" if lost else "")]
            for k in ("rho_01", "rho_10"):
                got = [run[k] for run in runs if k in run]
                held = [run[f"{k} held"] for run in runs if k in run]
                cells.append(f"{np.mean(got):.3f} ({sum(held):.0f} of {len(held)})" if got else "-")
            for k in ("auroc", "rmse") if runs else ():
                cells += [f"{np.mean([run[k] for run in runs]):.3f}"]
            print(f"{first} " + " | ".join(cells) + " |", flush=True)
            first = "| |"


HEAD = """\
# Estimated noise rates

`python benchmarks/noise_rates_page.py`: {seeds} logs of 4,000 responses each, P(good) = sigmoid(slope x_1).
once: quantiles .99 of the out-of-fold proxy, as published. levels: where P(thumb up) levels off (the default without gold
labels). gold: the default with 300 gold labels drawn at random, of which the share that is rated counts. In brackets: in how many
logs the 95 % interval holds the true rate. RMSE is of P(good) on 4,000 new responses, lower is better.

| features, slope, rated, rho_01 / rho_10 | rates from | rho_01 | rho_10 | AUROC | RMSE of P |
|---|---|---:|---:|---:|---:|"""

if __name__ == "__main__":
    main()
