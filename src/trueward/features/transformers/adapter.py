"""An adapter of peft on its base model: found together, merged into one."""

from __future__ import annotations

import hashlib
import importlib
import json
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from trueward.core.errors import TruewardError

from .folder import needs_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .folder import Folder

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# what an adapter was trained on; its tensors are named after that
TASKS = {"CAUSAL_LM": "AutoModelForCausalLM", "SEQ_CLS": "AutoModelForSequenceClassification"}


def on_its_base(
    path: Path, source: str, revision: str | None, find: Callable[[str, str | None], Folder]
) -> Folder:
    """Give the base model with the adapter in ``path``; TruewardError where either is not at hand."""
    about = _config(path)
    name = str(about.get("base_model_name_or_path") or "")
    if not (path / WEIGHTS).is_file():
        raise TruewardError(
            f"{path} has no {WEIGHTS}, as after an interrupted download or copy: fetch it again"
        )
    if not name:
        raise TruewardError(
            f"{path}/{CONFIG} does not say what base model it is for: write base_model_name_or_path into it"
        )
    try:
        base = find(name, about.get("revision"))
    except TruewardError as e:
        raise _absent(path, name, e) from e
    if base.adapter is not None:
        raise TruewardError(
            f"{path} is an adapter on {name}, which is an adapter itself: merge one into its base model"
        )
    digest = hashlib.sha256(base.digest.encode())
    for file in (path / CONFIG, path / WEIGHTS):
        with file.open("rb") as f:
            digest.update(hashlib.file_digest(f, "sha256").digest())
    return replace(
        base, source=source, revision=revision, digest=digest.hexdigest()[:16], adapter=path
    )


def _config(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((path / CONFIG).read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise TruewardError(
            f"{path / CONFIG} could not be read as JSON ({e}): fetch or copy the adapter again"
        ) from e
    return found if isinstance(found, dict) else {}


def _absent(path: Path, name: str, e: TruewardError) -> TruewardError:
    return TruewardError(
        f"{path} holds an adapter on {name}, and that model is not at hand ({e}); put it there, or merge the "
        "adapter into it and give that folder"
    )


def merged(transformers: Any, folder: Folder, dtype: str, spread: Mapping[str, str]) -> Any:
    """Give the base model without its head, the adapter merged into its weights."""
    assert folder.adapter is not None
    try:
        peft: Any = importlib.import_module("peft")
    except ImportError:
        raise needs_extra("peft") from None
    about, saved = _config(folder.adapter), _shapes(folder.adapter)
    kind = getattr(transformers, TASKS.get(str(about.get("task_type")), "AutoModel"))
    labels = [s[0] for k, s in saved.items() if k.endswith((".score.weight", ".classifier.weight"))]
    more = {"num_labels": labels[0]} if labels else {}
    whole = kind.from_pretrained(
        folder.path, dtype=getattr(torch, dtype), trust_remote_code=False, **more, **spread
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is missing is said below
        try:
            model = peft.PeftModel.from_pretrained(whole, folder.adapter)
        except (RuntimeError, ValueError, TypeError, KeyError) as e:
            raise _of_another(folder, about) from e
        if {k: tuple(v.shape) for k, v in peft.get_peft_model_state_dict(model).items()} != saved:
            raise _of_another(folder, about)
        found = model.merge_and_unload()
    return found.base_model


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of an adapter."""
    try:
        with safe_open(path / WEIGHTS, "numpy") as f:
            return {k: tuple(f.get_slice(k).get_shape()) for k in f.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as e:
        raise TruewardError(
            f"{path / WEIGHTS} is damaged or incomplete, as after an interrupted download or copy: fetch it "
            "again"
        ) from e


def _of_another(folder: Folder, about: Mapping[str, Any]) -> TruewardError:
    name = about.get("base_model_name_or_path")
    return TruewardError(
        f"the adapter in {folder.adapter} does not fit its base model {name} in {folder.path}: its layers or "
        "their sizes differ, so it was made for another model; put that one there"
    )
