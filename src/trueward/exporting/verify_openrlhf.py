"""The rule `OpenRLHF`: its own reward model, in bfloat16 as it loads it, gives the scores."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import torch

from trueward.features.transformers import loading

from .loaded_classifier import load_classifier
from .token_batches import pad_batch
from .verify_rules import RuleSkipped
from .verify_scores import FLOAT32, compare

if TYPE_CHECKING:
    from torch import Tensor

    from .loaded_classifier import LoadedClassifier

BATCH = 8


def openrlhf(at: LoadedClassifier) -> str:
    """Check batches that are padded on the left, in OpenRLHF's class where it is installed.

    Parameters
    ----------
    at : LoadedClassifier
        The folder, its texts and scores.

    Returns
    -------
    str
        What agrees, and whether OpenRLHF itself ran.

    Raises
    ------
    RuleSkipped
        If the folder has code.
    RuleBroken
        If scores differ by more than bfloat16 explains.

    """
    if at.has_code:
        raise RuleSkipped("OpenRLHF loads no code of a folder")
    own = _own_class(at)
    with torch.inference_mode():
        scores = _own_steps(at) if own is None else _batches(at, own)
    tolerance = FLOAT32 + at.bfloat16_tolerance
    sentence = compare(scores, at.scores, tolerance, at.sd, "texts one by one in float32", at.pairs)
    ran = "its steps, repeated here (it is not installed)," if own is None else "its own class"
    return f"{ran} in bfloat16: {sentence}"


def _own_class(at: LoadedClassifier) -> Any:
    """The model as OpenRLHF loads it; None where it is not installed."""
    try:
        models: Any = importlib.import_module("openrlhf.models")
    except ImportError:
        return None
    with loading.quiet_transformers(), torch.random.fork_rng(devices=[]):
        return models.get_llm_for_sequence_regression(
            str(at.folder),
            "reward",
            param_dtype="bf16",
            attn_implementation="eager",
            normalize_reward=False,
        ).eval()


def _batches(at: LoadedClassifier, model: Any) -> Tensor:
    """Rewards (n,) of its forward pass."""
    pad, parts = int(at.network.config.pad_token_id), []
    for k in range(0, len(at.ids), BATCH):
        ids, mask = pad_batch(at.ids[k : k + BATCH], pad, left=True)
        parts.append(model(ids, attention_mask=mask).float())
    return torch.cat(parts)


def _own_steps(at: LoadedClassifier) -> Tensor:
    """Rewards (n,) by the steps of OpenRLHF's class: positions by the mask, the last attended token."""
    network = load_classifier(at.folder, torch.bfloat16, allow_code=False).eval()
    pad, parts = int(network.config.pad_token_id), []
    for k in range(0, len(at.ids), BATCH):
        ids, mask = pad_batch(at.ids[k : k + BATCH], pad, left=True)
        positions = (mask.cumsum(1) - 1).masked_fill(mask == 0, 1)
        h = network.base_model(input_ids=ids, attention_mask=mask, position_ids=positions)
        value = network.score(h.last_hidden_state)[:, :, 0].float()
        last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
        parts.append(value[torch.arange(len(ids)), last])
    return torch.cat(parts)
