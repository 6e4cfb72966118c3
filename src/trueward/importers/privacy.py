"""What is done to rows before they are written: ids of people are hashed, texts are redacted.

Ids become the first 16 hexadecimal digits of HMAC-SHA256 over the kind of id and the id. Without a secret key
the key is public, so that whoever can guess an id can check the guess. Redaction replaces e-mail addresses,
phone numbers and secrets by their kind. Each distinct text of a batch is read once: regular expressions in
Rust find the texts that may hold something, and only those are read in full. Equal texts give equal results,
and a redacted text has nothing more to redact.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

from . import patterns
from .schema import with_prompt_ids

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence
    from pathlib import Path

PUBLIC_KEY = b"trueward"
MIN_KEY = 16  # bytes
PEOPLE = {
    "user_id": "person",
    "actor_id": "person",
    "session_id": "session",
}  # column -> kind of id
ROW_IDS = ("response_id", "prompt_id", "parent_response_id", "other_response_id", "event_id")
TEXTS = ("response", "text", "raw")
KINDS = {"EMAIL": "e-mail addresses", "PHONE": "phone numbers", "SECRET": "keys and secrets"}
SEARCHES = {  # what to search a text for, and a pattern that every text with it matches
    "shape": patterns.SHAPE_HEAD.replace(*patterns.FAST),
    "named": patterns.NAMED_HEAD.replace(*patterns.FAST),
    "email": patterns.EMAIL_HEAD,
    "phone": patterns.PHONE_HEAD,
}
CUTS = (
    (patterns.CUT, "..."),
    (patterns.CUT_SECRET, "<SECRET>"),
    (patterns.CUT_EMAIL, "<EMAIL>"),
)


def read_key(path: Path) -> bytes:
    """Read the secret key that ids of people are hashed with.

    Parameters
    ----------
    path : Path
        A file of at least 16 bytes.

    Returns
    -------
    bytes
        The key, without white space around it.

    Raises
    ------
    TruewardError
        If the file cannot be read or is too short.

    """
    try:
        key = path.read_bytes().strip()
    except OSError as e:
        raise TruewardError(
            f"{path} should hold the key that ids are hashed with, but cannot be read "
            f"({e.strerror or e}): make one, as by openssl rand -hex 32"
        ) from e
    if len(key) < MIN_KEY:
        raise TruewardError(
            f"{path} should hold at least {MIN_KEY} bytes of key, and has {len(key)}: make one, as by "
            "openssl rand -hex 32"
        )
    return key


def hash_people(rows: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """Replace ids of users, annotators and sessions by digests.

    Parameters
    ----------
    rows : DataFrame
        Rows of either table.
    key : bytes
        Key of the HMAC.

    Returns
    -------
    DataFrame
        The same rows; null ids stay null.

    """
    return rows.with_columns(
        _hash_column(rows[name], kind, key) for name, kind in PEOPLE.items() if name in rows.columns
    )


def _hash_column(column: pl.Series, kind: str, key: bytes) -> pl.Series:
    ids = column.drop_nulls().unique()
    return column.replace_strict(
        ids, _digests(ids, kind, key), default=None, return_dtype=pl.String
    )


def _digests(ids: pl.Series, kind: str, key: bytes) -> list[str]:
    return [hmac.digest(key, f"{kind}:{i}".encode(), hashlib.sha256).hex()[:16] for i in ids]


@dataclass
class Redactor:
    """Finds e-mail addresses, phone numbers and secrets in texts, and counts what it removed.

    Attributes
    ----------
    regions : sequence of str
        Countries (ISO 3166, two letters) whose phone numbers are found as they are dialled there;
        international numbers are always found.
    total : Counter
        Number of removals by kind, a key of ``KINDS``; each occurrence counts.

    Examples
    --------
    >>> Redactor().redact_text("Write to ann@example.org.")
    ('Write to <EMAIL>.', Counter({'EMAIL': 1}))

    """

    regions: Sequence[str] = ("US",)
    total: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(KINDS, 0)))

    def __post_init__(self) -> None:
        """Refuse an unknown region, and a missing library."""
        self._phone_numbers = patterns.PhoneNumbers(self.regions)

    def redact_rows(self, rows: pl.DataFrame, key: bytes) -> pl.DataFrame:
        """Return rows of a table with redacted texts, and add to ``total``.

        An id of a row that holds an e-mail address becomes a digest. A prompt id that was the digest of
        the text becomes the digest of the redacted text.

        Parameters
        ----------
        rows : DataFrame
            Rows of either table.
        key : bytes
            Key of the digests.

        Returns
        -------
        DataFrame
            The same rows and columns.

        """
        columns, result = dict(_text_columns(rows)), rows
        redacted = self._redact_distinct(columns.values()) if columns else {}
        new = [text for text, _ in redacted.values()]
        for name, column in columns.items():
            changed = column.filter(column.is_in(list(redacted))).value_counts(name="times")
            for text, times in changed.iter_rows():
                for kind, count in redacted[text][1].items():
                    self.total[kind] += count * times
            if changed.height:
                result = result.with_columns(_replaced(name, list(redacted), new))
        if "prompt" in columns:
            result = result.with_columns(_prompt_ids(rows, result))
        return _without_addresses(result, key)

    def redact_reason(self, reason: str) -> str:
        """Return the reason of a rejection without values that would be redacted.

        Parameters
        ----------
        reason : str
            Why a record was rejected or skipped; it may quote values.

        Returns
        -------
        str
            The redacted sentence.

        """
        reason = self.redact_text(reason)[0]
        for pattern, replacement in CUTS:
            reason = pattern.sub(replacement, reason)
        return reason

    def redact_text(
        self, text: str, searches: Container[str] = frozenset(SEARCHES)
    ) -> tuple[str, Counter[str]]:
        """Redact one text.

        Parameters
        ----------
        text : str
            Any text.
        searches : container of str
            Keys of ``SEARCHES`` to look for; all by default.

        Returns
        -------
        tuple of (str, Counter)
            The text, and the number of removals by kind.

        """
        counts: Counter[str] = Counter()
        if "shape" in searches:
            text, counts["SECRET"] = patterns.SHAPE.subn("<SECRET>", text)
        if "named" in searches:
            text, count = patterns.NAMED.subn(lambda m: f"{m[m.lastgroup or 0]}<SECRET>", text)
            counts["SECRET"] += count
        if "email" in searches:
            text, counts["EMAIL"] = patterns.EMAIL.subn("<EMAIL>", text)
        spans = self._phone_numbers.spans(text) if "phone" in searches else []
        for start, end in reversed(spans):  # the last first, so that earlier positions stay valid
            text = f"{text[:start]}<PHONE>{text[end:]}"
        counts["PHONE"] = len(spans)
        return text, +counts

    def _redact_distinct(self, columns: Iterable[pl.Series]) -> dict[str, tuple[str, Counter[str]]]:
        """Return every distinct text that changes, with its redacted text and counts."""
        matches = [pl.col("text").str.contains(head).alias(s) for s, head in SEARCHES.items()]
        any_match = pl.any_horizontal(*SEARCHES)
        frames = [
            c.alias("text").to_frame().lazy().with_columns(matches).filter(any_match)
            for c in columns
        ]
        redacted = {}
        for text, *matched in pl.concat(frames).unique("text").collect().rows():
            searches = {s for s, is_match in zip(SEARCHES, matched, strict=True) if is_match}
            result = self.redact_text(text, searches)
            if result[1]:
                redacted[text] = result
        return redacted


def _text_columns(rows: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
    """Yield name and values of the columns that people wrote; of a prompt, the message contents."""
    for name, dtype in rows.schema.items():
        if name == "prompt":
            yield name, rows[name].list.explode().struct.field("content")
        elif dtype == pl.String and (name in TEXTS or name.startswith("context.")):
            yield name, rows[name]


def _replaced(name: str, old: list[str], new: list[str]) -> pl.Expr:
    if name != "prompt":
        return pl.col(name).replace(old, new)
    role, content = (pl.element().struct.field(key) for key in ("role", "content"))
    return pl.col(name).list.eval(pl.struct(role, content.replace(old, new)))


def _prompt_ids(before: pl.DataFrame, after: pl.DataFrame) -> pl.Expr:
    """Return the ids of prompts, renewed where the id was the digest of a prompt that changed."""
    both = before.select("prompt_id", "prompt").with_columns(after["prompt"].alias("now"))
    changed = both.filter(pl.col("prompt").hash() != pl.col("now").hash()).unique("prompt_id")
    no_id = pl.lit(None, pl.String).alias("prompt_id")
    old, new = (
        with_prompt_ids(changed.select(no_id, pl.col(name).alias("prompt")))["prompt_id"]
        for name in ("prompt", "now")
    )
    is_digest = changed["prompt_id"] == old
    return pl.col("prompt_id").replace(old.filter(is_digest), new.filter(is_digest))


def _without_addresses(rows: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """Replace ids of rows that hold an e-mail address."""
    for name in set(ROW_IDS) & set(rows.columns):
        column = rows[name]
        ids = column.filter(column.str.contains(patterns.EMAIL_HEAD)).unique()
        if len(ids):
            rows = rows.with_columns(column.replace(ids, _digests(ids, "row", key)))
    return rows
