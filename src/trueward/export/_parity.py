"""The scores of an export, as one consumer after another computes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from scipy.stats import spearmanr

from ._loaded import Failure, Loaded, Skipped, padded, scored

if TYPE_CHECKING:
    from torch import Tensor

CLOSE = 1e-4  # of sd, between two ways to compute one number in float32
OWN = 1e-3  # of sd, from the reward model, whose features were rounded to float16
ROUNDED = 2e-2  # of sd, in bfloat16
BATCH = 8


def reward_model(at: Loaded) -> str:
    """The rewards of the model it was made from."""
    if at.model is None:
        raise Skipped(
            "the reward model was not given (--model RM), so its rewards were not compared"
        )
    plain = (
        replace(at.model, calibration=None).score(*map(list, zip(*at.pairs, strict=True))).reward
    )
    assert plain is not None
    own = at.scores + at.card["head"]["constant"]
    if at.card["head"]["kind"] == "distilled":
        rank = float(spearmanr(plain.numpy(), own.numpy()).statistic)
        if rank < 0.9:
            raise Failure(
                f"the distilled head ranks by {rank:.3f} like the model: tune a linear one instead"
            )
        return f"distilled: rank correlation {rank:.3f} with the model"
    allowed = OWN + 2 * at.card["head"]["absorb_rmse"]
    if at.card["head"]["dtype"] == "bfloat16":
        allowed += ROUNDED
    return _close(own, plain.float(), allowed, at, "the rewards of the model")


def own_forward(at: Loaded) -> str:
    """score . h of the last attended token, computed by hand."""
    rows = []
    with torch.inference_mode():
        for ids in at.ids:
            h = at.network.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
            rows.append(h.float() @ at.network.score.weight[0].float())
    return _close(torch.stack(rows), at.scores, CLOSE, at, "score . h of the last token")


def export_dtype(at: Loaded) -> str:
    """In the precision that it is served in."""
    from transformers import AutoModelForSequenceClassification  # noqa: PLC0415 - heavy

    if at.card["head"]["dtype"] == "float32":
        return "float32 is what is served"
    low = AutoModelForSequenceClassification.from_pretrained(at.folder, dtype=torch.bfloat16).eval()
    found = torch.stack([scored(low, [ids])[0] for ids in at.ids])
    rank = float(spearmanr(found.numpy(), at.scores.numpy()).statistic)
    if rank < 0.999:
        raise Failure(
            f"bfloat16 ranks by {rank:.4f} like float32, and .999 is needed: export float32"
        )
    return _close(found, at.scores, ROUNDED, at, "float32")


def trl(at: Loaded) -> str:
    """As TRL batches: padded on the right, by the pad token, no special tokens added."""
    found = []
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
            found.append(at.network(**inputs).logits[:, 0].float())
    return _close(torch.cat(found), at.scores, CLOSE, at, "texts one by one")


def openrlhf(at: Loaded) -> str:
    """As OpenRLHF's reward model: padded on the left, positions and last token by the mask, normalised."""
    config, found = at.network.config, []
    for k in range(0, len(at.ids), BATCH):
        rows = at.ids[k : k + BATCH]
        ids, mask = padded(rows, int(config.pad_token_id), left=True)
        place = (mask.cumsum(1) - 1).masked_fill(mask == 0, 1)
        with torch.inference_mode():
            h = at.network.base_model(input_ids=ids, attention_mask=mask, position_ids=place)
            value = at.network.score(h.last_hidden_state)[:, :, 0].float()
        last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
        found.append((value[torch.arange(len(rows)), last] - config.mean) / config.std)
    wanted = (at.scores - config.mean) / config.std
    return _close(
        torch.cat(found), wanted, CLOSE * at.sd / config.std, at, "the normalised scores", 1.0
    )


def rollouts(at: Loaded) -> str:
    """A text as generation left it, without its end, with BOS: the suffix is put back."""
    end = at.card["template"]["suffix"]
    for text in at.texts:
        for left in (text, text.removesuffix(end), text.rstrip("\n")):
            if at.text.rollout(left) != text:
                raise Failure(
                    "a rollout that was cut short does not become the canonical text again"
                )
    return "rollouts without their end become the canonical text again"


def order(at: Loaded) -> str:
    """Neither the order of a batch nor a repeated text moves a score."""
    pad = int(at.network.config.pad_token_id)
    rows = at.ids[:BATCH]
    turned = scored(at.network, [*rows[::-1], rows[0]], pad)
    wanted = torch.cat([at.scores[: len(rows)].flip(0), at.scores[:1]])
    return _close(turned, wanted, CLOSE, at, "the same texts in another order")


def offset(at: Loaded) -> str:
    """In bfloat16 a large constant would tie neighbours."""
    mean, sd = at.card["reference"]["z_mean"], max(at.card["reference"]["z_sd"], 1e-12)
    if at.card["head"]["dtype"] == "bfloat16" and abs(mean) > 8 * sd:
        raise Failure(
            f"the mean logit, {mean:.2f}, is more than 8 sd ({sd:.2f}) from 0: export float32"
        )
    return f"mean logit {mean:.3f}, sd {sd:.3f}"


def _close(
    found: Tensor, wanted: Tensor, allowed: float, at: Loaded, what: str, sd: float | None = None
) -> str:
    gap = float((found - wanted).abs().max()) / (at.sd if sd is None else sd)
    if not gap <= allowed:
        raise Failure(f"differs from {what} by up to {gap:.2g} sd, and {allowed:.2g} is allowed")
    return f"within {gap:.1g} sd of {what}"
