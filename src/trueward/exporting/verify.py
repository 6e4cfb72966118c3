"""Check that an exported folder gives the same scores wherever it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.arguments import NUMBER, PATH, TEXT, require_kinds
from trueward.core.errors import TruewardError, UsageError
from trueward.model.reward_model import fitted

from . import verify_classifier, verify_encoder, verify_scorer, verify_sentence
from .card import SCHEMA
from .loaded_classifier import LoadedClassifier
from .loaded_encoder import EncoderClassifier
from .shipped_code import folder_kind
from .verify_rules import RuleBroken, RuleSkipped, read_json, texts_to_score
from .verify_scorer import LoadedScorer
from .verify_scores import BFLOAT16
from .verify_sentence import LoadedEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trueward.data.log import Log
    from trueward.model.reward_model import RewardModel


@dataclass(frozen=True)
class Check:
    """The result of one rule.

    Attributes
    ----------
    name : str
        Name of the rule.
    passed : bool or None
        Whether the folder keeps the rule; None where it cannot be tested here.
    sentence : str
        What was measured, or what is wrong and what to do.

    """

    name: str
    passed: bool | None
    sentence: str


@dataclass(frozen=True)
class Verification:
    """The result of `verify_export`.

    Attributes
    ----------
    folder : Path
        The checked folder.
    checks : tuple of Check
        One check for every rule.

    """

    folder: Path
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return all(c.passed is not False for c in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {"passed": self.passed, "checks": [vars(c) for c in self.checks]}

    def __str__(self) -> str:
        """Return one line for each check, and a last line with the result."""
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


def verify_export(
    folder: str | Path,
    prompts: Log | Sequence[str] | None = None,
    responses: Sequence[str] | None = None,
    *,
    model: RewardModel | str | Path | None = None,
    allow_remote_code: bool = False,
    url: str | None = None,
    rounding: float = BFLOAT16,
) -> Verification:
    """Check an exported folder as its consumers read it: files, tokens and scores.

    The scores are computed as transformers, TRL, OpenRLHF, sentence-transformers or the folder's own scorer
    do. They are compared with each other, and with those of the model.

    Parameters
    ----------
    folder : str or Path
        A folder that `export` wrote.
    prompts : Log or sequence of str, optional
        Prompts to score, or a log, which also has the responses. 64 are scored, drawn at random from all; by
        default built-in texts.
    responses : sequence of str, optional
        One response for each prompt; None with a log.
    model : RewardModel, str or Path, optional
        The model that was exported, or its folder. The folder must give its rewards.
    allow_remote_code : bool, default=False
        Run the code in the folder, provided that this or a released version wrote it.
    url : str, optional
        Address of a server of the folder with vLLM's ``/classify``, whose scores are compared.
    rounding : float, default=0.1
        Root mean square change of the scores that an export in bfloat16 may cost, in standard deviations.

    Returns
    -------
    Verification
        One check for each rule. A rule whose library is not installed has ``passed`` None.

    Raises
    ------
    TruewardError
        If the folder is no export.
    UsageError
        If ``url`` is given for a folder that vLLM cannot serve, or ``rounding`` is not above 0.

    Examples
    --------
    >>> verify_export("nowhere")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    trueward.core.errors.TruewardError: nowhere is no export: it has no reward_card.json; ...

    """
    require_kinds(
        "verify_export", folder=(folder, PATH), url=(url, TEXT.or_none), rounding=(rounding, NUMBER)
    )
    path = Path(folder)
    if not (path / "reward_card.json").is_file():
        raise TruewardError(
            f"{path} is no export: it has no reward_card.json; give a folder that trueward export wrote"
        )
    if not rounding > 0:
        raise UsageError(f"rounding: expected a number of sd above 0, found {rounding:g}")
    pairs = texts_to_score(prompts, responses)
    exported = None if model is None else fitted(model, "verify_export")
    try:
        kind = folder_kind(path, allow_code=allow_remote_code)
        _refuse_url(path, url, kind)
        loaded, rules = _open(path, pairs, exported, kind, url, rounding)
    except RuleBroken as e:
        return Verification(path, (Check("loads", False, str(e)),))
    except TruewardError:
        raise
    except (AttributeError, KeyError, TypeError) as e:
        sentence = f"reward_card.json is not of {SCHEMA} ({type(e).__name__}: {e}): export again"
        return Verification(path, (Check("loads", False, sentence),))
    except Exception as e:  # noqa: BLE001 - libraries raise anything on a damaged file
        return Verification(path, (Check("loads", False, _damage(e)),))
    return Verification(path, tuple(_check(name, rule, loaded) for name, rule in rules.items()))


verify = verify_export


def _open(
    folder: Path,
    pairs: list[tuple[str, str]],
    model: RewardModel | None,
    kind: str,
    url: str | None,
    rounding: float,
) -> tuple[Any, Mapping[str, Callable[[Any], str]]]:
    """The loaded folder, and the rules of its kind."""
    if kind == "sentence":
        return LoadedEncoder.load(folder, pairs, model), verify_sentence.RULES
    if kind == "scorer":
        return LoadedScorer.load(folder, pairs, model), verify_scorer.RULES
    if read_json(folder / "reward_card.json")["template"].get("kind") and kind == "stock":
        return EncoderClassifier.load(folder, pairs, model, url), verify_encoder.RULES
    classifier = LoadedClassifier.load(
        folder, pairs, model, allow_code=kind == "remote", url=url, rounding=rounding
    )
    return classifier, verify_classifier.RULES


def _refuse_url(folder: Path, url: str | None, kind: str) -> None:
    if url is not None and kind != "stock":
        raise UsageError(
            f"--url: vLLM cannot serve {folder}, a folder of kind {kind}; leave --url out"
        )


def _check(name: str, rule: Callable[[Any], str], loaded: Any) -> Check:
    try:
        return Check(name, True, rule(loaded))
    except RuleBroken as e:
        return Check(name, False, str(e))
    except RuleSkipped as e:
        return Check(name, None, str(e))
    except TruewardError:
        raise
    except Exception as e:  # noqa: BLE001 - libraries raise anything on a damaged file
        return Check(name, False, _damage(e))


def _damage(e: Exception) -> str:
    if isinstance(e, OSError) and e.filename:
        return f"{Path(e.filename).name} cannot be read ({e.strerror}): export again"
    reason = " ".join(str(e).split())[:160]
    return f"a file is damaged or was edited ({type(e).__name__}: {reason}): export again"
