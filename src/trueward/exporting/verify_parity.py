"""The scores of an export, as one consumer after another computes them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from scipy.stats import spearmanr

from .loaded import Failure, Loaded, Skipped, loaded, padded, scored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from trueward.model.reward_model import RewardModel

CLOSE = 1e-4  # of sd, between two ways to compute one number in float32
OWN = 1e-3  # of sd, from the reward model, whose features were rounded to float16
ROUNDED = 2e-2  # of sd, in bfloat16
BATCH = 8


def reward_model(at: Loaded) -> str:
    """The rewards of the model it was made from."""
    plain = wanted_of(at.model, at.pairs)
    own = at.scores + at.card["head"]["constant"]
    if at.card["head"]["kind"] == "distilled":
        return ranked(own, plain)
    allowed = OWN + 2 * at.card["head"]["absorb_rmse"]
    allowed += rounding(at.model, at.card["head"]["dtype"])
    # an MLP feels that features are kept as float16, so its own are rounded alike
    own = at.head(at.h.half().float()) if at.code else own
    return close(own, plain, allowed, at.sd, "the rewards of the model")


def own_forward(at: Loaded) -> str:
    """The head on the last attended token, or on what else is pooled, computed by hand."""
    return close(at.head(at.h), at.scores, CLOSE, at.sd, "the head on activations, by hand")


def trust(at: Loaded) -> str:
    """Code runs only for who says so."""
    if not at.code:
        return "the folder brings no code"
    try:
        loaded(at.folder, torch.float32, code=False)
    except ValueError:
        return "loads with trust_remote_code=True and not without"
    raise Failure("it loads without trust_remote_code, and then has another head: export again")


def export_dtype(at: Loaded) -> str:
    """In the precision that it is served in."""
    if at.card["head"]["dtype"] == "float32":
        return "float32 is what is served"
    low = loaded(at.folder, torch.bfloat16, code=at.code).eval()
    found = torch.stack([scored(low, [ids])[0] for ids in at.ids])
    rank = float(spearmanr(found.numpy(), at.scores.numpy()).statistic)
    if rank < 0.999:
        raise Failure(
            f"bfloat16 ranks by {rank:.4f} like float32, and .999 is needed: export float32"
        )
    return close(found, at.scores, ROUNDED, at.sd, "float32")


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
    return close(torch.cat(found), at.scores, CLOSE, at.sd, "texts one by one")


def openrlhf(at: Loaded) -> str:
    """As OpenRLHF's reward model: padded on the left, positions and last token by the mask, normalised."""
    if at.code:
        raise Skipped("OpenRLHF loads no code of a folder")
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
    return close(torch.cat(found), wanted, CLOSE * at.sd / config.std, 1.0, "the normalised scores")


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
    return close(turned, wanted, CLOSE, at.sd, "the same texts in another order")


def offset(at: Loaded) -> str:
    """In bfloat16 a large constant would tie neighbours."""
    if at.code:
        raise Skipped("the head is computed in float32 and gives the reward itself")
    mean, sd = at.card["reference"]["z_mean"], max(at.card["reference"]["z_sd"], 1e-12)
    if at.card["head"]["dtype"] == "bfloat16" and abs(mean) > 8 * sd:
        raise Failure(
            f"the mean logit, {mean:.2f}, is more than 8 sd ({sd:.2f}) from 0: export float32"
        )
    return f"mean logit {mean:.3f}, sd {sd:.3f}"


def wanted_of(model: RewardModel | None, pairs: Sequence[tuple[str, str]]) -> Tensor:
    """(n,) rewards of the model that an export was made from, before any calibration."""
    if model is None:
        raise Skipped(
            "the reward model was not given (--model RM), so its rewards were not compared"
        )
    found = replace(model, calibration=None).score(*map(list, zip(*pairs, strict=True))).reward
    assert found is not None
    return found.float()


def rounding(model: RewardModel | None, dtype: str = "float32") -> float:
    """Share of sd that bfloat16 may cost, of the export (``dtype``) or of the model's own features."""
    read = None if model is None else json.loads(model.backbone or "{}").get("dtype")
    return ROUNDED if "bfloat16" in (dtype, read) else 0.0


def ranked(found: Tensor, wanted: Tensor) -> str:
    """Say how a distilled head ranks beside the model; Failure where that is another order."""
    rank = float(spearmanr(wanted.numpy(), found.numpy()).statistic)
    if rank < 0.9:
        raise Failure(
            f"the distilled head ranks by {rank:.3f} like the model: tune a linear one instead"
        )
    return f"distilled: rank correlation {rank:.3f} with the model"


def close(found: Tensor, wanted: Tensor, allowed: float, sd: float, what: str) -> str:
    """Say how far two ways to compute (n,) scores differ, in sd; Failure beyond what is allowed."""
    gap = float((found - wanted).abs().max()) / sd
    if not gap <= allowed:
        raise Failure(f"differs from {what} by up to {gap:.2g} sd, and {allowed:.2g} is allowed")
    return f"within {gap:.1g} sd of {what}"
