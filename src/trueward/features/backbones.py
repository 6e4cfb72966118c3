"""Backbones: what turns a prompt and a response into features, by name or by JSON description."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from trueward.core.errors import TruewardError, UsageError

from . import endpoint
from .backbone_names import split_name
from .builtin import wordllama
from .transformers import from_name as language_models

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


@runtime_checkable
class Backbone(Protocol):
    """Interface of a frozen text encoder.

    The features of a pair of texts must not depend on the other rows of the batch. Any object with
    these members can be given to `encode`.

    Examples
    --------
    >>> import polars as pl
    >>> import torch
    >>> import trueward as tw
    >>> class Lengths:
    ...     width = 2
    ...     def spec(self):
    ...         return '{"name": "lengths"}'
    ...     def encode(self, prompts, responses):
    ...         rows = [[len(p), len(r)] for p, r in zip(prompts, responses)]
    ...         return torch.tensor(rows, dtype=torch.float16)
    ...     def collect_warnings(self):
    ...         return []
    >>> rows = {"prompt": ["2 + 2?", "Hi"], "response": ["4", "Hello."], "feedback": [1, 0]}
    >>> tw.encode(tw.read_log(pl.DataFrame(rows)), backbone=Lengths(), cache=False).x
    tensor([[6., 1.],
            [2., 6.]], dtype=torch.float16)

    """

    @property
    def width(self) -> int:
        """Number of features of a row."""

    def spec(self) -> str:
        """Return a JSON object with a ``name`` that describes how the features are computed."""

    def encode(self, prompts: Sequence[str], responses: Sequence[str]) -> Tensor:
        """Return finite float16 features, (n, width), of n pairs of texts."""

    def collect_warnings(self) -> list[str]:
        """Return the warnings about the rows encoded since the last call, such as truncated texts."""


#: name -> function that loads the backbone
BY_NAME: dict[str, Callable[[], Backbone]] = {"wordllama": wordllama.load}
#: name in the JSON description -> function that recreates the backbone from the description
BY_SPEC: dict[str, Callable[[dict[str, Any]], Backbone]] = {
    "transformers": language_models.from_spec,
    "endpoint": endpoint.from_spec,
}
LOCATION_KEYS = ("model", "revision")  # where the files are; their content is in the digest


def backbone(name: str) -> Backbone:
    """Return the backbone with this name or JSON description.

    Parameters
    ----------
    name : str
        ``wordllama``, the folder or hub name of a transformers model, the address of an embeddings
        server (``http://HOST/v1``), or the JSON of a backbone's ``spec()``. Models and servers take
        options: ``NAME,layer=-4,pooling=mean``.

    Returns
    -------
    Backbone

    Raises
    ------
    UsageError
        If the name or an option is unknown.
    TruewardError
        If the features of a JSON description cannot be reproduced with the installed versions and files.

    Examples
    --------
    >>> backbone("wordllama").encode(["Hi"], ["Hello."]).shape
    torch.Size([1, 5376])

    """
    if name.lstrip().startswith("{"):
        return _from_spec(_parse_json(name), name)
    if name in BY_NAME:
        return BY_NAME[name]()
    if name.partition(":")[0] == "precomputed":
        raise UsageError(
            "precomputed features belong to the rows of one log and cannot encode other texts: "
            f"call encode(log, backbone={name!r}), or choose a backbone that reads text"
        )
    source, options = split_name(name)
    if source.startswith(("http://", "https://")):
        return endpoint.from_name(source, options)
    return language_models.from_name(source, options)


def identity(spec: str | None) -> str | None:
    """Return the part of a JSON description that determines the features.

    Parameters
    ----------
    spec : str or None
        JSON of a backbone's ``spec()``.

    Returns
    -------
    str or None
        The description without the location of files whose digest it contains.

    Examples
    --------
    >>> identity('{"name": "transformers", "model": "/a", "digest": "7"}')
    '{"name": "transformers", "digest": "7"}'

    """
    if spec is None or '"digest"' not in spec:
        return spec
    return json.dumps({k: v for k, v in json.loads(spec).items() if k not in LOCATION_KEYS})


def _from_spec(spec: dict[str, Any], text: str) -> Backbone:
    name = str(spec.get("name"))
    if name in BY_SPEC:
        return BY_SPEC[name](spec)
    if name not in BY_NAME:
        names = ", ".join((*sorted(BY_NAME), *sorted(BY_SPEC)))
        raise UsageError(f"there is no backbone {name!r}: choose one of {names}")
    model = BY_NAME[name]()
    if spec != json.loads(model.spec()):
        raise TruewardError(
            f"these features were computed by {text}, but the installed version is {model.spec()}: "
            "install the versions that computed them, or encode and fit again"
        )
    return model


def _parse_json(text: str) -> dict[str, Any]:
    try:
        spec = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise UsageError(
            f"a backbone should be a name or a JSON object, and {text[:200]!r} is neither"
        ) from e
    return dict(spec)
