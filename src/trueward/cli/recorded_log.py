"""The log that a model was fitted on: how it is recorded, and when a record may be followed.

A model folder is data that somebody else may have written. Its record names a log by a path in the working
folder, never a query or an address, and the content must be the recorded one.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError

from .progress import note
from .reading import read

if TYPE_CHECKING:
    from trueward.data.log import Log
    from trueward.model.reward_model import RewardModel

CONTENT = ("prompt", "response", "feedback")  # columns of the fingerprint
QUERY = ".sql"


def recorded(
    table: Log,
    log: str | None,
    gold: str | None,
    mapping: list[str] | None,
    split: str | None,
    values: dict[str, list[str] | None],
    sample: tuple[str, int] = ("all", 0),
    compared: str | None = None,
) -> dict[str, Any]:
    """Return what a model remembers of its log: paths without folders of this machine, and its content."""
    record: dict[str, Any] = {
        "path": log and portable(log),
        "gold": gold and portable(gold),
        "map": mapping,
        "split": split,
        "rows": len(table),
        "fingerprint": fingerprint(table),
    }
    if table.unrated_share is not None:
        record["sample"] = {"unrated_per_rated": sample[0], "seed": sample[1]}
    record |= {"values": values} if any(values.values()) else {}
    return record | ({"pairs": portable(compared)} if compared else {})


def portable(path: str) -> str:
    """Return a path relative to the working folder, or its name where it lies elsewhere."""
    if "://" in path:
        scheme, _, rest = path.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"  # without user name and password
    whole, here = Path(path).resolve(), Path.cwd().resolve()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else Path(path).name


def portable_command(command: str | None) -> str | None:
    """Return a command line in which absolute paths are relative, or names where they lie elsewhere."""
    if command is None:
        return None
    words = []
    for word in shlex.split(command):
        name, equals, value = word.rpartition("=")
        path = Path(value)
        words.append(f"{name}{equals}{portable(value)}" if path.is_absolute() else word)
    return shlex.join(words)


def fingerprint(table: Log) -> str:
    """Return the digest of the texts and the feedback of a log."""
    from trueward.data.digests import fingerprint as digest

    return digest(table.frame.select(c for c in CONTENT if c in table.columns))


def fitted_on(
    model: RewardModel,
    gold: str | None = None,
    mapping: list[str] | None = None,
    split: str | None = None,
) -> Log:
    """Read the log that a model was fitted on, and check that it is the same.

    Raises
    ------
    TruewardError
        If the record has no log, names a query, an address or a file outside of the working folder, or if the
        content is another one.

    """
    known = model.report.get("log")
    if not isinstance(known, dict):
        raise TruewardError(
            "the model was fitted in Python, so it does not know the path of its log: give the log"
        )
    path, old_gold, compared = (
        _here(known.get(k), "log" if k == "path" else k) for k in ("path", "gold", "pairs")
    )
    first = path or compared
    if first is None:
        raise TruewardError("the model has no valid record of its log: give the log")
    rows = known.get("rows")
    if not Path(first).exists():
        size = f" ({rows:,} rows)" if isinstance(rows, int) else ""
        raise TruewardError(
            f"the log that the model was fitted on, {first}{size}, does not exist in this folder: give the "
            "log"
        )
    note(f"reading {first}, the log that the model was fitted on")
    how = (mapping or known.get("map"), split or known.get("split"), known.get("values"))
    table = read(path, gold or old_gold, *how, _sample(known.get("sample")), compared)
    wanted = known.get("fingerprint")
    if wanted is not None and mapping is None and split is None and fingerprint(table) != wanted:
        raise TruewardError(
            f"{first} has {len(table):,} rows and is not the log that the model was fitted on, which had "
            f"{rows} rows with other texts or feedback: give the log"
        )
    return table


def _sample(known: Any) -> tuple[str, int]:
    """Return the sample of unrated rows that a record names; every row if it names none."""
    try:
        return str(known["unrated_per_rated"]), int(known["seed"])
    except (TypeError, KeyError, ValueError, OverflowError):
        return "all", 0


def _here(path: Any, what: str) -> str | None:
    """Return a recorded path if it may be followed without being named."""
    if path is None or not isinstance(path, str):
        return None
    if "://" in path or Path(path).suffix == QUERY:
        raise TruewardError(
            f"the model names {path} as its {what}; a query or an address in a model folder is not followed: "
            f"give the {what} yourself"
        )
    if not Path(path).resolve().is_relative_to(Path.cwd().resolve()):
        raise TruewardError(
            f"the model names {path} as its {what}, which is not in this folder, so it is not read unasked: "
            f"give the {what} yourself"
        )
    return path
