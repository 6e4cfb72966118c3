"""An encoder with its head as a folder of sentence-transformers, whose embedding is the reward."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file

from trueward.core.errors import TruewardError
from trueward.features.transformers import checkpoint
from trueward.features.transformers.sentence import LEGACY, dense_of

from . import card as _card
from .head import distilled
from .to_networks import networks_of
from .write_stock import cut_on_the_left, own_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from trueward.features.transformers.transformer import Transformer

    from .networks import Array, Layers, Networks
    from .request import Order

ACTIVATION = "torch.nn.modules.activation."
KINDS = "sentence_transformers.models."  # every version knows them by these names
TEXTS = {
    "pair": ("`(prompt, response)`", '[("How do I undo a commit?", "git reset --soft HEAD~1")]'),
    "plain": (
        "`prompt`, an empty line, `response`",
        '["How do I undo a commit?\\n\\ngit reset --soft HEAD~1"]',
    ),
}
Step = tuple["Array", "Array | None", str]  # weight (out, in), bias (out,), activation


def sentence(order: Order, path: Path) -> list[str]:
    """Write the folder; give what should be known of it."""
    base, own = order.base, order.base.reading
    order.only_float32()
    if own.layer != checkpoint.layers(base.folder):
        raise TruewardError(
            f"sentence-transformers reads the last layer, and this model reads layer={own.layer}: fit it "
            "without ,layer="
        )
    steps, z, kind, rank = _head(order)
    _encoder(path, base)
    _modules(path, base, steps)
    about = {"kind": kind, "pooling": own.pooling, "constant": 0.0, "constant_home": "absorbed"}
    about |= {
        "modules": len(steps),
        "absorb_rmse": 0.0,
        "rank_correlation": rank,
        "dtype": "float32",
    }
    template = {"kind": own.template, "max_length": own.max_length, "truncation_side": "left"}
    made = _card.card(order, path, about, template, z)
    _card.written(order, path, made, "sentence-transformers", _use(made))
    if kind == "distilled":
        return [f"the head is distilled: rank correlation {rank:.3f} with the model it stands for"]
    return []


def _encoder(path: Path, base: Transformer) -> None:
    """Write the model and its tokenizer, as the module Transformer reads them."""
    tokenizer = own_tokenizer(base)
    tokenizer.padding_side = "right"
    network = checkpoint.network(base.folder, "float32", "cpu")
    with checkpoint.quiet():
        network.save_pretrained(path)
    tokenizer.save_pretrained(path)
    cut_on_the_left(path)
    limits = {"max_seq_length": base.reading.max_length, "do_lower_case": False}
    _json(path / "sentence_bert_config.json", limits)


def _modules(path: Path, base: Transformer, steps: list[Step]) -> None:
    """Write what follows the transformer, each in a folder, and their list."""
    own = [dense_of(base.folder, place) for place in base.reading.dense]
    first: list[Step] = [
        (d.weight.numpy(), None if d.bias is None else d.bias.numpy(), d.activation) for d in own
    ]
    chain = [("Pooling", None), *(("Dense", step) for step in first)]
    chain += [("Normalize", None)] if base.reading.normalize else []
    chain += [("Dense", step) for step in steps]
    listed = [{"idx": 0, "name": "0", "path": "", "type": f"{KINDS}Transformer"}]
    for i, (name, step) in enumerate(chain, 1):
        place = f"{i}_{name}"
        (path / place).mkdir()
        if step is not None:
            _dense(path / place, step)
        listed.append({"idx": i, "name": str(i), "path": place, "type": KINDS + name})
    _pooling(path / "1_Pooling", base)
    _json(path / "modules.json", listed)


def _head(order: Order) -> tuple[list[Step], Array, str, float]:
    """Dense modules after the pooled vector, the scores of the reference, what head it is and how close."""
    found = networks_of(order.model, order.h)
    layers = None if found is None else found.plain()
    if found is not None and layers is not None:
        kind = "mlp" if len(layers.weights) > 1 else "linear"
        return _steps(found, layers), found(order.h.numpy()), kind, 1.0
    if not order.distil:
        raise TruewardError(
            f"a sentence-transformers folder holds one network, and the reward of {order.model.method} is "
            "made of several: export with --distil, fit with members=1, or serve it as it is"
        )
    head = distilled(order.model, order.h)
    step = head.w.numpy()[None], np.array([head.c]), "Identity"
    return [step], head.of(order.h).numpy(), head.kind, head.rank


def _steps(found: Networks, layers: Layers) -> list[Step]:
    """Standardise and hold back, as limit hardtanh(scale / limit (h - mean)); then every layer."""
    unit = found.scale / found.limit
    steps: list[Step] = [(np.diag(unit), -unit * found.mean, "Hardtanh")]
    last = len(layers.weights) - 1
    for k, (w, b) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        weight = w[0].T * (1.0 if k else found.limit)
        steps.append((weight, b[0, 0], "LeakyReLU" if k < last else "Identity"))
    return steps


def _pooling(place: Path, base: Transformer) -> None:
    how = base.reading.pooling
    modes = {name: known == how for name, known in LEGACY.items()}  # which every version reads
    width = checkpoint.size(base.folder, "hidden_size")
    _json(place / "config.json", {"word_embedding_dimension": width, **modes})


def _dense(place: Path, step: Step) -> None:
    """Write a module f(W v + b)."""
    weight, bias, activation = step
    kind = "torch.nn.modules.linear." if activation == "Identity" else ACTIVATION
    about = {
        "in_features": weight.shape[1],
        "out_features": weight.shape[0],
        "bias": bias is not None,
        "activation_function": kind + activation,
    }
    _json(place / "config.json", about)
    tensors = {"linear.weight": torch.from_numpy(np.ascontiguousarray(weight, np.float32))}
    if bias is not None:
        tensors["linear.bias"] = torch.from_numpy(np.ascontiguousarray(bias, np.float32))
    save_file(tensors, place / "model.safetensors", {"format": "pt"})


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _use(made: dict[str, Any]) -> str:
    words, example = TEXTS[made["template"]["kind"]]
    lines = [
        f"The embedding of {words} is the reward, one number; higher is better.",
        "",
        "```python",
        "from sentence_transformers import SentenceTransformer",
        "",
        f'rewards = SentenceTransformer("./this-folder").encode({example})[:, 0]',
        "```",
        "",
        _card.probability(made),
        f"Texts of more than {made['template']['max_length']} tokens are cut otherwise than in the fit.",
        "",
    ]
    return "\n".join(lines)
