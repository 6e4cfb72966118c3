"""What the site of the documentation is built from: pages, files they link to, navigation, llms.txt.

The pages keep their places in the repository, so that a link leads to the same file here and there.
README.md is the first page; the Python reference is made from the docstrings.
"""

import functools
import itertools
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath
from urllib.parse import unquote, urldefrag

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
PATTERNS = ("*.md", "docs/*.md", "docs/methods/*.md", "examples/gallery/*.md")
PARSER = MarkdownIt("commonmark").enable("table")
BADGES = re.compile(r"^\[!\[.*\n\n", re.MULTILINE)


@functools.cache
def parsed(text: str) -> list[Token]:
    """Return the tokens of a page, read as GitHub does."""
    return PARSER.parse(text)


def pages(reference: dict[str, str]) -> dict[str, str]:
    """Return every page of the site by its path; `reference` holds those of docs/api."""
    found = {}
    for pattern in PATTERNS:
        for path in sorted(ROOT.glob(pattern)):
            found[path.relative_to(ROOT).as_posix()] = path.read_text("utf-8")
    found["index.md"] = BADGES.sub("", found.pop("README.md"))  # badges are pictures from elsewhere
    return found | {f"docs/api/{name}": text for name, text in reference.items()}


def files(texts: dict[str, str]) -> set[str]:
    """Return the files of the repository that pages link to and that are no pages."""
    targets = {t for page, text in texts.items() for t, _ in links(page, text)}
    return {t for t in targets - set(texts) if (ROOT / t).is_file()}


def links(page: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield (file, anchor) of every link and picture of a page that stays inside the site."""
    for block in parsed(text):
        for token in block.children or ():
            href = str(token.attrGet("href") or token.attrGet("src") or "")
            if href and not re.match(r"[a-z]+:", href):
                place, fragment = urldefrag(unquote(href))
                inside = normpath((PurePosixPath(page).parent / place).as_posix())
                yield (inside if place else page), fragment


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings of a page that GitHub and Zensical agree on."""
    found: dict[str, int] = {}
    tokens = parsed(text)
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            words = "".join(
                t.content for t in inline.children or () if t.type in ("text", "code_inline")
            )
            kept = re.sub(r"[^\w\s-]", "", words).strip().lower()
            if "  " not in kept and " -" not in kept:  # Zensical makes one dash of several
                slug = re.sub(r"\s", "-", kept)
                found[slug] = found.get(slug, 0) + 1
    return {slug for slug, times in found.items() if times == 1}


def broken(texts: dict[str, str]) -> list[str]:
    """Return the links that lead nowhere."""
    known = {page: anchors(text) for page, text in texts.items()}
    there = set(texts) | files(texts)
    wrong = []
    for page, text in texts.items():
        for target, fragment in links(page, text):
            if target not in there:
                wrong.append(f"{page}: {target} is neither a page nor a file")
            elif fragment and fragment not in known.get(target, ()):
                wrong.append(f"{page}: {target} has no heading #{fragment}")
    return wrong


def settings(texts: dict[str, str]) -> str:
    """Return the settings of the site, with the pages of methods and of the reference in the navigation.

    Pages that docs/zensical.toml does not name are listed under More.
    """
    text = (ROOT / "docs" / "zensical.toml").read_text("utf-8")
    api = [p for p in texts if p.startswith("docs/api/")]
    methods = [p for p in texts if p.startswith("docs/methods/")]
    more = sorted(p for p in {*texts} - {*api, *methods} if f'"{p}"' not in text)
    for word, listed in (("API", api), ("METHODS", methods), ("MORE", more)):
        text = text.replace(f'"{word}"', json.dumps(listed))
    return text if more else text.replace('    { "More" = [] },\n', "")


def navigation(config: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the groups of the navigation with (title or "", path) of their pages."""

    def flat(item: object, title: str = "") -> Iterator[tuple[str, str]]:
        if isinstance(item, str):
            yield title, item
        elif isinstance(item, dict):
            for word, below in item.items():
                yield from flat(below, word)
        elif isinstance(item, list):
            for one in item:
                yield from flat(one)

    groups = tomllib.loads(config)["project"]["nav"]
    return [(title, list(flat(below))) for group in groups for title, below in group.items()]


def title_of(text: str) -> str:
    """Return the first heading of a page."""
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    return heading[1] if heading else ""


def first_sentence(text: str) -> str:
    """Return the first sentence of the first paragraph of a page, without marks."""
    tokens = parsed(text)
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "paragraph_open" and opening.level == 0:
            words = "".join(
                " " if t.type == "softbreak" else t.content
                for t in inline.children or ()
                if t.type in ("text", "code_inline", "softbreak")
            )
            if words.strip():
                return re.split(r"(?<=[.:])\s", words.strip())[0].rstrip(":")
    return ""


def llms(texts: dict[str, str], config: str, url: str = "") -> dict[str, str]:
    """Return llms.txt, an index of the pages as Markdown, and llms-full.txt, all of them in its order."""
    about = tomllib.loads(config)["project"]["site_description"]
    short, full = ["# trueward", "", f"> {about}.", ""], []
    for group, listed in navigation(config):
        short += [f"## {group}", ""]
        for title, page in listed:
            name = title or title_of(texts[page])
            says = first_sentence(texts[page])
            short.append(f"- [{name}]({url}/{page})" + (f": {says}" if says else ""))
            full.append(f"<!-- {page} -->\n\n{texts[page].strip()}\n")
        short.append("")
    return {"llms.txt": "\n".join(short), "llms-full.txt": "\n".join(full)}
