"""The files of an export, the sources that can be imported, and which source the files come from."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import pkgutil
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError, UsageError
from trueward.core.suggest import suggestion
from trueward.data.readers import refuse_uri

from . import products
from .contract import Record, Source
from .products._table_columns import has_texts
from .records import FORMATS, QUERY, file_format, read_records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SAMPLED = 20  # records of each file that decide on its source
OWN_TABLE = "table"  # the source of tables that are no export of a product
SAME_FORMAT = {".ndjson": ".jsonl", ".sqlite3": ".sqlite", ".db": ".sqlite"}
OWN_TABLES = {"responses", "events", "dataset"}  # the files of an import that are imported again


def list_files(paths: Sequence[Path], *, own_table: bool = False) -> list[Path]:
    """Return the named files, and the files of a known format in the named folders.

    Parameters
    ----------
    paths : sequence of Path
        Files, queries (``.sql``) and folders.
    own_table : bool
        Whether folders hold parts of one table, in any format of tables but all in the same.

    Returns
    -------
    list of Path
        Sorted, each once. Of a folder that an import wrote: its two tables and ``dataset.json``.

    Raises
    ------
    TruewardError
        If a path does not exist, or there are no files.
    UsageError
        If a named file has an unknown ending, or the parts of a table have several formats.

    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            refuse_uri(path)
            raise TruewardError(f"there is no file {path}: check the path")
        if path.is_dir():
            files += _parts_in(path) if own_table else _files_in(path)
        elif not file_format(path) and path.suffix != QUERY:
            raise UsageError(
                f"{path} should end in one of {', '.join(FORMATS)}, {QUERY}, packed as .gz or .zst or not: "
                "name a file of the export"
            )
        else:
            files.append(path)
    if not files:
        raise TruewardError(
            f"{paths[0]} should hold files of an export ({', '.join(FORMATS)}), but has none: name them"
            f"{_hint_of_tables(paths)}"
        )
    return sorted(set(files))


def _files_in(folder: Path) -> list[Path]:
    below = sorted(p for p in folder.rglob("*") if p.is_file() and file_format(p) in FORMATS)
    files = [p for p in below if p.parent.name != "manifests" and p.name != "summary.json"]
    if (folder / "dataset.json").is_file():
        return [path for path in files if path.name.split(".")[0] in OWN_TABLES]
    return files


def _parts_in(folder: Path) -> list[Path]:
    """Return the parts of a table; hidden files, and the open documents of Excel, are none."""
    parts: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        kind = file_format(path) if path.is_file() else ""
        if kind and not path.name.startswith((".", "~$")):
            parts.setdefault(SAME_FORMAT.get(kind, kind), []).append(path)
    if len(parts) > 1:
        counts = ", ".join(f"{len(found)} {kind}" for kind, found in sorted(parts.items()))
        first = min(parts, key=lambda kind: (-len(parts[kind]), kind))
        raise UsageError(
            f"{folder} should hold the parts of one table in one format, but it has {counts}: name the "
            f"files, such as {parts[first][0]}, or move the others elsewhere"
        )
    return next(iter(parts.values()), [])


def _hint_of_tables(paths: Sequence[Path]) -> str:
    tables = [path for path in paths if path.is_dir() and any(map(file_format, path.rglob("*")))]
    return f"; for a table of your own: trueward import table {tables[0]}" if tables else ""


@cache
def sources() -> Mapping[str, Source]:
    """Return every source by the name of its module, in alphabetical order.

    Returns
    -------
    mapping of str to Source
        The ``SOURCE`` of each module of `trueward.importers.products` without a leading underscore.

    Examples
    --------
    >>> sources()["langfuse"].signals
    {'user-feedback': 'thumbs'}

    """
    package = products.__name__
    result: dict[str, Source] = {}
    for module in sorted(pkgutil.iter_modules(products.__path__), key=lambda m: m.name):
        if module.name.startswith("_"):
            continue
        source = vars(importlib.import_module(f"{package}.{module.name}")).get("SOURCE")
        if not isinstance(source, Source):
            raise TypeError(f"importers/products/{module.name}.py must define SOURCE")
        result[module.name] = replace(source, name=module.name)
    return result


def source_named(name: str) -> Source:
    """Return the source of a name.

    Parameters
    ----------
    name : str
        Name of a source.

    Returns
    -------
    Source
        The source.

    Raises
    ------
    UsageError
        If there is no such source.

    """
    known = sources()
    if name not in known:
        raise UsageError(f"there is no source {name!r}: {suggestion(name, ['auto', *known])}")
    return known[name]


def detect_source(paths: Sequence[Path]) -> Source:
    """Return the one source whose records all files hold, judged by the first records of each.

    Files that no source knows, beside others, are read too: their records are rejected and counted.

    Parameters
    ----------
    paths : sequence of Path
        Files of one export.

    Returns
    -------
    Source
        The source.

    Raises
    ------
    TruewardError
        If no source fits every file.
    UsageError
        If several sources fit.

    """
    products_known = [source for source in sources().values() if source.name != OWN_TABLE]
    candidates = products_known
    rated: list[Path] = []
    others: list[tuple[Path, str]] = []
    for path in paths:
        with contextlib.closing(read_records(path)) as records:
            first = [r.value for r in itertools.islice(records, SAMPLED) if isinstance(r, Record)]
        if not first:
            continue
        if has_texts([name for value in first for name in value]):
            rated.append(path)
        fitting = [s for s in products_known if any(s.kind_of(value) for value in first)]
        keys = ", ".join(list(first[0])[:12])
        if not fitting and path not in rated:  # such as user.json in an export of ChatGPT
            others.append((path, keys))
            continue
        candidates = [s for s in candidates if s in fitting]
        if not candidates:
            if has_texts([name for value in first for name in value]):
                return source_named(OWN_TABLE)
            raise _unknown_keys(path, keys)
    if others and (candidates is products_known or len(candidates) > 1):
        raise _unknown_keys(*others[0])
    if [s.name for s in candidates] == ["generic"] and len(rated) == len(paths):
        return source_named(OWN_TABLE)  # responses with their feedback beside them, and no events
    if len(candidates) > 1:
        raise UsageError(
            f"{paths[0]} could be an export of {' or '.join(s.name for s in candidates)}: name the source "
            "in place of auto"
        )
    return candidates[0]


def _unknown_keys(path: Path, keys: str) -> TruewardError:
    return TruewardError(
        f"{path} should hold records of the same known source as the other files, but its keys "
        f"are {keys}: name the source ({', '.join(sources())}), or map the columns of your own: "
        "trueward import table FILE --map prompt=NAME --map response=NAME --map feedback=NAME"
    )


def other_product(paths: Sequence[Path]) -> Source | None:
    """Return the product that the first records are an export of, if they are no table of one's own.

    Parameters
    ----------
    paths : sequence of Path
        Files that the user calls a table.

    Returns
    -------
    Source or None
        The product; None for other tables.

    """
    for path in paths:
        if file_format(path) not in FORMATS:
            continue
        with contextlib.closing(read_records(path)) as records:
            first = [r.value for r in itertools.islice(records, SAMPLED) if isinstance(r, Record)]
        for source in sources().values():
            own = source.name in {OWN_TABLE, "generic"}
            if not own and first and all(source.kind_of(value) for value in first):
                return source
    return None
