"""Pages of the Python reference, from the docstrings of the public names: sections of numpydoc become tables.

`pages` gives one page for each row of `PAGES`; a public name is on the page of the package that defines it.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from types import UnionType

from numpydoc.docscrape import NumpyDocString, Parameter

import trueward as tw
from trueward import plugin, rlhf

PAGES = {
    "logs": ("Logs", ("data", "importers", "inspection")),
    "asking": ("Asks and labels", ("asking",)),
    "fitting": (
        "Features and fits",
        ("features", "fitting", "training", "estimation", "estimators"),
    ),
    "models": ("Models", ("model",)),
    "evaluation": ("Evaluation", ("evaluation", "refutation")),
    "use": ("Reports and use", ("reporting", "exporting", "production")),
    "rlhf": ("Rewards in RLHF", ("rlhf",)),
    "simulation": ("Simulation and errors", ("simulation", "core")),
}
TABLES = ("Parameters", "Attributes", "Returns", "Yields", "Raises")
WIDTH = 90
WORDS = {
    "report",
    "card",
    "methods",
    "plan",
}  # fields of results, too: linked only as trueward.NAME
CAPITAL = re.compile(r"(?<![`\w])[A-Z]\w+(?![`\w])")
CODE = re.compile(r"(``[^`]+``|`[^`]+`)")


def home(thing: object) -> str:
    """Return the package of trueward that defines a public object."""
    return str(getattr(thing, "__module__", "")).split(".")[1]


def names_of(page: str) -> Iterator[tuple[str, object]]:
    """Public names of a page, in the order a user meets them, with their objects."""
    found = {name: getattr(tw, name) for name in tw.__all__}
    if page == "rlhf":
        found |= {
            name: getattr(rlhf, name) for name in rlhf.__all__ if callable(getattr(rlhf, name))
        }
    yield from ((name, thing) for name, thing in found.items() if home(thing) in PAGES[page][1])


def links() -> dict[str, str]:
    """Return page and anchor of every public name."""
    return {
        name: f"{page}.md#{anchor(heading(name, thing))}"
        for page in PAGES
        for name, thing in names_of(page)
    }


def heading(name: str, thing: object) -> str:
    """Return the heading of a name: `plan` is a function, `Plan (class)` its result."""
    return f"{name} (class)" if inspect.isclass(thing) else name


def anchor(text: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w -]", "", text.lower()).strip().replace(" ", "-")


class Text:
    """Turns the text of docstrings into Markdown; names of the reference become links."""

    def __init__(self, targets: dict[str, str]) -> None:
        self.targets = targets

    def code(self, word: str) -> str:
        """Return a code span, linked where it is a public name."""
        inner = word.strip("`").strip()
        name = inner.removeprefix("trueward.").removeprefix("tw.")
        target = None if inner in WORDS else self.targets.get(name)
        return f"[`{inner}`]({target})" if target else f"`{inner}`"

    def line(self, text: str) -> str:
        """Return text on one line or several, with what Markdown would read as marks escaped."""
        parts = CODE.split(text)
        plain = [re.sub(r"([*\[\]])", r"\\\1", p).replace("<", "&lt;") for p in parts[::2]]
        spans = [self.code(p) for p in parts[1::2]]
        return "".join(a + b for a, b in zip(plain, [*spans, ""], strict=True))

    def kind(self, text: str) -> str:
        """Return the type of a parameter or a result, with links to public classes."""
        either = " or ".join(part.strip() for part in text.split("|"))
        return CAPITAL.sub(
            lambda m: f"[{m[0]}]({self.targets[m[0]]})" if m[0] in self.targets else m[0],
            self.line(either),
        )

    def cell(self, lines: list[str]) -> str:
        """Return lines as one cell of a table."""
        paragraphs = "\n".join(lines).split("\n\n")
        joined = [" ".join(p.split()) for p in paragraphs if p.strip()]
        return "<br>".join(self.line(p) for p in joined).replace("|", "&#124;")


def signature(name: str, thing: Callable[..., object]) -> str:
    """Return how a thing is called, with its defaults and without its types."""
    try:
        given = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return name
    words, starred = [], False
    for one in given:
        if one.name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and not starred:
            words.append("*")
        starred |= one.kind in (one.KEYWORD_ONLY, one.VAR_POSITIONAL)
        mark = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        default = "" if one.default is one.empty else f"={shown(one.default)}"
        words.append(f"{mark}{one.name}{default}")
    flat = f"{name}({', '.join(words)})"
    if len(flat) <= WIDTH:
        return flat
    return f"{name}(\n" + "".join(f"    {w},\n" for w in words) + ")"


def shown(default: object) -> str:
    """Return a default as it is written; an object without a plain form is dots."""
    text = repr(default)
    return "..." if text.startswith("<") or len(text) > 40 else text


def table(entries: list[Parameter], text: Text) -> list[str]:
    """Return a section of names, types and meanings as a table; without names as one of two columns."""
    named = any(one.name for one in entries)
    head = (
        ["| name | type | meaning |", "|---|---|---|"]
        if named
        else ["| type | meaning |", "|---|---|"]
    )
    rows = []
    for one in entries:
        name = f"| `{one.name}` " if named else ""
        rows.append(f"{name}| {text.kind(one.type)} | {text.cell(one.desc)} |")
    return [*head, *rows, ""]


def examples(lines: list[str]) -> list[str]:
    """Return the examples of a docstring: code with its output, and the text between."""
    blocks: list[str] = []
    inside = False
    for line in lines:
        code = line.startswith((">>>", "...")) or (inside and bool(line.strip()))
        if code != inside:
            blocks.append("```pycon" if code else "```\n")
        inside = code
        blocks.append(doctest_free(line) if code else line)
    return [*blocks, "```", ""] if inside else [*blocks, ""]


def doctest_free(line: str) -> str:
    """Return a line of an example without directives of doctest."""
    return re.sub(r"\s*# doctest: .*$", "", line)


def described(docstring: str, text: Text) -> list[str]:
    """Return a docstring as Markdown."""
    doc = NumpyDocString(inspect.cleandoc(docstring))
    parts = [text.line("\n".join(doc["Summary"])), ""]
    if doc["Extended Summary"]:
        parts += [text.line("\n".join(doc["Extended Summary"])), ""]
    for section in TABLES:
        if doc[section]:
            parts += [f"**{section}**", "", *table(doc[section], text)]
    if doc["Notes"]:
        parts += ["**Notes**", "", text.line("\n".join(doc["Notes"])), ""]
    if doc["References"]:
        listed = re.sub(
            r"^\.\. \[(\d+)\] ?", r"\1. ", "\n".join(doc["References"]), flags=re.MULTILINE
        )
        parts += ["**References**", "", text.line(listed), ""]
    if doc["Examples"]:
        parts += ["**Examples**", "", *examples(doc["Examples"])]
    return parts


def members(name: str, cls: type, text: Text) -> list[str]:
    """Return the public methods and properties of a class."""
    parts = []
    for word, member in vars(cls).items():
        if word.startswith("_"):
            continue
        called = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        about = inspect.getdoc(called)
        if inspect.isfunction(called) and about:
            parts += [f"### {name}.{word}", "", f"```python\n{signature(word, called)}\n```", ""]
            parts += described(about, text)
        elif about and (isinstance(member, property) or hasattr(member, "func")):
            parts += [f"### {name}.{word} (property)", "", *described(about, text)]
    return parts


def entry(name: str, thing: object, targets: dict[str, str]) -> list[str]:
    """Return the section of one public name."""
    text = Text({n: t for n, t in targets.items() if n != name})
    parts = [f"## {heading(name, thing)}", ""]
    inside = "trueward" if name in tw.__all__ else "trueward.rlhf"
    if callable(thing):
        parts += [f"```python\n{signature(f'{inside}.{name}', thing)}\n```", ""]
    parts += described(inspect.getdoc(thing) or "", text)
    return parts + (members(name, thing, text) if inspect.isclass(thing) else [])


def meaning(thing: object) -> str:
    """Return the first paragraph of a docstring; of a type of another library its name."""
    if isinstance(thing, UnionType):
        return " or ".join(f"`{one.__name__}`" for one in thing.__args__)
    if not str(getattr(thing, "__module__", "")).startswith("trueward."):
        return f"`{inspect.formatannotation(thing)}`"
    return (inspect.getdoc(thing) or "").partition("\n\n")[0]


def plugin_page(targets: dict[str, str]) -> str:
    """Return the page of `trueward.plugin`: its names with their first sentences."""
    text = Text(targets)
    parts = ["# Names for authors of methods", "", text.line(inspect.getdoc(plugin) or ""), ""]
    parts += ["| name | meaning |", "|---|---|"]
    for name in plugin.__all__:
        thing = getattr(plugin, name)
        parts.append(f"| `{name}` | {text.cell([meaning(thing)])} |")
    return "\n".join(
        [*parts, "", "[Add a method](../add_a_method.md) shows how they are used.", ""]
    )


def index(targets: dict[str, str]) -> str:
    """Return the first page: every public name with its first sentence."""
    parts = [
        "# Python API",
        "",
        "The names of `import trueward as tw`, which [stay](../versions.md) between minor versions.",
        "Made from the docstrings, whose examples run as tests.",
        "",
    ]
    for page, (title, _) in PAGES.items():
        parts += [f"## [{title}]({page}.md)", "", "| name | |", "|---|---|"]
        for name, thing in names_of(page):
            parts.append(
                f"| [`{name}`]({targets[name]}) | {Text(targets).cell([meaning(thing)])} |"
            )
        parts.append("")
    return "\n".join([*parts, "[Names for authors of methods](plugin.md): `trueward.plugin`.", ""])


def pages() -> dict[str, str]:
    """Return name and text of every page of the reference."""
    targets = links()
    missing = [name for name in tw.__all__ if name not in targets]
    if missing:
        raise SystemExit(f"docs/api_reference.py: add the package of {', '.join(missing)} to PAGES")
    found = {"index.md": index(targets)}
    for page, (title, _) in PAGES.items():
        parts = [f"# {title}", ""]
        for name, thing in names_of(page):
            parts += entry(name, thing, targets)
        found[f"{page}.md"] = "\n".join(parts)
    return found | {"plugin.md": plugin_page(targets)}
