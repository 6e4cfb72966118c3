"""How much of what was shown a log holds: a type, so that no method reads a file for what it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Level = Literal["full", "rated_chats_only", "rated_only", "annotation"]
LEVELS: tuple[Level, ...] = get_args(Level)  # widest first
MEANING: dict[Level, str] = {
    "full": "every response that was shown, rated or not",
    "rated_chats_only": "the chats in which some response was rated; who reacts is known within those only",
    "rated_only": "rated responses only; nothing of those that nobody rated",
    "annotation": "responses that annotators were asked about; no user reacted to them",
}
PREFIX = "trueward."  # of the keys in the metadata of a Parquet file


@dataclass(frozen=True)
class ExportScope:
    """What kind of export a log was made of."""

    level: Level
    source: str = ""  # the product it came from
    wider: str = ""  # the export of that product that has the responses nobody rated

    @property
    def shows_unrated(self) -> bool:
        """Whether a row without feedback is a response that a user saw and did not rate."""
        return self.level in {"full", "rated_chats_only"}

    @property
    def remedy(self) -> str:
        """Say where the responses nobody rated are, as an order."""
        return self.wider or "log or export every response that was shown"

    def metadata(self) -> dict[str, str]:
        """Give what a Parquet file keeps of it."""
        about = {"coverage": self.level, "source": self.source, "wider": self.wider}
        return {PREFIX + key: value for key, value in about.items() if value}

    @staticmethod
    def of(metadata: Mapping[str, str]) -> ExportScope | None:
        """Read it off the metadata of a Parquet file; None where that says nothing we know."""
        level = metadata.get(f"{PREFIX}coverage")
        known = next((known for known in LEVELS if known == level), None)
        if known is None:
            return None
        return ExportScope(
            known, metadata.get(f"{PREFIX}source", ""), metadata.get(f"{PREFIX}wider", "")
        )


def weakest(found: Iterable[ExportScope | None]) -> ExportScope | None:
    """Give the one that holds least; None where none says."""
    said = [c for c in found if c is not None]
    return max(said, key=lambda c: LEVELS.index(c.level), default=None)
