"""A language model on a server with OpenAI's interface."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from trueward.core.errors import TruewardError, UsageError
from trueward.features.http_json import JsonRequest, request_json
from trueward.features.named_servers import allow_endpoint, api_key, require_allowed

from .text_models import DIGITS, Decoding, digit_score

CHAT, COMPLETIONS = "/chat/completions", "/completions"


@dataclass(frozen=True)
class ServedModel:
    """A model on a server with OpenAI's interface, such as vLLM.

    Attributes
    ----------
    address : str
        ``http://HOST/v1``.
    model : str
        Its name there.

    """

    address: str
    model: str

    @staticmethod
    def of(text: str) -> ServedModel:
        """Name a server, which texts may go to from then on.

        Parameters
        ----------
        text : str
            ``http://HOST/v1,model=NAME``.

        Returns
        -------
        ServedModel
            The model.

        Raises
        ------
        UsageError
            If it is no address, or the model has no name.

        """
        address, _, name = text.partition(",model=")
        if not name.strip():
            raise UsageError(f"{address} needs the name of the model there: {address},model=NAME")
        address = address.rstrip("/").removesuffix(CHAT).removesuffix(COMPLETIONS)
        return ServedModel(allow_endpoint(address), name.strip())

    def chat(self, messages: list[dict[str, str]], how: Decoding) -> str:
        """Request the answer to messages.

        Parameters
        ----------
        messages : list of messages
            Roles and texts.
        how : Decoding
            Longest answer, temperature and seed.

        Returns
        -------
        str
            The answer.

        """
        found = self._send(CHAT, {"messages": messages}, how)
        return self._read(found, lambda choice: choice["message"]["content"], CHAT)

    def complete(self, text: str, how: Decoding) -> str:
        """Request the continuation of a raw text.

        Parameters
        ----------
        text : str
            The text, sent byte by byte as it is.
        how : Decoding
            Longest answer, temperature and seed.

        Returns
        -------
        str
            The continuation.

        """
        found = self._send(COMPLETIONS, {"prompt": text}, how)
        return self._read(found, lambda choice: choice["text"], COMPLETIONS)

    def digit_score(self, text: str) -> str:
        """Request E[(digit - 1) / 4] over the digits 1 to 5 among the 20 likeliest next tokens.

        Parameters
        ----------
        text : str
            A prompt that ends where the digit follows.

        Returns
        -------
        str
            As of `LocalModel.digit_scores`.

        """
        found = self._send(COMPLETIONS, {"prompt": text, "logprobs": 20}, Decoding(1))
        try:
            likely = found["choices"][0]["logprobs"]["top_logprobs"][0]
            share = [math.exp(float(likely[d])) if d in likely else 0.0 for d in DIGITS]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as e:
            raise TruewardError(
                f"{self.address}{COMPLETIONS} should answer with the log probabilities of the next token, "
                "and its answer has none: start the server with at least 20 logprobs, as vLLM does by default"
            ) from e
        return digit_score(share)

    def _send(self, route: str, body: dict[str, Any], how: Decoding) -> Any:
        require_allowed(self.address)
        request = {
            "model": self.model,
            **body,
            "temperature": how.temperature,
            "max_tokens": how.max_tokens,
            "seed": how.seed,
        }
        return request_json(JsonRequest(self.address + route, request, api_key(self.address)))

    def _read(self, found: Any, part: Any, route: str) -> str:
        try:
            return str(part(found["choices"][0]) or "")
        except (AttributeError, IndexError, KeyError, TypeError) as e:
            raise TruewardError(
                f"{self.address}{route} should answer with choices of texts, and its answer has none: check "
                "that it is an OpenAI-compatible server and serves that model"
            ) from e
