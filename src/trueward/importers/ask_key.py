"""Draw the lottery of asks again while its log is imported, and refuse a log that does not follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.asking.lottery_tests import contradictions, mismatches
from trueward.core.errors import TruewardError, UsageError

if TYPE_CHECKING:
    from .imported import ImportedLog

NEEDED = ("asked", "p_ask")
READ = ("response_id", "time", *NEEDED, "seen", "ask_level")


def check_ask_key(imported: ImportedLog, key: str) -> None:
    """Raise if the asks of an import do not follow from ids, probabilities and this key.

    Parameters
    ----------
    imported : ImportedLog
        The import.
    key : str
        The key that the product drew with.

    Raises
    ------
    UsageError
        If the export tells of no lottery.
    TruewardError
        If ``asked`` is another outcome than the lottery's, or its columns contradict each other.

    See Also
    --------
    trueward.check_asks : Also tests the share of the asked and its independence of the responses.

    """
    parts = [
        log.select(name for name in READ if name in log.columns) for _, log in imported.parts()
    ]
    rows = pl.concat(parts, how="diagonal")
    if not {*NEEDED} <= {*rows.columns}:
        raise UsageError(
            f"--ask-key draws the asks again, and {imported.source.title} tells of none: it needs `asked` "
            "and `p_ask` (trueward ask snippet prints the code that logs them), or leave --ask-key out"
        )
    problems = contradictions(rows)
    lottery = rows.filter((pl.col("p_ask") > 0) & pl.col("asked").is_not_null())
    mismatches(lottery, key, imported.source.title, problems)
    if problems:
        raise TruewardError(
            f"the asks of this export are not those of the lottery, and nothing was written: "
            f"{'; '.join(problems)}. Give the key that the product drew with, or import without --ask-key "
            "and see trueward ask check"
        )
