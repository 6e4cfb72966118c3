"""What turns text into features, by name or by the JSON that a model keeps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from trueward.errors import TruewardError, UsageError

from . import wordllama

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


class Backbone(Protocol):
    """Anything that gives each pair of texts a row of its own, whatever the other rows are."""

    @property
    def width(self) -> int:
        """Count the columns of a row."""

    def spec(self) -> str:
        """Give what makes the same features again, as JSON with a ``name``."""

    def encode(self, prompts: Sequence[str], responses: Sequence[str]) -> Tensor:
        """Give float16 (n, width) features, always finite."""


BACKBONES: dict[str, Callable[[], Backbone]] = {"wordllama": wordllama.load}


def backbone(name: str) -> Backbone:
    """Give a backbone by its name, or by the JSON of its `spec`.

    Raises UsageError for an unknown name and TruewardError when the JSON describes features that
    the installed version no longer makes.
    """
    spec = _parsed(name) if name.lstrip().startswith("{") else None
    wanted = str(spec.get("name")) if spec else name
    if wanted not in BACKBONES:
        raise _unknown(wanted)
    made = BACKBONES[wanted]()
    if spec and spec != json.loads(made.spec()):
        raise TruewardError(
            f"these features were made by {name}, but the installed version is {made.spec()}: "
            "install the versions that made them, or encode and fit again"
        )
    return made


def _parsed(text: str) -> dict[str, object]:
    try:
        spec = json.loads(text)
    except json.JSONDecodeError as e:
        raise UsageError(f"a backbone is a name or a JSON object, and {text!r} is neither") from e
    return dict(spec)


def _unknown(name: str) -> UsageError:
    known = ", ".join(sorted(BACKBONES))
    if name.partition(":")[0] == "precomputed":
        return UsageError(
            "precomputed features are aligned with the rows of one log and cannot read other text: "
            f"give them to encode(log, backbone={name!r}), or choose one of {known}"
        )
    if "/" in name or name.partition(":")[0] == "transformers":
        return UsageError(
            f"{name!r} names a transformer, which needs the extra `trueward[text]` and is not in "
            f"this version: choose one of {known}, or give its vectors as precomputed:PATH"
        )
    return UsageError(f"there is no backbone {name!r}: choose one of {known}, or precomputed:PATH")
