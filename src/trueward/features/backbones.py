"""What turns text into features, by name or by the JSON that a model keeps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from trueward.core.errors import TruewardError, UsageError

from . import endpoint
from .builtin import wordllama
from .naming import parted
from .transformers import transformer

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

    def remarks(self) -> list[str]:
        """Say what a user should know of the rows encoded since the last call, such as texts cut."""


BACKBONES: dict[str, Callable[[], Backbone]] = {"wordllama": wordllama.load}
REMADE: dict[str, Callable[[dict[str, Any]], Backbone]] = {
    "transformers": transformer.remade,
    "endpoint": endpoint.remade,
}
PLACE = ("model", "revision")  # where the files of a spec are; their digest says what they are


def backbone(name: str) -> Backbone:
    """Give a backbone by its name, or by the JSON of its `spec`.

    A name is wordllama, the folder or the hub name of a transformers model, or the address of an
    embeddings endpoint; the last two take options, ``NAME,layer=-4,pooling=mean``. Raises UsageError for
    an unknown name and TruewardError when the JSON describes features that cannot be made here.
    """
    if name.lstrip().startswith("{"):
        return _remade(_parsed(name), name)
    if name in BACKBONES:
        return BACKBONES[name]()
    if name.partition(":")[0] == "precomputed":
        raise UsageError(
            "precomputed features are aligned with the rows of one log and cannot read other text: "
            f"give them to encode(log, backbone={name!r}), or choose a backbone that reads text"
        )
    source, given = parted(name)
    if source.startswith(("http://", "https://")):
        return endpoint.named(source, given)
    return transformer.named(source, given)


def identity(spec: str | None) -> str | None:
    """Give the part of a spec that decides the features, so not where a model's files lie.

    >>> identity('{"name": "transformers", "model": "/a", "digest": "7"}')
    '{"name": "transformers", "digest": "7"}'
    """
    if spec is None or '"digest"' not in spec:
        return spec
    return json.dumps({k: v for k, v in json.loads(spec).items() if k not in PLACE})


def _remade(spec: dict[str, Any], text: str) -> Backbone:
    wanted = str(spec.get("name"))
    if wanted in REMADE:
        return REMADE[wanted](spec)
    if wanted not in BACKBONES:
        raise UsageError(f"there is no backbone {wanted!r}: choose one of {', '.join(known())}")
    made = BACKBONES[wanted]()
    if spec != json.loads(made.spec()):
        raise TruewardError(
            f"these features were made by {text}, but the installed version is {made.spec()}: "
            "install the versions that made them, or encode and fit again"
        )
    return made


def known() -> tuple[str, ...]:
    """Name what a spec may be of."""
    return (*sorted(BACKBONES), *sorted(REMADE))


def _parsed(text: str) -> dict[str, Any]:
    try:
        spec = json.loads(text)
    except json.JSONDecodeError as e:
        raise UsageError(f"a backbone is a name or a JSON object, and {text!r} is neither") from e
    return dict(spec)
