"""Scores as Phoenix takes them: ``POST /v1/span_annotations`` with annotations of kind CODE."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .address import Address, RefusedError, address_of
from .destination import Sent

if TYPE_CHECKING:
    from .scored import ScoredResponse

ADDRESS = ("PHOENIX_COLLECTOR_ENDPOINT", "PHOENIX_BASE_URL")
KEY = "PHOENIX_API_KEY"


@dataclass(frozen=True)
class Phoenix:
    """Arize Phoenix of this address."""

    address: Address
    name = "phoenix"
    batch = 50

    @classmethod
    def at(cls, given: str | None) -> Phoenix:
        """Return the server that the user has named, with the key of the environment."""
        url = address_of(given, ADDRESS, "Phoenix")
        return cls(Address(url, os.environ.get(KEY), "Bearer", KEY))

    def payload(self, response: ScoredResponse) -> list[dict[str, Any]]:
        """Return one annotation for each score of a response; the identifier replaces an earlier one."""
        return [
            {
                "name": f"trueward.{name}",
                "annotator_kind": "CODE",
                "span_id": response.id,
                "result": {"score": value},
                "metadata": response.about,
                "identifier": f"trueward:{response.digest[:16]}",
            }
            for name, value in response.values.items()
        ]

    def send(self, responses: list[ScoredResponse]) -> Sent:
        """Send the scores of some responses; where a span is unknown, the others are sent without it."""
        body = {"data": [a for response in responses for a in self.payload(response)]}
        try:
            self.address.send("/v1/span_annotations?sync=true", body)
        except RefusedError as e:
            if len(responses) > 1 and e.status in (400, 404, 422):
                half = len(responses) // 2
                return self.send(responses[:half]) + self.send(responses[half:])
            if e.status == 404:
                return Sent([], [responses[0].id], {})
            if e.status in (400, 422):
                return Sent([], [], {responses[0].id: e.status})
            raise
        return Sent([response.id for response in responses], [], {})
