"""Options of how a language model is read: template, layer, pooling, length and precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError, UsageError

from . import loading
from .prompt_rendering import TEMPLATES, chat_template
from .sentence_transformers_layout import Modules, read_modules
from .token_pooling import POOLINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trueward.features.backbone_names import Accepted

    from .model_folder import ModelFolder

DEFAULT_MAX_LENGTH = 4_096  # tokens, unless the model's own limit is smaller
UNLIMITED = 10**9  # tokens
LONGEST = 1_000_000  # tokens
DTYPES = ("bfloat16", "float32")
OPTIONS: Mapping[str, Accepted] = {
    "pooling": POOLINGS,
    "layer": range(-1_000, 1_001),
    "max_length": range(8, LONGEST + 1),
    "dtype": DTYPES,
    "template": TEMPLATES,
    "normalize": ("true", "false"),
    "device": str,
    "revision": str,
}
# model types whose positions are counted from the id of the padding token + 1
OFFSET_POSITIONS = (
    *("roberta", "camembert", "data2vec-text", "xmod", "longformer", "ibert", "mpnet", "luke"),
)


@dataclass(frozen=True)
class ReadingOptions:
    """All that determines the features besides the model's files; independent of the machine.

    Attributes
    ----------
    template : str
        ``chat``, ``pair`` or ``plain``: how prompt and response become one text.
    max_length : int
        Largest number of tokens of a text.
    layer : int
        0 is the embedding of the tokens, L the input of the head of a model with L layers.
    pooling : str
        How the tokens' activations become one vector, see `pool_tokens`.
    dtype : str
        Precision of the forward pass, ``bfloat16`` or ``float32``.
    normalize : bool
        Whether the vectors are scaled to length 1.
    dense : tuple of str
        Folders of linear layers after the pooling, in sentence-transformers models.

    """

    template: str
    max_length: int
    layer: int
    pooling: str
    dtype: str
    normalize: bool
    dense: tuple[str, ...]


def resolve_options(folder: ModelFolder, chosen: Mapping[str, Any]) -> ReadingOptions:
    """Complete the chosen options with defaults from the model's files.

    Parameters
    ----------
    folder : ModelFolder
        Files of the model.
    chosen : mapping of str to str or int
        Options by name, see `OPTIONS`.

    Returns
    -------
    ReadingOptions

    Raises
    ------
    UsageError
        If an option is out of range for this model, or the model is an encoder-decoder.
    TruewardError
        If a decoder has no chat template and no template was chosen.

    """
    config = loading.model_config(folder)
    if config.is_encoder_decoder:
        raise UsageError(
            f"{folder.source} should have an encoder or a decoder, and has both (an encoder and a decoder): "
            "choose a decoder, an encoder or a sentence-transformers folder"
        )
    modules, decoder = read_modules(folder), is_decoder(config)
    layers = loading.layer_count(folder)
    layer = chosen.get("layer", layers)
    layer = layer + layers + 1 if layer < 0 else layer
    if not 0 <= layer <= layers:
        raise UsageError(
            f"{folder.source} has {layers} layers, so layer should be from {-layers - 1} to {layers}, not "
            f"{chosen['layer']}"
        )
    # the folder's own modules apply to its last layer and its own pooling only
    own = modules if "pooling" not in chosen and layer == layers else None
    default_pooling = own.pooling if own else "last" if decoder else "mean"
    normalize = {"true": True, "false": False}.get(
        chosen.get("normalize", ""), own and own.normalize
    )
    default_dtype = "bfloat16" if _supports_bfloat16(chosen.get("device")) else "float32"
    return ReadingOptions(
        template=chosen.get("template") or _default_template(folder, modules, decoder=decoder),
        max_length=_max_length(folder, modules, chosen.get("max_length")),
        layer=layer,
        pooling=chosen.get("pooling", default_pooling),
        dtype=chosen.get("dtype") or default_dtype,
        normalize=bool(normalize),
        dense=own.dense if own else (),
    )


def is_decoder(config: Any) -> bool:
    """Return whether the attention is causal: a token attends to earlier tokens only.

    Parameters
    ----------
    config : transformers.PretrainedConfig
        Configuration of the whole model.

    """
    from transformers.models.auto import modeling_auto  # noqa: PLC0415 - heavy

    text = config.get_text_config()
    values = {**config.to_dict(), **text.to_dict()}
    if values.get("use_bidirectional_attention") is True:
        return False
    if text.model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return bool(values.get("is_decoder"))
    causal = text.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    generates = ("ForCausalLM", "ForConditionalGeneration")
    return causal or any(str(name).endswith(generates) for name in config.architectures or ())


def _default_template(folder: ModelFolder, modules: Modules | None, *, decoder: bool) -> str:
    """Choose chat; plain or pair for models that were trained on bare texts."""
    if modules is None and chat_template(loading.load_tokenizer(folder)):
        return "chat"
    if not decoder:
        return "pair"
    if modules is not None:
        return "plain"
    raise TruewardError(
        f"the tokenizer of {folder.source} should have a chat template to join prompt and response, and "
        f"has no chat template: write --backbone {folder.source},template=plain for the prompt, an empty "
        "line and the response, or put its chat_template.jinja into the folder"
    )


def _max_length(folder: ModelFolder, modules: Modules | None, chosen: int | None) -> int:
    text, tokenizer = loading.text_config(folder), loading.load_tokenizer(folder)
    positions = text.to_dict().get("max_position_embeddings") or UNLIMITED
    if text.model_type.startswith(OFFSET_POSITIONS):
        positions -= (text.pad_token_id or 0) + 1
    if chosen is not None:
        if chosen > positions:
            raise UsageError(
                f"max_length={chosen} is beyond the {positions} positions of {folder.source}: choose a "
                "smaller one"
            )
        return chosen
    own = modules.max_length if modules and modules.max_length else UNLIMITED
    return int(min(DEFAULT_MAX_LENGTH, positions, own, tokenizer.model_max_length))


def _supports_bfloat16(device: str | None) -> bool:
    """Return whether the device multiplies bfloat16 natively."""
    if torch.cuda.is_available() and device != "cpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001
