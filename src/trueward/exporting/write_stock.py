"""A decoder with one linear head as the stock class that every consumer loads."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.features.transformers import checkpoint

from . import card as _card
from .head import Head, head_of
from .text import Text, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from trueward.features.transformers.transformer import Transformer

    from .request import Order


def read_alike(base: Transformer) -> bool:
    """Whether stock classes read what this backbone reads: the last token of the last layer of a chat."""
    own = base.reading
    last = own.layer == checkpoint.layers(base.folder)
    return (
        own.pooling == "last"
        and own.template == "chat"
        and last
        and not (own.normalize or own.dense)
    )


def stock(order: Order, path: Path) -> list[str]:
    """Write the folder; give what should be known of it."""
    base = order.base
    head = head_of(order.model, order.h, distil=order.distil)
    dtype, text = precision(order), text_of(own_tokenizer(base))
    z = (order.h.double() @ head.w).numpy()
    spread = float(z.mean()), float(z.std())
    if dtype == "bfloat16" and abs(spread[0]) > 8 * spread[1]:
        raise TruewardError(
            f"the logits are {spread[0]:.1f} on average with an sd of {spread[1]:.2f}, and bfloat16 would "
            "tie neighbours: export with dtype float32"
        )
    with checkpoint.quiet():
        _weights(base, head, text, dtype, spread).save_pretrained(path)
    save_tokenizer(text, path)
    about = {
        "kind": head.kind,
        "pooling": "last_token",
        "constant": head.c,
        "constant_home": head.home,
        "absorb_rmse": head.absorb_rmse,
        "rank_correlation": head.rank,
        "dtype": dtype,
    }
    made = _card.card(order, path, about, template(base, text), z)
    made["serve"] = {"openrlhf": {"mean": spread[0], "std": spread[1]}}
    if "a" in (p := made["calibration"]):
        pooler = {"logit_mean": -head.c - p["d"] / p["a"], "logit_sigma": 1 / p["a"]}
        made["serve"]["vllm_pooler_config"] = pooler
    _card.written(order, path, made, "transformers", _use(made))
    return _notes(head, text)


def precision(order: Order) -> str:
    """In what the weights are written: what was asked for, else as the features were made."""
    dtype = order.dtype or order.base.reading.dtype
    if dtype not in ("float32", "bfloat16"):
        raise UsageError(f"dtype is float32 or bfloat16, not {dtype!r}")
    return str(dtype)


def own_tokenizer(base: Transformer) -> Any:
    """A tokenizer that may be changed: not the one that others read by."""
    from transformers import AutoTokenizer  # noqa: PLC0415 - heavy

    return AutoTokenizer.from_pretrained(base.folder.path)


def save_tokenizer(text: Text, path: Path) -> None:
    """Write the tokenizer with its truncation side, which the library reads but does not write."""
    text.tokenizer.save_pretrained(path)
    cut_on_the_left(path)


def cut_on_the_left(path: Path) -> None:
    """Have the saved tokenizer keep the end of too long a text."""
    file = path / "tokenizer_config.json"
    about = json.loads(file.read_text("utf-8")) | {"truncation_side": "left"}
    file.write_text(json.dumps(about, indent=1), encoding="utf-8")


def template(base: Transformer, text: Text) -> dict[str, Any]:
    """What the card says of how a chat becomes tokens."""
    return {
        "sha256": hashlib.sha256(text.tokenizer.chat_template.encode()).hexdigest(),
        "suffix": text.suffix,
        "bos": text.bos,
        "max_length": base.reading.max_length,
        "truncation_side": "left",
    }


def base_config(base: Transformer, text: Text) -> Any:
    """Configuration of the text model, with the tokenizer's special tokens and room for all of its own."""
    from transformers import AutoConfig  # noqa: PLC0415 - heavy

    config = AutoConfig.from_pretrained(base.folder.path).get_text_config()
    config.pad_token_id = text.tokenizer.pad_token_id
    config.eos_token_id = text.tokenizer.eos_token_id
    # a token to pad with may be new
    config.vocab_size = max(config.vocab_size, len(text.tokenizer))
    return config


def fill(network: Any, base: Transformer) -> None:
    """Copy the weights of the backbone into a network of its kind, whose vocabulary may be larger."""
    there = network.state_dict()
    for name, value in base.model.state_dict().items():
        there[name][: len(value)].copy_(value) if value.dim() else there[name].copy_(value)


def _weights(
    base: Transformer, head: Head, text: Text, dtype: str, spread: tuple[float, float]
) -> Any:
    """The stock class with the backbone's weights and the head, configured as every consumer wants it."""
    from transformers import AutoModelForSequenceClassification  # noqa: PLC0415 - heavy

    config = base_config(base, text)
    names = {"id2label": {0: "LABEL_0"}, "label2id": {"LABEL_0": 0}, "problem_type": "regression"}
    for key, value in names.items():
        setattr(config, key, value)
    config.mean, config.std, config.value_head_prefix = *spread, "score"
    own = getattr(torch, dtype)
    with torch.random.fork_rng(devices=[]):
        model: Any = AutoModelForSequenceClassification.from_config(config, dtype=own)
    fill(model.base_model, base)
    with torch.no_grad():
        model.score.weight.copy_(head.w[None].to(own))
    model.config.architectures = [type(model).__name__]
    return model.eval()


def _notes(head: Head, text: Text) -> list[str]:
    notes = []
    if head.kind == "distilled":
        notes.append(
            f"the head is distilled: rank correlation {head.rank:.3f} with the model it stands for"
        )
    if head.home == "card":
        notes.append(
            f"the constant {head.c:.4g} is not in the weights, where it would cost {head.absorb_rmse:.1%} of "
            "sd(r): the card has it"
        )
    return notes + grown(text)


def grown(text: Text) -> list[str]:
    """Say that the vocabulary has one more token, where it has."""
    if not text.grown:
        return []
    return ["a token to pad with was added, so the vocabulary is larger than the policy's"]


def _use(made: dict[str, Any]) -> str:
    served = made["serve"].get("vllm_pooler_config")
    pooled = (
        f"P(preferred) with `--pooler-config '{json.dumps(served)}'` and "
        '`--hf-overrides \'{"problem_type": "multi_label_classification"}\'`'
        if served
        else _card.probability(made)
    )
    lines = [
        "Scores the last token of a chat of one user message and one assistant message; higher is better.",
        "",
        "```python",
        'GRPOTrainer(model=policy, reward_funcs=["./this-folder"], ...)  # TRL',
        "```",
        "",
        "- OpenRLHF: `--reward.model_name_or_path this-folder --reward.normalize_enable`",
        "- veRL: `reward.reward_model.enable=true reward.reward_model.model_path=this-folder`",
        f"- vLLM: `/classify` with `messages`; {pooled}",
        "",
    ]
    return "\n".join(lines)
