"""One self-contained HTML page on which a person labels responses, blind and offline."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from trueward.core.arguments import MAPPING, SEVERAL, TEXT, require_kinds
from trueward.core.atomic_io import replacing
from trueward.core.errors import UsageError
from trueward.core.random import numpy_stream

from .batch import Batch, read_batch
from .label_files import FORMAT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

GUIDELINE = (
    "Good: the response does what the person asked for, is correct as far as you can tell, and harms "
    "nobody.\nBad: anything else.\n\n"
    "Label the response, not the question. Read it to its end. If it depends on earlier turns, read these, "
    "too. Skip a response only if you cannot label it, and say why."
)
REASONS = (
    "I cannot judge this",
    "The text is incomplete or broken",
    "It needs knowledge that I do not have",
)
LONGEST_NAME = 60  # characters of the name of an annotator
SCRIPT_ENDS = re.compile("[<>&\u2028\u2029]")


@dataclass(frozen=True)
class LabelPage:
    """A page to label on; ``save`` writes it, ``str()`` says what it holds.

    See Also
    --------
    label_page : Makes it.

    """

    #: The responses.
    batch: Batch
    #: What the annotators read before they start.
    guideline: str
    #: Names of the annotators among whom the responses are shared; empty: whoever opens the page.
    annotators: tuple[str, ...] = ()

    def html(self) -> str:
        """Return the page; it holds all that it needs and asks for nothing."""
        here = files(__package__)
        style, script = ((here / f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
        parts = {
            "STYLE": style,
            "SCRIPT": script,
            "STYLE_HASH": _source_hash(style),
            "SCRIPT_HASH": _source_hash(script),
            "BATCH": _island(self._data()),
        }
        page = (here / "page.html").read_text("utf-8")
        return re.sub(r"@([A-Z_]+)@", lambda found: parts[found[1]], page)

    def save(self, file: str | Path) -> None:
        """Write the page to a file, atomically.

        Parameters
        ----------
        file : str or Path
            The HTML file.

        """
        with replacing(file) as path:
            path.write_text(self.html(), "utf-8", newline="\n")

    def __str__(self) -> str:
        """Say how many responses there are, and how many get a second label."""
        twice = sum(item.labels > 1 for item in self.batch.items)
        text = f"{len(self.batch.items):,} responses to label, {twice:,} of them twice"
        if self.annotators:
            counts = [0] * len(self.annotators)
            for who in self.shares():
                for k in who:
                    counts[k] += 1
            each = zip(self.annotators, counts, strict=True)
            text += "; " + ", ".join(f"{name} {count:,}" for name, count in each)
        return text

    def shares(self) -> list[list[int]]:
        """Return the annotators of every response, at random and in equal parts.

        Returns
        -------
        list of list of int
            Numbers of annotators; as many for a response as its ``labels``, if there are so many.

        """
        n = len(self.annotators)
        order = numpy_stream(0, "annotators", self.batch.digest)
        shares: list[list[int]] = [[] for _ in self.batch.items]
        place = 0
        for i in order.permutation(len(self.batch.items)):
            count = min(n, self.batch.items[i].labels)
            shares[i] = sorted((place + k) % n for k in range(count))
            place += count
        return shares

    def _data(self) -> dict[str, Any]:
        """What the script reads: each prompt once, and a row for each response."""
        prompts = {
            text: k for k, text in enumerate(dict.fromkeys(i.prompt for i in self.batch.items))
        }
        rows: list[list[Any]] = [
            [i.item, prompts[i.prompt], i.response, i.gold_weight, i.labels]
            for i in self.batch.items
        ]
        if self.annotators:
            rows = [[*row, who] for row, who in zip(rows, self.shares(), strict=True)]
        return {
            "format": FORMAT,
            "batch": self.batch.digest,
            "guideline": self.guideline,
            "reasons": REASONS,
            "annotators": list(self.annotators) or None,
            "prompts": list(prompts),
            "items": rows,
        }


def label_page(
    source: object,
    *,
    guideline: str = GUIDELINE,
    annotators: Sequence[str] = (),
    mapping: Mapping[str, str] | None = None,
) -> LabelPage:
    """Make a page on which people label responses, without a server and without a network.

    It shows one prompt and response at a time, without score and feedback, to every annotator in a random
    order of their own, and keeps the labels in the browser until they are downloaded as ``labels.jsonl``.

    Parameters
    ----------
    source : str, Path or table
        What ``plan --out`` wrote, or any table of ``prompt`` and ``response``; optional ``gold_weight`` and
        ``labels`` (how many annotators each response gets).
    guideline : str
        Plain text that the annotators read.
    annotators : sequence of str, optional
        Names: the responses are shared among them at random, as many to each; a response with ``labels`` 2
        goes to two. Without names whoever opens the page labels all, or only those that get a second label.
    mapping : mapping of str to str, optional
        Canonical name -> column of the source.

    Returns
    -------
    LabelPage
        ``save(file)`` writes it.

    Raises
    ------
    TruewardError
        If the source has no response, lacks a column, or is the file of a plan that was changed.
    UsageError
        If two annotators have one name, or a name is empty.

    Examples
    --------
    >>> import polars as pl
    >>> page = label_page(pl.DataFrame({"prompt": ["Hi", "Hi"], "response": ["Hello!", "Bye!"]}))
    >>> str(page), len(page.html()) < 50_000
    ('2 responses to label, 0 of them twice', True)

    """
    require_kinds("label_page", guideline=(guideline, TEXT), annotators=(annotators, SEVERAL))
    require_kinds("label_page", mapping=(mapping, MAPPING.or_none))
    for name in (annotators := list(annotators)):
        require_kinds("label_page", annotators=(name, TEXT))
    names = tuple(name.strip() for name in annotators)
    if len({name.casefold() for name in names}) < len(names):
        raise UsageError(f"annotators need different names, and are {', '.join(names)}")
    if not all(0 < len(name) <= LONGEST_NAME for name in names):
        raise UsageError(f"the name of an annotator has 1 to {LONGEST_NAME} characters")
    return LabelPage(read_batch(source, mapping), guideline, names)


def _island(data: dict[str, Any]) -> str:
    """JSON that holds no character which could end its script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return SCRIPT_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _source_hash(text: str) -> str:
    """Return the source of a content security policy that allows this text only."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
