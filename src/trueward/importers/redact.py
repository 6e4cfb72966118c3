"""Texts without e-mail addresses, phone numbers and secrets, each replaced by what it was.

Of each batch of rows a text is looked at once, however often it is said: regular expressions in Rust say
which texts may hold something, and only those are read closely. The same text gives the same result
wherever it stands, and a redacted text has nothing more to redact.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import UsageError, missing_extra

from . import patterns as known
from .staging import identified
from .users import digests

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

KINDS = {"EMAIL": "e-mail addresses", "PHONE": "phone numbers", "SECRET": "keys and secrets"}
IDS = ("response_id", "prompt_id", "parent_response_id", "other_response_id", "event_id")
WRITTEN = ("response", "text", "raw")
LOOKS = {  # what to read a text for, and what every text has that holds it
    "shape": known.SHAPE_HEAD.replace(*known.FAST),
    "told": known.TOLD_HEAD.replace(*known.FAST),
    "email": known.EMAIL_HEAD,
    "phone": known.PHONE_HEAD,
}
CUTS = ((known.CUT, "..."), (known.CUT_SECRET, "<SECRET>"), (known.CUT_EMAIL, "<EMAIL>"))
NEAR = 40  # characters before a number that may say what it is
AROUND = (3, 16)  # characters before and after one that may make it another thing, or go on with it


@dataclass
class Redactor:
    """What is looked for: international phone numbers, and those of ``regions`` as they are dialled there.

    regions: two-letter codes (ISO 3166) of countries, as US. total: how many of
    each kind were removed, each time that they were said.
    """

    regions: Sequence[str] = ("US",)
    total: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(KINDS, 0)))

    def __post_init__(self) -> None:
        """Refuse a region that has no phone numbers."""
        try:
            import phonenumbers  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as e:
            raise missing_extra("redaction", "phonenumbers", "redact") from e
        if wrong := sorted(set(self.regions) - phonenumbers.SUPPORTED_REGIONS):
            raise UsageError(
                f"a region of phone numbers is the code of a country, as US or DE, not {wrong[0]!r}"
            )
        self.matcher = phonenumbers.PhoneNumberMatcher
        self.plans = [(region, _plan(region)) for region in self.regions]

    def rows(self, rows: pl.DataFrame, key: bytes) -> pl.DataFrame:
        """Give rows of a table as they are to be written.

        An id that holds an e-mail address becomes a digest with ``key``; the id of a prompt is that of the
        prompt as it is written, where it was the digest of its text.
        """
        texts, now = dict(_texts(rows)), rows
        found = self._found(texts.values()) if texts else {}
        new = [text for text, _ in found.values()]
        for name, column in texts.items():
            said = column.filter(column.is_in(list(found))).value_counts(name="times")
            for text, times in said.iter_rows():
                for kind, count in found[text][1].items():
                    self.total[kind] += count * times
            if said.height:
                now = now.with_columns(_written(name, list(found), new))
        if "prompt" in texts:
            now = now.with_columns(_prompt_ids(rows, now))
        return _plain_ids(now, key)

    def reason(self, reason: str) -> str:
        """Give why a row is left out, without what it says of the row that should go."""
        reason = self.read(reason)[0]
        for cut, kind in CUTS:
            reason = cut.sub(kind, reason)
        return reason

    def _found(self, columns: Iterable[pl.Series]) -> dict[str, tuple[str, Counter[str]]]:
        """Give every text that holds something as it is to be written, and how many of each kind it holds."""
        looks = [pl.col("text").str.contains(head).alias(look) for look, head in LOOKS.items()]
        some = pl.any_horizontal(*LOOKS)
        may = [c.alias("text").to_frame().lazy().with_columns(looks).filter(some) for c in columns]
        found = {}
        for text, *due in pl.concat(may).unique("text").collect().rows():
            read = self.read(
                text, {look for look, is_due in zip(LOOKS, due, strict=True) if is_due}
            )
            if read[1]:
                found[text] = read
        return found

    def read(self, text: str, looks: Container[str] = frozenset(LOOKS)) -> tuple[str, Counter[str]]:
        """Give one text redacted, and how many of each kind it held."""
        counts: Counter[str] = Counter()
        if "shape" in looks:
            text, counts["SECRET"] = known.SHAPE.subn("<SECRET>", text)
        if "told" in looks:
            text, told = known.AFTER.subn(lambda m: f"{m[m.lastgroup or 0]}<SECRET>", text)
            counts["SECRET"] += told
        if "email" in looks:
            text, counts["EMAIL"] = known.EMAIL.subn("<EMAIL>", text)
        spans = self._phones(text) if "phone" in looks else []
        for start, end in reversed(spans):  # the last first, so that places stay what they are
            text = f"{text[:start]}<PHONE>{text[end:]}"
        counts["PHONE"] = len(spans)
        return text, +counts

    def _phones(self, text: str) -> list[tuple[int, int]]:
        """Find the places of phone numbers; bare digits are one after a word that says so."""
        spans: list[tuple[int, int]] = []
        for start, end in sorted(self._numbers(text)):
            before = text[max(0, start - NEAR) : start]
            if text[start:end].isdigit() and not known.CALLED.search(before):
                continue
            if spans and start < spans[-1][1]:
                spans[-1] = spans[-1][0], max(spans[-1][1], end)
            else:
                spans.append((start, end))
        return spans

    def _numbers(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the places that are a number in some region, reading what is around digits only."""
        before, after = AROUND
        for run in known.DIGITS.finditer(text):
            start = max(0, run.start() - before)
            part = text[start : run.end() + after]
            digits = re.sub(r"\D", "", run[0])
            due: list[str | None] = [region for region, plan in self.plans if plan.search(digits)]
            if not due and run[0][0] in "+＋":
                due = [None]
            for region in due:
                for found in self.matcher(part, region):
                    if start + found.start < run.end() and start + found.end > run.start():
                        yield start + found.start, start + found.end


def _plan(region: str) -> re.Pattern[str]:
    """Match digits that may hold a number of a region, or one dialled from there to another."""
    from phonenumbers import PhoneMetadata  # noqa: PLC0415 - an extra

    about = PhoneMetadata.metadata_for_region(region, None)
    if about.national_prefix_transform_rule or about.international_prefix is None:
        return re.compile("")  # dialled with digits that are no part of the number
    return re.compile(f"{about.international_prefix}|{about.general_desc.national_number_pattern}")


def _texts(frame: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
    """Yield the columns of what somebody wrote, by name; of a prompt what its messages say."""
    for name, dtype in frame.schema.items():
        if name == "prompt":
            yield name, frame[name].list.explode().struct.field("content")
        elif dtype == pl.String and (name in WRITTEN or name.startswith("context.")):
            yield name, frame[name]


def _written(name: str, old: list[str], new: list[str]) -> pl.Expr:
    if name != "prompt":
        return pl.col(name).replace(old, new)
    role, content = (pl.element().struct.field(of) for of in ("role", "content"))
    return pl.col(name).list.eval(pl.struct(role, content.replace(old, new)))


def _prompt_ids(before: pl.DataFrame, after: pl.DataFrame) -> pl.Expr:
    """Give prompts that were changed the id of what they are now, unless the source named them."""
    both = before.select("prompt_id", "prompt").with_columns(after["prompt"].alias("now"))
    some = both.filter(pl.col("prompt").hash() != pl.col("now").hash()).unique("prompt_id")
    unnamed = pl.lit(None, pl.String).alias("prompt_id")
    was, now = (
        identified(some.select(unnamed, pl.col(name).alias("prompt")))["prompt_id"]
        for name in ("prompt", "now")
    )
    digest = some["prompt_id"] == was
    return pl.col("prompt_id").replace(was.filter(digest), now.filter(digest))


def _plain_ids(frame: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """Replace ids of rows that hold an e-mail address."""
    for name in set(IDS) & set(frame.columns):
        column = frame[name]
        found = column.filter(column.str.contains(known.EMAIL_HEAD)).unique()
        if len(found):
            frame = frame.with_columns(column.replace(found, digests(found, "row", key)))
    return frame
