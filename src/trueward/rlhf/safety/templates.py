"""Prompts of judges: read from the authors' own files, pinned by a hash, filled without interpretation."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError

from .suites import PAGE, SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LARGEST = 1 << 22  # bytes of a file that is searched for a template


@dataclass(frozen=True)
class Template:
    """The prompt of a judge.

    Attributes
    ----------
    text : str
        With fields in braces, such as ``{response}``.
    source : str
        The file that it was found in.
    version : str
        What is known of it.

    """

    text: str
    source: str
    version: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text."""
        return template_digest(self.text)

    def filled(self, values: Mapping[str, str]) -> str:
        """Fill the fields in one pass, so that braces in a prompt or a response stay as they are.

        Parameters
        ----------
        values : mapping of str to str
            Field -> text.

        Returns
        -------
        str
            The prompt.

        Examples
        --------
        >>> Template("{prompt} -> {response}", "", "").filled({"prompt": "a {response}", "response": "b"})
        'a {response} -> b'

        """
        fields = re.compile("|".join(re.escape(f"{{{name}}}") for name in values))
        return fields.sub(lambda m: values[m[0][1:-1]], self.text)


def template_digest(text: str) -> str:
    """Return the SHA-256 of a template, with the ends of lines of Unix.

    Parameters
    ----------
    text : str
        The template.

    Returns
    -------
    str
        64 hexadecimal digits.

    """
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def find_template(
    name: str,
    fields: Sequence[str],
    pins: Mapping[str, str],
    data: str | Path,
    accept: Sequence[str] = (),
) -> Template:
    """Find the prompt of a judge in a folder.

    Every text of every file counts: a whole .txt file, the strings of a .py file, which is parsed and not
    run, and the strings of a .json file.

    Parameters
    ----------
    name : str
        Name of the template, also that of a file ``NAME.txt``.
    fields : sequence of str
        Fields that it must have.
    pins : mapping of str to str
        Hash of a version -> what it is.
    data : str or Path
        The folder.
    accept : sequence of str
        First digits of the hashes of other versions that may be used.

    Returns
    -------
    Template
        The first text with a known or accepted hash.

    Raises
    ------
    UsageError
        If no file has such a text.
    TruewardError
        If there is only one of another version, or it lacks a field.

    """
    place = Path(data).expanduser()
    place = place if place.is_dir() else place.parent
    others: dict[str, str] = {}
    for file in sorted(p for p in place.iterdir() if p.suffix in (".txt", ".py", ".json")):
        for text in _texts(file):
            digest = template_digest(text)
            if digest in pins:
                return Template(text.replace("\r\n", "\n"), str(file), pins[digest])
            if all(f"{{{f}}}" in text for f in fields):
                if any(len(word) >= 8 and digest.startswith(word.lower()) for word in accept):
                    return Template(text.replace("\r\n", "\n"), str(file), "accepted by --accept")
                others[digest] = file.name
    if others:
        listed = ", ".join(f"{digest[:SHOWN]} in {file}" for digest, file in others.items())
        first = next(iter(others))[:SHOWN]
        known = ", ".join(digest[:SHOWN] for digest in pins)
        raise TruewardError(
            f"the prompt of the judge {name} in {place} is another version: expected {known}, and found "
            f"{listed}; fetch the version of {PAGE}, or add --accept {first} to use it, which compares with "
            "no published figure"
        )
    needed = ", ".join(f"{{{f}}}" for f in fields)
    raise UsageError(
        f"{place} has no prompt of the judge {name}: put the authors' file, or {name}.txt with {needed}, "
        f"there; {PAGE} says where it is had"
    )


def _texts(file: Path) -> Iterator[str]:
    """Yield the texts of a file that may be templates."""
    if file.stat().st_size > LARGEST:
        return
    whole = file.read_bytes().decode("utf-8", "replace")
    if file.suffix == ".txt":
        yield whole
        if whole.endswith("\n"):  # the end that an editor adds
            yield whole.removesuffix("\n").removesuffix("\r")
        return
    try:
        if file.suffix == ".json":
            yield from _strings(json.loads(whole))
            return
        for node in ast.walk(ast.parse(whole)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(_part(part) for part in node.values)
    except (SyntaxError, ValueError, RecursionError):
        return


def _part(node: ast.expr) -> str:
    """Return a part of an f-string as the part of a template."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    return f"{{{ast.unparse(node.value)}}}" if isinstance(node, ast.FormattedValue) else ""


def _strings(value: Any) -> Iterator[str]:
    """Yield every text of a JSON document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
