"""What every product is asked for: a payload of a response, and to send some responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .address import Address
    from .scored import ScoredResponse


@dataclass(frozen=True)
class Sent:
    """What became of some responses.

    Attributes
    ----------
    accepted, missing : list of str
        Ids whose scores the product has now, and ids that it does not know.
    refused : dict of str to int
        Id -> HTTP status with which it was refused.

    """

    accepted: list[str]
    missing: list[str]
    refused: dict[str, int]

    def __add__(self, other: Sent) -> Sent:
        """Return what became of both."""
        return Sent(
            self.accepted + other.accepted,
            self.missing + other.missing,
            self.refused | other.refused,
        )


class Destination(Protocol):
    """A product that takes scores."""

    @property
    def name(self) -> str:
        """Name of the product, with which the ids of its import begin."""

    @property
    def batch(self) -> int:
        """Largest number of responses of one call of `send`."""

    @property
    def address(self) -> Address:
        """The server."""

    def payload(self, response: ScoredResponse) -> list[dict[str, Any]]:
        """Return what is sent of one response."""

    def send(self, responses: list[ScoredResponse]) -> Sent:
        """Send the scores of some responses."""
