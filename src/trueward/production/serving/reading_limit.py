"""How much of a text the model reads, and which texts are longer."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

MARGIN = 8  # tokens that the template may add beside what it adds to empty texts


@dataclass(frozen=True, eq=False)
class ReadingLimit:
    """The longest text that the model reads whole.

    Attributes
    ----------
    most : int or None
        The limit; None: not known, as of an embeddings server.
    unit : str
        ``characters`` of the prompt and of the response, each; or ``tokens`` of both together.
    rendering : PromptRendering or None
        Tokenizes, without a limit, where the unit is tokens.
    overhead : int
        Tokens that the template adds to a text, at most.

    """

    most: int | None
    unit: str
    rendering: Any = None
    overhead: int = 0

    @staticmethod
    def of(spec: str | None) -> ReadingLimit:
        """Return the limit of a backbone.

        Parameters
        ----------
        spec : str or None
            JSON description of the backbone.

        """
        from trueward.features import backbone  # noqa: PLC0415 - loads text models
        from trueward.features.texts import HEAD, TAIL  # noqa: PLC0415
        from trueward.features.transformers.transformer import Transformer  # noqa: PLC0415 - loads torch

        if spec is None:
            return ReadingLimit(None, "characters")
        if json.loads(spec)["name"] == "wordllama":
            return ReadingLimit(HEAD + TAIL, "characters")
        model = backbone(spec)
        if not isinstance(model, Transformer):
            return ReadingLimit(None, "characters")
        most = model.reading.max_length
        rendering = replace(model.rendering, max_length=2**31)
        (empty,), _ = rendering.tokenize([""], [""])
        return ReadingLimit(most, "tokens", rendering, len(empty.ids) + MARGIN)

    def excess(self, prompts: Sequence[str], responses: Sequence[str]) -> list[int | None]:
        """Return the size of each pair of texts that the model cannot read whole, else None.

        Parameters
        ----------
        prompts, responses : sequence of str, length n
            The texts.

        Returns
        -------
        list of int or None, length n
            In the unit of the limit.

        """
        pairs = list(zip(prompts, responses, strict=True))
        if self.most is None:
            return [None] * len(pairs)
        if self.rendering is None:
            longest = [max(len(p), len(r)) for p, r in pairs]
            return [size if size > self.most else None for size in longest]
        found: list[int | None] = [None] * len(pairs)
        near = [i for i, pair in enumerate(pairs) if not self._is_short(*pair)]
        if near:
            rows, _ = self.rendering.tokenize(
                [prompts[i] for i in near], [responses[i] for i in near]
            )
            for i, row in zip(near, rows, strict=True):
                found[i] = len(row.ids) if len(row.ids) > self.most else None
        return found

    def _is_short(self, prompt: str, response: str) -> bool:
        """Whether the texts fit without a count: an ASCII character is at most one token."""
        assert self.most is not None
        ascii_only = prompt.isascii() and response.isascii()
        return ascii_only and len(prompt) + len(response) + self.overhead <= self.most
