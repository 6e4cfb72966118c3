"""Vectors of an OpenAI-compatible embeddings server, `POST {address}/embeddings`."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import torch

from trueward.core.errors import TruewardError, UsageError

from .asking import Asked, ask
from .naming import checked
from .texts import BadRowError, check_pairs, sound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from .naming import Wanted

VERSION = 1  # raise it with any change of the text that is sent
ROWS, CHARACTERS = 64, 200_000  # of one request at most; a single row may have more characters
KEY = "TRUEWARD_API_KEY"
OPTIONS: Mapping[str, Wanted] = {"model": str, "dimensions": range(1, 1_000_001)}
LARGEST = 65_504.0  # of float16


@dataclass(frozen=True)
class Endpoint:
    """x = the server's embedding of the prompt, an empty line and the response.

    The server decides what becomes of texts that are too long for its model. The key comes from the
    environment alone, $TRUEWARD_API_KEY, and is kept nowhere.
    """

    address: str
    model: str
    width: int
    dimensions: int | None = None  # asked of the server, where it can shorten vectors

    def spec(self) -> str:
        """Give what makes these features again, as JSON: what the name stands for is up to the server."""
        about = {
            "name": "endpoint",
            "version": VERSION,
            "address": self.address,
            "model": self.model,
        }
        return json.dumps({**about, "width": self.width, "dimensions": self.dimensions})

    def remarks(self) -> list[str]:
        """Have nothing to say: what a server cuts it does not tell."""
        return []

    def encode(self, prompts: Sequence[str], responses: Sequence[str]) -> Tensor:
        """Give float16 (n, width), always finite; BadRowError where a vector is not."""
        check_pairs(prompts, responses)
        texts = [sound(f"{p}\n\n{r}") for p, r in zip(prompts, responses, strict=True)]
        out = torch.empty(len(texts), self.width, dtype=torch.float16)
        for part in _requests(texts):
            v = _vectors(self.address, self.model, self.dimensions, texts[part], self.width)
            bad = np.flatnonzero(~(np.abs(v) <= LARGEST).all(axis=1))
            if len(bad):
                said = f"has an embedding from {self.address} that is not finite or beyond float16"
                raise BadRowError(
                    part.start + int(bad[0]), f"{said}: drop that row, or ask its keeper"
                )
            out[part] = torch.from_numpy(v).half()
        return out


def named(address: str, given: Mapping[str, str]) -> Endpoint:
    """Give the endpoint at an address; one short request tells how wide its vectors are."""
    address = address.rstrip("/").removesuffix("/embeddings")
    chosen = checked(address, given, OPTIONS)
    parts = urlsplit(address)
    if parts.username or parts.password or parts.query or not parts.hostname:
        raise UsageError(
            "an endpoint is http://HOST/v1 or https://HOST/v1 with nothing else in its address: put a key "
            f"into {KEY}, and the model behind a comma, ,model=NAME"
        )
    model = chosen.get("model") or _only_model(address)
    dimensions = chosen.get("dimensions")
    return Endpoint(
        address, model, _vectors(address, model, dimensions, ["width"], None).shape[1], dimensions
    )


def remade(spec: dict[str, Any]) -> Endpoint:
    """Give the endpoint of a spec; the server is not asked before there is text."""
    if spec.get("version") != VERSION:
        raise TruewardError(
            f"these features were made by version {spec.get('version')} of the reading of endpoints, and the "
            f"installed one is {VERSION}: install the trueward that made them, or fit again"
        )
    return Endpoint(
        str(spec["address"]), str(spec["model"]), int(spec["width"]), spec.get("dimensions")
    )


def _requests(texts: Sequence[str]) -> Iterator[slice]:
    start, size = 0, 0
    for i, text in enumerate(texts):
        if i > start and (i - start >= ROWS or size + len(text) > CHARACTERS):
            yield slice(start, i)
            start, size = i, 0
        size += len(text)
    if start < len(texts):
        yield slice(start, len(texts))


def key(address: str) -> str | None:
    """Give the key; a key for OpenAI goes to OpenAI alone."""
    own = "OPENAI_API_KEY" if urlsplit(address).hostname == "api.openai.com" else KEY
    return os.environ.get(KEY) or os.environ.get(own)


def _only_model(address: str) -> str:
    read = ask(Asked(f"{address}/models", None, key(address)))
    listed = read.get("data") if isinstance(read, dict) else None
    names = [str(m["id"]) for m in listed or () if isinstance(m, dict) and "id" in m]
    if len(names) == 1:
        return names[0]
    shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
    raise UsageError(
        f"{address} serves {len(names)} models{f' ({shown})' if names else ''}: choose one by "
        f"--backbone {address},model=NAME"
    )


def _vectors(
    address: str, model: str, dimensions: int | None, texts: Sequence[str], width: int | None
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Ask for the (n, width) embeddings of some texts; TruewardError for an answer of another shape."""
    about: dict[str, Any] = {"model": model, "input": list(texts), "encoding_format": "float"}
    about |= {} if dimensions is None else {"dimensions": dimensions}
    read = ask(Asked(f"{address}/embeddings", about, key(address)))
    wrong = f"{address} should answer with {len(texts)} embeddings"
    advice = "check that it is an OpenAI-compatible embeddings server and serves that model"
    try:
        data = sorted(read["data"], key=lambda one: int(one["index"]))
        rows = [np.asarray(one["embedding"], np.float32) for one in data]
    except (KeyError, TypeError, ValueError) as e:
        raise TruewardError(f"{wrong}, and its answer has none that can be read: {advice}") from e
    if len(rows) != len(texts) or any(row.ndim != 1 or not len(row) for row in rows):
        raise TruewardError(f"{wrong}, and answered with {len(rows)}: {advice}")
    widths = {len(row) for row in rows} | ({width} if width else set())
    if len(widths) > 1:
        raise TruewardError(
            f"{address} gave vectors of {' and of '.join(str(w) for w in sorted(widths))} numbers for "
            f"{model}, and all rows need one width: it may serve another model now; encode and fit again"
        )
    return np.stack(rows)
