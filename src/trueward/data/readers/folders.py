"""Folders with a data set, saved by `datasets` or as Parquet shards; one split is read."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError

from .columnar import read_arrow, read_parquet
from .table import chosen_part

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .column_names import WantedColumns
    from .table import Table

# train-00000-of-00002.parquet, part-00003-9f2c.c000.snappy.parquet
SHARD = re.compile(r"^(?P<split>.+?)-(?P<i>\d{5})-of-(?P<n>\d{5})(-[0-9a-f]+)?$")
PART = re.compile(r"^(?P<split>part)-\d+([-.].*)?$")


def read_folder(folder: Path, wanted: WantedColumns, split: str | None) -> Table:
    """Read the only table of a folder, or one of its splits.

    Parameters
    ----------
    folder : Path
        Written by ``trueward import`` or by ``save_to_disk`` of `datasets`, or with Parquet files in it or in
        its folder ``data``.
    wanted : WantedColumns
        The columns to read.
    split : str or None
        Name of the split; needed if the folder has several.

    Returns
    -------
    Table
        The rows of all shards.

    Raises
    ------
    UsageError
        If the split is missing or unknown.
    TruewardError
        If the folder holds no table, or a shard is missing.

    """
    if split is None and is_import(folder):
        return read_parquet([folder / "log.parquet"], wanted, str(folder / "log.parquet"))
    if (folder / "dataset_dict.json").is_file():
        splits = _json(folder / "dataset_dict.json").get("splits")
        names = [_own(folder, s) for s in splits] if isinstance(splits, list) else []
        return _saved(folder / chosen_part(folder, "splits", names, split, "split="), wanted)
    if (folder / "state.json").is_file() or (folder / "dataset_info.json").is_file():
        if split is not None:
            raise UsageError(f"{folder} is one table without splits: drop split={split}")
        return _saved(folder, wanted)
    groups: dict[str, list[Path]] = {}
    inside = [p for d in (folder, folder / "data") if d.is_dir() for p in sorted(d.iterdir())]
    for path in inside:
        if path.suffix == ".parquet" and path.is_file():
            match = SHARD.match(path.stem) or PART.match(path.stem)
            groups.setdefault(match["split"] if match else path.stem, []).append(path)
    if not groups:
        content = ", ".join(repr(p.name) for p in inside[:5]) or "nothing"
        raise TruewardError(
            f"{folder} should be a file, a folder saved by `datasets` or one of Parquet files, "
            f"but it holds {content}: name the file of the log"
        )
    only = len(groups) == 1 and split is None
    shards = (
        next(iter(groups.values()))
        if only
        else groups[chosen_part(folder, "splits", list(groups), split, "split=")]
    )
    _refuse_gap(folder, shards)
    return read_parquet(shards, wanted, str(folder))


def is_import(folder: Path) -> bool:
    """Return whether ``trueward import`` wrote a folder, whose log is ``log.parquet``.

    Parameters
    ----------
    folder : Path
        Any folder.

    Returns
    -------
    bool
        True if the log and the account of an import are there.

    """
    return all(
        (folder / name).is_file() for name in ("log.parquet", "summary.json", "dataset.json")
    )


def _saved(folder: Path, wanted: WantedColumns) -> Table:
    """Read a folder written by `save_to_disk`, its files in the order of ``state.json``."""
    paths = sorted(folder.glob("*.arrow"))
    if (folder / "state.json").is_file():
        files = _json(folder / "state.json").get("_data_files")
        if isinstance(files, list) and files:
            names = [f.get("filename") if isinstance(f, dict) else None for f in files]
            paths = [folder / _own(folder, name) for name in names]
    missing = [path.name for path in paths if not path.is_file()]
    if missing or not paths:
        raise TruewardError(
            f"{folder} should hold the Arrow files of a saved data set, but "
            f"{missing[0] if missing else 'every one'} is missing: save or copy it again"
        )
    return read_arrow(paths, wanted, str(folder))


def _own(folder: Path, name: object) -> str:
    """Return a name that the folder's JSON gives, if it is that of something in the folder."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[^/\\\0]*", name):
        raise TruewardError(
            f"{folder} should name files in it, but its JSON names {name!r}, which is not read: save the "
            "data set again"
        )
    return name


def _refuse_gap(folder: Path, shards: Sequence[Path]) -> None:
    """Raise if a numbered shard is missing: part of a log would give other estimates."""
    matches = [m for path in shards if (m := SHARD.match(path.stem))]
    if matches:
        missing = sorted(set(range(int(matches[0]["n"]))) - {int(m["i"]) for m in matches})
        if missing:
            raise TruewardError(
                f"{folder} should hold {int(matches[0]['n'])} shards of {matches[0]['split']!r}, but "
                f"number {missing[0]:05d} is missing: copy it there"
            )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as e:
        raise TruewardError(
            f"{path} should be JSON written by `datasets`, but it cannot be read: save the data "
            "data set again"
        ) from e
    return content if isinstance(content, dict) else {}
