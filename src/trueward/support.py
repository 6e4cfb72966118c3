"""Which methods a log can support, and the one thing that is missing for the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .coverage import MEANING
from .errors import TruewardError

if TYPE_CHECKING:
    from .coverage import Coverage
    from .data import Feedback
    from .log import Log
    from .method import Method

FEWEST = 5  # rows of each class that a fit needs before it means anything

SENTENCES = {
    "o": "feedback that says bad as well as good (0 and 1, null where none was given); this log has "
    "clicks only, so nothing says which responses were judged",
    "z": "context.* columns: facts that sway whether a user reacts but not how good the answer is",
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


@dataclass(frozen=True)
class Facts:
    """What a log has, as far as methods care."""

    columns: frozenset[str]  # o, z, gold, channel.NAME, propensity ...
    rows: int
    rated: int  # rows with feedback; on an implicit log, with a click
    good: int
    prompts: int
    gold: int = 0  # rows with a trusted label
    coverage: Coverage | None = None  # what kind of export the log is, where it says so

    @staticmethod
    def of(data: Feedback) -> Facts:
        """Read the facts off tensors."""
        rated = data.y if data.o is None else data.o
        channels = {f"channel.{name}" for name in data.channels}
        return Facts(
            columns=frozenset(
                data.columns() | channels | ({"clicks"} if data.o is None else set())
            ),
            rows=len(data),
            rated=int((rated > 0).sum()),
            good=int(((data.y > 0.5) & (rated > 0)).sum()),
            prompts=len(data) if data.group is None else len(data.group.unique()),
            gold=len(data.audited),
            coverage=data.coverage,
        )

    @staticmethod
    def of_log(log: Log) -> Facts:
        """Read off a log the facts that its tensors will have, before any features are made."""
        feedback, names = log.frame["feedback"], log.columns
        renamed = {"user_id": "user"}
        columns = {renamed.get(c, c) for c in names & {"gold", "user_id", "weight", "propensity"}}
        columns |= {"group", *log.channels, *(["channels"] if log.channels else [])}
        columns |= {"o"} if log.regime == "observational" else {"clicks"}
        columns |= {"z"} if any(name.startswith("context.") for name in names) else set()
        return Facts(
            columns=frozenset(columns),
            rows=len(log),
            rated=len(log) - feedback.null_count(),
            good=int((feedback > 0.5).sum()),
            prompts=log.frame["prompt_id"].n_unique(),
            gold=log.frame["gold"].count() if "gold" in names else 0,
            coverage=log.covers,
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, without their prefix."""
        prefix = "channel."
        return tuple(sorted(c[len(prefix) :] for c in self.columns if c.startswith(prefix)))

    @property
    def offers(self) -> frozenset[str]:
        """The columns, and what follows from them: unrated rows, two channels."""
        shown = self.coverage is None or self.coverage.shows_unrated
        more = {"unrated"} if shown and "o" in self.columns and self.rated < self.rows else set()
        return self.columns | more | ({"two channels"} if len(self.channels) > 1 else set())


def lacking(method: Method, facts: Facts) -> str | None:
    """The one thing the log lacks for ``method``, as the rest of "needs ..."; None if it has all."""
    method, _ = method.on(facts)
    if (hidden := _uncovered(method, facts)) is not None:
        return hidden
    context = {"z"} if any(getattr(nu, "reads", "") == "z" for nu in method.nuisances) else set()
    for column in sorted(method.needs | context):
        if column not in facts.offers:
            return SENTENCES.get(column, f"the column {column}")
    if "gold" in method.needs and (few := _few("gold labels", facts.gold)):
        return few
    reacts = "unrated" in method.needs  # reads who reacts, and can do without both kinds of ratings
    signals = method.needs & {"channels", "two channels"}
    few = sparse(facts, reads_feedback=not reacts and (not signals or facts.rated > 0))
    if reacts and not few:
        few = _few("responses with feedback", facts.rated)
        few = few or _few("responses without", facts.rows - facts.rated)
    if few:
        return few
    return SENTENCES["unrated"] if _weighted(method) and "unrated" not in facts.offers else None


def _weighted(method: Method) -> bool:
    """Say whether a method weighs ratings by an estimate of who gives one."""
    estimated = {nu.name for nu in method.nuisances} | set(method.heads)
    return "propensity" in estimated and "o" in method.needs


def _uncovered(method: Method, facts: Facts) -> str | None:
    """The export a method needs instead of this one, where this one hides who did not react."""
    if facts.coverage is None or facts.coverage.shows_unrated:
        return None
    silence = {"unrated", "clicks", "channels", "two channels"}
    clicks = "o" not in facts.columns and "gold" not in method.needs
    if not (method.needs & silence or clicks or _weighted(method)):
        return None
    kind = facts.coverage
    return (
        f"the responses nobody rated, which this {kind.source + ' ' if kind.source else ''}export does not "
        f"have ({kind.level}: {MEANING[kind.level]}): {kind.remedy}"
    )


def sparse(facts: Facts, *, reads_feedback: bool = True) -> str | None:
    """What a log has too little of for any fit, as the rest of "needs ..."; None if it has enough."""
    if facts.prompts < 2:
        return f"at least 2 prompts to hold some out, and found {facts.prompts}"
    if not reads_feedback:
        return None
    if "o" not in facts.columns:
        return _few("clicks", facts.good) or _few(
            "responses without a click", facts.rows - facts.good
        )
    return _few("responses rated good", facts.good) or _few(
        "responses rated bad", facts.rated - facts.good
    )


def _few(what: str, count: int) -> str | None:
    return f"at least {FEWEST} {what}, and found {count}" if count < FEWEST else None


def require(method: Method, facts: Facts, where: str = "this log") -> None:
    """Refuse a method the log cannot support."""
    if (missing := lacking(method, facts)) is not None:
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
