"""Cost of a fine-tuning step relative to the forward and backward pass of the same model.

python benchmarks/tune_speed.py [--model FOLDER] [--rows 64] [--micro 16] [--repeats 7] [--json]

Needs the extra trueward[text]. Without --model it builds a Qwen3 decoder with random weights (4 layers, width
256, the tokenizer of wordllama). The texts are answers of the demo's help desk.
A step has the gradient of the method's loss over all micro-batches, the gradient norm and AdamW. `bare` runs
the forward and backward pass of the same model on the same micro-batches, as tensors, with a mean of logits as
the loss. Every repeat times all cases in rotating order; results are medians over repeats, and ratios are
medians of the ratios within a repeat. On a CPU the seconds are CPU time. Memory is the peak of a process that
makes two steps, less its memory after the model is loaded.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from encode_speed import build_decoder
from torch.nn import functional

from trueward.data.feedback import Columns, Feedback
from trueward.estimators._registry import make
from trueward.features import backbone
from trueward.features.transformers.token_pooling import pool_tokens
from trueward.features.transformers.transformer import Transformer
from trueward.fitting.finetune.network import TextRows, TunedNet, TuneMode, with_adapters
from trueward.simulation import helpdesk
from trueward.training.config import Train
from trueward.training.microbatch import MicroBatches
from trueward.training.preprocessing import Standardizer
from trueward.training.problem import Batch, TrainingProblem
from trueward.training.step import clip_gradients
from trueward.training.training_state import make_optimizer

CASES: list[tuple[TuneMode, str, bool]] = [
    ("lora", "dr", False),
    ("lora", "cvib", False),
    ("lora", "dr", True),
    ("full", "dr", False),
    ("full", "cvib", False),
    ("full", "dr", True),
]


def texts(n: int) -> tuple[list[str], list[str]]:
    frame = helpdesk(-(-n // 4)).head(n)
    return frame["prompt"].to_list(), frame["response"].to_list()


def learner(
    base: Transformer, how: TuneMode, method: str, n: int, *, checkpointing: bool
) -> TunedNet:
    rows, _ = base.rendering.tokenize(*texts(n))
    standardizer = Standardizer(torch.zeros(base.width), torch.ones(base.width))
    g = torch.Generator().manual_seed(0)
    one = torch.randn(base.width, generator=g) / base.width**0.5, torch.tensor(0.1)
    heads = dict.fromkeys(make(method, {}).heads, one)
    return TunedNet(base, rows, standardizer, heads, how, checkpointing=checkpointing)


def step(net: TunedNet, method: str, n: int, micro: int) -> Callable[[], None]:
    """Return one training step on all rows."""
    g, place = torch.Generator().manual_seed(0), net.device
    y, o = (torch.randint(0, 2, (n,), generator=g).float() for _ in "yo")
    eta = Columns(propensity=torch.full((n,), 0.5), imputation=torch.full((n,), 0.5))
    data = Feedback(torch.zeros(n, 0), y * o, o, eta=eta).to(place)
    source = TextRows(torch.arange(n))
    problem = TrainingProblem(
        "reward", make(method, {}), data, data, source, source, lengths=net.lengths
    )
    micro_batches, optimizer = MicroBatches(micro), make_optimizer(net, Train(lr=1e-5))
    batch = Batch(torch.arange(n), data, [Columns()])

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        micro_batches.backward(problem, net, batch)
        clip_gradients(net, 1.0)
        optimizer.step()

    return run


def bare(base: Transformer, how: TuneMode, n: int, micro: int) -> Callable[[], None]:
    """Return the forward and backward pass of the model over the micro-batches of a step."""
    rows, _ = base.rendering.tokenize(*texts(n))
    order = torch.tensor([len(r.ids) for r in rows]).argsort(descending=True, stable=True)
    ready = [base.inputs([rows[i] for i in part]) for part in order.split(micro)]
    model = with_adapters(base.model, 16, 0) if how == "lora" else base.model.requires_grad_()
    weights = [p for p in model.parameters() if p.requires_grad]

    def run() -> None:
        for p in weights:
            p.grad = None
        for inputs in ready:
            h = base.activations(inputs, model)
            s = pool_tokens(h, inputs["attention_mask"], base.reading.pooling).mean(1)
            functional.softplus(s).mean().backward()

    return run


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    begin = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - begin


def open_model(name: str) -> Transformer:
    base = backbone(name)
    assert isinstance(base, Transformer)
    return base.move_weights()


def measure(name: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    n, micro = given.rows, given.micro
    device = open_model(name).device
    works: dict[Any, Callable[[], None]] = {}
    for how in ("lora", "full"):
        works[how] = bare(open_model(name), how, n, micro)
    for how, method, checkpointing in CASES:
        net = learner(open_model(name), how, method, n, checkpointing=checkpointing)
        works[how, method, checkpointing] = step(net, method, n, micro)
    for work in works.values():
        work()  # allocates the memory, and detects losses with two passes
    taken: dict[Any, list[float]] = {key: [] for key in works}
    for k in range(given.repeats):
        keys = list(works)
        for key in keys[k % len(keys) :] + keys[: k % len(keys)]:
            taken[key].append(seconds(works[key], device))
    return [
        {
            "tune": case[0],
            "method": case[1],
            "gradient_checkpointing": case[2],
            "seconds": statistics.median(taken[case]),
            "bare_seconds": statistics.median(taken[case[0]]),
            "ratio": [a / b for a, b in zip(taken[case], taken[case[0]], strict=True)],
            "megabytes": peak(name, *case, n, micro),
        }
        for case in CASES
    ]


def peak(name: str, how: str, method: str, checkpointing: bool, n: int, micro: int) -> float:
    """Return the peak memory in megabytes, measured in a separate process."""
    words = [name, how, method, str(int(checkpointing)), str(n), str(micro)]
    done = subprocess.run(
        [sys.executable, __file__, "--peak", *words], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def print_peak(words: list[str]) -> None:
    name, how, method, checkpointing, n, micro = words
    base, rows = open_model(name), int(n)
    torch.set_num_threads(1)
    base.encode(*(side[:2] for side in texts(rows)))
    cuda = base.device.type == "cuda"
    before = torch.cuda.memory_allocated() / 1024 if cuda else held("VmRSS")
    if not cuda:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    net = learner(base, how, method, rows, checkpointing=checkpointing == "1")  # type: ignore[arg-type]
    work = step(net, method, rows, int(micro))
    work()
    work()
    after = torch.cuda.max_memory_allocated() / 1024 if cuda else held("VmHWM")
    print((after - before) / 1024)


def held(what: str) -> float:
    """Return the kilobytes of this process: now (VmRSS) or at the peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(what)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", help="backbone")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--micro", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peak", nargs=6, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        print_peak(given.peak)
        return
    with tempfile.TemporaryDirectory() as scratch:
        name = given.model or build_decoder(Path(scratch, "qwen3"), layers=4, columns=256)
        results = measure(name, given)
    if given.json:
        print(json.dumps(results, indent=1))
        return
    print(
        "| tune | method | gradient checkpointing | bare, s | step, s | step / bare | memory, MB |"
    )
    print("|---|---|---|---:|---:|---|---:|")
    for r in results:
        ratio = r["ratio"]
        shown = f"{statistics.median(ratio):.2f} ({min(ratio):.2f}, {max(ratio):.2f})"
        check = "yes" if r["gradient_checkpointing"] else "no"
        print(
            f"| {r['tune']} | {r['method']} | {check} | {r['bare_seconds']:.2f} | {r['seconds']:.2f} | {shown} "
            f"| {r['megabytes']:.0f} |"
        )


if __name__ == "__main__":
    main()
