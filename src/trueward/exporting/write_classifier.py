"""A decoder with its head as a classifier of transformers: of the stock class, or with code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from trueward.core.errors import TruewardError
from trueward.features.transformers import loading

from .card import NO_REMOTE_CODE, base_name, reward_card, write_cards
from .chat_format import copied_tokenizer, fixed_chat_format, save_tokenizer
from .classifier_usage import code_usage, head_notes, pad_note, stock_usage
from .linear_heads import linear_head
from .shipped_code import AUTO_MAP, MODELING
from .to_networks import require_networks

if TYPE_CHECKING:
    from trueward.features.transformers.transformer import Transformer

    from .chat_format import ChatFormat
    from .linear_heads import LinearHead
    from .networks import Networks
    from .request import ExportRequest

MAX_MEAN_BFLOAT16 = 8  # |mean logit| in sd, beyond which bfloat16 ties neighbours


def reads_as_stock(backbone: Transformer) -> bool:
    """Whether a stock class reads the same features: the last token of the last layer of a chat.

    Parameters
    ----------
    backbone : Transformer
        Makes the features.

    """
    reading = backbone.reading
    last = reading.layer == loading.layer_count(backbone.folder)
    chat_end = reading.pooling == "last" and reading.template == "chat"
    plain = chat_end and last and not (reading.normalize or reading.dense)
    return plain and loading.has_classifier(backbone.folder)


def write_stock(request: ExportRequest, path: Path) -> list[str]:
    """Write a stock classifier of transformers with one linear head.

    Parameters
    ----------
    request : ExportRequest
        A model whose backbone stock classes read alike; see `reads_as_stock`.
    path : Path
        An empty folder.

    Returns
    -------
    list of str
        Notes for the user.

    Raises
    ------
    TruewardError
        If the head is not linear and may not be distilled, or bfloat16 would tie its scores.

    """
    backbone = request.backbone
    head = linear_head(
        request.model,
        request.features,
        request.group,
        distil=request.distil,
        normalize=request.normalize,
    )
    dtype, chat_format = request.weights_dtype(), fixed_chat_format(copied_tokenizer(backbone))
    z = (request.features.double() @ head.weight).numpy()
    mean, sd = float(z.mean()), float(z.std())
    if dtype == "bfloat16" and abs(mean) > MAX_MEAN_BFLOAT16 * sd:
        raise TruewardError(
            f"the mean logit is {mean:.1f} with an sd of {sd:.2f}, so bfloat16 would tie neighbours: export "
            "with --dtype float32"
        )
    with loading.quiet_transformers():
        _stock_model(backbone, head, chat_format, dtype, (mean, sd)).save_pretrained(path)
    save_tokenizer(chat_format.tokenizer, path)
    entry = {
        "kind": head.kind,
        "pooling": "last_token",
        "constant": head.constant,
        "constant_home": head.constant_home,
        "absorb_rmse": head.absorb_rmse,
        "absorb_worst": head.absorb_worst,
        "rank_correlation": head.rank_correlation,
        "dtype": dtype,
    }
    if request.normalize:
        entry["normalised"] = {"mean": head.mean, "std": head.std}
    card = reward_card(request, path, entry, chat_format.describe(backbone.reading.max_length), z)
    card["serve"] = {"openrlhf": {"mean": mean, "std": sd}}
    if "a" in (p := card["calibration"]):
        pooler = {"logit_mean": -head.constant - p["d"] / p["a"], "logit_sigma": 1 / p["a"]}
        card["serve"]["vllm_pooler_config"] = pooler
    write_cards(request, path, card, "transformers", stock_usage(card))
    return head_notes(head) + pad_note(chat_format)


def write_with_code(request: ExportRequest, path: Path) -> list[str]:
    """Write a classifier with any head, which the file ``modeling_trueward.py`` in the folder computes.

    Parameters
    ----------
    request : ExportRequest
        A model on a decoder.
    path : Path
        An empty folder.

    Returns
    -------
    list of str
        Notes for the user.

    Raises
    ------
    TruewardError
        If the reward has no form that a folder can carry.

    """
    backbone = request.backbone
    request.refuse_normalize()
    if backbone.reading.dense:
        raise TruewardError(
            "a folder with code does not carry the linear layers of a sentence-transformers folder: fit with "
            ",pooling=last after the name of the backbone"
        )
    networks = require_networks(request.model, request.features)
    chat_format = fixed_chat_format(copied_tokenizer(backbone))
    dtype = request.weights_dtype()
    text_config = _save_weights(backbone, networks, chat_format, dtype, path)
    config = _config_with_code(request, networks, text_config, dtype)
    (path / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    save_tokenizer(chat_format.tokenizer, path)
    code = Path(shutil.copyfile(MODELING, path / MODELING.name))
    entry = {
        "kind": "mlp",
        "pooling": backbone.reading.pooling,
        "constant": 0.0,
        "constant_home": "absorbed",
        "absorb_rmse": 0.0,
        "dtype": dtype,
    }
    template = chat_format.describe(backbone.reading.max_length)
    z = networks(request.features.numpy())
    card = reward_card(request, path, entry, template, z, code=[code])
    write_cards(request, path, card, "transformers", code_usage(card))
    loads = (
        f"the folder has {MODELING.name} and loads only with trust_remote_code=True, not in "
        + ", ".join(NO_REMOTE_CODE)
    )
    return [loads, *pad_note(chat_format)]


def _text_config(backbone: Transformer, tokenizer: Any) -> Any:
    """Configuration of the text model, with the special tokens and the vocabulary of the tokenizer."""
    from transformers import AutoConfig  # noqa: PLC0415 - heavy

    config = AutoConfig.from_pretrained(backbone.folder.path).get_text_config()
    config.pad_token_id = tokenizer.pad_token_id
    config.eos_token_id = tokenizer.eos_token_id
    for name in ("vocab_size", "vocab_size_per_layer_input"):  # a pad token may be new
        if isinstance(getattr(config, name, None), int):
            setattr(config, name, max(getattr(config, name), len(tokenizer)))
    return config


def _copy_weights(network: Any, backbone: Transformer) -> None:
    """Copy the weights of the language model into a network of its kind, whose vocabulary may be larger."""
    if backbone.folder.json("config.json").get("quantization_config"):
        raise TruewardError(
            f"{backbone.folder.path} is quantised, and an export has whole weights: fit on the model before "
            "quantisation"
        )
    target, own = network.state_dict(), loading.language_tower(backbone.model).state_dict()
    if target.keys() != own.keys():
        raise TruewardError(
            f"the language model in {backbone.folder.path} has other tensors than {type(network).__name__}, "
            f"such as {min(target.keys() ^ own.keys())}: install the transformers that wrote it"
        )
    for name, value in own.items():
        target[name][: len(value)].copy_(value) if value.dim() else target[name].copy_(value)


def _stock_model(
    backbone: Transformer,
    head: LinearHead,
    chat_format: ChatFormat,
    dtype: str,
    spread: tuple[float, float],
) -> Any:
    """The stock class with the backbone's weights, the head, and the config keys of every consumer."""
    from transformers import AutoModelForSequenceClassification  # noqa: PLC0415 - heavy

    config = _text_config(backbone, chat_format.tokenizer)
    names = {"id2label": {0: "LABEL_0"}, "label2id": {"LABEL_0": 0}, "problem_type": "regression"}
    for key, value in names.items():
        setattr(config, key, value)
    config.mean, config.std, config.value_head_prefix = *spread, "score"
    precision = getattr(torch, dtype)
    with torch.random.fork_rng(devices=[]):
        model: Any = AutoModelForSequenceClassification.from_config(config, dtype=precision)
    _copy_weights(model.base_model, backbone)
    with torch.no_grad():
        model.score.weight.copy_(head.weight[None].to(precision))
    model.config.architectures = [type(model).__name__]
    return model.eval()


def _save_weights(
    backbone: Transformer, networks: Networks, chat_format: ChatFormat, dtype: str, path: Path
) -> Any:
    """Write model.* in ``dtype`` and score.* in float32; return the config of the language model."""
    from transformers import AutoModel  # noqa: PLC0415 - heavy

    config = _text_config(backbone, chat_format.tokenizer)
    with torch.random.fork_rng(devices=[]):
        network = AutoModel.from_config(config, dtype=getattr(torch, dtype))
    _copy_weights(network, backbone)
    tensors = {f"model.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"score.{k}": torch.from_numpy(v) for k, v in networks.tensors().items()}
    contiguous = {k: v.contiguous() for k, v in tensors.items()}
    save_file(contiguous, path / "model.safetensors", {"format": "pt"})
    return config


def _config_with_code(
    request: ExportRequest, networks: Networks, text_config: Any, dtype: str
) -> dict[str, Any]:
    """The configuration that modeling_trueward.py reads."""
    backbone = request.backbone
    inner = {k: v for k, v in text_config.to_dict().items() if k not in ("dtype", "torch_dtype")}
    last = backbone.reading.layer == loading.layer_count(backbone.folder)
    return {
        "model_type": "trueward_reward",
        "architectures": ["TruewardForSequenceClassification"],
        "auto_map": AUTO_MAP,
        "dtype": dtype,
        "problem_type": "regression",
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "pad_token_id": text_config.pad_token_id,
        "eos_token_id": text_config.eos_token_id,
        "hidden_size": text_config.hidden_size,
        "vocab_size": text_config.vocab_size,
        "base": inner | {"_name_or_path": base_name(request)},
        "reading": {
            "layer": None if last else backbone.reading.layer,
            "pooling": backbone.reading.pooling,
            "normalize": backbone.reading.normalize,
        },
        "head": networks.to_json(),
    }
