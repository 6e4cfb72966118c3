"""What the language-model side costs on one GPU, in at most ten minutes and without a download.

python benchmarks/gpu.py [--size full|tiny] [--minutes 10] [--parts encode,tune,fit,export,grpo] [--out FILE]

Needs the extras trueward[text,rlhf]. It prints a table and a record as JSON. The language model is a decoder
with the shapes of Qwen3-0.6B (28 layers of 1,024, 16 heads and 8 of keys and values, a vocabulary of 151,936)
and random weights; texts are answers of the demo's help desk, in wordllama's tokens. A part begins only while
there is time left; the table names those that did not begin.

encode   tokens/s of `encode`, from texts to float16 rows, beside the model's own forward pass on the same
         batches as tensors.
tune     seconds of a `--tune lora` step (method dr) beside the model's own forward and backward pass over the
         same micro-batches.
fit      `causalrm` on 500,000 rows of 4,096 bfloat16 features, a fifth of them rated: seconds, rows/s.
export   a linear head on the model in bfloat16, exported as a stock classifier: rms and largest difference of
         its bfloat16 scores from those of the reward model, in sd of the scores.
grpo     seconds of a GRPO step of `align --lora 16`, with a learned reward on wordllama.

A part that fails is in the table with its error, the others are measured, and the exit code is 1. There is no
scoring server to measure yet. ``--size tiny`` runs the same code with small shapes; on a CPU it takes seconds and its figures mean nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import encode_speed
import torch
import tune_speed

import trueward as tw
from trueward.rlhf import Align, Reward
from trueward.simulation import helpdesk, simulate

Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """Shapes of the model, and how much each part computes."""

    layers: int = 28
    columns: int = 1_024
    intermediate: int = 3_072
    heads: int = 16
    key_value_heads: int = 8
    head_dim: int = 128
    vocabulary: int = 151_936
    dtype: str = "bfloat16"
    texts: int = 2_048
    tuned_rows: int = 64
    micro: int = 16
    repeats: int = 5
    fit_rows: int = 500_000
    fit_columns: int = 4_096
    asked: int = 256  # prompts of the logs of the two parts below
    compared: int = 512
    steps: int = 4
    prompts: int = 8
    group: int = 8
    length: int = 128


SIZES = {
    "full": Size(),
    "tiny": Size(
        layers=2,
        columns=64,
        intermediate=96,
        heads=4,
        key_value_heads=2,
        head_dim=16,
        vocabulary=33_000,
        texts=64,
        tuned_rows=8,
        micro=4,
        repeats=1,
        fit_rows=2_000,
        fit_columns=16,
        compared=16,
        steps=2,
        prompts=2,
        group=2,
        length=4,
    ),
}


def build_model(folder: Path, size: Size) -> str:
    """Write the decoder and its tokenizer; every matrix has entries of sd 1 / sqrt(columns)."""
    import transformers  # noqa: PLC0415 - heavy

    encode_speed.build_decoder(folder, layers=1, columns=128)  # the tokenizer and its template
    config = transformers.Qwen3Config(
        vocab_size=size.vocabulary,
        hidden_size=size.columns,
        num_hidden_layers=size.layers,
        intermediate_size=size.intermediate,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_value_heads,
        head_dim=size.head_dim,
        initializer_range=size.columns**-0.5,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = transformers.Qwen3ForCausalLM(config).to(getattr(torch, size.dtype))
    model.generation_config.eos_token_id = None  # answers have the full length
    model.save_pretrained(folder)
    return str(folder)


def texts(n: int) -> tuple[list[str], list[str]]:
    """Prompts and answers of the help desk."""
    frame = helpdesk(-(-n // 4)).head(n)
    return frame["prompt"].to_list(), frame["response"].to_list()


def encode_part(name: str, size: Size, _scratch: Path) -> list[Row]:
    """Tokens/s of `encode` and of the bare forward pass."""
    model, pairs = tune_speed.open_model(f"{name},dtype={size.dtype}"), texts(size.texts)
    rows, _ = model.rendering.tokenize(*pairs)
    tokens = sum(len(row.ids) for row in rows)
    forward = encode_speed.forward_pass(model, *pairs)
    works: dict[str, Callable[[], Any]] = {
        "forward": forward,
        "encode": lambda: model.encode(*pairs),
    }
    taken = timed(works, size.repeats, lambda work: encode_speed.seconds(work)[0])
    return [
        figure("forward pass", tokens / statistics.median(taken["forward"]), "tokens/s"),
        figure("encode", tokens / statistics.median(taken["encode"]), "tokens/s"),
        figure("encode / forward pass", share(taken["forward"], taken["encode"]), "of its speed"),
        figure("tokens of a text", tokens / len(rows), "mean"),
    ]


def tune_part(name: str, size: Size, _scratch: Path) -> list[Row]:
    """Seconds of a step of ``--tune lora`` and of the bare forward and backward pass."""
    name, n = f"{name},dtype={size.dtype}", size.tuned_rows
    base = tune_speed.open_model(name)
    net = tune_speed.learner(tune_speed.open_model(name), "lora", "dr", n, checkpointing=False)
    works = {
        "bare": tune_speed.bare(base, "lora", n, size.micro),
        "step": tune_speed.step(net, "dr", n, size.micro),
    }
    device = base.device
    taken = timed(works, size.repeats, lambda work: tune_speed.seconds(work, device))
    return [
        figure("forward and backward pass", statistics.median(taken["bare"]), "s"),
        figure("step of --tune lora", statistics.median(taken["step"]), "s"),
        figure("step / forward and backward", share(taken["step"], taken["bare"]), "of its time"),
        figure("rows of a step", n, f"in micro-batches of {size.micro}"),
    ]


def fit_part(_name: str, size: Size, _scratch: Path) -> list[Row]:
    """Seconds of a fit on features in memory."""
    n, d, device = size.fit_rows, size.fit_columns, accelerator()
    g = torch.Generator(device).manual_seed(0)
    x = torch.empty(n, d, dtype=torch.bfloat16)
    w = torch.randn(d, generator=g, device=device) / d**0.5
    utility = torch.empty(n)
    for part in torch.arange(n).split(16_384):
        block = torch.randn(len(part), d, generator=g, device=device)
        x[part], utility[part] = block.bfloat16().cpu(), (block @ w).cpu()
    chance = torch.Generator().manual_seed(1)
    rated = (torch.rand(n, generator=chance) < 0.4 * torch.sigmoid(utility)).float()
    good = (torch.rand(n, generator=chance) < torch.sigmoid(2 * utility)).float()
    log = tw.Feedback(x, good * rated, rated, group=torch.arange(n))
    train, val = log.split(0.1)
    begin = time.perf_counter()
    model = tw.fit("causalrm", train, val)
    seconds = time.perf_counter() - begin
    p = model.score_features(x[:20_000]).preferred
    agree = torch.corrcoef(torch.stack([p.float(), utility[: len(p)]]))[0, 1]
    return [
        figure(f"fit causalrm, {n:,} x {d:,} bf16", seconds, "s"),
        figure("rows of the log", n / seconds, "rows/s"),
        figure("correlation of P with the true utility", float(agree), ""),
    ]


def export_part(name: str, size: Size, scratch: Path) -> list[Row]:
    """Differences between the scores of an export in bfloat16 and of its reward model, in sd."""
    import transformers  # noqa: PLC0415 - heavy

    log = tw.read_log(simulate(helpdesk(size.asked, seed=0), rate=0.5, seed=0).log)
    data = tw.encode(log, backbone=f"{name},dtype=bfloat16")
    model = tw.fit("naive", *data.split(0.2), hidden=(), epochs=5)
    tw.export(model, scratch / "export", log)
    columns = (log.frame[c].to_list()[: size.compared] for c in ("prompt", "response"))
    prompts, responses = columns
    wanted = model.score(prompts, responses).reward.double()
    place = accelerator()
    tokenizer = transformers.AutoTokenizer.from_pretrained(scratch / "export")
    classifier = transformers.AutoModelForSequenceClassification.from_pretrained(
        scratch / "export", dtype=torch.bfloat16
    ).to(place)
    found = []
    with torch.inference_mode():
        for prompt, response in zip(prompts, responses, strict=True):
            chat = [
                {"role": "user", "content": prompt},
                {"role": "assistant", "content": response},
            ]
            text = tokenizer.apply_chat_template(chat, tokenize=False)
            tokens = tokenizer(text, return_tensors="pt", add_special_tokens=False).to(place)
            found.append(float(classifier(**tokens).logits))
    off = torch.tensor(found, dtype=torch.float64) - wanted
    off = (off - off.mean()) / wanted.std()
    return [
        figure("export in bfloat16: rms difference", float(off.square().mean().sqrt()), "sd"),
        figure("largest difference", float(off.abs().max()), f"sd, of {len(off)} texts"),
    ]


def grpo_part(name: str, size: Size, scratch: Path) -> list[Row]:
    """Seconds of a step of `align` after the first."""
    log = tw.read_log(simulate(helpdesk(size.asked, seed=0), rate=0.5, seed=0).log)
    model = tw.fit("naive", *tw.encode(log).split(0.2), epochs=2)
    pairs = log.frame["prompt"].to_list(), log.frame["response"].to_list()
    how = Align(
        steps=size.steps, prompts=size.prompts, group=size.group, length=size.length, lora=16
    )
    times: list[float] = []
    record = tw.align(
        *(name, [Reward.of(model, *pairs)], log, scratch / "policy", how),
        progress=lambda _metrics: times.append(time.perf_counter()),
    )
    step = statistics.median(b - a for a, b in itertools.pairwise(times))
    answers = size.prompts * size.group
    return [
        figure("GRPO step of align --lora 16", step, "s"),
        figure("answers of a step", answers, f"of {record['ended']['length']:.0f} tokens"),
        figure("tokens of answers", answers * record["ended"]["length"] / step, "tokens/s"),
    ]


PARTS = {
    "encode": encode_part,
    "tune": tune_part,
    "fit": fit_part,
    "export": export_part,
    "grpo": grpo_part,
}


def figure(what: str, value: float, unit: str) -> Row:
    """One line of the table."""
    return {"what": what, "value": value, "unit": unit}


def share(above: list[float], below: list[float]) -> float:
    """Median of the ratios within a repeat."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def timed(
    works: dict[str, Callable[[], Any]],
    repeats: int,
    seconds: Callable[[Callable[[], Any]], float],
) -> dict[str, list[float]]:
    """Time every work once a repeat, in alternating order, after one run that is not counted."""
    for work in works.values():
        work()
    taken: dict[str, list[float]] = {key: [] for key in works}
    for k in range(repeats):
        for key in list(works)[:: 1 if k % 2 else -1]:
            taken[key].append(seconds(works[key]))
    return taken


def accelerator() -> torch.device:
    """The GPU of this machine, else its CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def measure(size: Size, parts: list[str], minutes: float) -> dict[str, Any]:
    """Run the parts while there is time; a part that fails is named with its error, and the next begins."""
    begin, rows, left = time.monotonic(), [], []
    with tempfile.TemporaryDirectory() as scratch:
        name = build_model(Path(scratch, "model"), size)
        for part in parts:
            spent = time.monotonic() - begin
            if spent > 60 * minutes:
                left.append(part)
                continue
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            try:
                found = PARTS[part](name, size, Path(scratch))
            except Exception as e:  # noqa: BLE001 - the other parts are worth their time on a GPU
                found = [{"what": f"failed: {type(e).__name__}: {e}", "value": None, "unit": ""}]
            used = time.monotonic() - begin - spent
            peak = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None
            rows += [{"part": part, **r, "part_seconds": used, "gigabytes": peak} for r in found]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "device": gpu or f"CPU ({platform.machine()}): figures of another kind than those of a GPU",
        "versions": {k: version(k) for k in ("trueward", "torch", "transformers", "trl", "peft")},
        "size": asdict(size),
        "seconds": time.monotonic() - begin,
        "rows": rows,
        "not_begun": left,
    }


def table(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    lines = [
        f"Device: {record['device']}. {record['seconds']:.0f} s in all.",
        "",
        "| part | measured | value | unit | peak GPU memory, GB |",
        "|---|---|---:|---|---:|",
    ]
    for r in record["rows"]:
        value = "-" if r["value"] is None else f"{r['value']:,.4g}"
        peak = "-" if r["gigabytes"] is None else f"{r['gigabytes']:.1f}"
        lines.append(f"| {r['part']} | {r['what']} | {value} | {r['unit']} | {peak} |")
    lines += [f"\nNot begun, for lack of time: {', '.join(record['not_begun'])}."] * bool(
        record["not_begun"]
    )
    return "\n".join(lines)


def main(words: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--out", type=Path, help="write the record to this file, too")
    given = parser.parse_args(words)
    parts = given.parts.split(",")
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"--parts: {', '.join(sorted(unknown))} is none of {', '.join(PARTS)}")
    record = measure(SIZES[given.size], parts, given.minutes)
    print(table(record))
    print(json.dumps(record, indent=1))
    if given.out is not None:
        given.out.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return record


if __name__ == "__main__":
    sys.exit(any(r["value"] is None for r in main()["rows"]))
