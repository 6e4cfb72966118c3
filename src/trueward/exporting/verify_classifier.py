"""Rules of an exported classifier: files, tokens, and scores as one consumer after another computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .loaded_classifier import LoadedClassifier, batch_logits, load_classifier, pad_batch
from .request import chat
from .shipped_code import MODELING
from .verify_rules import (
    BFLOAT16,
    FLOAT32,
    MODEL,
    RuleBroken,
    RuleSkipped,
    bfloat16_tolerance,
    check_cards,
    check_files,
    compare,
    compare_ranks,
    model_rewards,
    read_json,
    spearman,
)
from .verify_vllm import vllm

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "reward_card.json", "README.md")
FORBIDDEN = (
    *("sentence_transformers", "sbert_ce_default_activation_function", "classifier_from_token"),
    "method",
)
BATCH = 8
MIN_RANK_BFLOAT16 = 0.999


def _files(at: LoadedClassifier) -> str:
    """Files exist and have the hashes of the card; config.json has the keys that every consumer reads."""
    check_files(at.folder, at.card, FILES)
    config = read_json(at.folder / "config.json")
    wrong = [k for k in (*FORBIDDEN, *(() if at.has_code else ("auto_map",))) if k in config]
    if wrong:
        raise RuleBroken(
            f"config.json has {', '.join(wrong)}, which change how the head is loaded: export again"
        )
    if config.get("problem_type") != "regression" or config.get("id2label") != {"0": "LABEL_0"}:
        raise RuleBroken(
            "config.json: expected problem_type regression and one label, LABEL_0; export again"
        )
    code = f", and the code is {MODELING.name} of this version" if at.has_code else ""
    return f"files, hashes and config keys are in order{code}"


def _trust(at: LoadedClassifier) -> str:
    """Code of the folder runs only with trust_remote_code."""
    if not at.has_code:
        return "the folder has no code"
    try:
        load_classifier(at.folder, torch.float32, allow_code=False)
    except ValueError:
        return "loads with trust_remote_code=True and not without"
    raise RuleBroken("it loads without trust_remote_code, with another head: export again")


def _padding(at: LoadedClassifier) -> str:
    """The pad token is neither EOS nor the last token of a text."""
    pad = at.tokenizer.pad_token_id
    if pad is None or pad != at.network.config.pad_token_id:
        raise RuleBroken(
            f"the tokenizer pads with token {pad}, and config.json says {at.network.config.pad_token_id}: "
            "export again"
        )
    if pad == at.tokenizer.eos_token_id:
        raise RuleBroken(
            "the pad token is EOS, so transformers scores the token before EOS: export again"
        )
    if any(ids[-1] == pad for ids in at.ids):
        raise RuleBroken(
            "a canonical text ends in the pad token, so transformers scores the token before it: export again"
        )
    return f"{at.tokenizer.pad_token} pads, and no text ends in it"


def _bos(at: LoadedClassifier) -> str:
    """Canonical texts have BOS as often as the card says: once or never."""
    token, wanted = at.tokenizer.bos_token_id, at.card["template"]["bos"]
    counts = {ids.count(token) for ids in at.ids} if token is not None else {0}
    if counts != ({1} if wanted == "once" else {0}):
        raise RuleBroken(
            f"the card says BOS {wanted}, and canonical texts have it {sorted(counts)} times: export again"
        )
    again = at.tokenizer(at.texts[0], add_special_tokens=True)["input_ids"]
    if wanted == "once" and again.count(token) > 1:
        raise RuleSkipped(
            "BOS once; a client that sends text and lets the tokenizer add special tokens gets it twice: "
            "send add_special_tokens false"
        )
    return f"BOS {wanted}"


def _template(at: LoadedClassifier) -> str:
    """The chat template gives the same text on every day and with every argument."""
    arguments: list[dict[str, Any]] = [
        {},
        {"date_string": "01 Jan 1999"},
        {"enable_thinking": True},
    ]
    source, render = at.tokenizer.chat_template, at.tokenizer.apply_chat_template
    if len({render(chat("a", "b"), tokenize=False, **more) for more in arguments}) > 1:
        raise RuleBroken(
            "the chat template depends on its arguments, which TRL passes and veRL does not: remove them "
            "from the template"
        )
    if "strftime_now" in source and "macro strftime_now" not in source:
        raise RuleBroken(
            "the chat template reads today's date, so scores change overnight: fix the date"
        )
    if not all(t.endswith(at.card["template"]["suffix"]) for t in at.texts):
        raise RuleBroken(
            "the template's text after a response is not the suffix of the card: export again"
        )
    rewritten = at.chat_format.rewritten()
    note = f"; it rewrites {len(rewritten)} of 3 unusual responses" if rewritten else ""
    return f"deterministic, constant suffix {at.card['template']['suffix']!r}{note}"


def _truncation(at: LoadedClassifier) -> str:
    """Truncation keeps the end of a text that is too long."""
    ids = at.ids[0]
    cut = at.tokenizer(
        at.texts[0], add_special_tokens=False, truncation=True, max_length=max(4, len(ids) // 2)
    )["input_ids"]
    if cut[-1] != ids[-1]:
        raise RuleBroken(
            "truncation cuts the end of the response, which is scored: set truncation_side to left"
        )
    return "a text that is too long loses its beginning"


def _reward_model(at: LoadedClassifier) -> str:
    """The rewards equal those of the exported model."""
    expected = model_rewards(at.model, at.pairs)
    rewards = at.scores + at.card["head"]["constant"]
    if at.card["head"]["kind"] == "distilled":
        return compare_ranks(rewards, expected)
    tolerance = MODEL + 2 * at.card["head"]["absorb_rmse"]
    tolerance += bfloat16_tolerance(at.model, at.card["head"]["dtype"])
    # features are stored as float16, to which an MLP is sensitive: round these in the same way
    rewards = at.head(at.activations.half().float()) if at.has_code else rewards
    return compare(rewards, expected, tolerance, at.sd, "the rewards of the model")


def _own_forward(at: LoadedClassifier) -> str:
    """The head on pooled activations, computed by hand, gives the scores."""
    by_hand = at.head(at.activations)
    return compare(by_hand, at.scores, FLOAT32, at.sd, "the head on activations, by hand")


def _export_dtype(at: LoadedClassifier) -> str:
    """The scores in the precision of the export equal those in float32."""
    if at.card["head"]["dtype"] == "float32":
        return "float32 is what is served"
    low = load_classifier(at.folder, torch.bfloat16, allow_code=at.has_code).eval()
    scores = torch.stack([batch_logits(low, [ids])[0] for ids in at.ids])
    rank = spearman(scores, at.scores)
    if rank < MIN_RANK_BFLOAT16:
        raise RuleBroken(
            f"rank correlation of bfloat16 with float32: {rank:.4f}, at least {MIN_RANK_BFLOAT16} is needed; "
            "export float32"
        )
    return compare(scores, at.scores, BFLOAT16, at.sd, "float32")


def _trl(at: LoadedClassifier) -> str:
    """TRL's batches give the scores: padded on the right by the tokenizer, no special tokens added."""
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
    return compare(torch.cat(parts), at.scores, FLOAT32, at.sd, "texts one by one")


def _openrlhf(at: LoadedClassifier) -> str:
    """OpenRLHF's batches give the scores: padded on the left, positions by the mask, normalised."""
    if at.has_code:
        raise RuleSkipped("OpenRLHF loads no code of a folder")
    config, parts = at.network.config, []
    for k in range(0, len(at.ids), BATCH):
        rows = at.ids[k : k + BATCH]
        ids, mask = pad_batch(rows, int(config.pad_token_id), left=True)
        positions = (mask.cumsum(1) - 1).masked_fill(mask == 0, 1)
        with torch.inference_mode():
            h = at.network.base_model(input_ids=ids, attention_mask=mask, position_ids=positions)
            value = at.network.score(h.last_hidden_state)[:, :, 0].float()
        last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
        parts.append((value[torch.arange(len(rows)), last] - config.mean) / config.std)
    expected = (at.scores - config.mean) / config.std
    tolerance = FLOAT32 * at.sd / config.std
    return compare(torch.cat(parts), expected, tolerance, 1.0, "the normalised scores")


def _rollouts(at: LoadedClassifier) -> str:
    """A rollout without its end becomes the canonical text again."""
    end = at.card["template"]["suffix"]
    for text in at.texts:
        for rollout in (text, text.removesuffix(end), text.rstrip("\n")):
            if at.chat_format.complete(rollout) != text:
                raise RuleBroken(
                    "a rollout without its end does not become the canonical text: repair the chat template"
                )
    return "rollouts without their end become the canonical text again"


def _order(at: LoadedClassifier) -> str:
    """Scores depend neither on the order of a batch nor on repeated texts."""
    pad = int(at.network.config.pad_token_id)
    rows = at.ids[:BATCH]
    scores = batch_logits(at.network, [*rows[::-1], rows[0]], pad)
    expected = torch.cat([at.scores[: len(rows)].flip(0), at.scores[:1]])
    return compare(scores, expected, FLOAT32, at.sd, "the same texts in another order")


def _offset(at: LoadedClassifier) -> str:
    """In bfloat16 the mean logit is near 0, for a large constant would tie neighbours."""
    if at.has_code:
        raise RuleSkipped("the head is computed in float32 and gives the reward itself")
    mean, sd = at.card["reference"]["z_mean"], max(at.card["reference"]["z_sd"], 1e-12)
    if at.card["head"]["dtype"] == "bfloat16" and abs(mean) > 8 * sd:
        raise RuleBroken(
            f"the mean logit, {mean:.2f}, is more than 8 sd (sd {sd:.2f}) from 0: export float32"
        )
    return f"mean logit {mean:.3f}, sd {sd:.3f}"


def _documents(at: LoadedClassifier) -> str:
    """Both cards can be read."""
    return check_cards(at.folder, at.card, "transformers")


RULES: dict[str, Callable[[LoadedClassifier], str]] = {
    "files": _files,
    "trust": _trust,
    "padding": _padding,
    "bos": _bos,
    "template": _template,
    "truncation": _truncation,
    "documents": _documents,
    "reward model": _reward_model,
    "own forward": _own_forward,
    "export dtype": _export_dtype,
    "TRL": _trl,
    "OpenRLHF": _openrlhf,
    "rollouts": _rollouts,
    "order": _order,
    "offset": _offset,
    "vLLM": vllm,
}
