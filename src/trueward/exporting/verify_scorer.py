"""Rules of a folder with a scorer: it gives the rewards, alone and in a batch, with no library of ours."""

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

from .loaded import Failure, read
from .sources import PACKAGE, sources
from .verify_parity import CLOSE, OWN, close, wanted_of
from .verify_rules import cards, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from trueward.model.reward_model import RewardModel

FILES = ("model.safetensors", "reward_card.json", "README.md", "requirements.txt")
ALONE = (
    "import runpy, sys; sys.modules.update(torch=None, trueward=None); "
    f"runpy.run_module({PACKAGE!r}, run_name='__main__')"
)
LIMIT = 600  # seconds that a process may take


@dataclass(frozen=True, eq=False)
class Scored:
    """The folder, and texts to score."""

    folder: Path
    card: dict[str, Any]
    pairs: list[tuple[str, str]]
    model: RewardModel | None

    @staticmethod
    def of(folder: Path, pairs: list[tuple[str, str]], model: RewardModel | None) -> Scored:
        """Open it."""
        return Scored(folder, read(folder / "reward_card.json"), pairs, model)

    @cached_property
    def scores(self) -> Tensor:
        """(n,) rewards of all pairs at once."""
        return self.run(self.pairs)

    @property
    def sd(self) -> float:
        """Standard deviation of the scores, which tolerances are shares of."""
        return max(float(self.scores.std()), 1e-12)

    def run(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        """(n,) rewards by a process of its own, in which neither torch nor this library can be imported.

        What runs is this version's code, which that of the folder is equal to, on the folder's numbers.
        """
        lines = [json.dumps({"prompt": p, "response": r}) for p, r in pairs]
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch, PACKAGE)
            place.mkdir()
            for name, text in sources().items():
                (place / name).write_text(text, encoding="utf-8")
            for name in ("model.safetensors", "reward_card.json"):
                Path(scratch, name).write_bytes((self.folder / name).read_bytes())
            try:
                done = subprocess.run(  # noqa: S603 - this interpreter, our own code
                    [sys.executable, "-c", ALONE],
                    cwd=scratch,
                    input="\n".join(lines),
                    capture_output=True,
                    text=True,
                    timeout=LIMIT,
                    check=False,
                )
            except subprocess.TimeoutExpired as e:
                raise Failure(f"the scorer takes more than {LIMIT} seconds") from e
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise Failure(f"the scorer stops with: {last[:200]}")
        return torch.tensor([json.loads(line)["reward"] for line in done.stdout.splitlines()])


def files(at: Scored) -> str:
    """Files are there and are those that the card speaks of."""
    whole(at.folder, at.card, FILES)
    return f"files and hashes are in order, and {PACKAGE} is that of this version"


def documents(at: Scored) -> str:
    """The cards can be read."""
    return cards(at.folder, at.card, "numpy")


def features(at: Scored) -> str:
    """The wordllama that is installed is the one that the model was fitted on."""
    here = json.loads(load().spec())
    if at.card.get("features") != here:
        raise Failure(
            f"the model reads the features {at.card.get('features')}, and the wordllama here makes {here}: "
            "install the one that it was fitted on"
        )
    return f"wordllama {here['weights']}, version {here['version']} of the features"


def alone(at: Scored) -> str:
    """Neither the order of the lines nor their number moves a score."""
    turned = at.run(at.pairs[::-1]).flip(0)
    said = close(turned, at.scores, CLOSE, at.sd, "the same lines in another order")
    close(at.run(at.pairs[:1]), at.scores[:1], CLOSE, at.sd, "the first line alone")
    return f"without torch or trueward; {said}"


def reward_model(at: Scored) -> str:
    """The rewards of the model it was made from."""
    return close(at.scores, wanted_of(at.model, at.pairs), OWN, at.sd, "the rewards of the model")


RULES: dict[str, Callable[[Scored], str]] = {
    "files": files,
    "documents": documents,
    "features": features,
    "reward model": reward_model,
    "process": alone,
}
