"""Rules of an exported classifier: files, tokens, and scores as one consumer after another computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from trueward.features.transformers.prompt_rendering import render_chats

from . import verify_forward
from .chat_format import chat
from .loaded_classifier import LoadedClassifier, load_classifier
from .shipped_code import MODELING
from .verify_openrlhf import openrlhf
from .verify_rules import RuleBroken, RuleSkipped, check_cards, check_files, read_json
from .verify_verl import verl
from .verify_vllm import vllm

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "reward_card.json", "README.md")
FORBIDDEN = (
    *("sentence_transformers", "sbert_ce_default_activation_function", "classifier_from_token"),
    "method",
)


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
    """Canonical texts begin with BOS as often as the card says: once or never.

    Where BOS is EOS, it may also end a text or a turn, so only the beginning counts.
    """
    token, wanted = at.tokenizer.bos_token_id, at.card["template"]["bos"]
    counts = {_leading(ids, token) for ids in at.ids}
    if counts != ({1} if wanted == "once" else {0}):
        raise RuleBroken(
            f"the card says BOS {wanted}, and canonical texts begin with it {sorted(counts)} times: export "
            "again"
        )
    again = at.tokenizer(at.texts[0], add_special_tokens=True)["input_ids"]
    if wanted == "once" and _leading(again, token) > 1:
        raise RuleSkipped(
            "BOS once; a client that sends text and lets the tokenizer add special tokens gets it twice: "
            "send add_special_tokens false"
        )
    return f"BOS {wanted}"


def _leading(ids: list[int], token: int | None) -> int:
    """How often a text begins with a token."""
    return next((k for k, i in enumerate(ids) if i != token), len(ids))


def _template(at: LoadedClassifier) -> str:
    """The chat template gives the same text on every day and with every argument."""
    arguments: list[dict[str, Any]] = [
        {},
        {"date_string": "01 Jan 1999"},
        {"enable_thinking": True},
    ]
    source, short = at.tokenizer.chat_template, [chat("a", "b")]
    if len({render_chats(at.tokenizer, short, **more)[0] for more in arguments}) > 1:
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
    "reward model": verify_forward.reward_model,
    "own forward": verify_forward.own_forward,
    "export dtype": verify_forward.export_dtype,
    "TRL": verify_forward.trl,
    "OpenRLHF": openrlhf,
    "veRL": verl,
    "rollouts": _rollouts,
    "order": verify_forward.order,
    "offset": verify_forward.offset,
    "vLLM": vllm,
}
