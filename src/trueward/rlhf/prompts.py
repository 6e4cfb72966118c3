"""Prompts that a policy is trained on, as lists of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError
from trueward.data.readers import (
    match_columns,
    missing_columns_error,
    read_table,
    wanted_columns,
)
from trueward.data.readers.messages import Malformed, flatten

if TYPE_CHECKING:
    from collections.abc import Mapping

Messages = list[dict[str, str]]


def read_prompts(
    source: object, *, mapping: Mapping[str, str] | None = None, split: str | None = None
) -> list[Messages]:
    """Read the distinct prompts of a table, such as a log.

    Parameters
    ----------
    source : str, Path or table
        A table with a column ``prompt`` of texts or of lists of messages.
    mapping : mapping of str to str, optional
        Name of the column that holds ``prompt``.
    split : str, optional
        Split of a folder that has several.

    Returns
    -------
    list of lists of messages
        One list for each distinct prompt, in the order of the table. A text becomes a user message.

    Raises
    ------
    TruewardError
        If there is no column ``prompt``, or a prompt is empty or malformed.

    """
    wanted = wanted_columns(("prompt",), (), mapping)
    table = read_table(source, wanted, split)
    names = match_columns(wanted, table.names, table.source)
    if "prompt" not in names:
        raise missing_columns_error(table.source, ["prompt"], table.names)
    distinct: dict[str, Messages] = {}
    for i, value in enumerate(table.columns[names["prompt"]]):
        try:
            text = flatten(value, "user")
        except Malformed as e:
            raise TruewardError(
                f"a prompt is text or a list of messages, but {table.place(i)} {e}: correct or drop that row"
            ) from e
        if not text.strip():
            raise TruewardError(f"expected a prompt, but {table.place(i)} is empty: drop that row")
        distinct.setdefault(text, as_messages(value))
    return list(distinct.values())


def as_messages(prompt: object) -> Messages:
    """Return a prompt as a list of messages whose contents are text.

    Parameters
    ----------
    prompt : str or list of messages
        The prompt; a text becomes a user message.

    Returns
    -------
    list of messages
        The messages.

    """
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    assert isinstance(prompt, list)  # `flatten` has checked it
    return [{"role": m["role"], "content": flatten([m], m["role"])} for m in prompt]
