"""Noise rates of ratings: given, by gold labels, or estimated from the ratings, with their source."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import numpy_stream

from .nuisance_types import Derived
from .rate_sources import DRAWS, FEWEST_GOLD, NAMES, RatedRows, RateEstimates

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from trueward.data.feedback import Feedback

PUBLISHED_QUANTILE = 0.99  # u where none is given
ENOUGH_GOLD = 20  # gold labels of either class on rated rows from which rates=auto takes these
WIDE = 0.15  # width of an interval that is worth a warning
LEAST_SIGNAL = 0.1  # 1 - rho_01 - rho_10 below which no correction is possible
WEAK = 0.2  # value of 1 - rho_01 - rho_10 below which little can be corrected


def flip_rates(
    quantile: float | None = None,
    rho_01: float | None = None,
    rho_10: float | None = None,
    source: str = "auto",
) -> Derived:
    """Return the nuisances rho_01 and rho_10, estimated once (methods 2.5).

    gold: among rated rows with a gold label, rho_01 = P(rated bad given gold good) and rho_10 = P(rated good
    given gold bad). levels: the rates at which P(thumb up) levels off as the out-of-fold proxy gets surer.
    once: rho_10 = Q_{1-u}(eta) and rho_01 = 1 - Q_u(eta) of the proxy eta, as published. These are right only
    if some answers are certainly good, some certainly bad, and the proxy is not over-confident there. Their
    intervals are those of the ratings of its surest answers. Where they sum to .9 or more, the features
    hardly predict the feedback, and both are 0, with a warning. auto: once if a quantile is given; else gold
    where there are 20 labels of either class; else levels.
    A given rate is kept. The report names the source of each rate. It warns of a rate at 0, of wide
    intervals, and of rates that disagree with gold labels or with the surest answers.

    Parameters
    ----------
    quantile : float or None
        u, in [0.5, 1]; read by ``once``, .99 if it is None.
    rho_01, rho_10 : float or None
        P(observed 0 given true 1) and P(observed 1 given true 0), if known.
    source : str
        ``auto``, ``gold``, ``levels`` or ``once``.

    Returns
    -------
    Derived
        Columns ``rho_01`` and ``rho_10``.

    References
    ----------
    CausalRM, arXiv 2603.18736; Patrini et al., CVPR 2017. Levels: Wichmann and Hill, Perception and
    Psychophysics 63, 2001.

    """
    given = {k: v for k, v in zip(NAMES, (rho_01, rho_10), strict=True) if v is not None}
    once = source == "once" or (source == "auto" and quantile is not None)
    u = PUBLISHED_QUANTILE if quantile is None else quantile

    def compute(b: Feedback, seed: int) -> tuple[dict[str, float], dict[str, Any]]:
        rows, rng = RatedRows.of(b), numpy_stream(seed, "bootstrap", "flip_rates")
        fewest = min(v for k, v in rows.gold_counts.items() if k not in given)
        if source == "gold":
            _refuse_few_gold(rows.gold_counts)
        if once:
            proxy = b.eta.noisy.double().cpu().numpy()
            low, high = (float(v) for v in np.quantile(proxy, [1 - u, u]))
            found = rows.from_extremes({"rho_01": 1 - high, "rho_10": low} | given, u, rng)
        elif source == "gold" or (source == "auto" and fewest >= ENOUGH_GOLD):
            found = rows.from_gold(rng)
        else:
            found = rows.from_levels(given, rng)
        rates = {k: given.get(k, found.rates[k]) for k in NAMES}
        if once and not given and sum(rates.values()) >= 1 - LEAST_SIGNAL:
            found, rates = _without_signal(found), dict.fromkeys(NAMES, 0.0)
        _refuse_without_signal(rates, found.source)
        judged = {k: v for k, v in rates.items() if k not in given and found.source != "gold"}
        warnings = [*_warnings(found, given), *rows.beside_gold(judged, "estimated")]
        warnings += rows.beside_gold(given, "given")
        report: dict[str, Any] = {"quantile": u} if once else {}
        report |= _rates_report(rates, found, given) | {"gold_on_rated": rows.gold_counts}
        return rates, report | ({"warning": "; ".join(warnings)} if warnings else {})

    return Derived("flip_rates", NAMES, compute)


def given_rates(rho_01: float, rho_10: float) -> Derived:
    """Return the nuisance that records given rates, and compares them with gold labels on rated rows.

    Parameters
    ----------
    rho_01, rho_10 : float
        P(observed 0 given true 1) and P(observed 1 given true 0).

    Returns
    -------
    Derived
        Columns ``given_rho_01`` and ``given_rho_10``; the report warns of a rate outside its interval.

    """
    given = {"rho_01": rho_01, "rho_10": rho_10}

    def compute(b: Feedback, _seed: int) -> tuple[dict[str, float], dict[str, Any]]:
        rows = RatedRows.of(b)
        warnings = rows.beside_gold(given, "given")
        report = {**given, "source": "given", "gold_on_rated": rows.gold_counts}
        warning = {"warning": "; ".join(warnings)} if warnings else {}
        return {f"given_{k}": v for k, v in given.items()}, report | warning

    return Derived("given_rates", tuple(f"given_{k}" for k in NAMES), compute)


def batch_rates(quantile: float | None) -> Derived:
    """Return the nuisance that reports rates=batch, whose rates are read anew in every batch.

    Parameters
    ----------
    quantile : float or None
        u, .99 if it is None.

    Returns
    -------
    Derived
        Columns ``batch_rho_01`` and ``batch_rho_10``: the quantiles over all rows, which no loss reads.

    """
    u = PUBLISHED_QUANTILE if quantile is None else quantile

    def compute(b: Feedback, _seed: int) -> tuple[dict[str, float], dict[str, Any]]:
        low, high = np.quantile(b.eta.noisy.double().cpu().numpy(), [1 - u, u])
        rates = {"rho_01": float(1 - high), "rho_10": float(low)}
        warning = (
            "noise rates are read from the extremes of the proxy in every batch, as published: they have no "
            f"interval and are biased; over all rows they are rho_01={rates['rho_01']:.2f} and "
            f"rho_10={rates['rho_10']:.2f}"
        )
        report = {"quantile": u, **rates, "source": "batch", "warning": warning}
        return {f"batch_{k}": v for k, v in rates.items()}, report

    return Derived("batch_rates", tuple(f"batch_{k}" for k in NAMES), compute)


def check_noise_rates(method: str, *rates: float | None) -> None:
    """Refuse given noise rates that leave no signal.

    Parameters
    ----------
    method : str
        Name of the method, for the error.
    *rates : float or None
        rho_01 and rho_10; None is estimated.

    Raises
    ------
    UsageError
        If the given rates sum to 1 or more.

    """
    total = sum(r for r in rates if r is not None)
    if total >= 1:
        raise UsageError(f"{method}: rho_01 + rho_10 must be below 1, not {total:g}")


def noise_rates(
    estimated: Mapping[str, torch.Tensor],
    y: torch.Tensor,
    rho_01: float | None,
    rho_10: float | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the given noise rates as tensors, and estimated ones in the place of None.

    Parameters
    ----------
    estimated : Columns
        Columns ``rho_01`` and ``rho_10``, as far as they are needed.
    y : Tensor
        Gives device and type.
    rho_01, rho_10 : float or None
        The given rates.

    Returns
    -------
    rho_01, rho_10 : Tensor, scalar or shape (n,)

    """
    given = {"rho_01": rho_01, "rho_10": rho_10}
    one, other = (estimated[k] if v is None else y.new_tensor(v) for k, v in given.items())
    return one, other


def _without_signal(found: RateEstimates) -> RateEstimates:
    """Return rates of 0, with a warning, in the place of extremes that leave almost no signal."""
    warning = (
        "the features hardly predict the feedback, so its noise rates cannot be estimated (rho_01="
        f"{found.rates['rho_01']:.2f} and rho_10={found.rates['rho_10']:.2f} would leave almost no signal): "
        "the noise is left uncorrected; give rates you know (-o rho_01=... -o rho_10=...)"
    )
    return replace(found, rates=dict.fromkeys(NAMES, 0.0), warnings={"": warning})


def _refuse_few_gold(counts: Mapping[str, int]) -> None:
    """Refuse rates=gold where gold labels on rated rows are too few."""
    if min(counts.values()) < FEWEST_GOLD:
        raise TruewardError(
            f"rates=gold needs {FEWEST_GOLD} good and {FEWEST_GOLD} bad gold labels on rated responses, and "
            f"found {counts['rho_01']} good and {counts['rho_10']} bad: have more rated responses audited, "
            "or leave rates=auto"
        )


def _refuse_without_signal(rates: Mapping[str, float], source: str) -> None:
    """Refuse rates, given or of gold labels, that leave too little signal for any correction."""
    if sum(rates.values()) >= 1 - LEAST_SIGNAL:
        because = (
            "because the ratings hardly agree with the gold labels; check how both are coded"
            if source == "gold"
            else "because the features hardly predict the feedback"
        )
        raise TruewardError(
            f"the noise rates are rho_01={rates['rho_01']:.2f} and rho_10={rates['rho_10']:.2f}, "
            f"which leave almost no signal (1 - rho_01 - rho_10 < 0.1), {because}: give rates you know "
            "(-o rho_01=... -o rho_10=...) or leave the noise uncorrected (naive, or causalrm with -o "
            "correction=none)"
        )


def _rates_report(
    rates: Mapping[str, float], found: RateEstimates, given: Mapping[str, float]
) -> dict[str, Any]:
    """Report every rate with its interval and its source."""
    report = {}
    for k, value in rates.items():
        low, high = (value, value) if k in given else found.intervals[k]
        kind = "given" if k in given else found.source
        report[k] = {"value": value, "low": low, "high": high, "source": kind}
    return report


def _warnings(found: RateEstimates, given: Mapping[str, float]) -> list[str]:
    """Warn of what the log does not determine."""
    draws = [np.full(DRAWS, given[k]) if k in given else found.draws[k] for k in NAMES]
    warnings = [w for k, w in found.warnings.items() if k not in given]
    signal = float(np.quantile(1 - draws[0] - draws[1], 0.025))
    if signal < WEAK:
        warnings.append(f"the interval of 1 - rho_01 - rho_10 reaches down to {signal:.2f}")
    wide = [k for k, (low, high) in found.intervals.items() if k not in given and high - low > WIDE]
    if wide:
        warnings.append(f"the interval of a noise rate is wider than {WIDE:g} ({', '.join(wide)})")
    return warnings
