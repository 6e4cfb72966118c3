"""What the rules of all exported folders share: texts to score, files and cards, and comparisons of scores.

A rule takes the opened folder and returns a sentence. It raises `RuleBroken` where the folder breaks it, and
`RuleSkipped` where it cannot be tested.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml
from scipy.stats import spearmanr

from .card import SCHEMA, sha256_of, weight_files
from .request import reference_texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from trueward.data.log import Log
    from trueward.model.reward_model import RewardModel

MAX_TEXTS = 64
WORDS = ("open", "the", "settings", "and", "choose", "what", "you", "want", "to", "keep")
FLOAT32 = 1e-4  # of sd, between two ways to compute one number in float32
MODEL = 1e-3  # of sd, from the reward model, whose features were rounded to float16
BFLOAT16 = 2e-2  # of sd, in bfloat16
MIN_RANK = 0.9  # rank correlation of a distilled head with its model
CARD_KEYS = (
    *("name", "version", "polarity", "head", "template", "reference", "calibration", "serve"),
    "method",
)


class RuleBroken(Exception):  # noqa: N818 - a folder's fault, not an error of the library
    """The folder breaks a rule. The message says how, and what to do."""


class RuleSkipped(Exception):  # noqa: N818
    """A rule cannot be tested here. The message says why."""


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    object
        Its content.

    Raises
    ------
    RuleBroken
        If it cannot be read.

    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise RuleBroken(
            f"{path.name} cannot be read as JSON ({type(e).__name__}): export again"
        ) from e


def texts_to_score(
    prompts: Log | Sequence[str] | None, responses: Sequence[str] | None
) -> list[tuple[str, str]]:
    """Choose the texts that an export is checked on.

    Parameters
    ----------
    prompts : Log, sequence of str or None
        Prompts, or a log.
    responses : sequence of str or None
        One response for each prompt; None with a log.

    Returns
    -------
    list of (str, str)
        The first 64 prompts with their responses, or built-in ones.

    """
    pairs = list(zip(*reference_texts(prompts, responses), strict=True))
    return pairs[:MAX_TEXTS] or builtin_texts()


def builtin_texts() -> list[tuple[str, str]]:
    """Return 64 prompts and responses of many lengths."""
    return [
        (f"Question {k}: how do I do it?", " ".join((WORDS * 6)[: 1 + 3 * (k % 17)]) + ".")
        for k in range(MAX_TEXTS)
    ]


def check_files(folder: Path, card: dict[str, Any], names: tuple[str, ...]) -> None:
    """Check that files exist and have the hashes of the card.

    Parameters
    ----------
    folder : Path
        The exported folder.
    card : dict
        Its reward card.
    names : tuple of str
        Files that it must have.

    Raises
    ------
    RuleBroken
        If a file is missing, or a hash differs.

    """
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise RuleBroken(f"missing files: {', '.join(missing)}; export again")
    if sha256_of(weight_files(folder)) != card["weights_sha256"]:
        raise RuleBroken(
            "the weights do not have the hash of the card: copy the folder again, or export again"
        )
    if "config_hash" in card and sha256_of([folder / "config.json"]) != card["config_hash"]:
        raise RuleBroken(
            "config.json does not have the hash of the card, so it was edited: export again"
        )


def check_cards(folder: Path, card: dict[str, Any], library: str) -> str:
    """Check the front matter of README.md, and the schema and keys of the reward card.

    Parameters
    ----------
    folder : Path
        The exported folder.
    card : dict
        Its reward card.
    library : str
        The expected ``library_name``.

    Returns
    -------
    str
        The sentence of the rule ``documents``.

    Raises
    ------
    RuleBroken
        If one of the cards cannot be read.

    """
    text = (folder / "README.md").read_text("utf-8")
    front = yaml.safe_load(text.split("---")[1]) if text.startswith("---") else None
    if not isinstance(front, dict) or front.get("library_name") != library:
        raise RuleBroken(
            f"README.md: expected library_name: {library} in the front matter; export again"
        )
    missing = [k for k in CARD_KEYS if k not in card]
    if card.get("schema") != SCHEMA or missing:
        raise RuleBroken(
            f"reward_card.json: expected {SCHEMA}, and it lacks {', '.join(missing) or 'the schema'}; export "
            "again"
        )
    return "model card and reward card can be read"


def model_rewards(model: RewardModel | None, pairs: Sequence[tuple[str, str]]) -> Tensor:
    """Compute the rewards of the exported model before its calibration.

    Parameters
    ----------
    model : RewardModel or None
        The model, if given.
    pairs : sequence of n (str, str)
        Prompts with their responses.

    Returns
    -------
    Tensor of shape (n,), float32
        The rewards.

    Raises
    ------
    RuleSkipped
        Without a model.

    """
    if model is None:
        raise RuleSkipped(
            "the rewards were not compared with those of the model: give it with --model RM"
        )
    scores = replace(model, calibration=None).score(*map(list, zip(*pairs, strict=True)))
    assert scores.reward is not None
    return scores.reward.float()


def bfloat16_tolerance(model: RewardModel | None, dtype: str = "float32") -> float:
    """Return the tolerance for scores or features in bfloat16.

    Parameters
    ----------
    model : RewardModel or None
        The exported model, whose features may be bfloat16.
    dtype : str
        Precision of the export.

    Returns
    -------
    float
        The tolerance in sd; 0 where all is float32.

    """
    features = None if model is None else json.loads(model.backbone or "{}").get("dtype")
    return BFLOAT16 if "bfloat16" in (dtype, features) else 0.0


def compare_ranks(scores: Tensor, expected: Tensor) -> str:
    """Compare a distilled head with its model by rank.

    Parameters
    ----------
    scores, expected : Tensor of shape (n,)
        Scores of the head, and rewards of the model.

    Returns
    -------
    str
        The rank correlation.

    Raises
    ------
    RuleBroken
        If it is below 0.9.

    """
    rank = spearman(scores, expected)
    if rank < MIN_RANK:
        raise RuleBroken(
            f"the distilled head has a rank correlation of {rank:.3f} with the model, and {MIN_RANK:g} is "
            "needed: tune a linear head instead (--tune)"
        )
    return f"distilled: rank correlation {rank:.3f} with the model"


def compare(scores: Tensor, expected: Tensor, tolerance: float, sd: float, what: str) -> str:
    """Compare two ways to compute (n,) scores.

    Parameters
    ----------
    scores, expected : Tensor of shape (n,)
        The scores.
    tolerance : float
        The largest allowed difference, in ``sd``.
    sd : float
        Standard deviation of the scores.
    what : str
        What ``expected`` is, for the sentence.

    Returns
    -------
    str
        The largest difference in sd.

    Raises
    ------
    RuleBroken
        If the difference is above the tolerance, or not a number.

    """
    gap = float((scores - expected).abs().max()) / sd
    if not gap <= tolerance:
        raise RuleBroken(f"differs from {what} by up to {gap:.2g} sd; allowed: {tolerance:.2g} sd")
    return f"within {gap:.1g} sd of {what}"


def spearman(a: Tensor, b: Tensor) -> float:
    """Compute Spearman's rank correlation.

    Parameters
    ----------
    a, b : Tensor of shape (n,)
        The numbers.

    Returns
    -------
    float
        The correlation.

    """
    return float(spearmanr(a.numpy(), b.numpy()).statistic)
