"""A page of sections: tables, figures and texts as one HTML file that needs nothing else."""

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
    """A paragraph."""

    kind: ClassVar[str] = "prose"
    text: str


@dataclass(frozen=True)
class Code:
    """Text as it stands: a command, what one printed."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Written:
    """Markdown of our own making; HTML in it is shown, not run."""

    kind: ClassVar[str] = "written"
    text: str

    @property
    def html(self) -> Markup:
        """Its highest headings are those below the heading of the section."""
        tokens = _markdown().parse(self.text)
        heads = [t for t in tokens if t.type in ("heading_open", "heading_close")]
        top = min((int(t.tag[1:]) for t in heads), default=1)
        for token in heads:
            token.tag = f"h{min(6, int(token.tag[1:]) - top + 3)}"
        return Markup(_markdown().renderer.render(tokens, _markdown().options, {}))  # noqa: S704


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; all columns but ``words`` hold numbers."""

    kind: ClassVar[str] = "table"
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[int] = frozenset({0})  # columns of text, set left


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption, and the same as a table for who cannot see it.

    ``svg`` is None where nothing can be drawn: then the table stands for it.
    """

    kind: ClassVar[str] = "figure"
    svg: str | None
    caption: str
    table: Table

    @property
    def drawing(self) -> Markup:
        """The SVG as markup; it is drawn by us from numbers and names that the drawing library escapes."""
        return Markup(self.svg or "")  # noqa: S704


@dataclass(frozen=True)
class Example:
    """One response to a prompt and what is said of it."""

    kind: ClassVar[str] = "example"
    title: str
    facts: Sequence[tuple[str, str]]
    prompt: str
    response: str


Block = Prose | Code | Written | Table | Figure | Example


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it; ``folded``: shown when asked for, and in print."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False

    @property
    def name(self) -> str:
        """What a link to it ends in."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())


@dataclass(frozen=True)
class Page:
    """A self-contained page."""

    title: str
    lead: str
    sections: Sequence[Section]

    def html(self) -> str:
        """The whole page: no script, no request, figures inside."""
        return _template().render(page=self) + "\n"

    def save(self, file: str | Path) -> None:
        """Write it, all of it or nothing."""
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
