"""A page of sections with tables, figures and texts, as one self-contained HTML file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, ClassVar

from markupsafe import Markup

from trueward.core.atomic_io import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jinja2 import Template
    from markdown_it import MarkdownIt


@dataclass(frozen=True)
class Prose:
    """A paragraph of plain text."""

    kind: ClassVar[str] = "prose"
    text: str


@dataclass(frozen=True)
class Callout:
    """A sentence that must not be missed: a warning, or what to do next."""

    kind: ClassVar[str] = "callout"
    text: str
    #: ``warning`` or ``next``.
    tone: str = "warning"
    #: A command to paste below the sentence.
    command: str = ""


@dataclass(frozen=True)
class Tiles:
    """Numbers in large type, each with its name and what it means."""

    kind: ClassVar[str] = "tiles"
    #: Name, number, where it comes from, and what it means for use.
    items: Sequence[tuple[str, str, str, str]]


@dataclass(frozen=True)
class Code:
    """Preformatted text, such as a command or its output."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Markdown:
    """Markdown that this library wrote; HTML in it is escaped."""

    kind: ClassVar[str] = "markdown"
    text: str

    @property
    def html(self) -> Markup:
        """The text as HTML; its highest headings are one level below that of the section."""
        tokens = _markdown().parse(self.text)
        heads = [t for t in tokens if t.type in ("heading_open", "heading_close")]
        top = min((int(t.tag[1:]) for t in heads), default=1)
        for token in heads:
            token.tag = f"h{min(6, int(token.tag[1:]) - top + 3)}"
        return Markup(_markdown().renderer.render(tokens, _markdown().options, {}))  # noqa: S704


@dataclass(frozen=True)
class Table:
    """Rows of text under a head."""

    kind: ClassVar[str] = "table"
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    #: Columns of text, which are aligned left; the others are numbers.
    words: frozenset[int] = frozenset({0})
    #: Row and column of the cells with the best value, which are marked.
    best: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption and its numbers as a table."""

    kind: ClassVar[str] = "figure"
    #: The drawing; None where it cannot be drawn, and only the table is shown.
    svg: str | None
    caption: str
    #: The numbers of the drawing, for readers who cannot see it.
    table: Table

    @property
    def drawing(self) -> Markup:
        """The SVG as markup; the drawing library escapes the names in it."""
        return Markup(self.svg or "")  # noqa: S704


@dataclass(frozen=True)
class Example:
    """One response to a prompt, with its scores and its feedback."""

    kind: ClassVar[str] = "example"
    title: str
    #: Names and values, such as ``("feedback", "good")``.
    facts: Sequence[tuple[str, str]]
    prompt: str
    response: str


@dataclass(frozen=True)
class Folded:
    """Blocks that the screen shows on demand; print shows them."""

    kind: ClassVar[str] = "folded"
    summary: str
    blocks: Sequence[Block]


Block = Prose | Callout | Tiles | Code | Markdown | Table | Figure | Example | Folded


@dataclass(frozen=True)
class Section:
    """A heading with its blocks."""

    title: str
    blocks: Sequence[Block]
    #: Whether the section is collapsed on the screen; print shows it.
    folded: bool = False

    @property
    def name(self) -> str:
        """Anchor of the section, from its title."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())


@dataclass(frozen=True)
class Page:
    """A self-contained page; `report` builds one."""

    title: str
    #: The first paragraph.
    lead: str
    sections: Sequence[Section]

    def html(self) -> str:
        """Render the page as HTML, without scripts or requests."""
        return _template().render(page=self) + "\n"

    def save(self, file: str | Path) -> None:
        """Write the page to a file, atomically.

        Parameters
        ----------
        file : str or Path
            The HTML file.

        """
        with replacing(file) as path:
            path.write_text(self.html(), encoding="utf-8")


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - only a page needs it

    return MarkdownIt("commonmark", {"html": False}).enable("table")


@cache
def _template() -> Template:
    from jinja2 import Environment  # noqa: PLC0415 - only a page needs it

    text = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)
