"""Noise rates of ratings, estimated from the answers of which a proxy is surest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import numpy_stream
from trueward.data.splits import prompt_numbers

from .nuisance_types import Derived

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback

ANCHORS = 100  # rated rows at each end of the proxy that give the intervals, at least
DRAWS = 2000  # draws of the posterior of a rate
LEAST_SIGNAL = 0.1  # 1 - rho_01 - rho_10 below which no correction is possible


def flip_rates(
    quantile: float, rho_01: float | None = None, rho_10: float | None = None
) -> Derived:
    """Return the nuisances rho_10 = Q_{1-u}(eta) and rho_01 = 1 - Q_u(eta), estimated once (methods 2.5).

    eta is the out-of-fold proxy `noisy`. The rates are right if anchors exist (rated answers that are
    certainly good, and certainly bad, to within 1 - u) and the proxy is not over-confident there.
    The 95 % intervals do not need such a proxy. They are Jeffreys intervals of the ratings of its surest
    answers in each fold: 100 at each end, or a share 1 - u, counted as their effective number of prompts.
    They assume that these answers were selected without their ratings, which holds only approximately for
    a proxy on few features (docs/doubt.md). A rate outside its interval gives a warning. A given rate is
    kept, and checked together with the other. Where the estimated rates sum to .9 or more, the features
    hardly predict the feedback: both rates are then 0, with a warning.

    Parameters
    ----------
    quantile : float
        u, in [0.5, 1].
    rho_01, rho_10 : float or None
        P(observed 0 given true 1) and P(observed 1 given true 0), if known.

    Returns
    -------
    Derived
        Columns ``rho_01`` and ``rho_10``.

    References
    ----------
    CausalRM, arXiv 2603.18736; Patrini et al., CVPR 2017.

    """

    def compute(b: Feedback, seed: int) -> tuple[dict[str, float], dict[str, Any]]:
        proxy = b.eta.noisy.double().cpu().numpy()
        ends = np.quantile(proxy, [1 - quantile, quantile])
        low = float(ends[0]) if rho_10 is None else rho_10
        high = float(1 - ends[1]) if rho_01 is None else rho_01
        if rho_01 is not None or rho_10 is not None:
            _refuse_without_signal(low, high)
        unidentified = low + high >= 1 - LEAST_SIGNAL
        rated = (torch.ones_like(b.y) if b.o is None else b.o).cpu() > 0
        eta, y = (v.double().cpu()[rated].numpy() for v in (b.eta.noisy, b.y))
        ids = prompt_numbers(len(b), b.group)[rated].numpy()
        fold = b.eta.get("fold", torch.zeros(len(b))).cpu()[rated].numpy()
        order = np.argsort(_rank_within_fold(eta, fold), kind="stable")
        size = max(1, min(len(eta) // 2, max(ANCHORS, round((1 - quantile) * len(eta)))))
        rng = numpy_stream(seed, "bootstrap", "flip_rates")
        sides = {"rho_10": (order[:size], y, rho_10), "rho_01": (order[-size:], 1 - y, rho_01)}
        draws = {
            name: np.full(DRAWS, given) if given is not None else _posterior(v[i], ids[i], rng)
            for name, (i, v, given) in sides.items()
        }
        prompts = min(len(set(ids[i])) for i, _, _ in sides.values())
        rates = {"rho_01": high, "rho_10": low}
        report = {"quantile": quantile, **_report(rates, draws, prompts)}
        if unidentified:
            report["warning"] = (
                f"the features hardly predict the feedback, so its noise rates cannot be estimated (rho_01="
                f"{high:.2f} and rho_10={low:.2f} would leave almost no signal): the noise is left "
                "uncorrected; give rates you know (-o rho_01=... -o rho_10=...)"
            )
            rates = {"rho_01": 0.0, "rho_10": 0.0}
            report |= {k: {**report[k], "value": v} for k, v in rates.items()}
        return rates, report

    return Derived("flip_rates", ("rho_01", "rho_10"), compute)


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


def _rank_within_fold(eta: NDArray[np.float64], fold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the rank of every row among those of its fold, in (0, 1).

    A fold with more flips than the rest gets a proxy that was trained on fewer flips and is surer. Ranks over
    all folds together would therefore select more flipped rows than ranks within folds.
    """
    rank = np.empty(len(eta))
    for k in np.unique(fold):
        own = np.flatnonzero(fold == k)
        rank[own[np.argsort(eta[own], kind="stable")]] = (np.arange(len(own)) + 0.5) / len(own)
    return rank


def _posterior(
    v: NDArray[np.float64], ids: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the mean of 0/1 values under Jeffreys' prior, with the effective number of clustered rows."""
    n, mean = len(v), float(v.mean())
    clusters = np.bincount(np.unique(ids, return_inverse=True)[1], v - mean)
    spread = float(np.square(clusters).sum()) * len(clusters) / max(len(clusters) - 1, 1)
    size = min(n, mean * (1 - mean) * n**2 / spread) if spread > 0 else len(clusters)
    return np.asarray(rng.beta(mean * size + 0.5, (1 - mean) * size + 0.5, DRAWS))


def _refuse_without_signal(rho_10: float, rho_01: float) -> None:
    """Refuse a given rate that leaves too little signal for any correction."""
    if rho_01 + rho_10 >= 1 - LEAST_SIGNAL:
        raise TruewardError(
            f"the noise rates are rho_01={rho_01:.2f} and rho_10={rho_10:.2f}, "
            "which leave almost no signal (1 - rho_01 - rho_10 < 0.1), because the features hardly predict "
            "the feedback: give rates you know (-o rho_01=... -o rho_10=...) or leave the noise "
            "uncorrected (naive, or causalrm with -o correction=none)"
        )


def _report(
    rates: dict[str, float], draws: dict[str, NDArray[np.float64]], prompts: int
) -> dict[str, Any]:
    """Report the rates with their intervals, and warn of what the log does not determine."""
    ends = {k: np.quantile(v, [0.025, 0.975]).tolist() for k, v in draws.items()}
    report: dict[str, Any] = {
        k: {"value": rates[k], "low": ends[k][0], "high": ends[k][1]} for k in rates
    }
    warnings = []
    signal = float(np.quantile(1 - draws["rho_01"] - draws["rho_10"], 0.025))
    if signal < 0.2:
        warnings.append(f"the interval of 1 - rho_01 - rho_10 reaches down to {signal:.2f}")
    if max(high - low for low, high in ends.values()) > 0.15:
        warnings.append("the interval of a noise rate is wider than 0.15")
    if prompts < 30:
        warnings.append(f"the answers that give the noise rates belong to only {prompts} prompts")
    for k, (low, high) in ends.items():
        if not low - 1e-9 <= rates[k] <= high + 1e-9:
            warnings.append(
                f"the estimated rate {k} ({rates[k]:.2f}) disagrees with the ratings of the surest answers "
                f"({low:.2f} to {high:.2f}); try -o {k}={draws[k].mean():.2f}"
            )
    return {**report, **({"warning": "; ".join(warnings)} if warnings else {})}
