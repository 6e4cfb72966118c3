"""How often feedback says the opposite of what is meant: rates from the answers that are surest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trueward.core.errors import TruewardError
from trueward.core.random import numpy_stream
from trueward.data.feedback import Feedback, prompt_numbers

from .nuisance_types import Derived

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANCHORS = 100  # rated rows a side that the noise rates are read from, at least
DRAWS = 2000  # of the posterior of the rates


def flip_rates(
    quantile: float, rho_01: float | None = None, rho_10: float | None = None
) -> Derived:
    """rho_10 = Q_{1-u}(eta), rho_01 = 1 - Q_u(eta), from the out-of-fold proxy, once (methods 2.5).

    Right if anchors exist: rated answers that are certainly good, and certainly bad, to within 1 - u, and a
    proxy that does not overshoot there. The 95 % intervals need no such proxy: they are Jeffreys' for what
    users said of its surest answers in each fold, 100 a side or a share 1 - u, as many as their prompts are
    worth, and assume that these were chosen without knowing what was said of them, which a proxy on few
    features does not quite (docs/doubt.md). A rate outside its interval is warned of; one that is given
    stands, and is judged with the other.
    """

    def compute(b: Feedback, seed: int) -> tuple[dict[str, float], dict[str, Any]]:
        whole = b.eta.noisy.double().cpu().numpy()
        ends = np.quantile(whole, [1 - quantile, quantile])
        low = float(ends[0]) if rho_10 is None else rho_10
        high = float(1 - ends[1]) if rho_01 is None else rho_01
        _need_signal(low, high)
        rated = (torch.ones_like(b.y) if b.o is None else b.o).cpu() > 0
        eta, y = (v.double().cpu()[rated].numpy() for v in (b.eta.noisy, b.y))
        ids = prompt_numbers(len(b), b.group)[rated].numpy()
        fold = b.eta.get("fold", torch.zeros(len(b))).cpu()[rated].numpy()
        order = np.argsort(_within(eta, fold), kind="stable")
        few = max(1, min(len(eta) // 2, max(ANCHORS, round((1 - quantile) * len(eta)))))
        rng = numpy_stream(seed, "bootstrap", "flip_rates")
        sides = {"rho_10": (order[:few], y, rho_10), "rho_01": (order[-few:], 1 - y, rho_01)}
        draws = {
            name: np.full(DRAWS, given) if given is not None else _posterior(v[i], ids[i], rng)
            for name, (i, v, given) in sides.items()
        }
        prompts = min(len(set(ids[i])) for i, _, _ in sides.values())
        found = {"rho_01": high, "rho_10": low}
        return found, {"quantile": quantile, **_judged(found, draws, prompts)}

    return Derived("flip_rates", ("rho_01", "rho_10"), compute)


def _within(eta: NDArray[np.float64], fold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rank of each row among those of its fold, in (0, 1).

    A fold with more flips than the rest has a proxy that saw fewer, and is surer of itself: of the surest
    of all folds together, more would be flipped than of the surest of each.
    """
    rank = np.empty(len(eta))
    for k in np.unique(fold):
        own = np.flatnonzero(fold == k)
        rank[own[np.argsort(eta[own], kind="stable")]] = (np.arange(len(own)) + 0.5) / len(own)
    return rank


def _posterior(
    v: NDArray[np.float64], ids: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draws of the mean of 0 and 1 under Jeffreys' prior, whole prompts counting together."""
    n, mean = len(v), float(v.mean())
    clusters = np.bincount(np.unique(ids, return_inverse=True)[1], v - mean)
    spread = float(np.square(clusters).sum()) * len(clusters) / max(len(clusters) - 1, 1)
    size = min(n, mean * (1 - mean) * n**2 / spread) if spread > 0 else len(clusters)
    return np.asarray(rng.beta(mean * size + 0.5, (1 - mean) * size + 0.5, DRAWS))


def _need_signal(rho_10: float, rho_01: float) -> None:
    """Refuse rates that no correction survives."""
    if rho_01 + rho_10 >= 0.9:
        raise TruewardError(
            f"the noise rates of this log come to rho_01={rho_01:.2f} and rho_10={rho_10:.2f}, "
            "which leave almost no signal (1 - rho_01 - rho_10 < 0.1): the features hardly predict "
            "the feedback; give rates you know (-o rho_01=... -o rho_10=...) or leave the noise "
            "uncorrected (naive, or causalrm with -o correction=none)"
        )


def _judged(
    rates: dict[str, float], draws: dict[str, NDArray[np.float64]], prompts: int
) -> dict[str, Any]:
    """Rates with their intervals, and warnings of what the log does not pin down."""
    ends = {k: np.quantile(v, [0.025, 0.975]).tolist() for k, v in draws.items()}
    report: dict[str, Any] = {
        k: {"value": rates[k], "low": ends[k][0], "high": ends[k][1]} for k in rates
    }
    warnings = []
    left = float(np.quantile(1 - draws["rho_01"] - draws["rho_10"], 0.025))
    if left < 0.2:
        warnings.append(f"the interval of 1 - rho_01 - rho_10 reaches down to {left:.2f}")
    if max(high - low for low, high in ends.values()) > 0.15:
        warnings.append("a noise rate is uncertain by more than .15")
    if prompts < 30:
        warnings.append(f"the anchors that the rates are read from sit in only {prompts} prompts")
    for k, (low, high) in ends.items():
        if not low - 1e-9 <= rates[k] <= high + 1e-9:
            warnings.append(
                f"{k} = {rates[k]:.2f}, read off the proxy's extremes as published, is outside what users "
                f"said of its surest answers, {low:.2f} to {high:.2f}: -o {k}={draws[k].mean():.2f} is that"
            )
    return {**report, **({"warning": "; ".join(warnings)} if warnings else {})}
