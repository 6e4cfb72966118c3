"""What a notebook shows of a result: one line, a table and notes, as HTML and as a short `repr`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 80  # characters of a cell; the rest of a longer text is left out
NUMBER = re.compile(r"[-+]?[\d.,]+ ?%?|-|")


@dataclass(frozen=True)
class Overview:
    """One line about a result, a table, and notes below it.

    Attributes
    ----------
    title : str
        The line; it is also the `repr` of the result.
    head : sequence of str
        Names of the columns; empty without a table.
    rows : sequence of sequence of str
        Cells, a row each.
    notes : sequence of str
        Sentences below the table, such as warnings.

    Examples
    --------
    >>> Overview("a < b", notes=["1 row"]).html()
    '<div class="trueward"><p><strong>a &lt; b</strong></p><p>1 row</p></div>'

    """

    title: str
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()

    def html(self) -> str:
        """Return the overview as HTML without scripts or styles of its own; every text is escaped."""
        parts = [f"<p><strong>{escape(self.title)}</strong></p>"]
        if self.head:
            words = [
                not all(NUMBER.fullmatch(str(row[k])) for row in self.rows)
                for k in range(len(self.head))
            ]
            head = "".join(_cell("th", t, left=w) for t, w in zip(self.head, words, strict=True))
            body = "".join(
                f"<tr>{''.join(_cell('td', t, left=w) for t, w in zip(row, words, strict=True))}</tr>"
                for row in self.rows
            )
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        parts += [f"<p>{escape(note)}</p>" for note in self.notes]
        return f'<div class="trueward">{"".join(parts)}</div>'


class Shown:
    """A result with an HTML view for notebooks and a `repr` of one line, both from its `Overview`."""

    def _overview(self) -> Overview:
        """Return the overview of this result: by default its text."""
        title, *notes = [line for line in str(self).splitlines() if line.strip()] or [""]
        return Overview(title, notes=notes)

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows."""
        return self._overview().html()

    def __repr__(self) -> str:
        """Return the class and the line of the overview."""
        return f"<{type(self).__name__}: {self._overview().title}>"


def cell(value: object) -> str:
    """Format a value of a table: three decimals for a float, a dash for None, long texts cut.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    str
        One line.

    Examples
    --------
    >>> cell(0.25), cell(None), cell(1200), cell("two  words")
    ('0.250', '-', '1,200', 'two words')

    """
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _cell(tag: str, text: str, *, left: bool) -> str:
    style = ' style="text-align:left"' if left else ""
    return f"<{tag}{style}>{escape(text)}</{tag}>"
