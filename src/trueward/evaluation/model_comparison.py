"""Two models of a product compared on one log: estimate, bounds, and the odds ratio that decides the sign."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq

from .linear_estimands import LinearEstimand
from .model_balance import FEWEST, balance
from .partial_labels import WORST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from .model_balance import Balance
    from .partial_labels import IdentifiedSet, PartialLabels

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

SPAN = (-1.0, 1.0)
LARGEST = 100.0  # odds ratio up to which the sign is followed
ENOUGH = 5  # prompts for each covariate of the regression
ALL = "all responses"
ADJUSTED = "same prompts and context"
USERS, PROMPTS = "within users", "within prompts"

#: What each comparison assumes about the choice of the model.
ASSUMES = {
    ALL: "the model was drawn at random for every response or user",
    ADJUSTED: "given the compared columns of prompts and context, the model was chosen at random (linear "
    "regression)",
    USERS: "for one user, which model answers does not depend on how hard the prompt is",
    PROMPTS: "for one prompt, which model answers does not depend on the user",
}


@dataclass(frozen=True)
class Contrast:
    """Difference of mean P(good) of two models, in one way of comparing them.

    Attributes
    ----------
    assumes : str
        What it assumes about the choice of the model.
    rows : int
        Number of responses that it uses.
    strata : int
        Number of users or prompts with both models; 1 where it compares all responses.
    bounds : tuple of IdentifiedSet
        For every limit on the odds ratio of reacting, which may differ between responses. At 1 it is the
        estimate under missing at random given the text and the context.
    shared : tuple of IdentifiedSet
        The same where one odds ratio holds for all responses of both models; empty for clicks.
    sign_until : float or None
        Odds ratio from which the bounds contain 0; None if they always do, ``inf`` if they never do.
    interval_until : float or None
        The same for the 95 % intervals of the bounds.

    """

    assumes: str
    rows: int
    strata: int
    bounds: tuple[IdentifiedSet, ...]
    shared: tuple[IdentifiedSet, ...]
    sign_until: float | None
    interval_until: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain data; an odds ratio without limit is the word ``any``."""
        limits = {k: getattr(self, k) for k in ("sign_until", "interval_until")}
        return {
            "assumes": self.assumes,
            "rows": self.rows,
            "strata": self.strata,
            "bounds": [b.to_json() for b in self.bounds],
            "shared": [b.to_json() for b in self.shared],
            **{k: "any" if v == math.inf else v for k, v in limits.items()},
        }


@dataclass(frozen=True)
class ModelComparison:
    """One model of the product against another, on the responses of both.

    Attributes
    ----------
    model, reference : str
        The differences are ``model`` minus ``reference``.
    counts : tuple of int
        Number of responses of either.
    rated : tuple of int
        Number of these with feedback.
    contrasts : dict of str to Contrast
        ``all responses``; ``same prompts and context`` where these differ; ``within users`` and
        ``within prompts`` where at least 10 had both models.
    balance : Balance
        Whether both models answered the same traffic.

    """

    model: str
    reference: str
    counts: tuple[int, int]
    rated: tuple[int, int]
    contrasts: dict[str, Contrast]
    balance: Balance

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "model": self.model,
            "reference": self.reference,
            "counts": list(self.counts),
            "rated": list(self.rated),
            "contrasts": {k: c.to_json() for k, c in self.contrasts.items()},
            "balance": self.balance.to_json(),
        }

    def __str__(self) -> str:
        """Format the traffic, a table of the contrasts, and the odds ratios that decide the sign."""
        n, r = self.counts, self.rated
        lines = [
            f"{self.model} minus {self.reference}: difference of mean P(good)",
            f"  responses: {n[0]:,} and {n[1]:,}; with feedback: {r[0]:,} and {r[1]:,}",
            f"  traffic: {self.balance}",
        ]
        for name, c in self.contrasts.items():
            against = " (the traffic speaks against it)" if self._doubtful(name) else ""
            of = f", {c.strata:,} with both models" if name in (USERS, PROMPTS) else ""
            lines += [f"  {name} ({c.rows:,} responses{of}); assumes: {c.assumes}{against}"]
            same = {s.gamma: s for s in c.shared}
            lines += [
                f"    {limit_name(b.gamma):<11}{b!s:<38}"
                + (f"one odds ratio for all: {same[b.gamma]}" if b.gamma in same else "")
                for b in c.bounds
            ]
            lines.append(f"    {self.model} is {_sign(c)}")
        return "\n".join(line.rstrip() for line in lines)

    def _doubtful(self, name: str) -> bool:
        """Whether the log shows that the assumption of a contrast does not hold."""
        adjusted = name == ADJUSTED and self.balance.users == "differ"
        return adjusted or (name == ALL and self.balance.confounded)


def limit_name(gamma: float) -> str:
    """Return a limit on the odds ratio as a word: ``2``, or ``worst case``."""
    return f"{gamma:g}" if math.isfinite(gamma) else "worst case"


def _sign(c: Contrast) -> str:
    if c.sign_until is None:
        always = "worst case" if c.bounds[0].gamma == WORST else f"odds ratio {c.bounds[0].gamma:g}"
        return f"neither better nor worse for sure: at {always} the bounds contain 0"
    better = "better" if c.bounds[0].low > 0 else "worse"
    if c.sign_until == math.inf:
        until = "whoever reacts"
    elif c.sign_until >= LARGEST:
        until = f"while the odds ratio is below {LARGEST:g}"
    else:
        until = f"while the odds ratio is below {c.sign_until:.2f}"
    if c.interval_until is None:
        sure = "the 95 % interval always contains 0"
    elif c.interval_until == math.inf:
        sure = "so says the 95 % interval"
    else:
        sure = f"so says the 95 % interval below {c.interval_until:.2f}"
    return f"{better} {until}; {sure}"


def compare(
    rows: PartialLabels,
    names: Sequence[str | None],
    reference: str,
    gammas: Sequence[float],
    covariates: Mapping[str, Array],
) -> tuple[ModelComparison, ...]:
    """Compare every model with the reference.

    Parameters
    ----------
    rows : PartialLabels
        The n rows.
    names : sequence of str or None
        Model of every row; rows without one are left out.
    reference : str
        The model that the others are compared with.
    gammas : sequence of float
        Limits on the odds ratio of reacting.
    covariates : mapping of str to (n,) array
        Columns that were fixed before a model answered.

    Returns
    -------
    tuple of ModelComparison
        One for each other model, by its number of rows.

    """
    labels = np.array(["" if m is None else str(m) for m in names])
    missing = np.array([m is None for m in names])
    values, counts = np.unique(labels[~missing], return_counts=True)
    others = [str(v) for _, v in sorted(zip(-counts, values, strict=True)) if v != reference]
    return tuple(
        _one(rows, {m: (labels == m) & ~missing for m in (other, reference)}, gammas, covariates)
        for other in others
    )


def _one(
    rows: PartialLabels,
    models: Mapping[str, NDArray[np.bool_]],
    gammas: Sequence[float],
    covariates: Mapping[str, Array],
) -> ModelComparison:
    """Compare the rows of two models, the reference last."""
    mine, theirs = models.values()
    both = mine | theirs
    weight, treated = np.where(both, rows.weight, 0.0), mine.astype(np.float64)
    clusters = rows.clusters.rows(both)
    columns = {k: v[both] for k, v in covariates.items()}
    found = balance(treated[both], weight[both], clusters, columns)
    ways: dict[str, LinearEstimand | None] = {ALL: LinearEstimand.contrast(treated, weight)}
    if found.unequal and len(np.unique(clusters.units["prompt"])) >= ENOUGH * len(covariates):
        table = np.stack([(v - v.mean()) / (v.std() or 1.0) for v in covariates.values()], 1)
        ways[ADJUSTED] = LinearEstimand.contrast(treated, weight, covariates=table)
    strata = {USERS: rows.clusters.units.get("user"), PROMPTS: rows.clusters.units["prompt"]}
    counts = {}
    for name, stratum in strata.items():
        if stratum is None:
            continue
        counts[name] = len(np.intersect1d(stratum[mine], stratum[theirs]))
        if counts[name] >= FEWEST:
            ways[name] = LinearEstimand.contrast(treated, weight, stratum)
    contrasts = {
        name: _contrast(name, way, rows, gammas, counts.get(name, 1))
        for name, way in ways.items()
        if way is not None
    }
    model, reference = models
    sizes = int(mine.sum()), int(theirs.sum())
    rated = int((mine & rows.rated).sum()), int((theirs & rows.rated).sum())
    return ModelComparison(model, reference, sizes, rated, contrasts, found)


def _contrast(
    name: str, way: LinearEstimand, rows: PartialLabels, gammas: Sequence[float], strata: int
) -> Contrast:
    bounds = tuple(way.bounds(rows, g, SPAN) for g in gammas)
    shared = tuple(way.shared(rows, g, SPAN) for g in gammas if 1 < g < WORST)
    return Contrast(
        ASSUMES[name],
        int((way.c != 0).sum()),
        strata,
        bounds,
        shared,
        _until(way, rows, bounds, lambda b: (b.low, b.high)),
        _until(way, rows, bounds, lambda b: (b.ci_low, b.ci_high)),
    )


def _until(
    way: LinearEstimand,
    rows: PartialLabels,
    bounds: tuple[IdentifiedSet, ...],
    ends: Callable[[IdentifiedSet], tuple[float, float]],
) -> float | None:
    """Odds ratio from which the ends are on two sides of 0."""

    def margin(b: IdentifiedSet) -> float:
        low, high = ends(b)
        return max(low, -high)

    if margin(bounds[0]) <= 0:
        return None
    if margin(bounds[-1]) > 0:
        return math.inf

    def at(delta: float) -> float:
        return margin(way.bounds(rows, math.exp(delta), SPAN))

    if at(math.log(LARGEST)) > 0:
        return LARGEST
    return math.exp(float(brentq(at, 0.0, math.log(LARGEST), xtol=1e-3)))
