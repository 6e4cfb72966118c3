"""Which methods a log supports, and what is missing for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError
from trueward.data.capabilities import FEWEST, MIN_PER_CLASS
from trueward.data.export_scope import MEANING

if TYPE_CHECKING:
    from trueward.data.capabilities import LogCapabilities
    from trueward.data.feedback import Feedback

    from .method import Method

#: column that a method needs -> what to say if the log lacks it, as the rest of "needs ..."
MISSING = {
    "o": "ratings that are good or bad (1 or 0, null where none was given); this log has clicks only, so "
    "nothing shows which responses were judged",
    "z": "context.* columns: what affects whether a user reacts but not how good the answer is",
    "gold": "a gold column with some trusted labels (fit --gold FILE adds one)",
    "channel.active": "a channel.active column: 1 where the user was active, whether satisfied or not",
    "clicks": "a log of clicks, where feedback is 1 or null; this log also has negative ratings",
    "propensity": "a propensity column: the logged probability that a satisfied user acts",
    "unrated": "the responses nobody rated: every row here has feedback, which shows what rated answers are "
    "like and not who reacts; log every response that was shown",
    "group": "a prompt_id column, or prompts: it compares answers to one prompt",
    "channels": "channel.* columns with signals per response",
    "pairs": "comparisons of two responses to one prompt (--pairs FILE, or read_log(..., pairs=...))",
    "two channels": "two or more channel.* columns: one signal alone cannot separate satisfaction from "
    "activity (see the options of implicitrm for what else identifies it)",
}


def lacking(method: Method, capabilities: LogCapabilities, fewest: int = FEWEST) -> str | None:
    """Return what the log lacks for ``method``, as the rest of "needs ..."; None if it lacks nothing.

    Parameters
    ----------
    method : Method
        The method, as configured by the user.
    capabilities : LogCapabilities
        What the log has.
    fewest : int
        Rows of each class that are needed: 2 of a log, 1 to learn from, 0 to validate on.

    Returns
    -------
    str or None
        The first thing that is missing.

    """
    method, _ = method.resolve(capabilities)
    if (hidden := _hidden(method, capabilities)) is not None:
        return hidden
    context = {"z"} if any(nu.reads == "z" for nu in method.nuisances) else set()
    # a validation part may have rated rows only, and few rows where two channels fire
    elsewhere = set() if fewest else {"unrated", "two channels"}
    for column in sorted((method.needs | context) - elsewhere):
        if column.startswith("pairs."):
            if fewest and "pairs" in capabilities.columns and column not in capabilities.offers:
                has = ", ".join(source for source, _ in capabilities.pair_sources) or "no source"
                return f"comparisons of {column.removeprefix('pairs.')}, and the log has those of {has}"
            continue
        if column == "two channels" and len(capabilities.channels) > 1:
            if not capabilities.separable(capabilities.usable_channels):
                return _inseparable(capabilities)
        elif column not in capabilities.offers:
            return MISSING.get(column, f"the column {column}")
    if "pairs" in method.needs and (few := _few_pairs(capabilities, fewest)):
        return few
    if "gold" in method.needs and (few := _few("gold labels", capabilities.gold, MIN_PER_CLASS)):
        return few
    reads_reactions = "unrated" in method.needs  # can do without both kinds of ratings
    signals = method.needs & {"channels", "two channels", "pairs"}
    reads_feedback = not reads_reactions and (not signals or capabilities.rated > 0)
    if all(need.startswith("pairs") for need in method.needs) and method.needs:
        reads_feedback = False
    few = sparse(capabilities, reads_feedback=reads_feedback, fewest=fewest)
    if reads_reactions and not few:
        few = _few("responses with feedback", capabilities.rated, fewest)
        few = few or _few("responses without it", capabilities.rows - capabilities.rated, fewest)
    if few:
        return few
    all_rated = fewest and _weighted(method) and "unrated" not in capabilities.offers
    return MISSING["unrated"] if all_rated else None


def _few_pairs(capabilities: LogCapabilities, fewest: int) -> str | None:
    """Return what a log lacks whose comparisons are none, or all ties."""
    decided = sum(n for _, n in capabilities.pair_sources) - capabilities.ties
    return _few("comparisons that a response won", decided, fewest)


def _inseparable(capabilities: LogCapabilities) -> str:
    """Return what a log lacks whose channels are constant or never fire together."""
    constant = ", ".join(sorted(capabilities.constant_channels))
    found = f" (of one value here: {constant})" if constant else ""
    return (
        f"two channel.* columns that vary{found} and fire together in {MIN_PER_CLASS} rows or more: only "
        "their joint distribution separates satisfaction from activity"
    )


def _weighted(method: Method) -> bool:
    """Whether a method weights ratings by an estimated propensity."""
    estimated = {nu.name for nu in method.nuisances} | set(method.heads)
    return "propensity" in estimated and "o" in method.needs


def _hidden(method: Method, capabilities: LogCapabilities) -> str | None:
    """Return the unrated responses that a method needs and the export of this log does not contain."""
    if capabilities.export_scope is None or capabilities.export_scope.shows_unrated:
        return None
    reactions = {"unrated", "clicks", "channels", "two channels"}
    clicks = "o" not in capabilities.columns and "gold" not in method.needs
    if not (method.needs & reactions or clicks or _weighted(method)):
        return None
    scope = capabilities.export_scope
    return (
        f"the responses nobody rated, which this {scope.source + ' ' if scope.source else ''}export does not "
        f"have ({scope.level}: {MEANING[scope.level]}): {scope.remedy}"
    )


def sparse(
    capabilities: LogCapabilities, *, reads_feedback: bool = True, fewest: int = FEWEST
) -> str | None:
    """Return what is too scarce for any fit, as the rest of "needs ..."; None if there is enough.

    Parameters
    ----------
    capabilities : LogCapabilities
        What the log has.
    reads_feedback : bool
        Whether the fit reads ratings or clicks; if not, only the number of prompts counts.
    fewest : int
        Rows of each class that are needed.

    Returns
    -------
    str or None

    """
    if capabilities.prompts < min(2, fewest + 1):
        return f"at least 2 prompts to hold some out, and found {capabilities.prompts}"
    if not reads_feedback:
        return None
    if "o" not in capabilities.columns:
        return _few("clicks", capabilities.good, fewest) or _few(
            "responses without a click", capabilities.rows - capabilities.good, fewest
        )
    return (
        _few("responses with feedback", capabilities.rated, fewest)
        or _few("responses rated good", capabilities.good, fewest)
        or _few("responses rated bad", capabilities.rated - capabilities.good, fewest)
    )


def scarce(capabilities: LogCapabilities) -> str | None:
    """Return a warning about a class of feedback with fewer than 5 rows to learn from; None if there is none.

    Parameters
    ----------
    capabilities : LogCapabilities
        What the training rows have.

    Returns
    -------
    str or None

    """
    clicks = "o" not in capabilities.columns
    counts = {
        "with a click" if clicks else "rated good": capabilities.good,
        "without a click" if clicks else "rated bad": (
            (capabilities.rows if clicks else capabilities.rated) - capabilities.good
        ),
    }
    what, count = min(counts.items(), key=lambda item: item[1])
    if not capabilities.rated or count >= MIN_PER_CLASS:
        return None
    return (
        f"only {count} of the training responses {'is' if count == 1 else 'are'} {what}, so the feedback "
        "shows little about such responses: log more of them, or have some labelled (--gold)"
    )


def _few(what: str, count: int, fewest: int) -> str | None:
    if count >= fewest:
        return None
    one = (
        what.replace("responses", "response").replace("clicks", "click").replace("labels", "label")
    )
    return f"at least {fewest} {one if fewest == 1 else what}, and found {count}"


def require(
    method: Method,
    capabilities: LogCapabilities,
    where: str = "this log",
    fewest: int = FEWEST,
) -> None:
    """Refuse a method that the log does not support.

    Parameters
    ----------
    method : Method
        The method.
    capabilities : LogCapabilities
        What the log has.
    where : str
        Name of the log in the error.
    fewest : int
        Rows of each class that are needed, see `lacking`.

    Raises
    ------
    TruewardError
        With the first thing that is missing.

    """
    if (missing := lacking(method, capabilities, fewest)) is not None:
        raise TruewardError(f"{where}: {method.name} needs {missing}")


def require_context(method: Method, data: Feedback) -> None:
    """Refuse context that is constant, or that separates rated from unrated rows, if the method reads it.

    Parameters
    ----------
    method : Method
        The method.
    data : Feedback
        The log.

    Raises
    ------
    TruewardError
        If no propensity can be estimated from the context.

    """
    reads = {*method.heads.values(), *(nu.reads for nu in method.nuisances)}
    if data.z is None or not reads & {"z", "xz"}:
        return
    if "z" in reads and bool((data.z == data.z[:1]).all()):
        raise TruewardError(
            f"all {len(data)} rows have the same context, so it has no effect: log what differs between "
            f"users, or fit {method.name} without context"
        )
    reacted = (data.y if data.o is None else data.o) > 0
    for k in range(data.z.shape[1]):
        with_feedback, without = data.z[reacted, k], data.z[~reacted, k]
        separate = (
            len(with_feedback)
            and len(without)
            and (with_feedback.min() > without.max() or with_feedback.max() < without.min())
        )
        if separate:
            raise TruewardError(
                f"context column {k + 1} of {data.z.shape[1]} separates the {len(with_feedback)} rows with "
                f"feedback from the {len(without)} without, so no two of them can be compared: leave it out, "
                "it follows from the feedback"
            )
