"""An encoder with its head as a folder of sentence-transformers, whose embedding is the reward."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file

from trueward.core.errors import TruewardError
from trueward.features.transformers import loading
from trueward.features.transformers.sentence_transformers_layout import (
    LEGACY_POOLING_KEYS,
    load_dense,
)

from .card import probability_sentence, reward_card, write_cards
from .chat_format import copied_tokenizer, save_tokenizer
from .folder_files import TRANSFORMER
from .linear_heads import distilled_head
from .to_networks import networks_of

if TYPE_CHECKING:
    from pathlib import Path

    from trueward.features.transformers.transformer import Transformer

    from .networks import Array, Layers, Networks
    from .request import ExportRequest

ACTIVATION = "torch.nn.modules.activation."
KINDS = "sentence_transformers.models."  # every version knows them by these names
TEXTS = {
    "pair": ("`(prompt, response)`", '[("How do I undo a commit?", "git reset --soft HEAD~1")]'),
    "plain": (
        "`prompt`, an empty line, `response`",
        '["How do I undo a commit?\\n\\ngit reset --soft HEAD~1"]',
    ),
}
LOADERS = (
    "the folder is of SentenceTransformer alone: AutoModelForSequenceClassification, CrossEncoder, pipeline "
    "and TRL refuse it, because they have no head like this one"
)
Step = tuple["Array", "Array | None", str]  # weight (out, in), bias (out,), activation


def write_sentence(request: ExportRequest, path: Path) -> list[str]:
    """Write a sentence-transformers folder whose embedding is the reward.

    Parameters
    ----------
    request : ExportRequest
        A model on an encoder, or on a decoder that reads plain text.
    path : Path
        An empty folder.

    Returns
    -------
    list of str
        Notes for the user.

    Raises
    ------
    TruewardError
        If the model reads another layer than the last, or its reward is not one network and may not be
        distilled.
    UsageError
        If another precision than float32 was requested.

    """
    backbone, reading = request.backbone, request.backbone.reading
    request.require_float32()
    request.refuse_normalize()
    if reading.layer != loading.layer_count(backbone.folder):
        raise TruewardError(
            f"sentence-transformers reads the last layer, and this model reads layer={reading.layer}: fit it "
            "without ,layer="
        )
    steps, z, kind, rank = _head(request)
    (path / TRANSFORMER).mkdir()
    _write_encoder(path / TRANSFORMER, backbone)
    _write_modules(path, backbone, steps)
    head = {
        "kind": kind,
        "pooling": reading.pooling,
        "constant": 0.0,
        "constant_home": "absorbed",
        "modules": len(steps),
        "absorb_rmse": 0.0,
        "rank_correlation": rank,
        "dtype": "float32",
    }
    template = {
        "kind": reading.template,
        "max_length": reading.max_length,
        "truncation_side": "left",
    }
    card = reward_card(request, path, head, template, z)
    write_cards(request, path, card, "sentence-transformers", _usage(card))
    notes = [LOADERS]
    if kind == "distilled":
        notes.append(f"the head is distilled: rank correlation {rank:.3f} with the model")
    return notes


def _write_encoder(path: Path, backbone: Transformer) -> None:
    """Write the model and its tokenizer, as the module Transformer reads them."""
    tokenizer = copied_tokenizer(backbone)
    tokenizer.padding_side = "right"
    network = loading.load_network(backbone.folder, "float32", "cpu")
    with loading.quiet_transformers():
        network.save_pretrained(path)
    save_tokenizer(tokenizer, path)
    limits = {"max_seq_length": backbone.reading.max_length, "do_lower_case": False}
    _json(path / "sentence_bert_config.json", limits)


def _write_modules(path: Path, backbone: Transformer, steps: list[Step]) -> None:
    """Write the modules after the transformer, each in a folder, and their list."""
    dense = [load_dense(backbone.folder, name) for name in backbone.reading.dense]
    projections: list[Step] = [
        (d.weight.numpy(), None if d.bias is None else d.bias.numpy(), d.activation) for d in dense
    ]
    chain = [("Pooling", None), *(("Dense", step) for step in projections)]
    chain += [("Normalize", None)] if backbone.reading.normalize else []
    chain += [("Dense", step) for step in steps]
    listed = [{"idx": 0, "name": "0", "path": TRANSFORMER, "type": f"{KINDS}Transformer"}]
    for i, (kind, step) in enumerate(chain, 1):
        folder = f"{i}_{kind}"
        (path / folder).mkdir()
        if step is not None:
            _write_dense(path / folder, step)
        listed.append({"idx": i, "name": str(i), "path": folder, "type": KINDS + kind})
    _write_pooling(path / "1_Pooling", backbone)
    _json(path / "modules.json", listed)


def _head(request: ExportRequest) -> tuple[list[Step], Array, str, float]:
    """Dense modules after the pooled vector, scores of the reference, kind of head, rank correlation."""
    networks = networks_of(request.model, request.features)
    layers = None if networks is None else networks.single_mlp()
    if networks is not None and layers is not None:
        kind = "mlp" if len(layers.weights) > 1 else "linear"
        return _steps(networks, layers), networks(request.features.numpy()), kind, 1.0
    if not request.distil:
        raise TruewardError(
            f"a sentence-transformers folder holds one network, and the reward of {request.model.method} is "
            "made of several: export with --distil, fit with members=1, or use the fitted model itself"
        )
    head = distilled_head(request.model, request.features, request.group)
    step = head.weight.numpy()[None], np.array([head.constant]), "Identity"
    return [step], head.rewards(request.features).numpy(), head.kind, head.rank_correlation


def _steps(networks: Networks, layers: Layers) -> list[Step]:
    """Standardise and clip, as limit hardtanh(scale / limit (h - mean)); then every layer."""
    unit = networks.scale / networks.limit
    steps: list[Step] = [(np.diag(unit), -unit * networks.mean, "Hardtanh")]
    last = len(layers.weights) - 1
    for k, (w, b) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        weight = w[0].T * (1.0 if k else networks.limit)
        steps.append((weight, b[0, 0], "LeakyReLU" if k < last else "Identity"))
    return steps


def _write_pooling(folder: Path, backbone: Transformer) -> None:
    pooling = backbone.reading.pooling
    modes = {
        name: kind == pooling for name, kind in LEGACY_POOLING_KEYS.items()
    }  # known to every version
    width = loading.config_int(backbone.folder, "hidden_size")
    _json(folder / "config.json", {"word_embedding_dimension": width, **modes})


def _write_dense(folder: Path, step: Step) -> None:
    """Write a module f(W v + b)."""
    weight, bias, activation = step
    kind = "torch.nn.modules.linear." if activation == "Identity" else ACTIVATION
    config = {
        "in_features": weight.shape[1],
        "out_features": weight.shape[0],
        "bias": bias is not None,
        "activation_function": kind + activation,
    }
    _json(folder / "config.json", config)
    tensors = {"linear.weight": torch.from_numpy(np.ascontiguousarray(weight, np.float32))}
    if bias is not None:
        tensors["linear.bias"] = torch.from_numpy(np.ascontiguousarray(bias, np.float32))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _usage(card: dict[str, Any]) -> str:
    texts, example = TEXTS[card["template"]["kind"]]
    return f"""\
The embedding of {texts} is the reward, one number; higher is better.

```python
from sentence_transformers import SentenceTransformer

rewards = SentenceTransformer("./this-folder").encode({example})[:, 0]
```

{probability_sentence(card)}
AutoModelForSequenceClassification, CrossEncoder, pipeline and TRL refuse this folder: they have no such head.
Texts of more than {card["template"]["max_length"]} tokens are cut differently than in the fit.
"""
