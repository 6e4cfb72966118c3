"""The folder of an export: weights, tokenizer, reward card and model card."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trueward.errors import TruewardError, UsageError
from trueward.features import checkpoint
from trueward.features.backbones import backbone as backbone_of
from trueward.features.encode import features
from trueward.features.transformer import Transformer
from trueward.files import replacing

from ._head import Head, head_of
from ._text import Text, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.model import RewardModel

SCHEMA = "trueward/reward_card/1"
REFERENCE = 5_000  # responses that means and quantiles are measured on


@dataclass(frozen=True)
class Export:
    """What was written, and what should be known of it."""

    folder: Path
    card: dict[str, Any]
    notes: list[str]


def export(
    model: RewardModel,
    folder: str | Path,
    prompts: Sequence[str],
    responses: Sequence[str],
    *,
    distil: bool = False,
    dtype: str | None = None,
) -> Export:
    """Write ``model`` as `...ForSequenceClassification` with one linear head, r = score . h(last token) + c.

    Prompts and responses are a reference: typical ones, on which means, quantiles and the cost of what is
    folded are measured. Everything is one folder of stock files (no code), a ``reward_card.json`` that says
    what the numbers mean, and a model card. dtype: float32 or bfloat16; none: as the features were made.
    """
    base = _decoder(model)
    prompts, responses = list(prompts)[:REFERENCE], list(responses)[:REFERENCE]
    if len(prompts) < 2:
        raise TruewardError(f"an export needs reference responses, and {len(prompts)} were given")
    h = features(base, prompts, responses, None).float()
    head = head_of(model, h, distil=distil)
    dtype = dtype or base.reading.dtype
    if dtype not in ("float32", "bfloat16"):
        raise UsageError(f"dtype is float32 or bfloat16, not {dtype!r}")
    text = text_of(_own_tokenizer(base))
    z, r = (h.double() @ head.w).numpy(), head.of(h).numpy()
    if dtype == "bfloat16" and abs(z.mean()) > 8 * z.std():
        raise TruewardError(
            f"the logits are {z.mean():.1f} on average with an sd of {z.std():.2f}, and bfloat16 would tie "
            "neighbours: export with dtype float32"
        )
    place = Path(folder)
    with replacing(place) as path:
        path.mkdir()
        _weights(base, head, text, dtype, (float(z.mean()), float(z.std()))).save_pretrained(path)
        _tokenizer(text, path)
        card = _card(model, base, head, text, dtype, z, r, path)
        (path / "reward_card.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
        (path / "README.md").write_text(_readme(model, card), encoding="utf-8")
    return Export(place, card, _notes(head, text))


def _decoder(model: RewardModel) -> Transformer:
    """The language model that a stock loader reads in the same way, or why there is none."""
    base = None if model.backbone is None else backbone_of(model.backbone)
    if not isinstance(base, Transformer):
        raise TruewardError(
            "a stock folder holds a language model, and this reward model reads other features: fit it with "
            "--backbone NAME_OR_PATH of a decoder, or serve it as it is"
        )
    own = base.reading
    last = own.layer == checkpoint.layers(base.folder)
    if own.pooling != "last" or own.template != "chat" or not last or own.normalize or own.dense:
        raise TruewardError(
            "stock loaders score the last token of the last layer of a chat, and this model reads "
            f"pooling={own.pooling}, template={own.template}, layer={own.layer}: fit it with "
            "--backbone NAME,pooling=last of a decoder with a chat template"
        )
    return base


def _own_tokenizer(base: Transformer) -> Any:
    """A tokenizer that may be changed: not the one that others read by."""
    from transformers import AutoTokenizer  # noqa: PLC0415 - heavy

    return AutoTokenizer.from_pretrained(base.folder.path)


def _tokenizer(text: Text, path: Path) -> None:
    """Write the tokenizer with its truncation side, which the library reads but does not write."""
    text.tokenizer.save_pretrained(path)
    file = path / "tokenizer_config.json"
    about = json.loads(file.read_text("utf-8")) | {"truncation_side": "left"}
    file.write_text(json.dumps(about, indent=1), encoding="utf-8")


def _weights(
    base: Transformer, head: Head, text: Text, dtype: str, spread: tuple[float, float]
) -> Any:
    """The stock class with the backbone's weights and the head, configured as every consumer wants it."""
    from transformers import AutoConfig, AutoModelForSequenceClassification  # noqa: PLC0415 - heavy

    config = AutoConfig.from_pretrained(base.folder.path).get_text_config()
    names = {"id2label": {0: "LABEL_0"}, "label2id": {"LABEL_0": 0}, "problem_type": "regression"}
    for key, value in names.items():
        setattr(config, key, value)
    config.pad_token_id, config.eos_token_id = (
        text.tokenizer.pad_token_id,
        text.tokenizer.eos_token_id,
    )
    config.mean, config.std, config.value_head_prefix = *spread, "score"
    config.vocab_size = max(
        config.vocab_size, len(text.tokenizer)
    )  # a token to pad with may be new
    own = getattr(torch, dtype)
    with torch.random.fork_rng(devices=[]):
        model: Any = AutoModelForSequenceClassification.from_config(config, dtype=own)
    there = model.base_model.state_dict()
    for name, value in base.model.state_dict().items():
        there[name][: len(value)].copy_(value) if value.dim() else there[name].copy_(value)
    with torch.no_grad():
        model.score.weight.copy_(head.w[None].to(own))
    model.config.architectures = [type(model).__name__]
    return model.eval()


def _card(
    model: RewardModel,
    base: Transformer,
    head: Head,
    text: Text,
    dtype: str,
    z: np.ndarray[Any, Any],
    r: np.ndarray[Any, Any],
    path: Path,
) -> dict[str, Any]:
    report = model.report
    card: dict[str, Any] = {
        "schema": SCHEMA,
        "name": path.name,
        "version": version("trueward"),
        "weights_sha256": sha256(sorted(path.glob("*.safetensors"))),
        "config_hash": sha256([path / "config.json"]),
        "base_model": {"id": base.folder.source, "revision": base.folder.revision},
        "polarity": "higher_is_better",
        "head": {
            "kind": head.kind,
            "hidden_size": len(head.w),
            "pooling": "last_token",
            "sign": 1,
            "constant": head.c,
            "constant_home": head.home,
            "absorb_rmse": head.absorb_rmse,
            "rank_correlation": head.rank,
            "dtype": dtype,
        },
        "template": {
            "sha256": hashlib.sha256(text.tokenizer.chat_template.encode()).hexdigest(),
            "suffix": text.suffix,
            "bos": text.bos,
            "max_length": base.reading.max_length,
            "truncation_side": "left",
        },
        "reference": {
            "n": len(z),
            "z_mean": float(z.mean()),
            "z_sd": float(z.std()),
            "r_quantiles": {str(q): float(np.quantile(r, q)) for q in (0.01, 0.5, 0.99)},
        },
        "data": {
            "n_responses": sum(report["rows"].values()),
            "n_rated": sum(report["rated"].values()),
        },
        "method": {"name": model.method, "assumptions": [model.made_by.assumption]},
        "estimates": _estimates(report["nuisances"]),
        "limits": [
            "scores of text unlike the reference say little",
            "a reward that is optimised hard enough stops meaning what it meant",
        ],
    }
    return card | _calibration(model, head, z)


def _calibration(model: RewardModel, head: Head, z: np.ndarray[Any, Any]) -> dict[str, Any]:
    """P(preferred) = sigmoid(a r + d), a 1 and d 0 without gold labels; and what makes others give it."""
    a, d, kind = 1.0, 0.0, "none"
    about = model.report.get("calibration", {})
    if model.calibration is not None:
        kind = model.calibration.kind
        if kind == "platt":
            a, d = (float(v) for v in model.calibration.numbers)
    found: dict[str, Any] = {"kind": kind, "target": "P(preferred)", "n": about.get("gold", 0)}
    served: dict[str, Any] = {"openrlhf": {"mean": float(z.mean()), "std": float(z.std())}}
    if kind in ("none", "platt") and a > 0:
        found |= {"a": a, "d": d}
        served["vllm_pooler_config"] = {"logit_mean": -head.c - d / a, "logit_sigma": 1 / a}
    return {"calibration": found, "serve": served}


def _estimates(nuisances: dict[str, Any]) -> dict[str, Any]:
    """Noise rates with intervals, and what weights leave of the sample."""
    found: dict[str, Any] = {}
    for name, v in nuisances.get("flip_rates", {}).items():
        if isinstance(v, dict):
            found[name] = {"value": v["value"], "ci": [v["low"], v["high"]]}
    about = nuisances.get("propensity", {})
    if "effective_sample_size" in about:
        found["propensity"] = {"ess": about["effective_sample_size"], "clipped": about["clipped"]}
    return found


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
    if text.grown:
        notes.append("a token to pad with was added, so the vocabulary is larger than the policy's")
    return notes


def _readme(model: RewardModel, card: dict[str, Any]) -> str:
    head = ["---", "library_name: transformers", "pipeline_tag: text-classification"]
    head += [
        f"base_model: {json.dumps(card['base_model']['id'])}",
        "tags: [reward-model, trueward]",
        "---",
    ]
    served = card["serve"].get("vllm_pooler_config")
    probability = (
        f"P(preferred) with `--pooler-config '{json.dumps(served)}'` and "
        '`--hf-overrides \'{"problem_type": "multi_label_classification"}\'`'
    )
    lines = [
        *head,
        "",
        f"# A reward model by {model.method}",
        "",
        "Scores the last token of a chat of one user message and one assistant message; higher is better.",
        "",
        "```python",
        'GRPOTrainer(model=policy, reward_funcs=["./this-folder"], ...)  # TRL',
        "```",
        "",
        "- OpenRLHF: `--reward.model_name_or_path this-folder --reward.normalize_enable`",
        "- veRL: `reward.reward_model.enable=true reward.reward_model.model_path=this-folder`",
        f"- vLLM: `/classify` with `messages`; {probability}",
        "",
        "`trueward verify-export` checks all of this.",
        "",
        model.card,
    ]
    return "\n".join(lines)


def sha256(files: Sequence[Path]) -> str:
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as f:
            whole.update(hashlib.file_digest(f, "sha256").digest())
    return whole.hexdigest()
