"""Signals of a log: which nuisances predict them from the features, and the evidence these give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trueward.data.log_pairs import FEWEST_PAIRS

from .capture_recapture import rate
from .nuisances import clicked, noisy, responds
from .pair_scores import PAIRS, pair_score
from .reward_form import Evidence

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.capabilities import LogCapabilities
    from trueward.data.feedback import Columns

    from .nuisance_types import Nuisance

RATINGS, REACTIONS, CLICKS, CHANNEL = "ratings", "reactions", "clicks", "channel."
PLACE = "three_outcome"  # the piece of evidence that three_outcome contributes

#: signal of the feedback column -> (what a log must have, the nuisance that predicts it)
FEEDBACK = {
    RATINGS: ("o", replace(noisy, views="both")),
    REACTIONS: ("unrated", replace(responds, views="both")),
    CLICKS: ("clicks", replace(clicked, views="both")),
}


@dataclass(frozen=True)
class LogSignals:
    """Some signals of a log, predicted from the features out of fold.

    Attributes
    ----------
    names : tuple of str
        ``ratings`` (good or bad), ``reactions`` (rated or not), ``clicks``, ``channel.NAME``, and
        ``pairs.SOURCE``, the score of comparisons.

    """

    names: tuple[str, ...]

    @staticmethod
    def of(capabilities: LogCapabilities) -> LogSignals:
        """Return all signals of a log with these capabilities.

        Parameters
        ----------
        capabilities : LogCapabilities
            What the log has.

        Returns
        -------
        LogSignals
            Ratings, and reactions if the log has unrated rows; else clicks; then every channel, and every
            source with 20 comparisons or more.

        """
        rated = (RATINGS, *((REACTIONS,) if "unrated" in capabilities.offers else ()))
        clicks = (CLICKS,) if capabilities.rated else ()
        feedback = rated if "o" in capabilities.columns else clicks
        if capabilities.pair_sources and not capabilities.rated:
            feedback = ()  # comparisons alone
        pairs = (PAIRS + k for k, n in capabilities.pair_sources if n >= FEWEST_PAIRS)
        return LogSignals((*feedback, *(CHANNEL + k for k in capabilities.channels), *pairs))

    @property
    def needs(self) -> frozenset[str]:
        """Columns that a log must have for these signals."""
        names = frozenset(FEEDBACK[s][0] if s in FEEDBACK else s for s in self.names)
        return names | ({"pairs"} if any(name.startswith(PAIRS) for name in names) else frozenset())

    @property
    def nuisances(self) -> tuple[Nuisance, ...]:
        """The chance of every signal given x, on two views of the features."""
        return tuple(
            FEEDBACK[s][1]
            if s in FEEDBACK
            else pair_score(s.removeprefix(PAIRS))
            if s.startswith(PAIRS)
            else replace(rate(s.removeprefix(CHANNEL)), views="both")
            for s in self.names
        )

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The log-odds that follow from the chances, in the order of the signals.

        Ratings beside reactions give four pieces: log P(good)/P(bad) given a rating, log P(up)/P(no
        rating), log P(down)/P(no rating), and the place on the segment of `three_outcome`.
        """
        both = {RATINGS, REACTIONS} <= set(self.names)
        pair = ("noisy", "responds")
        three = (
            Evidence("noisy", "odds", ("noisy",)),
            Evidence("up", "up", pair),
            Evidence("down", "down", pair),
            Evidence(PLACE, "place", pair),
        )
        pieces = {
            RATINGS: three if both else three[:1],
            REACTIONS: () if both else (Evidence("responds", "odds", ("responds",)),),
            CLICKS: three[:1],
        }
        pieces_of_signals = (
            e for s in self.names for e in pieces.get(s, (Evidence(s, "odds", (s,)),))
        )
        return tuple({e.name: e for e in pieces_of_signals}.values())

    def log_odds(self, eta: Columns) -> dict[str, Tensor]:
        """Return the evidence of the signals themselves, without the place on a segment.

        Parameters
        ----------
        eta : Columns
            The (n,) chance of every signal, by the name of its nuisance.

        Returns
        -------
        dict of str to Tensor
            (n,) float64 log-odds, by the name of the piece.

        """
        return {e.name: e.log_odds(eta) for e in self.evidence if e.kind != "place"}
