"""Scores as Langfuse takes them: ``POST /api/public/ingestion`` with events ``score-create``."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError

from .address import Address, RefusedError, address_of, basic, quoted
from .destination import Sent

if TYPE_CHECKING:
    from .scored import ScoredResponse

ADDRESS = ("LANGFUSE_BASE_URL", "LANGFUSE_HOST")
KEYS = ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY")
TRACE = "trace:"  # begins the id of a response that is a whole trace
AGAIN = frozenset({408, 429, 500, 502, 503, 504})  # statuses of an event that may succeed later


@dataclass(frozen=True)
class Langfuse:
    """Langfuse of this address."""

    address: Address
    name = "langfuse"
    batch = 50  # responses: 100 events, far below the limit of 3.5 MB

    @classmethod
    def at(cls, given: str | None) -> Langfuse:
        """Return the server that the user has named, with the keys of the environment."""
        url = address_of(given, ADDRESS, "Langfuse")
        public, secret = (os.environ.get(name) for name in KEYS)
        key = basic(public, secret) if public and secret else None
        return cls(Address(url, key, "Basic", " and ".join(KEYS)))

    def payload(self, response: ScoredResponse) -> list[dict[str, Any]]:
        """Return one event for each score of a response, as it is sent."""
        about: dict[str, Any] = {"traceId": response.trace}
        if response.id.startswith(TRACE):
            about = {"traceId": response.id.removeprefix(TRACE)}
        else:
            about["observationId"] = response.id
        time = response.time or dt.datetime.now(dt.UTC).isoformat()
        return [
            {
                "id": response.score_id(name),
                "type": "score-create",
                "timestamp": time,
                "body": {
                    "id": response.score_id(name),
                    **about,
                    "name": f"trueward.{name}",
                    "value": value,
                    "dataType": "NUMERIC",
                    "metadata": response.about,
                },
            }
            for name, value in response.values.items()
        ]

    def send(self, responses: list[ScoredResponse]) -> Sent:
        """Send the scores of some responses; traces that the log lacks are looked up."""
        events, missing = [], []
        for response in responses:
            made = self.payload(response)
            if made[0]["body"]["traceId"] is None:
                trace = self._trace(response.id)
                if trace is None:
                    missing.append(response.id)
                    continue
                for event in made:
                    event["body"]["traceId"] = trace
            events.append((response.id, made))
        if not events:
            return Sent([], missing, {})
        answer = self.address.send(
            "/api/public/ingestion", {"batch": [e for _, made in events for e in made]}
        )
        try:
            errors = {e["id"]: int(e["status"]) for e in answer["errors"]}
        except (KeyError, TypeError, ValueError):
            raise TruewardError(
                f"{self.address.url} answered without the lists of successes and errors of Langfuse's "
                "ingestion: check the address"
            ) from None
        if any(status in AGAIN for status in errors.values()):
            raise TruewardError(
                f"{self.address.url} could not take some scores now: try again later"
            )
        refused = {
            name: errors[e["id"]] for name, made in events for e in made if e["id"] in errors
        }
        return Sent([name for name, _ in events if name not in refused], missing, refused)

    def _trace(self, observation: str) -> str | None:
        """Trace of an observation; None if the server knows no such observation."""
        try:
            answer = self.address.send(f"/api/public/observations/{quoted(observation)}")
        except RefusedError as e:
            if e.status == 404:
                return None
            raise
        trace = answer.get("traceId") if isinstance(answer, dict) else None
        return str(trace) if trace else None
