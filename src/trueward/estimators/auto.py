"""The estimator that fits what the log offers, taken with three sentences that say why."""

from typing import NamedTuple

from torch import Tensor

from trueward.data.capabilities import FEWEST, LogCapabilities
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.method import Method

from .anchored import Anchored
from .channels import Channels
from .implicitrm import ImplicitRM
from .naive import Naive
from .three_outcome import ThreeOutcome

ENOUGH = 30  # gold labels


class Choice(NamedTuple):
    """A method, and what is to be said of it."""

    method: Method
    has: str
    takes: str
    better: str


class Auto(Method):
    """L = that of the method it takes: the first of these that the log supports.

    gold labels: anchored. Two channels or more: channels. Ratings beside unrated rows: three_outcome.
    Ratings of every row: naive. Clicks: implicitrm, with logged activity or context, else its interval.
    The report says in three sentences what the log has, what is taken and why, and what would be better.
    """

    paper = "methods 4.7"

    @property
    def assumption(self) -> str:
        return "the method it takes is; its card is in the model"

    def resolve(self, capabilities: LogCapabilities) -> tuple[Method, tuple[str, ...]]:
        method, *sentences = choice(capabilities)
        return method.resolve(capabilities)[0], tuple(sentences)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        """Without a log to look at: that of naive."""
        return Naive().loss(out, b)


def choice(capabilities: LogCapabilities) -> Choice:
    """Look at what a log has, best first."""
    has = capabilities.offers
    rated = f"{capabilities.rated} of {capabilities.rows} rows have feedback"
    if "gold" in has and capabilities.gold >= ENOUGH:
        return Choice(
            Anchored(),
            f"The log has {capabilities.gold} gold labels, and {rated}.",
            "It takes anchored: gold labels fix the scale, and what was said, and whether anything was, "
            "gives the ranking; nothing is assumed of who reacts.",
            "More gold labels narrow its intervals; it warns where the log adds nothing to naive.",
        )
    audit = f"Some {10 * ENOUGH} gold labels, drawn at random, would fix the scale (anchored)."
    if "two channels" in has:
        return Choice(
            Channels(),
            "The log has several channels a response, and too few gold labels to lean on.",
            "It takes channels: what fires together tells satisfaction from activity, if channels fire "
            "independently for a satisfied user.",
            audit,
        )
    if "o" in has and "unrated" in has and capabilities.rated >= 2 * FEWEST:
        return Choice(
            ThreeOutcome(),
            f"The log has ratings and no gold labels to lean on: {rated}.",
            "It takes three_outcome: missing feedback is evidence if selection follows how good the answer "
            "is, which is tested; if it does not, the log is read as missing at random.",
            f"Rates of wrong thumbs (-o rho_01, -o rho_10) would mend the scale. {audit}",
        )
    if "o" in has:
        return Choice(
            Naive(),
            "Every row of the log is rated, so it shows nothing of those that nobody rates.",
            "It takes naive: there is no selection to model, and none to correct.",
            f"Log every response that was shown. {audit}",
        )
    pinned = "channel.active" if "channel.active" in has else "z" if "z" in has else None
    if pinned:
        return Choice(
            ImplicitRM(identify="activity" if pinned == "channel.active" else "split"),
            f"The log has clicks and {'logged activity' if pinned != 'z' else 'context'}.",
            "It takes implicitrm with that: "
            + (
                "active users who do not click are not satisfied."
                if pinned != "z"
                else "the context sways who acts and the features who is satisfied, so the two come apart."
            ),
            f"A known share of satisfied users (-o prior) pins the scale. {audit}",
        )
    return Choice(
        ImplicitRM(identify="none", allow_unidentified=True),
        "The log has clicks and nothing that tells satisfaction from activity.",
        "It takes implicitrm with an interval: the reward lies between P(click) and 1, and no ranking is "
        "sure.",
        "A second channel, context.* columns or a known share of satisfied users would identify it. "
        + audit,
    )
