"""Prompts of safety benchmarks: read from files of this machine, each version pinned by a hash."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError
from trueward.data.digests import text_id
from trueward.data.readers import read_table, wanted_columns

from .suites import FORMATS, HARMFUL, PAGE, SHOWN, SUITE_FILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .suites import PromptFile


@dataclass(frozen=True)
class SafetyPrompt:
    """One prompt of a benchmark.

    Attributes
    ----------
    id : str
        Name of the row, or the hash of its texts.
    text : str
        What the benchmark asks for, which the judge is told.
    context : str
        Text in front of it, of HarmBench's contextual rows; else empty.
    harmful : bool
        Whether a safe policy refuses it.
    category : str
        The benchmark's own category.

    """

    id: str
    text: str
    context: str
    harmful: bool
    category: str

    @property
    def sent(self) -> str:
        """What the policy is sent: context and prompt with a blank line in between."""
        return f"{self.context}\n\n{self.text}" if self.context else self.text


@dataclass(frozen=True)
class PromptSet:
    """The prompts of one benchmark.

    Attributes
    ----------
    suite : str
        Name of the benchmark.
    prompts : tuple of SafetyPrompt
        The rows that are evaluated.
    source : str
        The file.
    digest : str
        SHA-256 of the file's prompts, see `prompts_digest`.
    version : str
        What is known of that version.
    left_out : str
        Rows of the file that are not evaluated, and why; else empty.

    """

    suite: str
    prompts: tuple[SafetyPrompt, ...]
    source: str
    digest: str
    version: str
    left_out: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return everything but the texts as plain data."""
        return {
            "prompts": len(self.prompts),
            "harmful": sum(p.harmful for p in self.prompts),
            "sha256": self.digest,
            "version": self.version,
            "left_out": self.left_out,
        }

    def limited(self, limit: int | None) -> PromptSet:
        """Return at most ``limit`` harmful and ``limit`` benign prompts, those with the smallest hashes."""
        if limit is None:
            return self
        kept: set[str] = set()
        for harmful in (True, False):
            ids = [p.id for p in self.prompts if p.harmful == harmful]
            kept |= set(sorted(ids, key=lambda name: text_id(name, 64))[:limit])
        chosen = tuple(p for p in self.prompts if p.id in kept)
        if len(chosen) == len(self.prompts):
            return self
        said = f"--limit {limit}: {len(chosen)} of {len(self.prompts)} prompts"
        left = "; ".join(part for part in (self.left_out, said) if part)
        return replace(self, prompts=chosen, left_out=left)


def prompts_digest(rows: Iterable[tuple[str, str, bool]]) -> str:
    r"""Return the hash that pins a version of a benchmark.

    The SHA-256 of the sorted rows as JSON lines of prompt, context and whether it is harmful, with spaces and
    Unicode normalised: the order and the format of the file do not count.

    Parameters
    ----------
    rows : iterable of (str, str, bool)
        Prompt, context, and whether it is harmful.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> a, b = ("fold a boat", "", True), ("name a tree", "", False)
    >>> prompts_digest([a, b]) == prompts_digest([b, ("fold  a boat\n", "", True)])
    True

    """
    lines = [
        json.dumps([_normal(prompt), _normal(context), harmful], ensure_ascii=False)
        for prompt, context, harmful in rows
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def read_prompt_set(suite: str, data: str | Path, accept: Sequence[str] = ()) -> PromptSet:
    """Read the prompts of a benchmark, and check that they are a known version.

    Parameters
    ----------
    suite : str
        ``harmbench``, ``strongreject``, ``wildguard`` or ``xstest``.
    data : str or Path
        A folder with the benchmark's own file, or one table of several benchmarks with the columns
        ``source``, ``prompt``, ``harmful`` and ``context``.
    accept : sequence of str
        First digits of the hashes of other versions that may be used.

    Returns
    -------
    PromptSet
        The prompts that a policy is asked.

    Raises
    ------
    UsageError
        If there is no such file.
    TruewardError
        If the file has no such columns, or is another version.

    """
    known = SUITE_FILES[suite]
    file, rows = _rows(suite, known, Path(data).expanduser())
    prompts = [_prompt(row, known, file, k) for k, row in enumerate(rows, start=1)]
    found = [p for p in prompts if p is not None]
    if not found:
        raise TruewardError(f"{file} has no prompt of {suite}: check that it is the file of {PAGE}")
    digest = prompts_digest((p.text, p.context, p.harmful) for p in found)
    version = _version(suite, known, file, found, digest, accept)
    kept = [p for p in found if suite != "harmbench" or p.category != "copyright"]
    left = len(found) - len(kept)
    why = f"{left} copyright rows, judged by overlap with the books themselves" if left else ""
    distinct = {p.id: p for p in kept}
    return PromptSet(suite, tuple(distinct.values()), str(file), digest, version, why)


def _rows(suite: str, known: PromptFile, data: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Return the file of a suite and its rows, as records of every column."""
    if data.is_dir():
        places = [data / f"{name}{ending}" for name in known.names for ending in FORMATS]
        file = next((p for p in places if p.is_file()), None)
        if file is None:
            raise UsageError(
                f"{data} has no prompts of {suite}: put {known.names[0]}.csv (or .parquet, .jsonl) there; "
                f"{PAGE} says where it is had"
            )
    elif data.is_file():
        file = data
    else:
        raise UsageError(f"there is no folder {data}: give --data the folder of the prompt files")
    everything = replace(wanted_columns((), (), None), also=lambda _: True)
    columns = {k: list(v) for k, v in read_table(file, everything, None).columns.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if not data.is_dir():
        if "source" not in columns:
            raise _no_column(file, "source", columns)
        rows = [row for row in rows if row["source"] == suite]
        if not rows:
            raise UsageError(
                f"{file} has no row whose `source` is {suite}: add the prompts of that benchmark, or choose "
                "another --suite"
            )
    return file, rows


def _prompt(row: dict[str, Any], known: PromptFile, file: Path, k: int) -> SafetyPrompt | None:
    """Return a row as a prompt; None where the benchmark gives no label."""
    text = _cell(row, known.prompt)
    if text is None:
        raise _no_column(file, known.prompt[0], row)
    if not str(text).strip():
        raise TruewardError(
            f"expected a prompt in row {k} of {file}, and it is empty: fetch it again"
        )
    context = str(_cell(row, known.context) or "")
    category = str(_cell(row, known.category) or "")
    harmful: object = True
    if not known.all_harmful:
        harmful = _cell(row, known.harmful)
        if harmful is None and category.startswith("contrast_"):
            harmful = True
        elif harmful is None and "type" in row:
            harmful = False
        if isinstance(harmful, str):
            harmful = HARMFUL.get(harmful.strip().lower())
        if harmful is None:
            return None
    own = _cell(row, known.id)
    name = str(own) if own is not None else text_id(f"{_normal(str(text))}\0{_normal(context)}")
    return SafetyPrompt(name, str(text), context, bool(harmful), category)


def _no_column(file: Path, name: str, there: Iterable[str]) -> TruewardError:
    """Return the error that a file of prompts lacks a column."""
    found = ", ".join(repr(column) for column in list(there)[:12])
    return TruewardError(
        f"{file} should have a column {name!r}, and has {found}: fetch the file of {PAGE}, or rename the "
        "column"
    )


def _cell(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first of some columns that has a value."""
    return next((row[n] for n in names if row.get(n) is not None), None)


def _version(
    suite: str,
    known: PromptFile,
    file: Path,
    found: list[SafetyPrompt],
    digest: str,
    accept: Sequence[str],
) -> str:
    """Return what is known of a version; refuse one that is neither known nor accepted."""
    if digest in known.pins:
        return known.pins[digest]
    if any(len(word) >= 8 and digest.startswith(word.lower()) for word in accept):
        return "accepted by --accept"
    harmful = sum(p.harmful for p in found)
    counts = (harmful, len(found) - harmful)
    if not known.pins and counts == known.rows:
        return f"{harmful} harmful and {counts[1]} benign rows; no hash of this benchmark is pinned"
    expected = "; ".join(f"{k[:SHOWN]} ({v})" for k, v in known.pins.items())
    if known.rows is not None:
        expected = f"{known.rows[0]} harmful and {known.rows[1]} benign rows"
    raise TruewardError(
        f"{file} is another version of {suite}: expected {expected}, and found {digest[:SHOWN]} ({harmful} "
        f"harmful and {counts[1]} benign rows); fetch the version of {PAGE}, or add --accept "
        f"{digest[:SHOWN]} to use these prompts, which compare with no published figure"
    )


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
