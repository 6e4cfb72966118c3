"""An exported classifier on an encoder, with the texts that it is checked on and their scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from trueward.features.transformers import loading
from trueward.features.transformers.locate import open_model
from trueward.features.transformers.reading_options import ReadingOptions
from trueward.features.transformers.token_pooling import pool_tokens
from trueward.features.transformers.transformer import Transformer

from .classifier_heads import HEADS
from .loaded_classifier import load_both, require_two
from .verify_rules import RuleBroken, read_json
from .verify_scores import FLOAT32, compare, rounding_error

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from trueward.model.reward_model import RewardModel


@dataclass(frozen=True, eq=False)
class EncoderClassifier:
    """A stock classifier on an encoder, and the texts that it is checked on."""

    #: the exported folder
    folder: Path
    #: its reward card
    card: dict[str, Any]
    #: the classifier, as transformers loads it
    network: Any
    #: its tokenizer
    tokenizer: Any
    #: the encoder of the folder, as the fit reads it
    backbone: Transformer
    #: n prompts with their responses
    pairs: list[tuple[str, str]]
    #: the reward model that was exported, if given
    model: RewardModel | None
    #: address of a server of the folder
    url: str | None

    @staticmethod
    def load(
        folder: Path, pairs: list[tuple[str, str]], model: RewardModel | None, url: str | None
    ) -> EncoderClassifier:
        """Load a folder.

        Parameters
        ----------
        folder : Path
            The exported folder.
        pairs : list of (str, str)
            Prompts and responses; those that are too long for the model are left out.
        model : RewardModel or None
            The model that was exported.
        url : str or None
            Address of a server of the folder.

        Returns
        -------
        EncoderClassifier
            The folder.

        Raises
        ------
        RuleBroken
            If transformers cannot load it, or fewer than two texts are short enough.

        """
        card = read_json(folder / "reward_card.json")
        template, max_length = card["template"]["kind"], int(card["template"]["max_length"])
        network, tokenizer = load_both(folder, allow_code=False)
        if network.config.model_type not in HEADS:
            raise RuleBroken(
                f"config.json names a {network.config.model_type}, whose head export does not write: export "
                "again"
            )
        files = open_model(folder.resolve(), str(folder))
        layers, pooling = loading.layer_count(files), card["head"]["pooling"]
        reading = ReadingOptions(template, max_length, layers, pooling, "float32", False, ())
        unlimited = Transformer(files, replace(reading, max_length=10**9), "cpu").rendering
        rows, _ = unlimited.tokenize(*map(list, zip(*pairs, strict=True)))
        short = [pair for pair, row in zip(pairs, rows, strict=True) if len(row.ids) <= max_length]
        require_two(len(short), max_length)
        backbone = Transformer(files, reading, "cpu")
        return EncoderClassifier(
            folder, card, network.eval(), tokenizer, backbone, short, model, url
        )

    @cached_property
    def _inputs(self) -> list[dict[str, Tensor]]:
        """Arguments of the model for each text alone, with the tokens of the fit."""
        rows, _ = self.backbone.rendering.tokenize(*map(list, zip(*self.pairs, strict=True)))
        return [self.backbone.inputs([row]) for row in rows]

    @cached_property
    def scores(self) -> Tensor:
        """Scores (n,) of the classifier for each text alone."""
        return torch.cat([self.logits(inputs) for inputs in self._inputs])

    @cached_property
    def activations(self) -> Tensor:
        """Pooled activations (n, d) of each text alone, without the classifier."""
        pooling = self.backbone.reading.pooling
        with torch.inference_mode():
            return torch.cat(
                [
                    pool_tokens(self.backbone.activations(i), i["attention_mask"], pooling)
                    for i in self._inputs
                ]
            )

    def logits(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the scores (n,) of the classifier for the arguments of a batch."""
        with torch.inference_mode():
            scores: Tensor = self.network(**inputs).logits[:, 0].float()
        return scores

    def head(self, activations: Tensor) -> Tensor:
        """Return the scores (n,) of the classifier's head on pooled activations (n, d), by hand."""
        return HEADS[self.network.config.model_type](self.network, activations)

    @property
    def sd(self) -> float:
        """Standard deviation of the scores, the unit of tolerances."""
        return max(float(self.scores.std()), 1e-12)

    @cached_property
    def tolerance(self) -> float:
        """Difference in sd between two ways to compute a score in float32."""
        return FLOAT32 + rounding_error(self.head, self.activations) / self.sd

    @property
    def pair(self) -> bool:
        """Whether the model reads prompt and response as a pair of texts."""
        return self.backbone.reading.template == "pair"

    def texts(self) -> list[str]:
        """Return the texts of a model that reads one text."""
        return self.backbone.rendering.texts(*map(list, zip(*self.pairs, strict=True)))

    def equal(self, scores: Tensor, what: str) -> str:
        """Compare scores (n,) of another library with those of the classifier."""
        return compare(scores, self.scores, self.tolerance, self.sd, what, self.pairs)
