"""Compare gold labels drawn by `plan --draw chance` with a uniform draw of as many, and print a table.

python benchmarks/chance_draw.py                                    # --draws 300

Worlds of `doubt_worlds.audited` (2,000 responses to 500 prompts, 300 labels): the model's scores are partly wrong, and
its P(preferred) is that of the scores, or too sure of itself (twice the log-odds). For every metric the chances are
those of that metric. Width: mean width of the 95 % interval against that of the uniform draw. Error: the same of the
standard deviation of estimate - truth. Covered: share of intervals that hold the truth of the logged rows.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.special import expit

from trueward.evaluation.audit import gold_probability
from trueward.evaluation.label_strata import stratified_draw
from trueward.evaluation.measure import measure
from trueward.evaluation.prediction_powered import AuditRows, interval_width
from trueward.evaluation.sample_size import label_chances

ROWS, LABELS = 2000, 300
METRICS = ("auroc", "r2", "brier", "nll", "accuracy", "bias", "good")
SURE = {"as the scores say": 1.0, "too sure of itself": 2.0}


def audited(
    seed: int, sure: float, metric: str | None, judge: float | None = None
) -> tuple[AuditRows, dict[str, float]]:
    """Return the rows with gold labels drawn uniformly, by the chances of a metric or in strata, and the truth.

    ``judge`` is the share of rows of which a judge, one more column of the evidence, says the truth.
    """
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(ROWS // 4), 4)
    x = rng.standard_normal((ROWS, 6))
    u = x[:, 0] + 0.5 * x[:, 1] + 0.7 * rng.standard_normal(ROWS // 4)[group]
    r = (rng.random(ROWS) < expit(1.5 * u)) * 1.0
    o = (rng.random(ROWS) < np.where(r > 0, 0.4, 0.15)) * 1.0
    y = np.where(rng.random(ROWS) < 0.15, 1 - r, r) * o
    s = sure * (x @ np.array([1.2, 0.1, 0.5, 0, 0, 0]))
    p, ones = expit(s), np.ones(ROWS)
    if metric is None:
        drawn = np.isin(np.arange(ROWS), rng.choice(ROWS, LABELS, replace=False))
        weight = drawn * ROWS / LABELS
    elif metric == "stratified":
        kind = np.where(o > 0, 1 + y, 0)
        thirds = np.argsort(np.argsort(s)) * 3 // ROWS
        chosen, each = stratified_draw((3 * kind + thirds).astype(np.int64), LABELS, seed)
        weight = np.zeros(ROWS)
        weight[chosen] = each
        drawn = weight > 0
    else:
        blank = AuditRows(p, s, np.full(ROWS, np.nan), p, group)
        chance = label_chances(blank, metric, LABELS)
        drawn = rng.random(ROWS) < chance
        weight = drawn / chance
    gold = np.where(drawn, r, np.nan)
    seen = np.stack([s, o * y, o * (1 - y)], 1)
    if judge is not None:
        says = np.where(rng.random(ROWS) < judge, r, 1 - r)
        seen = np.column_stack([seen, (says - says.mean()) / says.std()])
    g = gold_probability((seen - seen.mean(0), x / np.sqrt(6)), gold, group, seed, weight)
    known = {k: e.value or 0.0 for k, e in measure(p, score=s, r=r, group=group, draws=0).items()}
    known |= {"accuracy": float(np.mean((p > 0.5) == r)), "good": float(r.mean())}
    return AuditRows(p, s, gold, g, group, represents=ones, label_weight=weight), known


def figures(
    draws: int, sure: float, metric: str | None, judge: float | None = None
) -> dict[str, np.ndarray]:
    """Return width, error and whether the interval holds the truth, one row a draw, by metric."""
    found: dict[str, list[tuple[float, float, bool]]] = {}
    for seed in range(draws):
        rows, known = audited(seed, sure, metric, judge)
        for name in METRICS if metric in (None, "stratified") else (metric,):
            e = rows.estimate(name)[0]
            if e.value is not None and e.low is not None and e.high is not None:
                one = interval_width(e), e.value - known[name], e.low <= known[name] <= e.high
                found.setdefault(name, []).append(one)
    return {name: np.array(each) for name, each in found.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--draws", type=int, default=300)
    draws = parser.parse_args().draws
    print("| P(preferred) | metric | width | error | covered | covered, uniform |")
    print("|---|---|---:|---:|---:|---:|")
    for title, sure in SURE.items():
        uniform = figures(draws, sure, None)
        for name in METRICS:
            plain, chosen = uniform[name], figures(draws, sure, name)[name]
            width = chosen[:, 0].mean() / plain[:, 0].mean() - 1
            error = chosen[:, 1].std() / plain[:, 1].std() - 1
            held = [f"{100 * v[:, 2].mean():.0f} %" for v in (chosen, plain)]
            print(
                f"| {title} | {name} | {width:+.0%} | {error:+.0%} | {' | '.join(held)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
