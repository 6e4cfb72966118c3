"""Which of the responses that were shown an export holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Level = Literal["full", "rated_chats_only", "rated_only", "annotation"]
LEVELS: tuple[Level, ...] = get_args(Level)  # widest first
MEANING: dict[Level, str] = {
    "full": "every response that was shown, rated or not",
    "rated_chats_only": "all responses of chats with at least one rating; other chats are missing",
    "rated_only": "rated responses only; responses without a rating are missing",
    "annotation": "responses that annotators were asked to label; no user feedback",
}
METADATA_PREFIX = "trueward."  # of the keys in the metadata of a Parquet file


@dataclass(frozen=True)
class ExportScope:
    """Which responses the export behind a log holds.

    It decides whether a row without feedback counts as a response that a user saw and did not rate.

    Attributes
    ----------
    level : {"full", "rated_chats_only", "rated_only", "annotation"}
        See `MEANING`.
    source : str
        Name of the product; empty if unknown.
    wider : str
        How to get an export with the unrated responses, as an instruction; empty if unknown.

    Examples
    --------
    >>> scope = ExportScope("rated_only", "langfuse")
    >>> scope.shows_unrated
    False
    >>> ExportScope.from_metadata(scope.metadata()) == scope
    True

    """

    level: Level
    source: str = ""
    wider: str = ""

    @property
    def shows_unrated(self) -> bool:
        """Whether a row without feedback is a response that a user saw and did not rate."""
        return self.level in {"full", "rated_chats_only"}

    @property
    def remedy(self) -> str:
        """How to get the unrated responses, as an instruction."""
        return self.wider or "log or export every response that was shown"

    def metadata(self) -> dict[str, str]:
        """Return the scope as metadata for a Parquet file, without empty values."""
        values = {"coverage": self.level, "source": self.source, "wider": self.wider}
        return {METADATA_PREFIX + key: value for key, value in values.items() if value}

    @staticmethod
    def from_metadata(metadata: Mapping[str, str]) -> ExportScope | None:
        """Return the scope in the metadata of a Parquet file.

        Parameters
        ----------
        metadata : mapping of str to str
            All metadata of the file.

        Returns
        -------
        ExportScope or None
            None if the metadata has no level, or an unknown one.

        """
        stored = metadata.get(f"{METADATA_PREFIX}coverage")
        level = next((level for level in LEVELS if level == stored), None)
        if level is None:
            return None
        return ExportScope(
            level,
            metadata.get(f"{METADATA_PREFIX}source", ""),
            metadata.get(f"{METADATA_PREFIX}wider", ""),
        )


def narrowest(scopes: Iterable[ExportScope | None]) -> ExportScope | None:
    """Return the scope of a table made of several files: the one that holds least.

    Parameters
    ----------
    scopes : iterable of ExportScope or None
        The scope of each file; None where a file does not say.

    Returns
    -------
    ExportScope or None
        None if no file says.

    Examples
    --------
    >>> narrowest([ExportScope("full"), None, ExportScope("rated_only")]).level
    'rated_only'

    """
    known = [scope for scope in scopes if scope is not None]
    return max(known, key=lambda scope: LEVELS.index(scope.level), default=None)
