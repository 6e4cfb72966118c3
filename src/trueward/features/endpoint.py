"""Embeddings of an OpenAI-compatible server, ``POST {address}/embeddings``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trueward.core.errors import TruewardError, UsageError

from .backbone_names import parse_options
from .http_json import LARGEST, JsonRequest, request_json
from .named_servers import allow_endpoint, api_key, checked_address, require_allowed
from .texts import BadRowError, check_pairs, replace_surrogates, row_slices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from .backbone_names import Accepted

VERSION = 1  # increase it with any change of the text that is sent
ROWS, CHARACTERS = 64, 200_000  # limits of one request; a single row may have more characters
LARGEST_WIDTH = 1_000_000
OPTIONS: Mapping[str, Accepted] = {"model": str, "dimensions": range(1, LARGEST_WIDTH + 1)}
FLOAT16_MAX = 65_504.0
BYTES_PER_NUMBER = 64  # of an answer; 20 are usual


@dataclass(frozen=True)
class Endpoint:
    """x = the server's embedding of the prompt, an empty line and the response.

    The server decides how to treat texts that are too long for its model. The key is read from the
    environment variable TRUEWARD_API_KEY and is stored nowhere.

    Attributes
    ----------
    address : str
        Address of the server, such as ``http://HOST/v1``.
    model : str
        Name of the model on the server.
    width : int
        Number of columns of x.
    dimensions : int or None
        Shorter width to request from the server; None requests the model's own.

    """

    address: str
    model: str
    width: int
    dimensions: int | None = None

    def spec(self) -> str:
        """Return the JSON description from which `backbone` recreates this backbone.

        The description names the model; whether the server still serves the same weights is unknown.
        """
        fields = {
            "name": "endpoint",
            "version": VERSION,
            "address": self.address,
            "model": self.model,
        }
        return json.dumps({**fields, "width": self.width, "dimensions": self.dimensions})

    def collect_warnings(self) -> list[str]:
        """Return no warnings: a server does not report which texts it truncates."""
        return []

    def encode(self, prompts: Sequence[str], responses: Sequence[str]) -> Tensor:
        """Request the embedding of each pair of texts.

        Parameters
        ----------
        prompts, responses : sequence of str, length n
            Texts of the rows.

        Returns
        -------
        Tensor of float16, (n, width)
            Always finite.

        Raises
        ------
        BadRowError
            If an embedding is not finite or exceeds the range of float16.
        TruewardError
            If the server does not answer, or answers with another number or width of embeddings.

        """
        check_pairs(prompts, responses)
        texts = [replace_surrogates(f"{p}\n\n{r}") for p, r in zip(prompts, responses, strict=True)]
        out = torch.empty(len(texts), self.width, dtype=torch.float16)
        for part in row_slices([len(text) for text in texts], ROWS, CHARACTERS):
            v = _embeddings(self.address, self.model, self.dimensions, texts[part], self.width)
            bad = np.flatnonzero(~(np.abs(v) <= FLOAT16_MAX).all(axis=1))
            if len(bad):
                raise BadRowError(
                    part.start + int(bad[0]),
                    f"has an embedding from {self.address} that is not finite or exceeds float16: "
                    "drop that row, or check the server's model",
                )
            out[part] = torch.from_numpy(v).half()
        return out


def from_name(address: str, options: Mapping[str, str]) -> Endpoint:
    """Return the endpoint at an address; one short request measures the width of its embeddings.

    Parameters
    ----------
    address : str
        ``http://HOST/v1`` or ``https://HOST/v1``, with or without ``/embeddings``.
    options : mapping of str to str
        ``model`` and ``dimensions``, as written.

    Raises
    ------
    UsageError
        If an option or the address is invalid, or the server has several models and none is chosen.

    """
    address = allow_endpoint(address)
    values = parse_options(address, options, OPTIONS)
    model = values.get("model") or _only_model(address)
    dimensions = values.get("dimensions")
    width = _embeddings(address, model, dimensions, ["width"], None).shape[1]
    return Endpoint(address, model, width, dimensions)


def from_spec(spec: dict[str, Any]) -> Endpoint:
    """Recreate an endpoint from its JSON description, without a request.

    Parameters
    ----------
    spec : dict
        ``version``, ``address``, ``model`` and ``width``; optionally ``dimensions``.

    Returns
    -------
    Endpoint
        The endpoint that computed the features.

    Raises
    ------
    TruewardError
        If another version of trueward computed the features, or the description is damaged.

    """
    if spec.get("version") != VERSION:
        raise TruewardError(
            f"these features were computed by version {spec.get('version')} of the endpoint backbone, and "
            f"the installed one is {VERSION}: install the trueward that computed them, or fit again"
        )
    address, model, width = spec.get("address"), spec.get("model"), spec.get("width")
    dimensions = spec.get("dimensions")
    numbers = (width, width if dimensions is None else dimensions)
    widths = all(isinstance(v, int) and 0 < v <= LARGEST_WIDTH for v in numbers)
    if not (
        isinstance(address, str) and isinstance(model, str) and isinstance(width, int) and widths
    ):
        raise TruewardError(
            "an endpoint needs an address, a model and a width: fit the model again"
        )
    return Endpoint(checked_address(address), model, width, dimensions)


def _only_model(address: str) -> str:
    answer = request_json(JsonRequest(f"{address}/models", None, api_key(address)))
    models = answer.get("data") if isinstance(answer, dict) else None
    names = [str(m["id"]) for m in models or () if isinstance(m, dict) and "id" in m]
    if len(names) == 1:
        return names[0]
    listed = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
    raise UsageError(
        f"{address} serves {len(names)} models{f' ({listed})' if names else ''}: choose one with "
        f"--backbone {address},model=NAME"
    )


def _embeddings(
    address: str, model: str, dimensions: int | None, texts: Sequence[str], width: int | None
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Request the (n, width) embeddings of n texts and check their number and width."""
    body: dict[str, Any] = {"model": model, "input": list(texts), "encoding_format": "float"}
    body |= {} if dimensions is None else {"dimensions": dimensions}
    require_allowed(address)
    largest = LARGEST if width is None else LARGEST + len(texts) * width * BYTES_PER_NUMBER
    request = JsonRequest(f"{address}/embeddings", body, api_key(address), largest)
    answer = request_json(request)
    expected = f"{address} should answer with {len(texts)} embeddings"
    advice = "check that it is an OpenAI-compatible embeddings server and serves that model"
    try:
        data = sorted(answer["data"], key=lambda item: int(item["index"]))
        rows = [np.asarray(item["embedding"], np.float32) for item in data]
        numbers = [int(item["index"]) for item in data]
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        raise TruewardError(
            f"{expected}, and its answer has none that can be read: {advice}"
        ) from e
    if len(rows) == len(texts) and numbers != list(range(len(texts))):
        raise TruewardError(f"{expected} numbered from 0, and numbers them otherwise: {advice}")
    if len(rows) != len(texts) or any(row.ndim != 1 or not len(row) for row in rows):
        raise TruewardError(f"{expected}, and answered with {len(rows)}: {advice}")
    widths = {len(row) for row in rows} | ({width} if width else set())
    if len(widths) > 1:
        raise TruewardError(
            f"{address} returned embeddings of {' and of '.join(str(w) for w in sorted(widths))} numbers "
            f"for {model}, and all rows need one width: the server may serve another model now; encode "
            "and fit again"
        )
    return np.stack(rows)
