"""Finding on a lottery of asks: whether it was fair, and what its answers are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.asking.fairness import check_asks
from trueward.asking.worth import worth_in_gold
from trueward.inspection.finding import Finding, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log


def lottery(log: Log) -> Iterator[Finding]:
    """Report whether the lottery that decided whom to ask was fair, and its worth in gold labels.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        An error where the lottery was not fair; else a note, or a warning where few of the asked answer or
        nobody knows who saw the question.

    """
    if not {"asked", "p_ask"} <= log.columns or not (log.frame["p_ask"].fill_null(0) > 0).any():
        return
    check = check_asks(log)
    n, asked, _ = check.counts
    figures = {"in_lottery": n, "asked": asked, "answering": check.answering.value}
    if not check.fair:
        yield Finding(
            "lottery", "error", f"not a fair lottery of asks: {check.problems[0]}", figures
        )
        return
    words = f"a lottery asked about {asked:,} of {n:,} responses"
    if check.answering.value is not None:
        words += f", and {percent(check.answering.value)} of them were answered"
    worth = worth_in_gold(check)
    if worth is not None:
        least, most = worth
        figures |= {"worth_least": least, "worth_most": most}
        words += (
            f": worth {least:,.0f} to {most:,.0f} random gold labels for the share of good responses, more "
            "if asking does not change who reacts; gold labels on the asked who stayed silent need no such "
            "assumption (trueward ask check)"
        )
    notes = [note for note in check.notes if "values" not in note]
    yield Finding(
        "lottery", "warning" if notes else "note", "; ".join([words, *notes[:1]]), figures
    )


FINDINGS = (lottery,)
