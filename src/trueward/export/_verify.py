"""Whether an exported folder scores the same wherever it is loaded."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from trueward.errors import TruewardError

from . import _parity
from ._loaded import Failure, Loaded, Skipped
from ._text import rewrites
from ._write import SCHEMA, sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trueward.model import RewardModel

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "reward_card.json", "README.md")
ABSENT = (
    *("sentence_transformers", "sbert_ce_default_activation_function", "classifier_from_token"),
    *("method", "auto_map"),
)


@dataclass(frozen=True)
class Check:
    """One rule: kept, broken, or not to be tested here; and the sentence that says so."""

    name: str
    passed: bool | None
    sentence: str


@dataclass(frozen=True)
class Verified:
    """What every check came to."""

    folder: Path
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return all(c.passed is not False for c in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Give plain data."""
        return {"passed": self.passed, "checks": [vars(c) for c in self.checks]}

    def __str__(self) -> str:
        """Lay out one check a line."""
        words = {True: "pass", False: "FAIL", None: "n/a"}
        pad = max(len(c.name) for c in self.checks)
        lines = [f"{words[c.passed]:<5}{c.name:<{pad}}  {c.sentence}" for c in self.checks]
        broken = [c.name for c in self.checks if c.passed is False]
        last = (
            f"broken: {', '.join(broken)}"
            if broken
            else "every rule that can be tested here is kept"
        )
        return "\n".join([*lines, f"{self.folder}: {last}"])


def verify(
    folder: str | Path,
    prompts: Sequence[str] | None = None,
    responses: Sequence[str] | None = None,
    *,
    model: RewardModel | None = None,
) -> Verified:
    """Check an export as its consumers read it: files, tokens, scores of transformers, TRL and OpenRLHF.

    Prompts and responses: texts to score, 64 of them at most; without them built-in ones. ``model``: the
    reward model it was made from, whose rewards it must give. What is not installed is said to be untested.
    """
    place = Path(folder)
    if not (place / "reward_card.json").is_file():
        raise TruewardError(
            f"{place} is no export: it has no reward_card.json; give the folder that trueward export wrote"
        )
    checks: list[Check] = []
    try:
        loaded = Loaded.of(place, prompts, responses, model)
    except Failure as e:
        return Verified(place, (Check("loads", False, str(e)),))
    for name, make in CHECKS.items():
        try:
            checks.append(Check(name, True, make(loaded)))
        except Failure as e:
            checks.append(Check(name, False, str(e)))
        except Skipped as e:
            checks.append(Check(name, None, str(e)))
    return Verified(place, tuple(checks))


def files(at: Loaded) -> str:
    """Files are there and are those that the card speaks of; config keys as every consumer wants them."""
    lost = [name for name in FILES if not (at.folder / name).is_file()]
    if lost:
        raise Failure(f"{', '.join(lost)} should be there and are not: export again")
    if sha256(sorted(at.folder.glob("*.safetensors"))) != at.card["weights_sha256"]:
        raise Failure(
            "the weights are not those of the card: export again, or copy the folder again"
        )
    if sha256([at.folder / "config.json"]) != at.card["config_hash"]:
        raise Failure("config.json is not that of the card: it was changed by hand")
    config = json.loads((at.folder / "config.json").read_text("utf-8"))
    wrong = [k for k in ABSENT if k in config]
    if wrong:
        raise Failure(f"config.json has {', '.join(wrong)}, which change how the head is loaded")
    if config.get("problem_type") != "regression" or config.get("id2label") != {"0": "LABEL_0"}:
        raise Failure("config.json must say problem_type regression and one label, LABEL_0")
    return "files, hashes and config keys are in order"


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
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    kinds: list[dict[str, Any]] = [{}, {"date_string": "01 Jan 1999"}, {"enable_thinking": True}]
    made = {at.tokenizer.apply_chat_template(chat, tokenize=False, **kind) for kind in kinds}
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


def documents(at: Loaded) -> str:
    """The cards can be read."""
    text = (at.folder / "README.md").read_text("utf-8")
    front = yaml.safe_load(text.split("---")[1]) if text.startswith("---") else None
    if not isinstance(front, dict) or front.get("library_name") != "transformers":
        raise Failure("README.md has no front matter that says library_name: transformers")
    wanted = (
        "name",
        "version",
        "polarity",
        "head",
        "template",
        "reference",
        "calibration",
        "serve",
        "method",
    )
    lost = [k for k in wanted if k not in at.card]
    if at.card.get("schema") != SCHEMA or lost:
        raise Failure(
            f"reward_card.json is not of {SCHEMA} (it lacks {', '.join(lost) or 'the schema'})"
        )
    return "model card and reward card can be read"


def vllm(_at: Loaded) -> str:
    """What /classify gives: it takes a server, which is not started from here."""
    there = importlib.util.find_spec("vllm") is not None
    where = "compare /classify of `vllm serve FOLDER`" if there else "vLLM is not installed here"
    raise Skipped(f"{where}; the pooler config in the card makes it give P(preferred)")


CHECKS: dict[str, Callable[[Loaded], str]] = {
    "files": files,
    "padding": padding,
    "bos": bos,
    "template": template,
    "truncation": truncation,
    "documents": documents,
    "reward model": _parity.reward_model,
    "own forward": _parity.own_forward,
    "export dtype": _parity.export_dtype,
    "TRL": _parity.trl,
    "OpenRLHF": _parity.openrlhf,
    "rollouts": _parity.rollouts,
    "order": _parity.order,
    "offset": _parity.offset,
    "vLLM": vllm,
}
