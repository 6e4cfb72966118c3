"""Render a prompt and a response as the tokens that a language model reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError
from trueward.features.texts import replace_surrogates

if TYPE_CHECKING:
    from collections.abc import Sequence

TEMPLATES = ("chat", "pair", "plain")
# A fixed date for templates that print today's date: the features must not change from day to day.
DATE = "26 Jul 2024"
CLOCK = f"{{%- macro strftime_now(format) -%}}{DATE}{{%- endmacro -%}}\n"
SLICE = 256  # texts per call of the tokenizer


@dataclass(frozen=True)
class TokenRow:
    """The tokens of one prompt and response.

    Attributes
    ----------
    ids : list of int
        Token ids.
    types : list of int or None
        Segment of each token; None for models without segments.

    """

    ids: list[int]
    types: list[int] | None


@dataclass(frozen=True, eq=False)
class PromptRendering:
    """How prompt and response become tokens.

    A row of more than ``max_length`` tokens loses its earliest ones, so that the end of the response and
    the template's suffix remain. Special tokens of the tokenizer ([CLS], [SEP], BOS, EOS) and the BOS of
    a chat template remain, too.

    Attributes
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        Tokenizer of the model.
    template : str
        ``chat``: the model's own chat template. ``pair``: the tokenizer's pair of texts. ``plain``:
        the prompt, an empty line and the response.
    max_length : int
        Largest number of tokens.
    segments : bool, default False
        Whether the model distinguishes the two texts of a pair.

    """

    tokenizer: Any
    template: str
    max_length: int
    segments: bool = False

    def tokenize(
        self, prompts: Sequence[str], responses: Sequence[str]
    ) -> tuple[list[TokenRow], int]:
        """Render and tokenize pairs of texts.

        Parameters
        ----------
        prompts, responses : sequence of str, length n
            Texts of the rows.

        Returns
        -------
        rows : list of TokenRow, length n
            Tokens of each pair, at least one.
        truncated : int
            Number of pairs that were truncated.

        Raises
        ------
        TruewardError
            If the chat template rejects a user message and an answer, or computes without bounds.
        UsageError
            If ``max_length`` leaves no room beside the special tokens.

        """
        rows: list[TokenRow] = []
        truncated = 0
        for start in range(0, len(prompts), SLICE):
            part = slice(start, start + SLICE)
            encoding = self._tokenizer_output(
                [replace_surrogates(t) for t in prompts[part]],
                [replace_surrogates(t) for t in responses[part]],
            )
            segments = encoding.get("token_type_ids") if self.segments else None
            for i, ids in enumerate(encoding["input_ids"]):
                positions = self._remaining(ids, encoding["special_tokens_mask"][i])
                truncated += len(positions) < len(ids)
                types = None if segments is None else [segments[i][k] for k in positions] or [0]
                rows.append(TokenRow([ids[k] for k in positions] or [self._filler()], types))
        return rows, truncated

    def texts(self, prompts: Sequence[str], responses: Sequence[str]) -> list[str]:
        """Return the text that is tokenized for each pair, with template ``chat`` or ``plain``.

        Parameters
        ----------
        prompts, responses : sequence of str, length n
            Texts of the rows.

        Returns
        -------
        list of str, length n

        Raises
        ------
        TruewardError
            If the chat template rejects a user message and an answer.

        """
        if self.template == "plain":
            return [f"{p}\n\n{r}" for p, r in zip(prompts, responses, strict=True)]
        chats = [
            [{"role": "user", "content": p}, {"role": "assistant", "content": r}]
            for p, r in zip(prompts, responses, strict=True)
        ]
        source = chat_template(self.tokenizer)
        source = CLOCK + source if "strftime_now" in source else source
        return render_chats(
            self.tokenizer, chats, source, add_generation_prompt=False, date_string=DATE
        )

    def _tokenizer_output(self, prompts: list[str], responses: list[str]) -> Any:
        pair = self.template == "pair"
        texts = (prompts, responses) if pair else (self.texts(prompts, responses),)
        return self.tokenizer(
            *texts,
            add_special_tokens=self.template != "chat",
            return_special_tokens_mask=True,
            return_token_type_ids=self.segments,
            return_attention_mask=False,
            truncation=False,
            padding=False,
            verbose=False,
        )

    def _remaining(self, ids: list[int], special: list[int]) -> list[int]:
        """Return the positions of the tokens that remain after truncation."""
        if len(ids) <= self.max_length:
            return list(range(len(ids)))
        bos = self.tokenizer.bos_token_id
        if self.template == "chat":
            fixed = [0] if bos is not None and ids[0] == bos else []
        else:
            fixed = [k for k, is_special in enumerate(special) if is_special]
        if len(fixed) >= self.max_length:
            raise UsageError(
                f"max_length={self.max_length} leaves no room for text beside the {len(fixed)} special "
                "tokens of the tokenizer: choose a larger one"
            )
        free = [k for k in range(len(ids)) if k not in set(fixed)]
        return sorted([*fixed, *free[len(free) - (self.max_length - len(fixed)) :]])

    def _filler(self) -> int:
        """Return the token of a text that has no tokens at all."""
        candidates = (self.tokenizer.eos_token_id, self.tokenizer.pad_token_id, 0)
        return next(int(i) for i in candidates if i is not None)


def render_chats(
    tokenizer: Any, chats: Sequence[Sequence[dict[str, str]]], template: str = "", **arguments: Any
) -> list[str]:
    """Render chats with a chat template, within bounds of steps, time and size.

    Parameters
    ----------
    tokenizer : tokenizer of transformers
        With its special tokens.
    chats : sequence of sequences of dict
        Messages with ``role`` and ``content``.
    template : str, default ""
        The template; by default that of the tokenizer.
    **arguments
        Further variables of the template.

    Returns
    -------
    list of str
        One text for each chat.

    Raises
    ------
    TruewardError
        If the template rejects the messages, or computes without bounds.

    """
    from jinja2 import TemplateError  # noqa: PLC0415 - comes with transformers
    from transformers.utils import chat_template_utils  # noqa: PLC0415 - heavy

    from .bounded_templates import MARK, bounded  # noqa: PLC0415 - needs jinja

    source = template or chat_template(tokenizer)
    marked = {"chat_template": f"{MARK}{source}"} if source else {}
    characters = sum(len(message["content"]) for messages in chats for message in messages)
    try:
        with bounded(chat_template_utils, characters):
            texts = tokenizer.apply_chat_template(
                list(chats), tokenize=False, **marked, **arguments
            )
    except (
        TemplateError,
        ArithmeticError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as e:
        raise TruewardError(
            f"the model's chat template should accept one user message and one answer, and fails ({e}): "
            "choose template=plain or repair the template"
        ) from e
    return list(texts)


def chat_template(tokenizer: Any) -> str:
    """Return the chat template of a tokenizer; empty if it has none.

    Parameters
    ----------
    tokenizer : tokenizer of transformers
        Its template is text, or several by name, of which ``default`` counts.

    Returns
    -------
    str
        The template, in Jinja.

    """
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return str(template or "")
