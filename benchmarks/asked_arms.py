"""Measure size and power of the check `asked_arms` of `refute` on logs of known selection.

python benchmarks/asked_arms.py --draws 200 --out runs/asked_arms.json

20,000 responses with 30 normal features, logit P(good) linear in them, 5 % unasked reactions, and h(x) of sd .6 in who
reacts; the odds ratio of reacting to a good and to a bad response is 1 (size) or 3 (power).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import expit

from trueward.data.feedback import Columns, Feedback
from trueward.refutation.ask_checks import arms_test

ROWS, WIDTH, UNASKED = 20_000, 30, 0.05


def log(rng: np.random.Generator, ratio: float, share: float, answering: float) -> Feedback:
    """Draw a log."""
    x = rng.standard_normal((ROWS, WIDTH))
    w, v = rng.standard_normal((2, WIDTH))
    good = rng.random(ROWS) < expit(x @ w * 1.3 / np.linalg.norm(w) + 0.5)
    h = x @ v * 0.6 / np.linalg.norm(v) + np.log(ratio) * (good - 0.5)
    asked = rng.random(ROWS) < share
    level = [brentq(lambda a, r=r: expit(a + h).mean() - r, -20, 20) for r in (UNASKED, answering)]
    reacts = rng.random(ROWS) < expit(h + np.where(asked, level[1], level[0]))
    column = lambda values: torch.from_numpy(np.asarray(values, dtype=np.float32))  # noqa: E731
    asks = Columns(asked=column(asked), p_ask=column(np.full(ROWS, share)))
    group = torch.arange(ROWS) // 4
    return Feedback(column(x), column(good & reacts), column(reacts), group=group, asks=asks)


def main() -> None:
    """Draw the logs and write the share of rejections."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: list[dict[str, Any]] = []
    for ratio, share, answering in (
        (1.0, 0.1, 0.3), (1.0, 0.1, 0.6), (1.0, 0.03, 0.4),
        (3.0, 0.1, 0.3), (3.0, 0.1, 0.4), (3.0, 0.1, 0.6), (3.0, 0.03, 0.4), (3.0, 0.03, 0.6),
    ):  # fmt: skip
        p = np.array(
            [
                arms_test(log(np.random.default_rng(i), ratio, share, answering), i).p
                for i in range(args.draws)
            ]
        )
        row = {"odds_ratio": ratio, "share": share, "answering": answering, "draws": args.draws}
        found.append(
            row | {f"rejects_{level:g}": float((p < level).mean()) for level in (0.05, 0.01)}
        )
        print(found[-1], flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
