"""Pairs of prompt and response to be scored: texts, chat messages, or a table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from trueward.core.arguments import described
from trueward.core.errors import TruewardError, UsageError

from .log import Log
from .log_columns import PAIR_COLUMNS, require_texts
from .readers import match_columns, read_table, typed_frame, wanted_columns
from .readers.messages import Malformed, flatten
from .truth import Test

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl


def read_pairs(
    source: str | os.PathLike[str] | object,
    *,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    **columns: str,
) -> pl.DataFrame:
    """Read prompts and responses, with ``prompt_id``, ``user_id``, ``model`` and ``time`` if present.

    Parameters
    ----------
    source : str, Path or table
        As for `read_log`.
    mapping : mapping of str to str or None
        Canonical name -> column of the source.
    split : str or None
        Which split of a folder to read.
    **columns : str
        The same as ``mapping``.

    Returns
    -------
    polars.DataFrame
        One row per row of the source; ``prompt`` and ``response`` are String without nulls.

    Raises
    ------
    TruewardError
        If the source cannot be read, or lacks a prompt or a response.
    UsageError
        If the mapping or the split is wrong.

    Examples
    --------
    >>> import polars as pl
    >>> read_pairs(pl.DataFrame({"q": ["Hi"], "response": ["Hello"]}), prompt="q").columns
    ['prompt', 'response', 'prompt_id']

    """
    wanted = wanted_columns(PAIR_COLUMNS, (), mapping, **columns)
    table = read_table(source, wanted, split)
    names = match_columns(wanted, table.names, table.source)
    require_texts(table, names)
    frame = typed_frame(table, names)
    return frame.select([name for name in PAIR_COLUMNS if name in frame.columns])


def pairs_of(prompts: Any, responses: Any = None) -> tuple[list[str], list[str]]:
    """Return prompts and responses as two lists of texts of one length.

    Parameters
    ----------
    prompts : sequence of str or of messages, table, Log, Test or conversations
        The prompts; or, without ``responses``, whatever holds both: a table of prompt and response (a file,
        polars, pandas, pyarrow, `datasets`, a list of dictionaries), or one or several lists of messages
        that end with the response.
    responses : sequence of str or of messages, optional
        A response for each prompt.

    Returns
    -------
    tuple of two lists of str
        Messages are as in a log, one line ``role: content`` each.

    Raises
    ------
    UsageError
        If the arguments are of another kind.
    TruewardError
        If the numbers differ, a column is missing, or messages are malformed.

    Examples
    --------
    >>> pairs_of([{"prompt": "Hi", "response": "Hello"}])
    (['Hi'], ['Hello'])
    >>> pairs_of([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
    (['Hi'], ['Hello'])

    """
    if responses is not None:
        both = [_listed(v, name) for v, name in ((prompts, "prompts"), (responses, "responses"))]
        if len(both[0]) != len(both[1]):
            raise UsageError(
                f"there should be one prompt for each response, and found {len(both[0])} prompts and "
                f"{len(both[1])} responses"
            )
        return texts(both[0], "user"), texts(both[1], "assistant")
    if isinstance(prompts, list | tuple) and prompts and (chats := _conversations(prompts)):
        return _of_conversations(chats)
    if isinstance(prompts, list | tuple) and any(isinstance(v, str) for v in prompts):
        raise UsageError("scoring takes a response for each prompt: give responses, too")
    frame = prompts.frame if isinstance(prompts, Log | Test) else read_pairs(prompts)
    return frame["prompt"].to_list(), frame["response"].to_list()


def texts(values: Sequence[object], speaker: str) -> list[str]:
    """Turn lists of messages into the text that a log has of them.

    Parameters
    ----------
    values : sequence of str or lists of messages
        Prompts or responses.
    speaker : {"user", "assistant"}
        Who says them.

    Returns
    -------
    list of str
        The texts.

    Raises
    ------
    TruewardError
        If a value is neither text nor messages.

    """
    try:
        return [flatten(v, speaker) for v in values]
    except Malformed as e:
        raise TruewardError(
            f"a prompt or a response is text or a list of messages, but one {e}: correct it"
        ) from e


def _listed(values: Any, name: str) -> list[object]:
    if isinstance(values, str):
        raise UsageError(
            f"{name} should be a list of texts, and is one text: write [text] for a single row"
        )
    if isinstance(values, Mapping | os.PathLike) or not isinstance(values, Iterable):
        raise UsageError(f"{name} should be a list of texts, not {described(values)}")
    return list(values)


def _conversations(values: Sequence[Any]) -> list[Any] | None:
    """The lists of messages in ``values``: itself, its items, or their ``messages``; None for a table."""
    first = values[0]
    if isinstance(first, Mapping) and "role" in first:
        return [values]
    if isinstance(first, list | tuple):
        return list(values)
    if isinstance(first, Mapping) and "messages" in first and "prompt" not in first:
        return [v.get("messages") if isinstance(v, Mapping) else v for v in values]
    return None


def _of_conversations(chats: Sequence[Any]) -> tuple[list[str], list[str]]:
    for i, chat in enumerate(chats, 1):
        last = chat[-1] if isinstance(chat, list | tuple) and len(chat) > 1 else None
        if not isinstance(last, Mapping) or last.get("role") != "assistant":
            raise TruewardError(
                f"a conversation is a list of messages that ends with the response of the assistant, and "
                f"conversation {i} is {described(chat)}"
            )
    return (
        texts([list(chat[:-1]) for chat in chats], "user"),
        texts([[chat[-1]] for chat in chats], "assistant"),
    )
