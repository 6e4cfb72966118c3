"""What a log offers to methods: its columns, and how many rows, ratings and gold labels it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .export_scope import ExportScope
    from .feedback import Feedback
    from .log import Log

FEWEST = 5  # rows of each class that a fit needs before it means anything
CATEGORIES = (
    50  # largest categories of a context column that get a feature each; rarer ones share one
)


@dataclass(frozen=True)
class LogCapabilities:
    """What a log has, as far as methods care."""

    columns: frozenset[str]  # o, z, gold, channel.NAME, propensity ...
    rows: int
    rated: int  # rows with feedback; on an implicit log, with a click
    good: int
    prompts: int
    gold: int = 0  # rows with a trusted label
    export_scope: ExportScope | None = None  # what kind of export the log is, where it says so

    @staticmethod
    def of(data: Feedback) -> LogCapabilities:
        """Read the facts off tensors."""
        rated = data.y if data.o is None else data.o
        channels = {f"channel.{name}" for name in data.channels}
        return LogCapabilities(
            columns=frozenset(
                data.columns() | channels | ({"clicks"} if data.o is None else set())
            ),
            rows=len(data),
            rated=int((rated > 0).sum()),
            good=int(((data.y > 0.5) & (rated > 0)).sum()),
            prompts=len(data) if data.group is None else len(data.group.unique()),
            gold=len(data.audited),
            export_scope=data.export_scope,
        )

    @staticmethod
    def of_log(log: Log) -> LogCapabilities:
        """Read off a log the facts that its tensors will have, before any features are made."""
        feedback, names = log.frame["feedback"], log.columns
        renamed = {"user_id": "user"}
        columns = {renamed.get(c, c) for c in names & {"gold", "user_id", "weight", "propensity"}}
        columns |= {"group", *log.channels, *(["channels"] if log.channels else [])}
        columns |= {"o"} if log.regime == "observational" else {"clicks"}
        columns |= {"z"} if any(name.startswith("context.") for name in names) else set()
        return LogCapabilities(
            columns=frozenset(columns),
            rows=len(log),
            rated=len(log) - feedback.null_count(),
            good=int((feedback > 0.5).sum()),
            prompts=log.frame["prompt_id"].n_unique(),
            gold=log.frame["gold"].count() if "gold" in names else 0,
            export_scope=log.export_scope,
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, without their prefix."""
        prefix = "channel."
        return tuple(sorted(c[len(prefix) :] for c in self.columns if c.startswith(prefix)))

    @property
    def offers(self) -> frozenset[str]:
        """The columns, and what follows from them: unrated rows, two channels."""
        shown = self.export_scope is None or self.export_scope.shows_unrated
        more = {"unrated"} if shown and "o" in self.columns and self.rated < self.rows else set()
        return self.columns | more | ({"two channels"} if len(self.channels) > 1 else set())
