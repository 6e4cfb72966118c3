"""Rules of a folder with a scorer: it gives the rewards, alone and in a batch, without torch and trueward."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trueward.features.builtin.wordllama import load

from .shipped_code import PACKAGE, scorer_sources
from .verify_rules import RuleBroken, check_cards, check_files, model_rewards, read_json
from .verify_scores import FLOAT32, MODEL, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from trueward.model.reward_model import RewardModel

FILES = ("model.safetensors", "reward_card.json", "README.md", "requirements.txt")
ALONE = (
    "import runpy, sys; sys.modules.update(torch=None, trueward=None); "
    f"runpy.run_module({PACKAGE!r}, run_name='__main__')"
)
TIMEOUT = 600  # seconds


@dataclass(frozen=True, eq=False)
class LoadedScorer:
    """A folder with a scorer, and the texts that it is checked on."""

    #: the exported folder
    folder: Path
    #: its reward card
    card: dict[str, Any]
    #: n prompts with their responses
    pairs: list[tuple[str, str]]
    #: the reward model that was exported, if given
    model: RewardModel | None

    @staticmethod
    def load(folder: Path, pairs: list[tuple[str, str]], model: RewardModel | None) -> LoadedScorer:
        """Read the card of a folder.

        Parameters
        ----------
        folder : Path
            The exported folder.
        pairs : list of (str, str)
            Prompts with their responses.
        model : RewardModel or None
            The model that was exported.

        Returns
        -------
        LoadedScorer
            The folder.

        Raises
        ------
        RuleBroken
            If the card cannot be read.

        """
        return LoadedScorer(folder, read_json(folder / "reward_card.json"), pairs, model)

    @cached_property
    def scores(self) -> Tensor:
        """Rewards (n,) of all pairs in one run."""
        return self.run(self.pairs)

    @property
    def sd(self) -> float:
        """Standard deviation of the scores, the unit of tolerances."""
        return max(float(self.scores.std()), 1e-12)

    def run(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        """Score pairs in a process that can import neither torch nor trueward.

        The process runs this version's code, which the folder's code equals, on the numbers of the folder.

        Parameters
        ----------
        pairs : sequence of (str, str)
            n prompts with their responses.

        Returns
        -------
        Tensor of shape (n,)
            The rewards.

        Raises
        ------
        RuleBroken
            If the process fails or takes more than 600 seconds.

        """
        lines = [json.dumps({"prompt": p, "response": r}) for p, r in pairs]
        with tempfile.TemporaryDirectory() as scratch:
            package = Path(scratch, PACKAGE)
            package.mkdir()
            for name, text in scorer_sources().items():
                (package / name).write_text(text, encoding="utf-8")
            for name in ("model.safetensors", "reward_card.json"):
                Path(scratch, name).write_bytes((self.folder / name).read_bytes())
            try:
                process = subprocess.run(  # noqa: S603 - this interpreter, our own code
                    [sys.executable, "-c", ALONE],
                    cwd=scratch,
                    input="\n".join(lines),
                    capture_output=True,
                    text=True,
                    timeout=TIMEOUT,
                    check=False,
                )
            except subprocess.TimeoutExpired as e:
                raise RuleBroken(
                    f"the scorer takes more than {TIMEOUT} seconds: give fewer --texts"
                ) from e
        if process.returncode:
            last = (process.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuleBroken(f"the scorer failed: {last[:200]}")
        return torch.tensor([json.loads(line)["reward"] for line in process.stdout.splitlines()])


def _files(at: LoadedScorer) -> str:
    """Files exist and have the hashes of the card."""
    check_files(at.folder, at.card, FILES)
    return f"files and hashes are in order, and {PACKAGE} is that of this version"


def _documents(at: LoadedScorer) -> str:
    """Both cards can be read."""
    return check_cards(at.folder, at.card, "trueward", "numpy")  # the latter in earlier versions


def _features(at: LoadedScorer) -> str:
    """The installed wordllama is the one that the model was fitted on."""
    installed = json.loads(load().spec())
    if at.card.get("features") != installed:
        raise RuleBroken(
            f"the model reads the features {at.card.get('features')}, and the installed wordllama makes "
            f"{installed}: install the release that it was fitted on"
        )
    return f"wordllama {installed['weights']}, version {installed['version']} of the features"


def _reward_model(at: LoadedScorer) -> str:
    """The rewards equal those of the exported model."""
    expected = model_rewards(at.model, at.pairs)
    return compare(at.scores, expected, MODEL, at.sd, "the rewards of the model", at.pairs)


def _process(at: LoadedScorer) -> str:
    """Scores depend neither on the order of the lines nor on their number."""
    reversed_order = at.run(at.pairs[::-1]).flip(0)
    sentence = compare(reversed_order, at.scores, FLOAT32, at.sd, "the same lines in another order")
    compare(at.run(at.pairs[:1]), at.scores[:1], FLOAT32, at.sd, "the first line alone")
    return f"without torch or trueward; {sentence}"


RULES: dict[str, Callable[[LoadedScorer], str]] = {
    "files": _files,
    "documents": _documents,
    "features": _features,
    "reward model": _reward_model,
    "process": _process,
}
