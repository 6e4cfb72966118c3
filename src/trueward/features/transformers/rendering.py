"""A prompt and a response as the tokens that a language model reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError
from trueward.features.texts import sound

if TYPE_CHECKING:
    from collections.abc import Sequence

TEMPLATES = ("chat", "pair", "plain")
# A template that asks for today's date would make other features every day.
DATE = "26 Jul 2024"
CLOCK = f"{{%- macro strftime_now(format) -%}}{DATE}{{%- endmacro -%}}\n"
SLICE = 256  # texts that are tokenised at once


@dataclass(frozen=True)
class Row:
    """The tokens of one prompt and response, and the segment of each where the model has segments."""

    ids: list[int]
    types: list[int] | None


@dataclass(frozen=True, eq=False)
class Rendering:
    """chat: the model's own template; pair: the tokenizer's pair of texts; plain: p, empty line, r.

    A row of more than ``max_length`` tokens loses its earliest ones, so that the end of the response and
    what the template puts after it stay. What the tokenizer adds to a text ([CLS], [SEP], BOS, EOS) and a
    template's BOS stay too.
    """

    tokenizer: Any
    template: str
    max_length: int
    segments: bool = False  # the model tells the texts of a pair apart

    def rows(self, prompts: Sequence[str], responses: Sequence[str]) -> tuple[list[Row], int]:
        """Give the tokens of each pair, and how many pairs were cut."""
        found: list[Row] = []
        cut = 0
        for start in range(0, len(prompts), SLICE):
            part = slice(start, start + SLICE)
            coded = self._coded(
                [sound(t) for t in prompts[part]], [sound(t) for t in responses[part]]
            )
            types = coded.get("token_type_ids") if self.segments else None
            for i, ids in enumerate(coded["input_ids"]):
                kept = self._kept(ids, coded["special_tokens_mask"][i])
                cut += len(kept) < len(ids)
                own = None if types is None else [types[i][k] for k in kept] or [0]
                found.append(Row([ids[k] for k in kept] or [self._filler()], own))
        return found, cut

    def texts(self, prompts: Sequence[str], responses: Sequence[str]) -> list[str]:
        """Give the text of each pair as it is tokenised; a pair of texts is not one text."""
        if self.template == "plain":
            return [f"{p}\n\n{r}" for p, r in zip(prompts, responses, strict=True)]
        chats = [
            [{"role": "user", "content": p}, {"role": "assistant", "content": r}]
            for p, r in zip(prompts, responses, strict=True)
        ]
        source = chat_template(self.tokenizer)
        source = CLOCK + source if "strftime_now" in source else source
        from jinja2 import TemplateError  # noqa: PLC0415 - what a template may raise

        try:
            made = self.tokenizer.apply_chat_template(
                chats,
                chat_template=source,
                tokenize=False,
                add_generation_prompt=False,
                date_string=DATE,
            )
        except (TemplateError, TypeError, ValueError) as e:
            raise TruewardError(
                f"the model's chat template does not take one user message and one answer ({e}): "
                "choose template=plain or repair the template"
            ) from e
        return list(made)

    def _coded(self, prompts: list[str], responses: list[str]) -> Any:
        one = (prompts, responses) if self.template == "pair" else (self.texts(prompts, responses),)
        return self.tokenizer(
            *one,
            add_special_tokens=self.template != "chat",
            return_special_tokens_mask=True,
            return_token_type_ids=self.segments,
            return_attention_mask=False,
            truncation=False,
            padding=False,
            verbose=False,
        )

    def _kept(self, ids: list[int], added: list[int]) -> list[int]:
        """Give the places of the tokens that stay."""
        if len(ids) <= self.max_length:
            return list(range(len(ids)))
        bos = self.tokenizer.bos_token_id
        if self.template == "chat":
            fixed = [0] if bos is not None and ids[0] == bos else []
        else:
            fixed = [k for k, one in enumerate(added) if one]
        if len(fixed) >= self.max_length:
            raise UsageError(
                f"max_length={self.max_length} holds no text beside the {len(fixed)} tokens that the "
                "tokenizer adds: choose a larger one"
            )
        free = [k for k in range(len(ids)) if k not in set(fixed)]
        return sorted([*fixed, *free[len(free) - (self.max_length - len(fixed)) :]])

    def _filler(self) -> int:
        """Stand for a text that has no tokens at all."""
        known = (self.tokenizer.eos_token_id, self.tokenizer.pad_token_id, 0)
        return next(int(i) for i in known if i is not None)


def chat_template(tokenizer: Any) -> str:
    """Give the template of a tokenizer; empty if it has none."""
    found = tokenizer.chat_template
    if isinstance(found, dict):
        found = found.get("default")
    return str(found or "")
