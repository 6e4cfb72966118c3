"""A first reading of somebody's own table: its columns, values of feedback and formats of dates."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError
from trueward.data.feedback_column import value_labels
from trueward.data.feedback_words import FeedbackWords, spelled
from trueward.data.readers import list_columns
from trueward.importers.channels import THUMBS

from ._table_columns import KNOWN, Times, cell, find_columns, plain_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.importers.contract import Record, UserMapping

MOST_VALUES = 1_000_000  # different values of feedback that are held
FEEDBACK, TIMES = set(KNOWN["feedback"].split()), set(KNOWN["time"].split())


class TableSurvey:
    """What all rows of all files of a table say together, held in memory instead of the rows.

    Parameters
    ----------
    mapping : UserMapping
        What the user mapped.

    Attributes
    ----------
    roles : dict of str to (dict of str to str)
        File -> role -> path to its value.
    labels : dict of str to (dict of str to float or None)
        Column of feedback -> value as text -> 1, 0 or None.
    times : dict of str to Times
        Column of times -> how to read them.
    names : dict of str to str
        File -> its name in the ids of its rows.

    """

    def __init__(self, mapping: UserMapping) -> None:
        self.mapping = mapping
        thumbs = [theirs for theirs, ours in mapping.signals.items() if ours == THUMBS]
        mapped = {role: paths[0] for role, paths in mapping.paths.items()}
        asked = [*thumbs[:1], *(mapped[role] for role in ("feedback", "gold") if role in mapped)]
        self.tallies: dict[str, Counter[str | None]] = {path: Counter() for path in asked}
        self.thumbs = thumbs[0] if thumbs else None
        self.first: dict[str, dict[str, tuple[str, int]]] = {path: {} for path in asked}
        self.times = {mapped["time"]: self._times(mapped["time"])} if "time" in mapped else {}
        self.columns: dict[str, dict[str, int]] = {}
        self.roles: dict[str, dict[str, str]] = {}
        self.labels: dict[str, dict[str, float | None]] = {}
        self.names: dict[str, str] = {}
        self.rows = 0

    def _times(self, path: str) -> Times:
        return Times(path, self.mapping.dates)

    def add(self, record: Record) -> None:
        """Count a row.

        Parameters
        ----------
        record : Record
            Any row; its values are not kept.

        Raises
        ------
        TruewardError
            If a column of feedback has too many different values.

        """
        columns = self.columns.setdefault(record.file, {})
        for name in record.value:
            if name not in columns:
                self._notice(name)
        for name in record.value:
            columns[name] = columns.get(name, 0) + 1
        self.rows += 1
        for path, tally in self.tallies.items():
            word = label_word(cell(record.value, path))
            if word is None:
                continue
            if word not in tally:
                self.first[path][word] = (record.file, record.line)
                if len(tally) >= MOST_VALUES:
                    raise TruewardError(
                        f"{record.file} has more than {MOST_VALUES:,} different values in {path!r}, which "
                        "is no column of feedback: map another one by --map feedback=NAME"
                    )
            tally[word] += 1
        for path, times in self.times.items():
            times.add(cell(record.value, path))

    def _notice(self, name: str) -> None:
        """Begin to count the values of a column that may be the feedback or the time."""
        plain = plain_name(name)
        if plain in FEEDBACK and name not in self.tallies:
            self.tallies[name], self.first[name] = Counter(), {}
        if plain in TIMES and name not in self.times:
            self.times[name] = self._times(name)

    def settle(self) -> None:
        """Choose the columns of each file and the meaning of their values.

        Raises
        ------
        TruewardError
            If a file has no prompt or response, or its feedback or dates could mean several things.

        """
        mapping = self.mapping
        used: set[str] = set()
        for file, columns in self.columns.items():
            self.roles[file] = find_columns(list(columns), mapping, file)
            used |= {*self.roles[file].values(), *mapping.signals}
            mapping.names_seen.update(columns)
        unused = [
            n for n in dict.fromkeys(n for c in self.columns.values() for n in c) if n not in used
        ]
        if unused:
            mapping.found["columns that are not read"] = list_columns(unused)
        chosen = [roles.get("feedback") for roles in self.roles.values()]
        for path in dict.fromkeys([*chosen, self.thumbs]):
            if path is not None:
                self._settle_labels(path, mapping.words, ask=True)
        for path in dict.fromkeys(roles.get("gold") for roles in self.roles.values()):
            if path is not None and path not in self.labels:
                self._settle_labels(path, FeedbackWords(), ask=False)
        for path in dict.fromkeys(roles.get("time") for roles in self.roles.values()):
            if path is not None and self.times[path].settle():
                mapping.found["dates"] = str(self.times[path].format)
        if isinstance(mapping.paths, dict):  # the account names what was found
            for roles in self.roles.values():
                for role, path in roles.items():
                    known = mapping.paths.get(role, ())
                    mapping.paths[role] = known if path in known else (*known, path)
        self.names = row_names(list(self.columns))
        self.tallies, self.first = {}, {}

    def _settle_labels(self, path: str, words: FeedbackWords, *, ask: bool) -> None:
        tally = self.tallies[path]
        if empty := self.rows - sum(tally.values()):
            tally[None] = empty
        first = self.first[path]

        def first_row(written: Sequence[object]) -> str:
            word = min((str(w) for w in written if w is not None), key=lambda w: first[w])
            return f"row {first[word][1]} of {first[word][0]} has {word!r}"

        for word, count in tally.items():
            self.mapping.words_seen[spelled(word)] += count
        source = next(iter(self.columns))
        read, meanings = value_labels(tally, path, source, first_row, words, ask=ask)
        self.labels[path] = read
        told = [
            f"{value or 'empty'} ({count:,}) is {'none' if label is None else 'good' if label else 'bad'}"
            for value, (label, count) in meanings.items()
        ]
        if told:
            self.mapping.found[f"values of {path}"] = ", ".join(told)


def label_word(value: Any) -> str | None:
    """Return a value of feedback as text; None if there is none, or it is no word or number.

    Parameters
    ----------
    value : object
        A cell.

    Returns
    -------
    str or None
        The key of its label.

    """
    return str(value) if isinstance(value, str | int | float) else None


def row_names(files: Sequence[str]) -> dict[str, str]:
    """Return what stands for each file in ids: its name, with its folder where names occur twice.

    Parameters
    ----------
    files : sequence of str
        Paths.

    Returns
    -------
    dict of str to str
        Path -> name.

    """
    twice = {name for name, n in Counter(Path(file).name for file in files).items() if n > 1}
    base = os.path.commonpath([Path(file).parent for file in files]) if twice else ""
    return {
        file: Path(os.path.relpath(file, base)).as_posix()
        if Path(file).name in twice
        else Path(file).name
        for file in files
    }
