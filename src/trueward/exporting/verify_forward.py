"""Rules of an exported classifier: its scores as one consumer after another computes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch

from .token_batches import batch_logits
from .verify_rules import RuleBroken, RuleSkipped, model_rewards
from .verify_scores import (
    MODEL,
    absorbing,
    compare,
    compare_ranks,
    compare_with_model,
    precision_cost,
)

if TYPE_CHECKING:
    from .loaded_classifier import LoadedClassifier

BATCH = 8
MAX_MEAN = 8  # |mean logit| in sd, beyond which bfloat16 ties neighbours


def reward_model(at: LoadedClassifier) -> str:
    """Check that the rewards equal those of the exported model."""
    head, scaled = at.card["head"], at.card["head"].get("normalised", {})
    expected = model_rewards(at.model, at.pairs)
    expected = (expected - scaled.get("mean", 0.0)) / scaled.get("std", 1.0)
    if head["kind"] == "distilled":
        return compare_ranks(at.scores, expected, head["rank_correlation"])
    tolerance = MODEL + absorbing(head)
    features = json.loads(at.model.backbone or "{}").get("dtype") if at.model else None
    if "bfloat16" in (features, head["dtype"]):
        tolerance += at.bfloat16_tolerance
    return compare_with_model(
        at.head, at.activations, expected - head["constant"], tolerance, at.sd, at.pairs
    )


def own_forward(at: LoadedClassifier) -> str:
    """Check that the head on pooled activations, computed by hand, gives the scores."""
    what = "the head on activations, by hand"
    return compare(at.head(at.activations), at.scores, at.float32_tolerance, at.sd, what, at.pairs)


def export_dtype(at: LoadedClassifier) -> str:
    """Check what the precision of the export costs."""
    if at.card["head"]["dtype"] == "float32":
        return "float32 is what is served"
    cost, sentence = precision_cost(at.low_scores, at.scores, at.sd)
    if not cost <= at.rounding:
        raise RuleBroken(
            f"bfloat16 {sentence}; {at.rounding:g} sd is allowed: export with --dtype float32, or allow more "
            "with --rounding"
        )
    return f"bfloat16 {sentence}"


def trl(at: LoadedClassifier) -> str:
    """Check TRL's batches: padded on the right by the tokenizer, no special tokens added."""
    parts = []
    for k in range(0, len(at.texts), BATCH):
        inputs = at.tokenizer(
            at.texts[k : k + BATCH],
            return_tensors="pt",
            padding=True,
            padding_side="right",
            add_special_tokens=False,
        )
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            parts.append(at.network(**inputs).logits[:, 0].float())
    what = "texts one by one"
    return compare(torch.cat(parts), at.scores, at.float32_tolerance, at.sd, what, at.pairs)


def order(at: LoadedClassifier) -> str:
    """Check that scores depend neither on the order of a batch nor on repeated texts."""
    pad = int(at.network.config.pad_token_id)
    rows = at.ids[:BATCH]
    scores = batch_logits(at.network, [*rows[::-1], rows[0]], pad)
    expected = torch.cat([at.scores[: len(rows)].flip(0), at.scores[:1]])
    what = "the same texts in another order"
    return compare(scores, expected, at.float32_tolerance, at.sd, what)


def offset(at: LoadedClassifier) -> str:
    """Check that in bfloat16 the mean logit is near 0, for a large constant would tie neighbours."""
    if at.has_code:
        raise RuleSkipped("the head is computed in float32 and gives the reward itself")
    mean, sd = at.card["reference"]["z_mean"], max(at.card["reference"]["z_sd"], 1e-12)
    if at.card["head"]["dtype"] == "bfloat16" and abs(mean) > MAX_MEAN * sd:
        raise RuleBroken(
            f"the mean logit, {mean:.2f}, is more than 8 sd (sd {sd:.2f}) from 0: export float32"
        )
    return f"mean logit {mean:.3f}, sd {sd:.3f}"
