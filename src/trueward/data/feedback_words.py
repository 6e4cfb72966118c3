"""Words and numbers of feedback: which values mean good, bad, or no feedback, for every reader.

One vocabulary serves the importers, `read_log` and the command line. A value has the meaning that the user
gives it, else that of the vocabulary; a value with neither is an error that lists it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trueward.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Meaning = Literal["good", "bad", "none"]
LABELS: dict[Meaning, float | None] = {"good": 1.0, "bad": 0.0, "none": None}
# spelled without spaces, hyphens and underscores, in lower case, without skin tones: see `spelled`
GOOD = frozenset(
    "1 +1 up thumbup thumbsup upvote upvoted like liked helpful useful good positive satisfied yes y true"  # noqa: SIM905
    " \N{THUMBS UP SIGN}".split()
)
BAD = frozenset(
    "-1 down thumbdown thumbsdown downvote downvoted dislike disliked nothelpful unhelpful notuseful useless"  # noqa: SIM905
    " bad negative unsatisfied dissatisfied no n false \N{THUMBS DOWN SIGN}".split()
)
NONE = frozenset(
    "none null nan n/a na undefined unrated notrated norating nofeedback noreaction neutral skipped".split()  # noqa: SIM905
) | {""}
ONE = frozenset({"1", "true"})
ZERO = frozenset(
    {"0", "false"}
)  # a bad rating, or no reaction: a complete column does not say which
STARS = re.compile(
    r"(?P<n>\d+(?:\.\d+)?)(?:/(?P<of>\d+)|stars?|(?P<signs>[\N{WHITE MEDIUM STAR}\N{BLACK STAR}]))?"
)
STAR_SIGNS = re.compile(r"(?P<on>[\N{WHITE MEDIUM STAR}\N{BLACK STAR}]+)\N{WHITE STAR}*")
SCALES = (5.0, 10.0)  # the highest value of a scale from 1 that is known without being told
UPPER, LOWER = 0.75, 0.25  # of a scale: at or above the first is good, at or below the second bad
SLACK_TONE = re.compile(r":+skin-tone-\d:*")  # +1::skin-tone-3
SIGNS = {"\N{THUMBS UP SIGN}": GOOD, "\N{THUMBS DOWN SIGN}": BAD}
SKIN_TONES = {*range(0x1F3FB, 0x1F400), 0xFE0E, 0xFE0F, 0x200D}
CONDITION = re.compile(r"\s*\w*\s*(?P<sign>>=|<=)\s*(?P<limit>-?\d+(?:\.\d+)?)\s*")


def spelled(value: object) -> str:
    """Return a value of feedback in the one spelling that is compared.

    Parameters
    ----------
    value : object
        Text, a number, a boolean or None.

    Returns
    -------
    str
        Lower case, without separators, colons and skin tones; ``1.0`` is ``1``.

    Examples
    --------
    >>> spelled("Thumbs-Up"), spelled(":+1:"), spelled(1.0), spelled(False)
    ('thumbsup', '+1', '1', 'false')

    """
    if value is None:
        return ""
    if isinstance(value, float | int) and not isinstance(value, bool):
        return f"{value:g}"
    text = unicodedata.normalize("NFKC", str(value)).translate(dict.fromkeys(SKIN_TONES))
    text = SLACK_TONE.sub("", text.casefold()).strip().strip(":")
    try:
        return f"{float(text) + 0.0:g}" if not text.startswith("+") else text
    except ValueError:
        return re.sub(r"[\s_\-.!'’]+", "", text)


@dataclass(frozen=True)
class FeedbackWords:
    """The values that the user declares; all others have the meaning of the vocabulary.

    Attributes
    ----------
    positive, negative, unrated : tuple of str
        Values, or conditions such as ``>=4``, that mean 1, 0 and no feedback.

    """

    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    unrated: tuple[str, ...] = ()

    @staticmethod
    def of(positive: object = (), negative: object = (), unrated: object = ()) -> FeedbackWords:
        """Return the words of one or several values each; numbers and booleans may stand for words.

        Parameters
        ----------
        positive, negative, unrated : object
            A value, or a sequence of values.

        Returns
        -------
        FeedbackWords
            The same as text.

        Raises
        ------
        UsageError
            If one value has two meanings.

        """
        groups = [tuple(map(_as_text, _listed(given))) for given in (positive, negative, unrated)]
        words = FeedbackWords(*groups)
        counts = Counter(w for group in groups for w in {spelled(v) for v in group})
        if twice := sorted(word for word, count in counts.items() if count > 1):
            raise UsageError(
                f"a value of feedback has one meaning, but {twice[0]!r} has two: give it once, as positive, "
                "negative or unrated"
            )
        return words

    @property
    def given(self) -> bool:
        """Whether the user declared any value."""
        return bool(self.positive or self.negative or self.unrated)

    def declared(self, word: str) -> Meaning | None:
        """Return the meaning that the user gave a spelled value; None if none.

        Parameters
        ----------
        word : str
            As `spelled` returns it.

        Returns
        -------
        str or None
            ``good``, ``bad`` or ``none``.

        """
        for meaning, group in zip(
            LABELS, (self.positive, self.negative, self.unrated), strict=True
        ):
            if any(_holds(condition, word) for condition in group):
                return meaning
        limited = any(CONDITION.fullmatch(c) for c in (*self.positive, *self.negative))
        return "none" if limited and number_of(word) is not None else None

    def meaning(self, value: object) -> Meaning | None:
        """Return the meaning of one value; None if neither the user nor the vocabulary knows it.

        Parameters
        ----------
        value : object
            The value as the product writes it.

        Returns
        -------
        str or None
            ``good``, ``bad`` or ``none``; 0 and false are bad.

        """
        word = spelled(value)
        known = self.declared(word)
        if known is not None:
            return known
        if word in GOOD:
            return "good"
        if word in BAD | ZERO:
            return "bad"
        for sign, same in SIGNS.items():  # beside a word that says the same, or several
            rest = word.replace(sign, "")
            if rest != word and (not rest or rest in same):
                return "good" if same is GOOD else "bad"
        return "none" if word in NONE else None


def column_meanings(
    counts: Mapping[str, int], words: FeedbackWords
) -> tuple[dict[str, Meaning], list[str]]:
    """Return the meaning of every value of a column, and the values without one.

    -1, 0 and 1 in one column are bad, none and good. Numbers on a scale of 1 to 5 or 1 to 10 whose highest
    value occurs are good in the upper quarter, bad in the lower, and none between.

    Parameters
    ----------
    counts : mapping of str to int
        Spelled value -> number of rows.
    words : FeedbackWords
        What the user declares.

    Returns
    -------
    tuple of (dict of str to str, list of str)
        The unknown ones are the most frequent first.

    """
    meanings: dict[str, Meaning] = {}
    rest: list[str] = []
    for word in counts:
        known = words.declared(word) or ("none" if word in NONE else None)
        if known is None:
            rest.append(word)
        else:
            meanings[word] = known
    scale = _scale(rest)
    signed = "-1" in rest
    for word in rest:
        known = _graded(word, scale) if scale else words.meaning(word)
        if signed and word == "0":
            known = "none"
        if known is not None:
            meanings[word] = known
    unknown = [word for word in counts if word not in meanings]
    return meanings, sorted(unknown, key=lambda word: (-counts[word], word))


def _listed(given: object) -> Iterable[object]:
    if given is None:
        return ()
    return given if isinstance(given, list | tuple | set | frozenset) else (given,)


def _as_text(value: object) -> str:
    if isinstance(value, bool | int | float):
        return spelled(value)
    if not isinstance(value, str):
        raise UsageError(f"a value of feedback is text or a number, not {value!r}")
    return value


def _holds(condition: str, word: str) -> bool:
    """Whether a spelled value equals a declared one, or satisfies its condition."""
    match = CONDITION.fullmatch(condition)
    if match is None:
        given = spelled(condition)
        return given == word or {given, word} <= ZERO or {given, word} <= ONE
    number = number_of(word)
    if number is None:
        return False
    limit = float(match["limit"])
    return number >= limit if match["sign"] == ">=" else number <= limit


def number_of(word: str) -> float | None:
    """Return the number of a spelled value such as ``4``, ``4/5``, ``4stars`` or stars; None if none.

    Parameters
    ----------
    word : str
        As `spelled` returns it.

    Returns
    -------
    float or None
        A finite number.

    Examples
    --------
    >>> number_of("4/5"), number_of("meh")
    (4.0, None)

    """
    if signs := STAR_SIGNS.fullmatch(word):
        return float(len(signs["on"]))
    match = STARS.fullmatch(word)
    if match:
        return float(match["n"])
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _scale(words: Sequence[str]) -> float | None:
    """Return the highest value of the scale of 1 to 5 or 1 to 10 that the values show; else None."""
    numbers = [number_of(word) for word in words]
    known = [n for n in numbers if n is not None]
    if len(known) < len(words) or not known or min(known) < 1:
        return None
    stated = {float(m["of"]) for w in words if (m := STARS.fullmatch(w)) and m["of"]}
    as_stars = any(STAR_SIGNS.fullmatch(w) or "star" in w for w in words)
    highest = max(stated) if stated else 5.0 if as_stars and max(known) <= 5 else max(known)
    return highest if highest in SCALES and max(known) <= highest else None


def _graded(word: str, highest: float) -> Meaning | None:
    number = number_of(word)
    if number is None:
        return None
    share = (number - 1) / (highest - 1)
    return "good" if share >= UPPER else "bad" if share <= LOWER else "none"
