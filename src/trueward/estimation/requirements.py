"""Which methods a log can support, and the one thing that is missing for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError
from trueward.data.capabilities import FEWEST
from trueward.data.export_scope import MEANING

if TYPE_CHECKING:
    from trueward.data.capabilities import LogCapabilities
    from trueward.data.feedback import Feedback

    from .method import Method

SENTENCES = {
    "o": "feedback that says bad as well as good (0 and 1, null where none was given); this log has "
    "clicks only, so nothing says which responses were judged",
    "z": "context.* columns: capabilities that sway whether a user reacts but not how good the answer is",
    "gold": "a gold column with some trusted labels (fit --gold FILE adds one)",
    "channel.active": "a channel.active column: 1 where the user was active, whether satisfied or not",
    "clicks": "a log of clicks, where feedback is 1 or null; this one also says bad",
    "propensity": "a propensity column: the chance that a satisfied user acts, as it was logged",
    "unrated": "the responses nobody rated: every row of this log has feedback, so it shows what rated "
    "answers are like and not who reacts; log every response that was shown",
    "group": "a prompt_id column, or prompts: it compares answers to one prompt",
    "channels": "channel.* columns with signals per response",
    "two channels": "two or more channel.* columns: one signal alone cannot tell satisfaction from activity "
    "(implicitrm says what else could)",
}


def lacking(method: Method, capabilities: LogCapabilities) -> str | None:
    """The one thing the log lacks for ``method``, as the rest of "needs ..."; None if it has all."""
    method, _ = method.resolve(capabilities)
    if (hidden := _uncovered(method, capabilities)) is not None:
        return hidden
    context = {"z"} if any(getattr(nu, "reads", "") == "z" for nu in method.nuisances) else set()
    for column in sorted(method.needs | context):
        if column not in capabilities.offers:
            return SENTENCES.get(column, f"the column {column}")
    if "gold" in method.needs and (few := _few("gold labels", capabilities.gold)):
        return few
    reacts = "unrated" in method.needs  # reads who reacts, and can do without both kinds of ratings
    signals = method.needs & {"channels", "two channels"}
    few = sparse(
        capabilities, reads_feedback=not reacts and (not signals or capabilities.rated > 0)
    )
    if reacts and not few:
        few = _few("responses with feedback", capabilities.rated)
        few = few or _few("responses without", capabilities.rows - capabilities.rated)
    if few:
        return few
    return (
        SENTENCES["unrated"] if _weighted(method) and "unrated" not in capabilities.offers else None
    )


def _weighted(method: Method) -> bool:
    """Say whether a method weighs ratings by an estimate of who gives one."""
    estimated = {nu.name for nu in method.nuisances} | set(method.heads)
    return "propensity" in estimated and "o" in method.needs


def _uncovered(method: Method, capabilities: LogCapabilities) -> str | None:
    """The export a method needs instead of this one, where this one hides who did not react."""
    if capabilities.export_scope is None or capabilities.export_scope.shows_unrated:
        return None
    silence = {"unrated", "clicks", "channels", "two channels"}
    clicks = "o" not in capabilities.columns and "gold" not in method.needs
    if not (method.needs & silence or clicks or _weighted(method)):
        return None
    kind = capabilities.export_scope
    return (
        f"the responses nobody rated, which this {kind.source + ' ' if kind.source else ''}export does not "
        f"have ({kind.level}: {MEANING[kind.level]}): {kind.remedy}"
    )


def sparse(capabilities: LogCapabilities, *, reads_feedback: bool = True) -> str | None:
    """What a log has too little of for any fit, as the rest of "needs ..."; None if it has enough."""
    if capabilities.prompts < 2:
        return f"at least 2 prompts to hold some out, and found {capabilities.prompts}"
    if not reads_feedback:
        return None
    if "o" not in capabilities.columns:
        return _few("clicks", capabilities.good) or _few(
            "responses without a click", capabilities.rows - capabilities.good
        )
    return _few("responses rated good", capabilities.good) or _few(
        "responses rated bad", capabilities.rated - capabilities.good
    )


def _few(what: str, count: int) -> str | None:
    return f"at least {FEWEST} {what}, and found {count}" if count < FEWEST else None


def require(method: Method, capabilities: LogCapabilities, where: str = "this log") -> None:
    """Refuse a method the log cannot support."""
    if (missing := lacking(method, capabilities)) is not None:
        raise TruewardError(f"{where}: {method.name} needs {missing}")


def require_context(method: Method, data: Feedback) -> None:
    """Refuse context that sways nothing, or that leaves nobody to compare with, where a method reads it."""
    reads = {*method.heads.values(), *(getattr(nu, "reads", "") for nu in method.nuisances)}
    if data.z is None or not reads & {"z", "xz"}:
        return
    if "z" in reads and bool((data.z == data.z[:1]).all()):
        raise TruewardError(
            f"all {len(data)} rows have the same context, so it sways nothing: log what differs between "
            f"users, or fit {method.name} without context"
        )
    reacted = (data.y if data.o is None else data.o) > 0
    for k in range(data.z.shape[1]):
        there, rest = data.z[reacted, k], data.z[~reacted, k]
        apart = len(there) and len(rest) and (there.min() > rest.max() or there.max() < rest.min())
        if apart:
            raise TruewardError(
                f"context column {k + 1} of {data.z.shape[1]} tells the {len(there)} rows with feedback "
                f"from the {len(rest)} without, so no two of them can be compared: leave it out, it follows "
                "from the feedback"
            )
