"""Options of a command as dataclasses, so that a command with many flags has few parameters."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Replace every parameter that is a dataclass by its fields, and build the dataclass from them.

    Parameters
    ----------
    command : callable
        A command of typer. Its parameters are options, or frozen dataclasses of options.

    Returns
    -------
    callable
        The same command with the flat signature that typer reads.

    """
    hints = typing.get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if not dataclasses.is_dataclass(kind):
            parameters.append(parameter.replace(annotation=kind, kind=parameter.KEYWORD_ONLY))
            continue
        assert isinstance(kind, type)
        groups[parameter.name] = kind
        inner = typing.get_type_hints(kind, include_extras=True)
        parameters += [
            inspect.Parameter(
                f.name, parameter.KEYWORD_ONLY, default=f.default, annotation=inner[f.name]
            )
            for f in dataclasses.fields(kind)
        ]

    def flat(**values: Any) -> None:
        for name, kind in groups.items():
            own = {f.name: values.pop(f.name) for f in dataclasses.fields(kind)}
            values[name] = kind(**own)
        command(**values)

    flat.__name__, flat.__doc__, flat.__module__ = (
        command.__name__,
        command.__doc__,
        command.__module__,
    )
    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return flat
