"""Run time of twenty methods on five logs, as one sweep and as separate fits.

python benchmarks/sweep_speed.py [--rows 20000] [--dim 256] [--seeds 5] [--repeats 1] [--json]

Separate: `fit` of every method on every log, with all cores for each fit. Sweep: one call of `fit_many` with one thread
a core; the seeds of a method are stacked networks, and a nuisance of several methods is fitted once a log. Both use fp32
and features in memory.
limit: the ratio if the sweep consisted only of its matrix products, timed alone, one core each; and the limit if all of
them had the FLOP rate of torch's product of two 1024 x 1024 matrices. Both are measured in the same run.
differ: the largest difference of P(preferred) on 2 000 new rows over all fits, with one core for each fit; and the
difference between `fit` with one core and with all cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections import Counter
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from trueward.core.errors import TruewardError
from trueward.core.random import torch_stream
from trueward.core.threads import in_threads
from trueward.data.feedback import Feedback
from trueward.data.splits import split_rows
from trueward.estimators._registry import make
from trueward.fitting.fit import fit
from trueward.fitting.sweep import FitJob, fit_many

RATES = {"rho_01": 0.1, "rho_10": 0.2}
SHARING: list[tuple[str, dict[str, Any]]] = [  # ask for the same nuisances
    *((name, {}) for name in ("ips", "snips", "dr")),
    *(("causalrm", {"estimator": e, **RATES}) for e in ("ips", "snips", "dr")),
    ("causalrm", {"correction": "backward", "risk": "brier", **RATES}),
    ("f_correction", {}),
    ("selectmix", {}),
]
ALONE: list[tuple[str, dict[str, Any]]] = [
    (name, {})
    for name in (
        *("mtdr", "sdr", "mtips", "labelwave", "co_teaching", "codis", "cvib", "kmeidtm", "ilde"),
        *("eps_softmax", "naive"),
    )
]
METHODS = [*SHARING, *ALONE]
FP32 = {"precision": "fp32"}
CORES = os.cpu_count() or 1
PRODUCTS = (torch.ops.aten.mm.default, torch.ops.aten.bmm.default)


@cache
def features(rows: int, dim: int) -> Tensor:
    return torch.randn(rows + 2000, dim, generator=torch_stream(0, "sweep_speed", "x"))


@cache
def log(rows: int, dim: int, seed: int) -> tuple[Feedback, Feedback]:
    """Return a log with a fifth of the rows rated by x, label noise, and a fifth of the prompts for validation."""
    x, g = features(rows, dim)[:rows], torch_stream(seed, "sweep_speed", "log")
    u = x[:, 0] + 0.7 * x[:, 1] * x[:, 2] + 0.5 * torch.randn(rows, generator=g)
    o = (torch.rand(rows, generator=g) < torch.sigmoid(1.5 * x[:, 3] - 1.9)).float()
    r = (u > 0).float()
    flip = torch.rand(rows, generator=g) < torch.where(r > 0, RATES["rho_01"], RATES["rho_10"])
    y = torch.where(flip, 1 - r, r) * o
    data = Feedback(x, y, o, group=torch.arange(rows) // 2)
    train, val = split_rows(rows, 0.2, seed, data.group)
    return data[train], data[val]


def predicted(model: Any, rows: int, dim: int) -> list[float]:
    if isinstance(model, TruewardError):
        return [float("nan")]
    found: Tensor = model.score_features(features(rows, dim)[rows:]).preferred
    return found.tolist()


def jobs(rows: int, dim: int, seeds: int) -> dict[tuple[str, int], FitJob]:
    return {
        (_label(name, given), seed): FitJob(make(name, given), *log(rows, dim, seed), seed=seed)
        for name, given in METHODS
        for seed in range(seeds)
    }


def alone(job: FitJob) -> Any:
    """Fit one job."""
    try:
        return fit(job.method, job.train, job.val, seed=job.seed, **FP32)
    except TruewardError as e:
        return e


def sweep(asked: dict[tuple[str, int], FitJob], threads: int) -> list[Any]:
    return fit_many(list(asked.values()), threads=threads, **FP32)


def _label(name: str, given: dict[str, Any]) -> str:
    return " ".join([name, *(f"{k}={v}" for k, v in given.items())])


class Products(TorchDispatchMode):
    """Counts matrix products: (operation, shapes, strides) -> number."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[Any] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in PRODUCTS:
            self.seen[(func, tuple((tuple(a.shape), a.stride()) for a in args))] += 1
        return func(*args, **(kwargs or {}))


def products(rows: int, dim: int) -> tuple[float, float]:
    """Return the FLOP of the matrix products of a sweep over one log, and their run time alone."""
    with FlopCounterMode(display=False) as counted, Products() as found:
        sweep(jobs(rows, dim, 1), 1)
    alone = in_threads(lambda item: replayed(*item), list(found.seen.items()), CORES)
    return float(counted.get_total_flops()), sum(alone) / CORES


def replayed(product: Any, times: int) -> float:
    """Return the seconds of ``times`` products of these shapes, from a median."""
    func, operands = product
    args = [torch.empty_strided(*o).normal_() for o in operands]
    taken = []
    for _ in range(min(times, 15)):
        begin = time.perf_counter()
        func(*args)
        taken.append(time.perf_counter() - begin)
    return times * statistics.median(taken)


def speed() -> float:
    """Return the FLOP/s of torch's matrix product with all cores."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    taken = []
    for _ in range(20):
        begin = time.perf_counter()
        a @ b
        taken.append(time.perf_counter() - begin)
    return 2 * 1024**3 / statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    size = (given.rows, given.dim)
    asked = jobs(*size, given.seeds)
    seconds: dict[str, list[float]] = {"one by one": [], "sweep": []}
    for _ in range(given.repeats):
        begin = time.perf_counter()
        ones = [alone(job) for job in asked.values()]
        middle = time.perf_counter()
        many = sweep(asked, CORES)
        seconds["one by one"].append(middle - begin)
        seconds["sweep"].append(time.perf_counter() - middle)
    same = in_threads(alone, list(asked.values()), CORES)
    taken = {k: statistics.median(v) for k, v in seconds.items()}
    work, busy = products(*size)
    result = {
        "fits": len(asked),
        "seconds": taken,
        "ratio": taken["one by one"] / taken["sweep"],
        "limit": taken["one by one"] / (busy * given.seeds),
        "limit_at_best": taken["one by one"] * speed() / (work * given.seeds),
        "failed": sum(isinstance(m, TruewardError) for m in many),
        "differ": apart(same, many, *size),
        "differ_threads": apart(ones, same, *size),
        "cores": CORES,
    }
    if given.json:
        print(json.dumps(result))
        return
    print(f"{result['fits']} fits on {given.rows:,} x {given.dim}, {CORES} cores, fp32")
    print(f"one by one {taken['one by one']:.1f} s, sweep {taken['sweep']:.1f} s: ", end="")
    print(f"{result['ratio']:.1f}x; limit {result['limit']:.1f}x, ", end="")
    print(f"{result['limit_at_best']:.1f}x at best; {result['failed']} failed")
    print(f"sweep and fit differ by {result['differ']:.1e} at most; ", end="")
    print(f"fit with 1 and with {CORES} cores by {result['differ_threads']:.1e}")


def apart(a: list[Any], b: list[Any], rows: int, dim: int) -> float:
    """Return the largest difference of P(preferred) on new rows over all fits."""
    gaps = [
        (torch.tensor(predicted(m, rows, dim)) - torch.tensor(predicted(n, rows, dim))).abs().max()
        for m, n in zip(a, b, strict=True)
    ]
    return max(float(gap.nan_to_num(0)) for gap in gaps)


if __name__ == "__main__":
    main()
