"""Rules of a sentence-transformers folder: its embedding is the reward, alone and in a batch."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from trueward.features.transformers import checkpoint
from trueward.features.transformers.find import opened
from trueward.features.transformers.pooling import pooled
from trueward.features.transformers.reading import Reading
from trueward.features.transformers.sentence import dense_of, pooling_of
from trueward.features.transformers.transformer import Transformer

from .loaded import Failure, Skipped, read
from .verify_parity import CLOSE, OWN, close, ranked, rounding, wanted_of
from .verify_rules import cards, whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from trueward.model.reward_model import RewardModel

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "modules.json", "README.md")


@dataclass(frozen=True, eq=False)
class Vectors:
    """The folder as a backbone that is read by hand, and texts that fit into it."""

    folder: Path
    card: dict[str, Any]
    base: Transformer
    pairs: list[tuple[str, str]]
    model: RewardModel | None

    @staticmethod
    def of(folder: Path, pairs: list[tuple[str, str]], model: RewardModel | None) -> Vectors:
        """Open it; Failure where no two texts fit."""
        card = read(folder / "reward_card.json")
        about, most = card["template"]["kind"], int(card["template"]["max_length"])
        found = opened(folder.resolve(), str(folder))
        how = pooling_of(read(folder / "1_Pooling" / "config.json"), found)
        reading = Reading(about, most, checkpoint.layers(found), how, "float32", False, ())
        base = Transformer(found, reading, "cpu")
        free = Transformer(found, replace(reading, max_length=10**9), "cpu").rendering
        rows, _ = free.rows(*map(list, zip(*pairs, strict=True)))
        fit = [pair for pair, row in zip(pairs, rows, strict=True) if len(row.ids) <= most]
        if len(fit) < 2:
            raise Failure(f"fewer than 2 texts have at most {most} tokens: give shorter ones")
        return Vectors(folder, card, base, fit, model)

    @cached_property
    def h(self) -> Tensor:
        """Vectors (n, d) of each text alone, up to the head."""
        prompts, responses = map(list, zip(*self.pairs, strict=True))
        rows, _ = self.base.rendering.rows(prompts, responses)
        found = []
        with torch.inference_mode():
            for row in rows:
                inputs = self.base.inputs([row])
                h = self.base.activations(inputs)
                found.append(pooled(h, inputs["attention_mask"], self.base.reading.pooling))
        return self._through(torch.cat(found), self._modules[: self._head])

    @cached_property
    def scores(self) -> Tensor:
        """(n,) rewards by hand."""
        return self.head(self.h)

    def head(self, h: Tensor) -> Tensor:
        """(n,) rewards of vectors."""
        return self._through(h, self._modules[self._head :])[:, 0]

    @property
    def sd(self) -> float:
        """Standard deviation of the scores, which tolerances are shares of."""
        return max(float(self.scores.std()), 1e-12)

    @cached_property
    def _modules(self) -> list[tuple[str, str]]:
        """Kind and place of what follows the pooling."""
        listed = read(self.folder / "modules.json")[2:]
        return [(m["type"].rpartition(".")[2], m["path"]) for m in listed]

    @cached_property
    def _head(self) -> int:
        """Where the head begins: as many modules from the end as it has."""
        return len(self._modules) - int(self.card["head"]["modules"])

    def _through(self, v: Tensor, modules: list[tuple[str, str]]) -> Tensor:
        for kind, place in modules:
            dense = kind == "Dense"
            v = dense_of(self.base.folder, place)(v) if dense else torch.nn.functional.normalize(v)
        return v


def files(at: Vectors) -> str:
    """Files are there and are those that the card speaks of."""
    whole(at.folder, at.card, FILES)
    return "files and hashes are in order"


def documents(at: Vectors) -> str:
    """The cards can be read."""
    return cards(at.folder, at.card, "sentence-transformers")


def truncation(at: Vectors) -> str:
    """Of too long a text the end stays."""
    if at.base.rendering.tokenizer.truncation_side != "left":
        raise Failure("truncation loses the end of the response: truncation_side should be left")
    return "a text that is too long loses its beginning"


def reward_model(at: Vectors) -> str:
    """The rewards of the model it was made from."""
    wanted = wanted_of(at.model, at.pairs)
    if at.card["head"]["kind"] == "distilled":
        return ranked(at.scores, wanted)
    # features are kept as float16, so these are rounded alike
    own = at.head(at.h.half().float())
    return close(own, wanted, OWN + rounding(at.model), at.sd, "the rewards of the model")


def library(at: Vectors) -> str:
    """As sentence-transformers gives it, in a batch and alone."""
    if importlib.util.find_spec("sentence_transformers") is None:
        raise Skipped("sentence-transformers is not installed here")
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - heavy

    with torch.random.fork_rng(devices=[]):
        model = SentenceTransformer(str(at.folder), device="cpu", trust_remote_code=False)
    pair = at.base.reading.template == "pair"
    texts = at.pairs if pair else [f"{p}\n\n{r}" for p, r in at.pairs]
    alone = [model.encode([text], show_progress_bar=False) for text in texts]
    both = model.encode(texts, batch_size=8, show_progress_bar=False)
    if both.shape[1:] != (1,):
        raise Failure(f"encode gives {both.shape[1:]} numbers a text, and should give one")
    for found in (torch.from_numpy(both[:, 0]), torch.tensor([float(one[0, 0]) for one in alone])):
        said = close(found, at.scores, 10 * CLOSE, at.sd, "the modules one by one, by hand")
    return f"encode gives one number, in a batch and alone; {said}"


RULES: dict[str, Callable[[Vectors], str]] = {
    "files": files,
    "documents": documents,
    "truncation": truncation,
    "reward model": reward_model,
    "sentence-transformers": library,
}
