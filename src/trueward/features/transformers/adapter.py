"""Peft adapters: find an adapter's base model and merge the adapter into its weights."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import re
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from trueward.core.errors import TruewardError

from .model_folder import missing_text_extra
from .named_files import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .model_folder import ModelFolder

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE_IN_CARD = re.compile(r"""^base_model:\s*["']?([^"'\s]+)["']?\s*$""", re.MULTILINE)
LOG = logging.getLogger("trueward")
# task of the adapter -> class of the model that it was trained on; tensor names depend on it
MODEL_CLASSES = {
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_CLS": "AutoModelForSequenceClassification",
}


def base_with_adapter(
    path: Path,
    source: str,
    revision: str | None,
    find_model: Callable[[str, str | None], ModelFolder],
) -> ModelFolder:
    """Return the base model of an adapter, with the adapter in its digest.

    Parameters
    ----------
    path : Path
        Folder with adapter_config.json.
    source : str
        Path or hub name under which the adapter can be found again.
    revision : str or None
        Commit of the adapter on the hub.
    find_model : callable
        (source, revision) -> ModelFolder; finds the base model.

    Raises
    ------
    TruewardError
        If the adapter is incomplete, or its base model is unknown, unavailable, an adapter itself, or has
        another vocabulary than the tokenizer that was saved with the adapter.

    """
    config = _config(path)
    base_name = str(config.get("base_model_name_or_path") or "")
    if not (path / WEIGHTS).is_file():
        raise TruewardError(
            f"{path} has no {WEIGHTS}, probably after an interrupted download or copy: fetch it again"
        )
    if not base_name:
        raise TruewardError(
            f"{path}/{CONFIG} does not name its base model: write base_model_name_or_path into it"
        )
    try:
        base = find_model(base_name, config.get("revision"))
    except TruewardError as e:
        raise TruewardError(
            f"{path} is an adapter on {base_name}, and that model is unavailable ({e}): provide it, or "
            "merge the adapter into it and name the merged folder"
        ) from e
    if base.adapter is not None:
        raise TruewardError(
            f"{path} is an adapter on {base_name}, which is an adapter itself: merge that one into its "
            "base model first"
        )
    _require_base_of_training(path, base_name, base)
    digest = hashlib.sha256(base.digest.encode())
    for file in (path / CONFIG, path / WEIGHTS):
        with file.open("rb") as f:
            digest.update(hashlib.file_digest(f, "sha256").digest())
    return replace(
        base, source=source, revision=revision, digest=digest.hexdigest()[:16], adapter=path
    )


def _require_base_of_training(path: Path, name: str, base: ModelFolder) -> None:
    """Refuse a base with another vocabulary; warn of one that the adapter's own card does not name.

    The weights of an adapter fit any model of equal shapes, so names and tokenizers alone tell them apart.
    """
    own, other = (_vocabulary(folder) for folder in (path, base.path))
    if own is not None and other is not None and own != other:
        raise TruewardError(
            f"the tokenizer in {path}, saved with the adapter, has another vocabulary than that of {name} in "
            f"{base.path}: the adapter was trained on another model, even if its shapes fit; write the right "
            f"base_model_name_or_path into {CONFIG}"
        )
    card = path / "README.md"
    found = BASE_IN_CARD.search(card.read_text("utf-8", "replace")) if card.is_file() else None
    if found and found[1] != name:
        LOG.warning(
            "%s names the base model %s, and the README.md saved with the adapter names %s: on another model "
            "than that of its training an adapter gives other features, even if all shapes fit",
            path / CONFIG,
            name,
            found[1],
        )


def _vocabulary(folder: Path) -> object:
    """Tokens of a tokenizer before any are added; None if there is no tokenizer.json to tell."""
    try:
        return json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _config(path: Path) -> dict[str, Any]:
    config = read_json(path / CONFIG)
    return config if isinstance(config, dict) else {}


def load_merged(
    transformers: Any, folder: ModelFolder, dtype: str, placement: Mapping[str, str]
) -> Any:
    """Load a base model without its head, with the adapter merged into its weights.

    See Also
    --------
    merged_model : The same with its head.

    Parameters
    ----------
    transformers : module
        The transformers library.
    folder : ModelFolder
        Base model with an adapter.
    dtype : str
        Name of a torch dtype, such as ``bfloat16``.
    placement : mapping of str to str
        Further arguments of ``from_pretrained``, such as ``device_map``.

    Returns
    -------
    transformers.PreTrainedModel

    Raises
    ------
    TruewardError
        If peft is not installed, or the adapter is damaged or does not fit the base model.

    """
    return merged_model(transformers, folder, dtype, placement).base_model


def merged_model(
    transformers: Any, folder: ModelFolder, dtype: str, placement: Mapping[str, str]
) -> Any:
    """Load a base model with the head of its adapter's task, with the adapter merged into its weights.

    Parameters
    ----------
    transformers : module
        The transformers library.
    folder : ModelFolder
        Base model with an adapter.
    dtype : str
        Name of a torch dtype, such as ``bfloat16``.
    placement : mapping of str to str
        Further arguments of ``from_pretrained``, such as ``device_map``.

    Returns
    -------
    transformers.PreTrainedModel

    Raises
    ------
    TruewardError
        If peft is not installed, or the adapter is damaged or does not fit the base model.

    """
    assert folder.adapter is not None
    try:
        peft: Any = importlib.import_module("peft")
    except ImportError:
        raise missing_text_extra("peft") from None
    config, shapes = _config(folder.adapter), _tensor_shapes(folder.adapter)
    auto_class = getattr(transformers, MODEL_CLASSES.get(str(config.get("task_type")), "AutoModel"))
    heads = (".score.weight", ".classifier.weight")
    labels = [shape[0] for name, shape in shapes.items() if name.endswith(heads)]
    head = {"num_labels": labels[0]} if labels else {}
    base = auto_class.from_pretrained(
        folder.path, dtype=getattr(torch, dtype), trust_remote_code=False, **head, **placement
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the check below reports missing tensors
        try:
            model = peft.PeftModel.from_pretrained(base, folder.adapter)
        except (RuntimeError, ValueError, TypeError, KeyError) as e:
            raise _misfit(folder, config) from e
        loaded = {k: tuple(v.shape) for k, v in peft.get_peft_model_state_dict(model).items()}
        if loaded != shapes:
            raise _misfit(folder, config)
        return model.merge_and_unload()


def _tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every tensor of an adapter."""
    try:
        with safe_open(path / WEIGHTS, "numpy") as f:
            return {k: tuple(f.get_slice(k).get_shape()) for k in f.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as e:
        raise TruewardError(
            f"{path / WEIGHTS} is damaged or incomplete, probably after an interrupted download or copy: "
            "fetch it again"
        ) from e


def _misfit(folder: ModelFolder, config: Mapping[str, Any]) -> TruewardError:
    name = config.get("base_model_name_or_path")
    return TruewardError(
        f"the adapter in {folder.adapter} does not fit its base model {name} in {folder.path}: their "
        "layers or sizes differ, so it was made for another model; provide the model it was trained on"
    )
