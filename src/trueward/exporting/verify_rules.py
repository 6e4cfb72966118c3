"""Rules of a folder's files and of its tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from .card import SCHEMA, sha256, weights
from .loaded import Failure, Loaded, Skipped
from .sources import MODELING
from .text import chat, rewrites

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "reward_card.json", "README.md")
ABSENT = (
    *("sentence_transformers", "sbert_ce_default_activation_function", "classifier_from_token"),
    "method",
)
CARD = (
    *("name", "version", "polarity", "head", "template", "reference", "calibration", "serve"),
    "method",
)


def whole(folder: Path, card: dict[str, Any], names: tuple[str, ...]) -> None:
    """Files are there, and are those that the card speaks of."""
    lost = [name for name in names if not (folder / name).is_file()]
    if lost:
        raise Failure(f"{', '.join(lost)} should be there and are not: export again")
    if sha256(weights(folder)) != card["weights_sha256"]:
        raise Failure(
            "the weights are not those of the card: export again, or copy the folder again"
        )
    if "config_hash" in card and sha256([folder / "config.json"]) != card["config_hash"]:
        raise Failure("config.json is not that of the card: it was changed by hand")


def cards(folder: Path, card: dict[str, Any], library: str) -> str:
    """The cards can be read."""
    text = (folder / "README.md").read_text("utf-8")
    front = yaml.safe_load(text.split("---")[1]) if text.startswith("---") else None
    if not isinstance(front, dict) or front.get("library_name") != library:
        raise Failure(f"README.md has no front matter that says library_name: {library}")
    lost = [k for k in CARD if k not in card]
    if card.get("schema") != SCHEMA or lost:
        raise Failure(
            f"reward_card.json is not of {SCHEMA} (it lacks {', '.join(lost) or 'the schema'})"
        )
    return "model card and reward card can be read"


def documents(at: Loaded) -> str:
    """The cards can be read."""
    return cards(at.folder, at.card, "transformers")


def files(at: Loaded) -> str:
    """Files are there and are those that the card speaks of; config keys as every consumer wants them."""
    whole(at.folder, at.card, FILES)
    config = json.loads((at.folder / "config.json").read_text("utf-8"))
    wrong = [k for k in (*ABSENT, *(() if at.code else ("auto_map",))) if k in config]
    if wrong:
        raise Failure(f"config.json has {', '.join(wrong)}, which change how the head is loaded")
    if config.get("problem_type") != "regression" or config.get("id2label") != {"0": "LABEL_0"}:
        raise Failure("config.json must say problem_type regression and one label, LABEL_0")
    more = f", and the code is {MODELING.name} of this version" if at.code else ""
    return f"files, hashes and config keys are in order{more}"


def padding(at: Loaded) -> str:
    """The pad token is one's own: neither EOS nor what a text ends in."""
    pad = at.tokenizer.pad_token_id
    if pad is None or pad != at.network.config.pad_token_id:
        raise Failure(
            f"the tokenizer pads with {pad} and config.json says {at.network.config.pad_token_id}"
        )
    if pad == at.tokenizer.eos_token_id:
        raise Failure("the pad token is EOS, so transformers scores the token before it")
    if any(ids[-1] == pad for ids in at.ids):
        raise Failure("a canonical text ends in the pad token, and would be scored one token early")
    return f"{at.tokenizer.pad_token} pads, and no text ends in it"


def bos(at: Loaded) -> str:
    """BOS once, or never."""
    token, wanted = at.tokenizer.bos_token_id, at.card["template"]["bos"]
    counts = {ids.count(token) for ids in at.ids} if token is not None else {0}
    if counts != ({1} if wanted == "once" else {0}):
        raise Failure(
            f"the card says BOS {wanted}, and canonical texts have it {sorted(counts)} times"
        )
    text = at.texts[0]
    again = at.tokenizer(text, add_special_tokens=True)["input_ids"]
    if wanted == "once" and again.count(token) > 1:
        raise Skipped(
            "BOS once; a client that sends text and lets the tokenizer add special tokens gets it twice: "
            "send add_special_tokens false"
        )
    return f"BOS {wanted}"


def template(at: Loaded) -> str:
    """The same text on every day and with every argument; responses as they are."""
    kinds: list[dict[str, Any]] = [{}, {"date_string": "01 Jan 1999"}, {"enable_thinking": True}]
    made = {
        at.tokenizer.apply_chat_template(chat("a", "b"), tokenize=False, **kind) for kind in kinds
    }
    if len(made) > 1:
        raise Failure(
            "the chat template depends on its arguments, which TRL passes and veRL does not: pin it"
        )
    if (
        "strftime_now" in at.tokenizer.chat_template
        and "macro strftime_now" not in at.tokenizer.chat_template
    ):
        raise Failure("the chat template asks for today's date, so scores change overnight: pin it")
    if not all(t.endswith(at.card["template"]["suffix"]) for t in at.texts):
        raise Failure("what the template puts after a response is not the suffix of the card")
    changed = rewrites(at.text)
    note = f"; it rewrites {len(changed)} of 3 odd responses" if changed else ""
    return f"deterministic, constant suffix {at.card['template']['suffix']!r}{note}"


def truncation(at: Loaded) -> str:
    """Of too long a text the end stays."""
    ids = at.ids[0]
    cut = at.tokenizer(
        at.texts[0], add_special_tokens=False, truncation=True, max_length=max(4, len(ids) // 2)
    )["input_ids"]
    if cut[-1] != ids[-1]:
        raise Failure("truncation loses the end of the response, which is what is scored")
    return "a text that is too long loses its beginning"
