"""Whether an exported folder scores the same wherever it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError

from . import verify_parity as _parity
from . import verify_rules as _rules
from . import verify_scorer as _scored
from . import verify_sentence as _vectors
from . import verify_vllm as _served
from .card import SCHEMA
from .guard import form_of
from .loaded import Failure, Loaded, Skipped, asked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trueward.model.reward_model import RewardModel


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
    allow_remote_code: bool = False,
    url: str | None = None,
) -> Verified:
    """Check an export as its consumers read it: files, tokens, scores of transformers, TRL and OpenRLHF.

    Prompts and responses: texts to score, 64 of them at most; without them built-in ones. ``model``: the
    reward model it was made from, whose rewards it must give. allow_remote_code: run the code of the folder,
    if that is what this version writes. url: a server of the folder with vLLM's /classify, which is asked for
    scores. What is not installed is said to be untested.
    """
    place = Path(folder)
    if not (place / "reward_card.json").is_file():
        raise TruewardError(
            f"{place} is no export: it has no reward_card.json; give the folder that trueward export wrote"
        )
    try:
        form = form_of(place, allowed=allow_remote_code)
        if url is not None and form != "stock":
            raise UsageError(f"{place} is nothing that vLLM serves, so leave --url out")
        loaded, rules = _opened(place, asked(prompts, responses), model, form, url)
    except Failure as e:
        return Verified(place, (Check("loads", False, str(e)),))
    except (KeyError, TypeError) as e:
        lost = f"reward_card.json is not of {SCHEMA} ({e}): export again"
        return Verified(place, (Check("loads", False, lost),))
    return Verified(place, tuple(_checked(name, rule, loaded) for name, rule in rules.items()))


def _opened(
    place: Path,
    pairs: list[tuple[str, str]],
    model: RewardModel | None,
    form: str,
    url: str | None,
) -> tuple[Any, Mapping[str, Callable[[Any], str]]]:
    """The folder, and the rules of its form."""
    if form == "sentence":
        return _vectors.Vectors.of(place, pairs, model), _vectors.RULES
    if form == "scorer":
        return _scored.Scored.of(place, pairs, model), _scored.RULES
    own = Loaded.of(place, pairs, model, code=form == "remote", url=url)
    return own, RULES


def _checked(name: str, rule: Callable[[Any], str], loaded: Any) -> Check:
    try:
        return Check(name, True, rule(loaded))
    except Failure as e:
        return Check(name, False, str(e))
    except Skipped as e:
        return Check(name, None, str(e))


RULES: dict[str, Callable[[Loaded], str]] = {
    "files": _rules.files,
    "trust": _parity.trust,
    "padding": _rules.padding,
    "bos": _rules.bos,
    "template": _rules.template,
    "truncation": _rules.truncation,
    "documents": _rules.documents,
    "reward model": _parity.reward_model,
    "own forward": _parity.own_forward,
    "export dtype": _parity.export_dtype,
    "TRL": _parity.trl,
    "OpenRLHF": _parity.openrlhf,
    "rollouts": _parity.rollouts,
    "order": _parity.order,
    "offset": _parity.offset,
    "vLLM": _served.vllm,
}
