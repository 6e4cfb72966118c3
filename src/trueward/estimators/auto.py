"""Select the method that the log supports best, and say why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from trueward.data.capabilities import NEGATIVE_CHANNELS, LogCapabilities
from trueward.data.feedback import Columns, Feedback
from trueward.data.log_pairs import FEWEST_PAIRS
from trueward.estimation.method import Method

from .anchored import Anchored
from .bradley_terry import BradleyTerry
from .channels import Channels
from .implicitrm import ImplicitRM
from .joint import Joint
from .naive import Naive
from .three_outcome import ThreeOutcome

if TYPE_CHECKING:
    from torch import Tensor

ENOUGH_GOLD = 30  # gold labels for anchored
FEWEST_RATINGS = 10  # training rows with a rating, for three_outcome
ENOUGH_RATINGS = 20  # those that weigh comparisons, for joint


class Choice(NamedTuple):
    """A method, and three sentences for the user.

    Attributes
    ----------
    method : Method
        The method that is selected.
    has, takes, better : str
        What the log has; which method is selected and why; what would be better.

    """

    method: Method
    has: str
    takes: str
    better: str


class Auto(Method):
    """L = that of the method it takes: the first of these that the log supports.

    30 gold labels or more: anchored. Comparisons (20 or more): joint with the ratings, or bradley_terry where
    there are fewer than 20. Two positive channels that fire together: channels. Ratings and unrated
    rows: three_outcome. Ratings of every row, or fewer than 10: naive. Clicks: implicitrm, with logged
    activity or context, else as an interval. The report states what the log has, which method is selected and
    why, and what would be better (methods 4.7).
    """

    paper = "methods 4.7"

    @property
    def assumption(self) -> str:
        return "those of the selected method; its card is stored in the model"

    def resolve(self, capabilities: LogCapabilities) -> tuple[Method, tuple[str, ...]]:
        method, *sentences = choice(capabilities)
        left_out = (capabilities.left_out,) if capabilities.left_out else ()
        return method.resolve(capabilities)[0], (*sentences, *left_out)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        """Return the loss of naive: without a log no method can be selected."""
        return Naive().loss(out, b)


def choice(capabilities: LogCapabilities) -> Choice:
    """Select the first method that the log supports, from the strongest identification down.

    Parameters
    ----------
    capabilities : LogCapabilities
        What the log has.

    Returns
    -------
    Choice

    """
    has = capabilities.offers
    rated = f"{capabilities.rated} of {capabilities.rows} rows have feedback"
    if "gold" in has and capabilities.gold >= ENOUGH_GOLD:
        return Choice(
            Anchored(),
            f"The log has {capabilities.gold} gold labels, and {rated}.",
            "Selected: anchored. Gold labels fix the scale, and ratings and missing feedback give the "
            "ranking, without an assumption on who reacts.",
            "More gold labels make the intervals narrower; a warning says if the log adds nothing.",
        )
    audit = (
        f"About {10 * ENOUGH_GOLD} gold labels, drawn at random, would fix the scale (anchored)."
    )
    if any(n >= FEWEST_PAIRS for _, n in capabilities.pair_sources):
        return _of_pairs(capabilities, audit)
    positive = tuple(k for k in capabilities.usable_channels if k not in NEGATIVE_CHANNELS)
    if capabilities.separable(positive):
        return Choice(
            Channels(channels=positive),
            f"The log has several channels per response ({', '.join(positive)}), and too few gold labels for "
            "anchored.",
            "Selected: channels. Channels that fire together separate satisfaction from activity, if they "
            "fire independently for a satisfied user.",
            audit,
        )
    if {"o", "unrated"} <= has and capabilities.rated >= FEWEST_RATINGS:
        return _of_ratings(rated, audit, asks="asks" in has)
    if "o" in has and "unrated" in has:
        return Choice(
            Naive(),
            f"The log has few ratings, and too few gold labels for anchored: {rated}.",
            f"Selected: naive. Fewer than {FEWEST_RATINGS} ratings do not show who reacts, so nothing is "
            "corrected.",
            f"Collect more ratings. {audit}",
        )
    if "o" in has:
        scope = capabilities.export_scope
        hidden = scope is not None and not scope.shows_unrated
        return Choice(
            Naive(),
            "The export of the log has no unrated responses."
            if hidden
            else "Every row of the log is rated, so the log has no information on unrated responses.",
            "Selected: naive. The log shows no selection that could be modelled or corrected.",
            f"Log every response that was shown. {audit}",
        )
    return _of_clicks(has, audit)


def _of_ratings(rated: str, audit: str, *, asks: bool) -> Choice:
    """Select three_outcome, with what a lottery of asks adds to it."""
    if asks:
        return Choice(
            ThreeOutcome(),
            f"The log has ratings, a lottery of asks and too few gold labels for anchored: {rated}.",
            "Selected: three_outcome. The lottery shows whether good and bad answers get a reaction equally "
            "often, so that unrated responses count as evidence; where few answer, it gives bounds.",
            f"{ENOUGH_GOLD} gold labels or more on the asked who stayed silent need no model of who answers "
            "(anchored).",
        )
    return Choice(
        ThreeOutcome(),
        f"The log has ratings and too few gold labels for anchored: {rated}.",
        "Selected: three_outcome. Unrated responses count as evidence as far as the log shows that who "
        "reacts depends on how good the answer is; otherwise the ranking is that of naive.",
        f"Known rates of wrong ratings (-o rho_01, -o rho_10) would correct the scale. {audit}",
    )


def _of_pairs(capabilities: LogCapabilities, audit: str) -> Choice:
    """Select the method of a log with comparisons and too few gold labels for anchored."""
    pairs = ", ".join(f"{n} of {k}" for k, n in capabilities.pair_sources)
    rated = f"{capabilities.rated} of {capabilities.rows} rows have feedback"
    if "o" in capabilities.offers and capabilities.rated >= ENOUGH_RATINGS:
        return Choice(
            Joint(),
            f"The log has comparisons ({pairs}) and ratings, and too few gold labels for anchored: {rated}.",
            "Selected: joint. Each source of comparisons counts as far as it predicts ratings that were not "
            "seen, and the ratings give the level.",
            audit,
        )
    return Choice(
        BradleyTerry(),
        f"The log has comparisons ({pairs}) and too few ratings to weigh them: {rated}.",
        "Selected: bradley_terry. The comparisons give the ranking, and nothing gives the level.",
        f"At least {ENOUGH_RATINGS} ratings would weigh the comparisons (joint). {audit}",
    )


def _of_clicks(has: frozenset[str], audit: str) -> Choice:
    """Select the identification of implicitrm for a log of clicks."""
    identify: Literal["activity", "split"]
    if "channel.active" in has:
        identify, source = "activity", "logged activity"
        why = "Active users who do not click are not satisfied."
    elif "z" in has:
        identify, source = "split", "context"
        why = (
            "The context decides who acts and the features who is satisfied, which identifies both."
        )
    else:
        return Choice(
            ImplicitRM(identify="none", allow_unidentified=True),
            "The log has clicks and nothing that tells satisfaction from activity.",
            "Selected: implicitrm with an interval. The reward lies between P(click) and 1, and no "
            "ranking is identified.",
            "A second channel, context.* columns or a known share of satisfied users would identify it. "
            + audit,
        )
    return Choice(
        ImplicitRM(identify=identify),
        f"The log has clicks and {source}.",
        f"Selected: implicitrm with identify={identify}. {why}",
        f"A known share of satisfied users (-o prior) would fix the scale. {audit}",
    )
