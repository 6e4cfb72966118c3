"""A decoder with any head of ours: a folder that brings a file of code, and loads where that is allowed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from trueward.core.errors import TruewardError
from trueward.features.transformers import checkpoint

from . import card as _card
from .guard import AUTO_MAP
from .sources import MODELING
from .text import text_of
from .to_networks import networks_of
from .write_stock import (
    base_config,
    fill,
    grown,
    own_tokenizer,
    precision,
    save_tokenizer,
    template,
)

if TYPE_CHECKING:
    from trueward.features.transformers.transformer import Transformer

    from .networks import Networks
    from .request import Order
    from .text import Text


def remote(order: Order, path: Path) -> list[str]:
    """Write the folder; give what should be known of it."""
    base = order.base
    if base.reading.dense:
        raise TruewardError(
            "the linear layers of a sentence-transformers folder are not carried into a folder with code: "
            "fit with ,pooling=last behind the backbone's name"
        )
    found, text, dtype = carried(order), text_of(own_tokenizer(base)), precision(order)
    config = _config(base, found, _weights(base, found, text, dtype, path), dtype)
    (path / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    save_tokenizer(text, path)
    code = Path(shutil.copyfile(MODELING, path / MODELING.name))
    about = {
        "kind": "mlp",
        "pooling": base.reading.pooling,
        "constant": 0.0,
        "constant_home": "absorbed",
        "absorb_rmse": 0.0,
        "dtype": dtype,
    }
    z = found(order.h.numpy())
    made = _card.card(order, path, about, template(base, text), z, code=[code])
    _card.written(order, path, made, "transformers", _use(made))
    return [
        f"the folder brings {MODELING.name} and loads only with trust_remote_code=True, not in "
        + ", ".join(_card.BY_STOCK_LOADERS),
        *grown(text),
    ]


def carried(order: Order) -> Networks:
    """The networks of the model, or why there are none."""
    found = networks_of(order.model, order.h)
    if found is None:
        raise TruewardError(
            f"the reward of {order.model.method} is computed from its nuisances in a way that no folder "
            "carries: export with --distil, or serve it as it is"
        )
    return found


def _weights(base: Transformer, found: Networks, text: Text, dtype: str, path: Path) -> Any:
    """Write model.* in ``dtype`` and score.* in float32; give the configuration of the language model."""
    from transformers import AutoModel  # noqa: PLC0415 - heavy

    config = base_config(base, text)
    with torch.random.fork_rng(devices=[]):
        network = AutoModel.from_config(config, dtype=getattr(torch, dtype))
    fill(network, base)
    tensors = {f"model.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"score.{k}": torch.from_numpy(v) for k, v in found.tensors().items()}
    whole = {k: v.contiguous() for k, v in tensors.items()}
    save_file(whole, path / "model.safetensors", {"format": "pt"})
    return config


def _config(base: Transformer, found: Networks, own: Any, dtype: str) -> dict[str, Any]:
    """Everything that the code in the folder reads."""
    inner = {k: v for k, v in own.to_dict().items() if k not in ("dtype", "torch_dtype")}
    last = base.reading.layer == checkpoint.layers(base.folder)
    return {
        "model_type": "trueward_reward",
        "architectures": ["TruewardForSequenceClassification"],
        "auto_map": AUTO_MAP,
        "dtype": dtype,
        "problem_type": "regression",
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "pad_token_id": own.pad_token_id,
        "eos_token_id": own.eos_token_id,
        "hidden_size": own.hidden_size,
        "vocab_size": own.vocab_size,
        "base": inner,
        "reading": {
            "layer": None if last else base.reading.layer,
            "pooling": base.reading.pooling,
            "normalize": base.reading.normalize,
        },
        "head": found.about(),
    }


def _use(made: dict[str, Any]) -> str:
    lines = [
        "Scores a chat of one user message and one assistant message; higher is better.",
        "",
        f"The head is no linear layer, so the folder brings {MODELING.name} (torch and transformers).",
        "It runs only with trust_remote_code: read it before you allow it.",
        f"Not loadable by {', '.join(_card.BY_STOCK_LOADERS)}.",
        "",
        "```python",
        "model = AutoModelForSequenceClassification.from_pretrained(",
        '    "./this-folder", num_labels=1, trust_remote_code=True',
        ")",
        'tokenizer = AutoTokenizer.from_pretrained("./this-folder", trust_remote_code=True)',
        "GRPOTrainer(..., reward_funcs=[model], reward_processing_classes=[tokenizer])  # TRL",
        "```",
        "",
        _card.probability(made),
        "",
    ]
    return "\n".join(lines)
