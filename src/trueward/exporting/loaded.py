"""An export as transformers loads it, and texts to score."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from trueward.core.errors import TruewardError
from trueward.features.transformers import checkpoint
from trueward.features.transformers.pooling import pooled

from .card import weights
from .networks import Networks
from .text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from trueward.model.reward_model import RewardModel

    from .networks import Array

MOST = 64  # texts
WORDS = ("open", "the", "settings", "and", "choose", "what", "you", "want", "to", "keep")


class Failure(Exception):  # noqa: N818 - a rule that is broken is no error of ours
    """A rule is broken, and what to do."""


class Skipped(Exception):  # noqa: N818
    """A rule cannot be tested here, and why."""


def read(path: Path) -> Any:
    """Plain data out of a JSON file; Failure where there is none."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise Failure(f"{path.name} cannot be read as JSON ({type(e).__name__})") from e


@dataclass(frozen=True, eq=False)
class Loaded:
    """The folder in float32, its tokenizer and card, and canonical texts with their tokens."""

    folder: Path
    card: dict[str, Any]
    network: Any
    tokenizer: Any
    text: Text
    pairs: list[tuple[str, str]]
    texts: list[str]
    ids: list[list[int]]
    scores: Tensor  # (n,) z, each text alone, float32
    model: RewardModel | None
    code: bool  # the folder brings code, which was let run
    url: str | None  # where it is served

    @property
    def sd(self) -> float:
        """Standard deviation of the scores, which tolerances are shares of."""
        return max(float(self.scores.std()), 1e-12)

    @cached_property
    def h(self) -> Tensor:
        """Pooled activations of each text alone, (n, d) float32, by hand."""
        reading = getattr(self.network.config, "reading", None) or {
            "layer": None,
            "pooling": "last",
        }
        rows = []
        for ids in self.ids:
            given = torch.tensor([ids])
            with torch.inference_mode():
                out = self.network.base_model(input_ids=given, output_hidden_states=True)
            layer = reading["layer"]
            own = out.last_hidden_state if layer is None else out.hidden_states[layer]
            rows.append(pooled(own, torch.ones_like(given), reading["pooling"]))
        found = torch.cat(rows)
        return torch.nn.functional.normalize(found) if reading.get("normalize") else found

    def head(self, h: Tensor) -> Tensor:
        """Scores of (n, d) activations, by hand."""
        if not self.code:
            weight: Tensor = self.network.score.weight[0].detach().float()
            return h @ weight
        tensors = {k.removeprefix("score."): v for k, v in _numbers(self.folder)}
        found = Networks.of(self.network.config.head, tensors)(h.numpy())
        return torch.from_numpy(found).float()

    @staticmethod
    def of(
        folder: Path,
        pairs: list[tuple[str, str]],
        model: RewardModel | None,
        *,
        code: bool = False,
        url: str | None = None,
    ) -> Loaded:
        """Load it, and run what it brings only where ``code``; Failure where that is not clean."""
        card = read(folder / "reward_card.json")
        try:
            network, about = loaded(
                folder, torch.float32, code=code, num_labels=1, output_loading_info=True
            )
            with checkpoint.quiet() as transformers:
                tokenizer = transformers.AutoTokenizer.from_pretrained(
                    folder, trust_remote_code=code
                )
        except TruewardError:
            raise
        except Exception as e:
            raise Failure(f"transformers cannot load it ({' '.join(str(e).split())[:160]})") from e
        lost, more = set(about["missing_keys"]), set(about["unexpected_keys"]) - {"score.bias"}
        if lost or more:
            raise Failure(
                f"transformers misses {sorted(lost)[:3]} and does not know {sorted(more)[:3]}"
            )
        own = card["template"]
        text = Text(tokenizer, own["suffix"], own["bos"], False)
        made = [(pair, text.canonical(*pair)) for pair in pairs]
        given, texts, ids = _fitting([(*m, text.ids(m[1])) for m in made], own["max_length"])
        scores = torch.stack([scored(network.eval(), [i])[0] for i in ids])
        return Loaded(
            *(folder, card, network, tokenizer, text, given, texts, ids, scores, model, code, url)
        )


def _fitting(
    made: list[tuple[tuple[str, str], str, list[int]]], most: int
) -> tuple[list[tuple[str, str]], list[str], list[list[int]]]:
    """Pairs, texts and tokens of those that need no cutting, which everyone does in its own way."""
    fit = [one for one in made if len(one[2]) <= most]
    if len(fit) < 2:
        raise Failure(f"fewer than 2 texts have at most {most} tokens: give shorter ones")
    return [m[0] for m in fit], [m[1] for m in fit], [m[2] for m in fit]


def loaded(folder: Path, dtype: torch.dtype, *, code: bool, **more: Any) -> Any:
    """The classifier in a folder as transformers loads it; its own code runs only where ``code``."""
    with checkpoint.quiet() as transformers:
        return transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=dtype, trust_remote_code=code, **more
        )


def _numbers(folder: Path) -> Iterator[tuple[str, Array]]:
    for file in weights(folder):
        with safe_open(file, "numpy") as f:
            for name in f.keys():  # noqa: SIM118 - it is no mapping
                if name.startswith("score."):
                    yield name, f.get_tensor(name)


def padded(rows: Sequence[Sequence[int]], pad: int, *, left: bool = False) -> tuple[Tensor, Tensor]:
    """Tokens and mask of a batch, (n, t) each, padded on one side."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        at = slice(longest - len(row), longest) if left else slice(0, len(row))
        ids[i, at], mask[i, at] = torch.tensor(row), 1
    return ids, mask


def scored(network: Any, rows: Sequence[Sequence[int]], pad: int = 0) -> Tensor:
    """(n,) logits of a batch, as the class itself gives them."""
    ids, mask = padded(rows, pad)
    with torch.inference_mode():
        out: Tensor = network(input_ids=ids, attention_mask=mask).logits[:, 0].float()
    return out


def asked(prompts: Sequence[str] | None, responses: Sequence[str] | None) -> list[tuple[str, str]]:
    """The texts that were given, as many as are scored; else built-in ones."""
    return list(zip(prompts or (), responses or (), strict=True))[:MOST] or probes()


def probes() -> list[tuple[str, str]]:
    """Dialogues of many lengths."""
    return [
        (f"Question {k}: how do I do it?", " ".join((WORDS * 6)[: 1 + 3 * (k % 17)]) + ".")
        for k in range(MOST)
    ]
