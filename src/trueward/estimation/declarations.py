"""Options, needs and assumptions that several methods declare in the same words."""

from __future__ import annotations

from typing import Annotated, Literal

from trueward.core.errors import UsageError
from trueward.core.options import Opt

PropensityClip = Annotated[
    float, Opt("lower bound of the propensity; smaller ones are raised to it", 0, 1, open_low=True)
]
ThetaClip = Annotated[
    float, Opt("lower bound of theta; smaller ones are raised to it", 0, 1, open_low=True)
]
PropensityFrom = Annotated[
    Literal["xz", "z"],
    Opt("inputs of the propensity: features and context (xz), or the context alone (z)"),
]
View = Annotated[
    Literal["ratings", "clicks"],
    Opt("what counts as observed; clicks: the published form for implicit logs, without a claim"),
]
ThetaDecay = Annotated[
    float, Opt("view=clicks: decay of the published propensity", 0, 1, open_low=True)
]
ThetaMean = Annotated[
    float, Opt("view=clicks: mean of the published propensity", 0, 1, open_low=True)
]
Theta = Annotated[
    Literal["logged", "scar"],
    Opt("theta: the column propensity of the log (logged), or one constant for all rows (scar)"),
]
ThetaPrior = Annotated[
    float | None,
    Opt("theta=scar: P(satisfied) over all responses", 0, 1, open_low=True, open_high=True),
]
ThetaQuantile = Annotated[
    float, Opt("theta=scar without a prior: theta is this quantile of P(click)", 0.5, 1)
]
ClassPrior = Annotated[
    float | None, Opt("P(satisfied) over all responses", 0, 1, open_low=True, open_high=True)
]
PriorFrom = Annotated[
    Literal["anchor", "gold"],
    Opt(
        "without a prior: c is the top of P(click) (anchor), or the prior is the share of good gold "
        "labels (gold)"
    ),
]
AnchorQuantile = Annotated[float, Opt("without a prior: c is this quantile of P(click)", 0.5, 1)]
NOISE_RATE_01 = Opt("P(observed 0 given true 1)", 0, 1, open_high=True)
NOISE_RATE_10 = Opt("P(observed 1 given true 0)", 0, 1, open_high=True)
NoiseRate01 = Annotated[
    float | None, Opt("P(observed 0 given true 1); none: estimated", 0, 1, open_high=True)
]
NoiseRate10 = Annotated[
    float | None, Opt("P(observed 1 given true 0); none: estimated", 0, 1, open_high=True)
]
RateQuantile = Annotated[
    float | None,
    Opt(
        "u: the rates are the 1-u and u quantiles of the proxy eta, as published; none: gold labels on rated "
        "rows, 20 of either class, or the levels of P(thumb up)",
        0.5,
        1,
    ),
]
ForgetRate = Annotated[
    float,
    Opt(
        "share of the rows that is dropped; set it to the share of wrong labels",
        0,
        1,
        open_high=True,
    ),
]
ForgetRamp = Annotated[
    float, Opt("share of the training over which dropping rises from 0", 0, 1, open_low=True)
]
TaskWeight = Annotated[float, Opt("weight of the propensity loss", 0)]
ImputationWeight = Annotated[float, Opt("weight of the imputation loss", 0)]
RewardWeight = Annotated[float, Opt("weight of the reward loss", 0, open_low=True)]

#: needs of a method by its option ``view``
VIEW_NEEDS = {"ratings": frozenset({"o"}), "clicks": frozenset({"clicks"})}
#: column of ``eta`` that holds theta, by the option ``theta``
THETA_COLUMN = {"logged": "propensity", "scar": "activity_rate"}
#: columns of the log that theta needs, by the option ``theta``
THETA_NEEDS: dict[str, frozenset[str]] = {
    "logged": frozenset({"propensity"}),
    "scar": frozenset(),
}

HEURISTIC = "none: a heuristic"


def check_prior_used(method: str, option: str, *, used: bool, instead: str) -> None:
    """Refuse a prior that another option would ignore.

    Parameters
    ----------
    method : str
        Name of the method, for the error.
    option : str
        The option that ignores the prior, as the user writes it.
    used : bool
        Whether there is no prior, or it is used.
    instead : str
        What to do.

    Raises
    ------
    UsageError
        If the prior would be ignored.

    """
    if not used:
        raise UsageError(f"{method}: {option} would ignore the given prior; {instead}")


def missing_at_random(right: str, given: str = "the features and the context") -> str:
    """Return the assumptions of methods that weight ratings by a propensity.

    Parameters
    ----------
    right : str
        Which nuisances must be right, as a clause: "the propensity is right".
    given : str
        What feedback may depend on.

    Returns
    -------
    str

    """
    return (
        f"whether feedback is given depends on {given} only, not on how good the answer is beyond them; "
        f"{right}; feedback is never wrong"
    )


SCAR_ASSUMPTION = (
    "every satisfied user is equally likely to act, a click always means satisfaction, and the "
    "prior (or the anchor, or a random gold sample) is right"
)
