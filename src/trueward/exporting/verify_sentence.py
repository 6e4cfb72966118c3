"""Rules of a sentence-transformers folder: its embedding is the reward, alone and in a batch."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from trueward.features.transformers import loading
from trueward.features.transformers.locate import open_model
from trueward.features.transformers.reading_options import ReadingOptions
from trueward.features.transformers.sentence_transformers_layout import load_dense, parse_pooling
from trueward.features.transformers.token_pooling import pool_tokens
from trueward.features.transformers.transformer import Transformer

from .folder_files import config_folder
from .loaded_classifier import require_two
from .verify_rules import (
    RuleBroken,
    RuleSkipped,
    check_cards,
    check_files,
    model_rewards,
    read_json,
)
from .verify_scores import (
    FLOAT32,
    MODEL,
    compare,
    compare_ranks,
    compare_with_model,
    rounding_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from trueward.model.reward_model import RewardModel

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "modules.json", "README.md")


@dataclass(frozen=True, eq=False)
class LoadedEncoder:
    """A sentence-transformers folder that is computed by hand, and the texts that it is checked on."""

    #: the exported folder
    folder: Path
    #: its reward card
    card: dict[str, Any]
    #: its transformer and pooling
    backbone: Transformer
    #: n prompts with their responses
    pairs: list[tuple[str, str]]
    #: the reward model that was exported, if given
    model: RewardModel | None

    @staticmethod
    def load(
        folder: Path, pairs: list[tuple[str, str]], model: RewardModel | None
    ) -> LoadedEncoder:
        """Open a folder.

        Parameters
        ----------
        folder : Path
            The exported folder.
        pairs : list of (str, str)
            Prompts and responses; those that are too long for the model are left out.
        model : RewardModel or None
            The model that was exported.

        Returns
        -------
        LoadedEncoder
            The folder.

        Raises
        ------
        RuleBroken
            If a file cannot be read, or fewer than two texts are short enough.

        """
        card = read_json(folder / "reward_card.json")
        template, max_length = card["template"]["kind"], int(card["template"]["max_length"])
        files = open_model(config_folder(folder).resolve(), str(folder))
        pooling = parse_pooling(read_json(folder / "1_Pooling" / "config.json"), files)
        layers = loading.layer_count(files)
        reading = ReadingOptions(template, max_length, layers, pooling, "float32", False, ())
        unlimited = Transformer(files, replace(reading, max_length=10**9), "cpu").rendering
        rows, _ = unlimited.tokenize(*map(list, zip(*pairs, strict=True)))
        short = [pair for pair, row in zip(pairs, rows, strict=True) if len(row.ids) <= max_length]
        require_two(len(short), max_length)
        return LoadedEncoder(folder, card, Transformer(files, reading, "cpu"), short, model)

    @cached_property
    def embeddings(self) -> Tensor:
        """Vectors (n, d) of each text alone, before the head."""
        return self._embedded(self.backbone)

    @cached_property
    def bfloat16_tolerance(self) -> float:
        """Difference in sd that bfloat16 explains: twice the largest one on these texts."""
        reading = replace(self.backbone.reading, dtype="bfloat16")
        low = self.head(self._embedded(Transformer(self.backbone.folder, reading, "cpu")))
        return 2 * float((low - self.scores).abs().max()) / self.sd

    def _embedded(self, backbone: Transformer) -> Tensor:
        prompts, responses = map(list, zip(*self.pairs, strict=True))
        rows, _ = backbone.rendering.tokenize(prompts, responses)
        vectors = []
        with torch.inference_mode():
            for row in rows:
                inputs = backbone.inputs([row])
                h = backbone.activations(inputs)
                vectors.append(pool_tokens(h, inputs["attention_mask"], backbone.reading.pooling))
        return self._through(torch.cat(vectors), self._modules[: self._head_start])

    @cached_property
    def scores(self) -> Tensor:
        """Rewards (n,) computed by hand."""
        return self.head(self.embeddings)

    def head(self, embeddings: Tensor) -> Tensor:
        """Apply the modules of the head.

        Parameters
        ----------
        embeddings : Tensor of shape (n, d)
            Vectors before the head.

        Returns
        -------
        Tensor of shape (n,)
            The rewards.

        """
        return self._through(embeddings, self._modules[self._head_start :])[:, 0]

    @property
    def sd(self) -> float:
        """Standard deviation of the scores, the unit of tolerances."""
        return max(float(self.scores.std()), 1e-12)

    @cached_property
    def _modules(self) -> list[tuple[str, str]]:
        """Kind and folder of every module after the pooling."""
        listed = read_json(self.folder / "modules.json")[2:]
        return [(m["type"].rpartition(".")[2], m["path"]) for m in listed]

    @cached_property
    def _head_start(self) -> int:
        """Number of the first module of the head."""
        return len(self._modules) - int(self.card["head"]["modules"])

    def _through(self, v: Tensor, modules: list[tuple[str, str]]) -> Tensor:
        for kind, path in modules:
            dense = kind == "Dense"
            v = (
                load_dense(replace(self.backbone.folder, path=self.folder), path)(v)
                if dense
                else torch.nn.functional.normalize(v)
            )
        return v


def _files(at: LoadedEncoder) -> str:
    """Files exist and have the hashes of the card."""
    check_files(at.folder, at.card, FILES)
    return "files and hashes are in order"


def _documents(at: LoadedEncoder) -> str:
    """Both cards can be read."""
    return check_cards(at.folder, at.card, "sentence-transformers")


def _stock_loaders(at: LoadedEncoder) -> str:
    """Loaders of classifiers refuse the folder, and put no random head in the place of its own."""
    if config_folder(at.folder) == at.folder:
        raise RuleSkipped(
            "an earlier version wrote this folder, which AutoModelForSequenceClassification, CrossEncoder "
            "and TRL load with a random head: use SentenceTransformer alone, or export again"
        )
    with loading.quiet_transformers() as transformers, torch.random.fork_rng(devices=[]):
        try:
            transformers.AutoModelForSequenceClassification.from_pretrained(at.folder)
        except (OSError, ValueError):
            return "AutoModelForSequenceClassification refuses it"
    raise RuleBroken(
        "AutoModelForSequenceClassification loads it, with a random head: remove config.json from its top "
        "folder"
    )


def _truncation(at: LoadedEncoder) -> str:
    """Truncation keeps the end of a text that is too long."""
    if at.backbone.rendering.tokenizer.truncation_side != "left":
        raise RuleBroken(
            "truncation cuts the end of the response: set truncation_side to left in "
            "tokenizer_config.json"
        )
    return "a text that is too long loses its beginning"


def _reward_model(at: LoadedEncoder) -> str:
    """The rewards equal those of the exported model."""
    expected = model_rewards(at.model, at.pairs)
    if at.card["head"]["kind"] == "distilled":
        return compare_ranks(at.scores, expected, at.card["head"]["rank_correlation"])
    tolerance = MODEL
    if at.model and json.loads(at.model.backbone or "{}").get("dtype") == "bfloat16":
        tolerance += at.bfloat16_tolerance
    return compare_with_model(at.head, at.embeddings, expected, tolerance, at.sd, at.pairs)


def _library(at: LoadedEncoder) -> str:
    """The library sentence-transformers gives the rewards, in a batch and alone."""
    if importlib.util.find_spec("sentence_transformers") is None:
        raise RuleSkipped("sentence-transformers is not installed")
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - heavy

    with loading.quiet_transformers(), torch.random.fork_rng(devices=[]):
        model = SentenceTransformer(str(at.folder), device="cpu", trust_remote_code=False)
    pair = at.backbone.reading.template == "pair"
    texts = at.pairs if pair else [f"{p}\n\n{r}" for p, r in at.pairs]
    single = [model.encode([text], show_progress_bar=False) for text in texts]
    batch = model.encode(texts, batch_size=8, show_progress_bar=False)
    if batch.shape[1:] != (1,):
        raise RuleBroken(
            f"encode gives an array of shape {batch.shape[1:]} for each text, expected (1,): export again"
        )
    ways = torch.from_numpy(batch[:, 0]), torch.tensor([float(one[0, 0]) for one in single])
    allowed = 10 * FLOAT32 + rounding_error(at.head, at.embeddings) / at.sd
    for scores in ways:
        sentence = compare(scores, at.scores, allowed, at.sd, "the modules, by hand", at.pairs)
    return f"encode gives one number, in a batch and alone; {sentence}"


RULES: dict[str, Callable[[LoadedEncoder], str]] = {
    "files": _files,
    "documents": _documents,
    "stock loaders": _stock_loaders,
    "truncation": _truncation,
    "reward model": _reward_model,
    "sentence-transformers": _library,
}
