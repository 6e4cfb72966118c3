"""How a language model is read: the text it is given, the layer, the pooling; from its own files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError, UsageError

from . import checkpoint
from .pooling import POOLINGS
from .rendering import TEMPLATES, chat_template
from .sentence import Modules, modules_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trueward.features.naming import Wanted

    from .folder import Folder

LONGEST = 4_096  # tokens, where nothing else says less
OPTIONS: Mapping[str, Wanted] = {
    "pooling": POOLINGS,
    "layer": range(-1_000, 1_001),
    "max_length": range(8, 1_000_001),
    "dtype": ("bfloat16", "float32"),
    "template": TEMPLATES,
    "normalize": ("true", "false"),
    "device": str,
    "revision": str,
}
# their positions are counted from after the number of the padding token
OFFSET = ("roberta", "camembert", "data2vec-text", "xmod", "longformer", "ibert", "mpnet", "luke")


@dataclass(frozen=True)
class Reading:
    """All that decides the features beside the model's files; nothing in it depends on the machine."""

    template: str
    max_length: int  # tokens
    layer: int  # 0 the embedding of the tokens, ..., the number of layers what the head would read
    pooling: str
    dtype: str
    normalize: bool  # to length 1
    dense: tuple[str, ...]  # folders of linear layers after the pooling, in sentence-transformers


def reading_of(folder: Folder, chosen: Mapping[str, Any]) -> Reading:
    """Fill what was not chosen with what the model's files say."""
    config = checkpoint.config(folder)
    if config.is_encoder_decoder:
        raise UsageError(
            f"{folder.source} has an encoder and a decoder, and features are read from models with one of "
            "them: choose a decoder, an encoder or a sentence-transformers folder"
        )
    modules, decoder = modules_of(folder), is_decoder(config)
    layers = checkpoint.layers(folder)
    layer = chosen.get("layer", layers)
    layer = layer + layers + 1 if layer < 0 else layer
    if not 0 <= layer <= layers:
        raise UsageError(
            f"{folder.source} has {layers} layers, so that layer is from {-layers - 1} to {layers}, not "
            f"{chosen['layer']}"
        )
    own = modules if "pooling" not in chosen and layer == layers else None
    usual = own.pooling if own else "last" if decoder else "mean"
    normalize = {"true": True, "false": False}.get(
        chosen.get("normalize", ""), own and own.normalize
    )
    return Reading(
        template=chosen.get("template") or _template(folder, modules, decoder=decoder),
        max_length=_max_length(folder, modules, chosen.get("max_length")),
        layer=layer,
        pooling=chosen.get("pooling", usual),
        dtype=chosen.get("dtype") or ("bfloat16" if _bf16(chosen.get("device")) else "float32"),
        normalize=bool(normalize),
        dense=own.dense if own else (),
    )


def is_decoder(config: Any) -> bool:
    """Say whether a token sees only what stands before it."""
    from transformers.models.auto import modeling_auto  # noqa: PLC0415 - heavy

    text = config.get_text_config()
    about = {**config.to_dict(), **text.to_dict()}
    if about.get("use_bidirectional_attention") is True:
        return False
    if text.model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return bool(about.get("is_decoder"))
    heads = [str(head) for head in config.architectures or ()]
    known = text.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return known or any(h.endswith(("ForCausalLM", "ForConditionalGeneration")) for h in heads)


def _template(folder: Folder, modules: Modules | None, *, decoder: bool) -> str:
    """Choose chat; but what was trained on bare texts reads bare texts."""
    if modules is None and chat_template(checkpoint.tokenizer(folder)):
        return "chat"
    if not decoder:
        return "pair"
    if modules is not None:
        return "plain"
    raise TruewardError(
        f"the tokenizer of {folder.source} has no chat template, so how it should read a prompt and a "
        f"response is not known: write --backbone {folder.source},template=plain for the prompt, an empty "
        "line and the response, or put its chat_template.jinja into the folder"
    )


def _max_length(folder: Folder, modules: Modules | None, asked: int | None) -> int:
    text, tokenizer = checkpoint.text_config(folder), checkpoint.tokenizer(folder)
    positions = text.to_dict().get("max_position_embeddings") or 10**9
    if text.model_type.startswith(OFFSET):
        positions -= (text.pad_token_id or 0) + 1
    if asked is not None:
        if asked > positions:
            raise UsageError(
                f"max_length={asked} is beyond the {positions} positions of {folder.source}: choose less"
            )
        return asked
    own = modules.max_length if modules and modules.max_length else 10**9
    return int(min(LONGEST, positions, own, tokenizer.model_max_length))


def _bf16(device: str | None) -> bool:
    """Say whether the device of the features multiplies bf16 natively."""
    if torch.cuda.is_available() and device != "cpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001
