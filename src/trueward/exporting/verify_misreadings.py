"""Tokens that a server makes of a text where it breaks one rule, to name the rule by its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.features.transformers.prompt_rendering import render_chats

from .chat_format import chat

if TYPE_CHECKING:
    from collections.abc import Callable

    from .loaded_classifier import LoadedClassifier


def _bos_twice(at: LoadedClassifier, k: int) -> list[int]:
    token = at.tokenizer.bos_token_id
    return [] if token is None else [token, *at.ids[k]]


def _bos_removed(at: LoadedClassifier, k: int) -> list[int]:
    ids = at.ids[k]
    return ids[1:] if ids[0] == at.tokenizer.bos_token_id else []


def _suffix_lost(at: LoadedClassifier, k: int) -> list[int]:
    end = at.card["template"]["suffix"]
    return at.chat_format.ids(at.texts[k].removesuffix(end)) if end else []


def _generation_prompt(at: LoadedClassifier, k: int) -> list[int]:
    text = render_chats(at.tokenizer, [chat(*at.pairs[k])], add_generation_prompt=True)[0]
    return at.chat_format.ids(text) if text != at.texts[k] else []


MISREADINGS: dict[str, Callable[[LoadedClassifier, int], list[int]]] = {
    "bos: the server puts BOS in front of a text that has it": _bos_twice,
    "bos: the server removes BOS": _bos_removed,
    "template: the end that the template puts after a response is lost": _suffix_lost,
    "template: a generation prompt is added after the response": _generation_prompt,
}
