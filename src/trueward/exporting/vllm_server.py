"""A server with vLLM's pooling routes, and the numbers that it gives texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.addresses import is_plain_address
from trueward.core.errors import UsageError
from trueward.features.http_json import JsonRequest, request_json
from trueward.features.named_servers import api_key

from .chat_format import chat
from .verify_rules import RuleBroken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@dataclass(frozen=True)
class Server:
    """A server, and the name of the model that it serves."""

    #: http://HOST:PORT
    address: str
    #: name of the model in its requests
    name: str

    @staticmethod
    def at(address: str) -> Server:
        """Read the name of the model that a server serves; RuleBroken if it names none."""
        answer = request_json(JsonRequest(f"{address}/v1/models", None, api_key(address)))
        try:
            return Server(address, str(answer["data"][0]["id"]))
        except (KeyError, IndexError, TypeError) as e:
            raise RuleBroken(
                f"{address}/v1/models names no model: start vLLM there with this folder"
            ) from e

    def classify(self, n: int, **body: Any) -> Tensor:
        """Return the ``probs`` of one request to /classify: vLLM gives logits under this name, too.

        Parameters
        ----------
        n : int
            The expected number of results.
        **body
            Fields of the request.

        Returns
        -------
        Tensor of shape (n,)
            One number for each text.

        Raises
        ------
        RuleBroken
            If there is no such route, or the answer has another form.

        """
        return self._numbers("/classify", "probs", n, body)

    def scores(self, pairs: list[tuple[str, str]]) -> Tensor:
        """Return the numbers (n,) of n pairs of texts that /score reads as queries and documents."""
        queries, documents = map(list, zip(*pairs, strict=True))
        body = {"queries": queries, "documents": documents}
        return self._numbers("/score", "score", len(pairs), body)

    def _numbers(self, route: str, name: str, n: int, body: Mapping[str, Any]) -> Tensor:
        """One number for each of the n results of a request."""
        try:
            request = JsonRequest(
                f"{self.address}{route}", {"model": self.name, **body}, api_key(self.address)
            )
            answer = request_json(request)
        except UsageError as e:
            raise RuleBroken(
                f"{self.address} has no {route}: is it this folder that is served?"
            ) from e
        try:
            rows = sorted(answer["data"], key=lambda row: int(row["index"]))
            numbers = torch.tensor([row[name] for row in rows], dtype=torch.float64)
        except (KeyError, TypeError, ValueError) as e:
            raise RuleBroken(
                f"{route}: expected data with index and {name}, found {type(e).__name__}"
            ) from e
        if numbers.numel() != n or numbers.shape[:1] != (n,):
            raise RuleBroken(
                f"{route}: expected {n} x 1 numbers for {n} texts, found {tuple(numbers.shape)}: is it "
                "this folder that is served?"
            )
        return numbers.reshape(n)

    def texts(self, rows: list[Any], **body: Any) -> Tensor:
        """Return the numbers of texts, or of token lists, in one request."""
        return self.classify(len(rows), input=rows, **body)

    def chats(self, pairs: list[tuple[str, str]], **body: Any) -> Tensor:
        """Return the numbers of prompts with their responses, one request each."""
        return torch.cat([self.classify(1, messages=chat(*pair), **body) for pair in pairs])


def server_address(url: str) -> str:
    """Return http://HOST:PORT of the address of a server or of one of its routes.

    Parameters
    ----------
    url : str
        The address.

    Returns
    -------
    str
        The address without a path.

    Raises
    ------
    UsageError
        If it is no address.

    """
    address = url.rstrip("/").removesuffix("/classify").removesuffix("/score").removesuffix("/v1")
    if not is_plain_address(address):
        raise UsageError(
            f"--url: expected http://HOST:PORT of a server with /classify, found {url!r}"
        )
    return address
