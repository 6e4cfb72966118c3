"""The user's names of signals, texts and values, joined with those that a source documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trueward.core.arguments import described
from trueward.core.errors import UsageError
from trueward.data.feedback_words import FeedbackWords

from .channels import CHANNELS, LOTTERY_NAMES, THUMBS
from .contract import UserMapping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contract import Source


def user_mapping(
    source: Source,
    pairs: Sequence[tuple[str, str]],
    words: FeedbackWords | None = None,
    dates: str | None = None,
    shown: tuple[str, ...] = (),
) -> UserMapping:
    """Return names of signals and paths to texts, from the source's documentation and the user.

    Parameters
    ----------
    source : Source
        The product.
    pairs : sequence of (str, str)
        Our name (a channel, ``thumbs``, or a text of the source) and the name in the export.
    words : FeedbackWords, optional
        Values of thumbs that the user gave a meaning.
    dates : str, optional
        Format of dates that the user gave.
    shown : tuple of str
        Names of the calls or spans whose answers users saw.

    Returns
    -------
    UserMapping
        The names; the user's win.

    Raises
    ------
    UsageError
        If one of our names does not exist.

    """
    signals = {**LOTTERY_NAMES, **source.signals}
    paths: dict[str, tuple[str, ...]] = {}
    for ours, theirs in pairs:
        if ours in CHANNELS or ours == THUMBS:
            signals[theirs] = ours
        elif ours in source.mappable or (
            ours.startswith("context.") and "context.NAME" in source.mappable
        ):
            paths[ours] = (*paths.get(ours, ()), theirs)
        else:
            known = ", ".join([*sorted(source.mappable), THUMBS, *CHANNELS])
            raise UsageError(
                f"--map {ours}={theirs}: {source.name} has nothing called {ours!r} to map; choose one "
                f"of {known}"
            )
    words = words or FeedbackWords()
    return UserMapping(signals, paths, shown=shown, words=words, dates=dates)


def mapping_pairs(given: Mapping[str, str] | Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return a mapping as pairs of our name and the name in the export.

    Parameters
    ----------
    given : mapping of str to str, or sequence of (str, str)
        What the user gave.

    Raises
    ------
    UsageError
        If it is neither.

    """
    pairs = list(given.items()) if isinstance(given, Mapping) else given
    texts = isinstance(pairs, list | tuple) and all(
        isinstance(p, list | tuple) and len(p) == 2 and all(isinstance(t, str) for t in p)
        for p in pairs
    )
    if not texts:
        raise UsageError(
            "import_log: mapping takes a dictionary of our names and those of the export, not "
            f"{described(given)}"
        )
    return [(ours, theirs) for ours, theirs in pairs]
