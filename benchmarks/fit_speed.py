"""Time and memory of a fit against the loop that people write by hand.

Run ``python benchmarks/fit_speed.py``; ``--out FILE`` keeps the figures and what they were measured on as
JSON, which docs/generate.py --check compares with README.md and docs/performance.md. A synthetic log of 31,500 training
and 3,500 validation rows of 4,096 bf16 features, 20 % of them rated, is written to a file. Then every fit
(two methods, two sides) runs in a process of its own, which reads that file straight, so that neither the
making of the data nor another fit is in its peak memory. Each side has its own defaults for
optimiser, batch, precision and stopping; the network is 256-64-1 on both.

seconds  wall time of the whole fit, all stages, from features in memory to a model. Imports and the
         first, lazy set-up of PyTorch are done before the clock starts, on both sides.
cpu      seconds of processor time of the same, which other work on the machine changes less.

On both sides threads wait asleep (OMP_WAIT_POLICY=PASSIVE), as trueward sets it where it is imported before
torch: threads that spin cost either side many times its time beside a busy process.
r2       1 - Brier / variance, against clean labels of test rows, which no fit has seen.
memory   highest resident memory from just before the features are read until the fit ends, less what
         the process held before that, over the bytes of the features: 1 is the features alone.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from loop_people_write import causalrm, naive, predict
from safetensors.torch import load_file, save_file
from torch import Tensor

from trueward.core.random import torch_stream
from trueward.data.feedback import Feedback
from trueward.fitting.fit import fit
from trueward.simulation import water_fill

if TYPE_CHECKING:
    from collections.abc import Callable

METHODS: dict[str, Callable[..., torch.nn.Module]] = {"naive": naive, "causalrm": causalrm}
SIDES = ("trueward", "loop")
RATE, RHO_01, RHO_10 = 0.2, 0.1, 0.2


@dataclass(frozen=True)
class Size:
    """How large the log is: training rows, features, and a tenth as many validation and test rows."""

    rows: int = 31_500
    dim: int = 4_096
    seed: int = 0

    @property
    def parts(self) -> dict[str, int]:
        """Rows of each part."""
        return {"train": self.rows, "val": self.rows // 9, "test": self.rows // 9}


@dataclass(frozen=True)
class World:
    """Features like those of a language model: few directions carry much, many carry little.

    x = mean + sd * (z S A + noise): latent z ~ N(0, I_128), S_j = j^-1/2, A random and orthogonal in
    expectation. Utility is nonlinear in a few latents and has noise of its own; r* = 1[u > 0].
    """

    direction: Tensor  # (128, d)
    mean: Tensor  # (d,)
    sd: Tensor  # (d,)

    @staticmethod
    def of(size: Size, latents: int = 128) -> World:
        """Draw the world."""
        g = torch_stream(size.seed, "fit_speed", "world")
        spectrum = torch.arange(1, latents + 1).rsqrt()[:, None]
        direction = torch.randn(latents, size.dim, generator=g) * spectrum
        mean = 0.5 * torch.randn(size.dim, generator=g)
        return World(direction, mean, torch.exp(0.3 * torch.randn(size.dim, generator=g)))

    def rows(self, n: int, seed: int, part: str) -> dict[str, Tensor]:
        """x (n, d) bf16; r clean label; o, y what a log has of it."""
        draw = {k: torch_stream(seed, "fit_speed", part, k) for k in ("z", "x", "u", "o", "flip")}
        z = torch.randn(n, len(self.direction), generator=draw["z"])
        x = torch.empty(n, len(self.mean), dtype=torch.bfloat16)
        for at in torch.arange(n).split(2048):
            noise = torch.randn(len(at), len(self.mean), generator=draw["x"])
            x[at] = (self.mean + self.sd * (z[at] @ self.direction + noise)).bfloat16()
        u = z[:, 3] + 0.7 * z[:, 1] * z[:, 5] + 0.5 * z[:, 8] - 0.4 * (z[:, 2].abs() - 0.8)
        u = u + 0.7 * torch.randn(n, generator=draw["u"])
        r = (u > 0).float()
        return {"x": x, "r": r, **feedback(z, r, draw)}


def feedback(z: Tensor, r: Tensor, draw: dict[str, torch.Generator]) -> dict[str, Tensor]:
    """Rate a fifth of the rows, by features that also sway the utility, and flip some labels."""
    appeal = torch.exp(0.7 * z[:, 3] + 0.5 * z[:, 0] - 0.4 * z[:, 6])
    p = torch.as_tensor(water_fill(appeal.double().numpy(), RATE)).float()
    o = (torch.rand(len(r), generator=draw["o"]) < p).float()
    flip = torch.rand(len(r), generator=draw["flip"]) < torch.where(r == 1, RHO_01, RHO_10)
    y = torch.where(flip, 1 - r, r) * o
    return {"o": o, "y": y}


def write(size: Size, folder: Path) -> None:
    """Write the log (train and val) and, in a file of its own, the test rows."""
    world = World.of(size)
    parts = {k: world.rows(n, size.seed, k) for k, n in size.parts.items()}
    log = {f"{k}.{c}": parts[k][c] for k in ("train", "val") for c in "xyo"}  # and no clean label
    save_file(log, folder / "log.safetensors")
    save_file({c: parts["test"][c] for c in ("x", "r")}, folder / "test.safetensors")


def measure(side: str, method: str, folder: Path, max_epochs: int) -> dict[str, float]:
    """Fit once in this process: seconds, R2, and peak memory as a multiple of the features."""
    settle()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    log = load_file(folder / "log.safetensors")
    size = sum(v.nbytes for k, v in log.items() if k.endswith(".x"))
    for column in log.values():
        column.aminmax()  # the file is mapped: read it now, not while the clock runs
    started, worked = time.perf_counter(), time.process_time()
    if side == "trueward":
        model = fit(method, rated(log, "train"), rated(log, "val"), progress=say)
    else:
        columns = [log[f"{part}.{c}"] for part in ("train", "val") for c in "xyo"]
        net = METHODS[method](*columns, max_epochs)
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    peak = resident("VmHWM") - before
    test = load_file(folder / "test.safetensors")
    if side == "trueward":
        p = model.score_features(test["x"]).preferred
        assert p is not None
    else:
        p = predict(net, test["x"])
    r2 = 1 - float((p - test["r"]).square().mean() / test["r"].var(correction=0))
    return {"seconds": seconds, "cpu": cpu, "r2": r2, "memory": peak / size}


def rated(log: dict[str, Tensor], part: str) -> Feedback:
    """The rows of one part, three responses to a prompt."""
    x, y, o = (log[f"{part}.{c}"] for c in "xyo")
    return Feedback(x, y, o, group=torch.arange(len(y)) // 3)


def settle() -> None:
    """Make PyTorch load what it loads at the first step of an optimiser; the same on both sides."""
    net = torch.nn.Linear(8, 1)
    optimiser = torch.optim.AdamW(net.parameters())
    optimiser.zero_grad()
    net(torch.randn(8, 8)).sum().backward()
    optimiser.step()


def resident(line: str) -> int:
    """Bytes in a line of /proc/self/status: VmRSS, resident now, or VmHWM, at most since the reset."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * next(int(s.split()[1]) for s in text.splitlines() if s.startswith(f"{line}:"))


def say(stage: str, epoch: int, of: int, loss: float) -> None:
    """Progress of trueward, one line an epoch."""
    print(f"  trueward {stage}: {epoch}/{of} {loss:.4f}", file=sys.stderr, flush=True)


def in_fresh_process(side: str, method: str, folder: Path, args: argparse.Namespace) -> Any:
    """Measure in a new process, so that nothing of another fit is in memory."""
    command = [sys.executable, __file__, "--measure", side, method, str(folder)]
    command += ["--threads", str(args.threads), "--max-epochs", str(args.max_epochs)]
    threads = {"OMP_NUM_THREADS": str(args.threads), "MKL_NUM_THREADS": str(args.threads)}
    environment = {**os.environ, **threads, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"{side} {method} ended with exit code {done.returncode}; its message is above")
    return json.loads(done.stdout)


def report(args: argparse.Namespace) -> dict[str, Any]:
    """Figures by method: the ratio, and seconds, r2 and memory of each side (medians)."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder, size = Path(name), Size(args.rows, args.dim, args.seed)
        print(f"writing {asdict(size)}", file=sys.stderr, flush=True)
        write(size, folder)
        for method in args.methods:
            runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
            for _ in range(args.repeats):  # sides alternate, so that a busy machine slows both
                for side in SIDES:
                    runs[side].append(in_fresh_process(side, method, folder, args))
                    print(f"{method} {side}: {runs[side][-1]}", file=sys.stderr, flush=True)
            middle = {
                what: {s: statistics.median(run[what] for run in runs[s]) for s in SIDES}
                for what in ("seconds", "cpu", "r2", "memory")
            }
            ratio, cpu_ratio = (
                middle[k]["loop"] / middle[k]["trueward"] for k in ("seconds", "cpu")
            )
            figures[method] = {"ratio": ratio, "cpu_ratio": cpu_ratio, **middle}
            if args.out:  # after each method, for the second takes long
                about = {"machine": machine(), "threads": args.threads, "repeats": args.repeats}
                kept = {**about, "size": asdict(size), "fits": figures}
                args.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return figures


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    rows = [line.partition(":") for line in text.splitlines()]
    cpu = {k.strip(): v.strip() for k, _, v in rows if k.strip() in ("model name", "flags")}
    wide = [f for f in cpu["flags"].split() if f.startswith(("avx512", "amx", "avx2"))]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    now = datetime.now(UTC).date().isoformat()
    about = {
        "cpu": cpu["model name"],
        "isa": wide,
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
    }
    return {**about, **versions, "load_at_end": os.getloadavg(), "date": now}


def table(figures: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [
        f"{'method':<10}{'side':<10}{'seconds':>9}{'ratio':>8}{'cpu s':>9}{'test R2':>9}{'memory':>9}"
    ]
    for method, about in figures.items():
        for side in SIDES:
            ratio = about["ratio"] if side == "trueward" else math.nan
            shown = f"{ratio:.1f}x" if ratio == ratio else ""  # noqa: PLR0124 - not a number
            lines.append(
                f"{method:<10}{side:<10}{about['seconds'][side]:>9.2f}{shown:>8}"
                f"{about['cpu'][side]:>9.2f}{about['r2'][side]:>9.3f}{about['memory'][side]:>8.2f}x"
            )
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--out", type=Path, help="a JSON file to keep figures and machine in")
    parser.add_argument("--repeats", type=int, default=1, help="runs a fit; the median is kept")
    parser.add_argument("--rows", type=int, default=Size.rows, help="training rows")
    parser.add_argument("--dim", type=int, default=Size.dim, help="features")
    parser.add_argument("--seed", type=int, default=Size.seed, help="of the synthetic log")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    parser.add_argument("--max-epochs", type=int, default=600, help="of the loop, a stage")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)  # side, method, folder
    return parser.parse_args()


def main() -> None:
    """Measure, or, in a process started for it, run one fit."""
    args = arguments()
    if args.measure:
        torch.set_num_threads(args.threads)
        side, method, folder = args.measure
        print(json.dumps(measure(side, method, Path(folder), args.max_epochs)))
        return
    figures = report(args)
    print(json.dumps(figures, indent=1) if args.json else table(figures))


if __name__ == "__main__":
    main()
