"""Prompts that a policy is trained on, as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError
from trueward.data.readers import absent, read_table, resolve, want
from trueward.data.readers.messages import Malformed, flatten

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_prompts(
    source: object, *, mapping: Mapping[str, str] | None = None, split: str | None = None
) -> list[list[dict[str, str]]]:
    """Read the different prompts of a table, such as a log: text is what a user says, messages stay such."""
    wanted = want(("prompt",), (), mapping)
    table = read_table(source, wanted, split)
    names = resolve(wanted, table.names, table.source)
    if "prompt" not in names:
        raise absent(table.source, ["prompt"], table.names)
    found: dict[str, list[dict[str, str]]] = {}
    for i, value in enumerate(table.columns[names["prompt"]]):
        try:
            text = flatten(value, "user")
        except Malformed as e:
            raise TruewardError(
                f"a prompt is text or a list of messages, but {table.place(i)} {e}: correct or drop that row"
            ) from e
        if not text.strip():
            raise TruewardError(
                f"a prompt asks for something, but {table.place(i)} is empty: drop it"
            )
        found.setdefault(text, _messages(value))
    return list(found.values())


def _messages(value: object) -> list[dict[str, str]]:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    assert isinstance(value, list)  # flatten has seen to it
    return [{"role": m["role"], "content": flatten([m], m["role"])} for m in value]
