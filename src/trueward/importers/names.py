"""Names of signals, texts and values: those that the user gave, and those that an export has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping  # noqa: TC003 - read when the dataclass is made
from dataclasses import dataclass, field

from trueward.data.feedback_words import FeedbackWords


@dataclass(frozen=True)
class UserMapping:
    """The mapping that the user gave by ``--map``, joined with the names that the source documents.

    Attributes
    ----------
    signals : mapping of str to str
        Name of a signal in the product -> our channel.
    paths : mapping of str to tuple of str
        Text (``prompt``, ``response``) -> paths in the record, such as ``inputs.question``.
    shown : tuple of str
        Names of the calls or spans whose answers users saw.
    words : FeedbackWords
        Values of thumbs that the user gave a meaning.
    names_seen, words_seen : Counter
        Names of signals and values of thumbs that the export has, counted while it is read.
    paths_seen : Counter
        Texts and ids at whose paths a record has a value.
    record_paths : Counter
        Paths of texts in the first records where a path that the user gave leads nowhere.
    dates : str or None
        Format of dates that the user gave.
    found : dict of str to str
        What was found out about the files.

    """

    signals: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    words: FeedbackWords = field(default_factory=FeedbackWords)
    names_seen: Counter[str] = field(default_factory=Counter, compare=False)
    words_seen: Counter[str] = field(default_factory=Counter, compare=False)
    paths_seen: Counter[str] = field(default_factory=Counter, compare=False)
    record_paths: Counter[str] = field(default_factory=Counter, compare=False)
    dates: str | None = None
    found: dict[str, str] = field(default_factory=dict, compare=False)
