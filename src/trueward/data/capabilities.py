"""What a log offers to methods: its columns, and how many rows, ratings and gold labels it has."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .lottery_columns import is_lottery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .comparisons import Pairs
    from .export_scope import ExportScope
    from .feedback import Feedback
    from .log import Log
    from .log_pairs import LogPairs

FEWEST = 2  # rows of each class that a log needs: one to learn from, and one to hold out
MIN_PER_CLASS = (
    5  # rows of each class below which a result is weak, and gold labels that a fit needs
)
CHANNEL_PREFIX = "channel."
#: Channels that bad answers cause to fire, by the names that `trueward import` gives them.
NEGATIVE_CHANNELS = frozenset(
    {"branch_dropped", "edit", "escalate", "prompt_edit", "regenerate", "repair", "stop"}
)
CATEGORIES = (
    50  # most frequent values of a context column that get a feature each; others share one
)


@dataclass(frozen=True)
class LogCapabilities:
    """Facts about a log that decide which methods apply to it.

    A method reads them in ``resolve(capabilities)``; `trueward.estimation.requirements` compares them
    with what the method needs.

    Attributes
    ----------
    columns : frozenset of str
        Names of the columns: ``o`` (feedback may be missing) or ``clicks`` (positive feedback only),
        ``z`` (context), ``gold``, ``group``, ``user``, ``weight``, ``gold_weight``, ``channels``,
        ``channel.NAME``, ``asks`` (a lottery decided whom to ask), and logged nuisances such as
        ``propensity``.
    rows : int
        Number of rows: responses that were shown.
    rated : int
        Rows with feedback; in a log of clicks, rows with a click.
    good : int
        Rows whose feedback is positive.
    prompts : int
        Number of different prompts.
    gold : int
        Rows with a gold label.
    export_scope : ExportScope or None
        Which responses the export holds; None if its file does not say.
    constant_channels : frozenset of str
        Channels, without the prefix, that are never logged, or have one value wherever they are logged.
    joint_fires : tuple of (str, str, int) or None
        Every pair of the other channels, and the rows in which both fire; None if they were not counted.
    pair_sources : tuple of (str, int)
        Every source of comparisons, and its number of pairs.
    ties : int
        Comparisons in which neither response was preferred.
    positions : bool
        Whether some comparisons say which response was shown first.

    """

    columns: frozenset[str]
    rows: int
    rated: int
    good: int
    prompts: int
    gold: int = 0
    export_scope: ExportScope | None = None
    constant_channels: frozenset[str] = frozenset()
    joint_fires: tuple[tuple[str, str, int], ...] | None = None
    pair_sources: tuple[tuple[str, int], ...] = ()
    ties: int = 0
    positions: bool = False

    @staticmethod
    def from_feedback(data: Feedback) -> LogCapabilities:
        """Return the capabilities of encoded data.

        Parameters
        ----------
        data : Feedback
            The tensors that a method would be fitted on.

        Returns
        -------
        LogCapabilities
            The facts, counted over all rows.

        """
        rated = data.y if data.o is None else data.o
        channels = {CHANNEL_PREFIX + name for name in data.channels}
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
            **_channel_counts({k: data.channels[k].double().cpu().numpy() for k in data.channels}),
            **_pair_counts(data.pairs),
        )

    @staticmethod
    def from_log(log: Log) -> LogCapabilities:
        """Return the capabilities that the log will have once it is encoded.

        Parameters
        ----------
        log : Log
            The table; no features are computed.

        Returns
        -------
        LogCapabilities
            Equal to `from_feedback` of the encoded log.

        """
        feedback, names = log.frame["feedback"], log.columns
        renamed = {"user_id": "user"}
        read = names & {"gold", "user_id", "weight", "gold_weight", "propensity"}
        columns = {renamed.get(c, c) for c in read}
        columns |= {"group", *log.channels, *(["channels"] if log.channels else [])}
        columns |= {"o"} if log.regime in ("observational", "pairs") else {"clicks"}
        columns |= {"asks"} if is_lottery(log.frame) else set()
        columns |= {"z"} if any(name.startswith("context.") for name in names) else set()
        columns |= {"pairs"} if log.pairs is not None else set()
        return LogCapabilities(
            columns=frozenset(columns),
            rows=len(log),
            rated=len(log) - feedback.null_count(),
            good=int((feedback > 0.5).sum()),
            prompts=log.frame["prompt_id"].n_unique(),
            gold=log.frame["gold"].count() if "gold" in names else 0,
            export_scope=log.export_scope,
            **_channel_counts(
                {c.removeprefix(CHANNEL_PREFIX): log.frame[c].to_numpy() for c in log.channels}
            ),
            **_log_pair_counts(log.pairs),
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, sorted, without the prefix ``channel.``."""
        return tuple(
            sorted(
                c.removeprefix(CHANNEL_PREFIX) for c in self.columns if c.startswith(CHANNEL_PREFIX)
            )
        )

    @property
    def usable_channels(self) -> tuple[str, ...]:
        """Channels that vary, sorted, without the prefix ``channel.``."""
        return tuple(k for k in self.channels if k not in self.constant_channels)

    @property
    def offers(self) -> frozenset[str]:
        """Everything that a method may require: the columns and derived facts.

        ``unrated``: some rows are known to have been shown without feedback. ``two channels``: there
        are at least two channels that vary, and two of them fire together in `MIN_PER_CLASS` rows.
        ``pairs.SOURCE``: there are comparisons of this source.
        """
        shown = self.export_scope is None or self.export_scope.shows_unrated
        derived = {"unrated"} if shown and "o" in self.columns and self.rated < self.rows else set()
        if self.separable(self.usable_channels):
            derived.add("two channels")
        derived |= {f"pairs.{source}" for source, _ in self.pair_sources}
        return self.columns | derived

    def separable(self, names: Sequence[str]) -> bool:
        """Return whether two of these channels fire together in `MIN_PER_CLASS` rows.

        Parameters
        ----------
        names : sequence of str
            Channels that vary, without the prefix ``channel.``.

        Returns
        -------
        bool
            True for any two, if the rows were not counted.

        """
        if self.joint_fires is None:
            return len(names) > 1
        pairs = ((one, other, n) for one, other, n in self.joint_fires if n >= MIN_PER_CLASS)
        return any(one in names and other in names for one, other, _ in pairs)

    @property
    def left_out(self) -> str:
        """One sentence about the channels without variation; empty if all vary."""
        constant = sorted(self.constant_channels)
        if not constant:
            return ""
        names = ", ".join(CHANNEL_PREFIX + k for k in constant)
        has, it = ("has", "it does") if len(constant) == 1 else ("have", "they do")
        return f"Left out: {names}, which {has} one value wherever logged, so {it} not separate answers."


def _pair_counts(pairs: Pairs | None) -> dict[str, Any]:
    """Return the numbers of pairs by source and of ties, and whether positions are known."""
    if pairs is None:
        return {}
    return {
        "pair_sources": tuple(sorted(pairs.counts().items())),
        "ties": int(pairs.tie.sum()),
        "positions": bool((pairs.position != 0).any()),
    }


def _log_pair_counts(pairs: LogPairs | None) -> dict[str, Any]:
    """Return the same of the comparisons of a log."""
    if pairs is None:
        return {}
    return {
        "pair_sources": tuple(sorted(pairs.counts.items())),
        "ties": int(pairs.frame["tie"].sum()),
        "positions": bool((pairs.frame["position"] != 0).any()),
    }


def _channel_counts(channels: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Return the channels without variation, and how often each pair of the others fires together."""
    values = {k: v[~np.isnan(v)] for k, v in channels.items()}
    constant = frozenset(k for k, v in values.items() if not len(v) or (v == v[0]).all())
    pairs = itertools.combinations(sorted(k for k in channels if k not in constant), 2)
    fires = {k: v > 0 for k, v in channels.items()}  # NaN, not logged, does not fire
    together = tuple((a, b, int((fires[a] & fires[b]).sum())) for a, b in pairs)
    return {"constant_channels": constant, "joint_fires": together}
