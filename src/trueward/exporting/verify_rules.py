"""What the rules of all exported folders share: texts to score, files and cards.

A rule takes the opened folder and returns a sentence. It raises `RuleBroken` where the folder breaks it, and
`RuleSkipped` where it cannot be tested.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError
from trueward.core.yaml_text import read_yaml

from .card import SCHEMA
from .folder_files import config_folder, sha256_of, weight_files
from .request import reference_texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from trueward.data.log import Log
    from trueward.model.reward_model import RewardModel

MAX_TEXTS = 64
SEED = 0  # of the sample of texts
WORDS = ("open", "the", "settings", "and", "choose", "what", "you", "want", "to", "keep")
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
    except (OSError, ValueError, RecursionError) as e:
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
        At most 64 prompts with their responses, drawn at random from all that are given, without
        repetitions; built-in ones where none are given.

    Raises
    ------
    TruewardError
        If one text is given: differences are in units of the scores' standard deviation.

    """
    pairs = list(dict.fromkeys(zip(*reference_texts(prompts, responses), strict=True)))
    if len(pairs) == 1:
        raise TruewardError(
            "expected 2 different reference responses or more, found 1: give a larger --reference"
        )
    chosen = random.Random(SEED).sample(range(len(pairs)), min(MAX_TEXTS, len(pairs)))  # noqa: S311
    return [pairs[i] for i in sorted(chosen)] or builtin_texts()


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
    places = folder, config_folder(folder)
    missing = [name for name in names if not any((place / name).is_file() for place in places)]
    if missing:
        raise RuleBroken(f"missing files: {', '.join(missing)}; export again")
    if sha256_of(weight_files(folder)) != card["weights_sha256"]:
        raise RuleBroken(
            "the weights do not have the hash of the card: copy the folder again, or export again"
        )
    config = config_folder(folder) / "config.json"
    if "config_hash" in card and sha256_of([config]) != card["config_hash"]:
        raise RuleBroken(
            "config.json does not have the hash of the card, so it was edited: export again"
        )


def check_cards(folder: Path, card: dict[str, Any], *libraries: str) -> str:
    """Check the front matter of README.md, and the schema and keys of the reward card.

    Parameters
    ----------
    folder : Path
        The exported folder.
    card : dict
        Its reward card.
    *libraries : str
        The expected ``library_name``, and those of earlier versions.

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
    try:
        front = read_yaml(text.split("---")[1]) if text.startswith("---") else None
    except ValueError as e:
        raise RuleBroken(f"README.md: its front matter is not valid YAML: {e}; export again") from e
    if not isinstance(front, dict) or front.get("library_name") not in libraries:
        raise RuleBroken(
            f"README.md: expected library_name: {libraries[0]} in the front matter; export again"
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
