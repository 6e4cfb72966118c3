"""Robust DivideMix: two networks, each trained on the clean and noisy rows found by the other."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, entropy, masked_mean
from trueward.estimation.method import Method
from trueward.estimation.reward_form import MeanProbability
from trueward.estimation.samplers import observed

if TYPE_CHECKING:
    from torch import Tensor


class DivideMix(Method):
    """L = sum over both heads of mean_C l(s, t) + u mean_N (q - t)^2 + KL(prior || mean q), q = sigmoid(s).

    s: logit of a head; r: rating; l: cross-entropy. w: P(row is clean), the posterior of the lower of two
    Gaussians, fitted to the losses l(s', r') under the other head, scaled to [0, 1]; r' = [fade s' < 2 r -
    1] counts rows that are fitted too well as noisy. p: mean of both probabilities. C: w > 1/2, t = w r +
    (1 - w) p; N: the others, t = p sharpened by ``sharpen``. Inputs and targets are mixed: h of the row
    and 1 - h of another row of the batch, h = max(B, 1 - B), B ~ Beta(a, a). Warm-up: l(s, r) - H(q), H
    the entropy. w and p are renewed after every epoch; the original renews p in every batch, and over
    augmentations, which features do not have. The original sharpens C, too, and has prior 1/2. w stays
    where the Gaussians do not converge. Early stopping is on l of the mean probability.
    """

    weight: Annotated[float, Opt("u: weight of the noisy rows", 0)] = 25.0
    ramp: Annotated[float, Opt("share of the training over which u rises from 0", 0, 1)] = 0.3
    warm_up: Annotated[
        float,
        Opt(
            "share of the training before rows are split into clean and noisy", 0, 1, open_high=True
        ),
    ] = 0.2
    adversarial: Annotated[
        float, Opt("fade; after the warm-up it falls to 0 over the same length", 0)
    ] = 0.2
    sharpen: Annotated[float, Opt("temperature of p on noisy rows", 0, open_low=True)] = 0.5
    a: Annotated[float, Opt("parameter of the Beta distribution", 0, open_low=True)] = 4.0
    prior: Annotated[
        float | None,
        Opt(
            "share of good answers among rated ones; none: the mean rating",
            0,
            1,
            open_low=True,
            open_high=True,
        ),
    ] = None

    paper = "Li, Socher and Hoi, ICLR 2020; robust: Zhang et al., TPAMI 2024 (BadLabel)"
    variants = ({}, {"prior": 0.5})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    @property
    def heads(self) -> dict[str, str]:
        return {"reward": "x", "peer": "x"}

    @property
    def warm_up_fraction(self) -> float:
        return self.warm_up

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def mixing(self, b: Feedback, g: torch.Generator) -> tuple[Tensor, Tensor] | None:
        if b.t < self.warm_up:
            return None
        partner = torch.randperm(len(b), generator=g)
        rng = np.random.default_rng(int(torch.randint(2**31, (), generator=g)))
        share = rng.beta(self.a, self.a)
        return partner.to(b.y.device), torch.full_like(b.y, max(share, 1 - share))

    def init_memory(self, data: Feedback) -> Columns:
        rated = data.seen > 0
        mean = data.y[rated].mean() if rated.any() else data.y.new_tensor(0.5)
        one = torch.ones_like(data.y)
        return Columns(clean=one, clean_peer=one, guess=one / 2, base=mean.expand_as(one).clone())

    def update_memory(self, out: Columns, b: Feedback) -> Columns:
        fade = self.adversarial * max(0.0, 2 - b.t / self.warm_up) if self.warm_up else 0.0
        return Columns(
            clean=clean_probability(out.reward, b, min(fade, self.adversarial), b.eta.clean),
            clean_peer=clean_probability(
                out.peer, b, min(fade, self.adversarial), b.eta.clean_peer
            ),
            guess=torch.sigmoid(self.reward(out)),
            base=b.eta.base,
        )

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        if b.t < self.warm_up:
            return sum(
                (masked_mean(bce(s, b.y) - entropy(s), b.seen) for s in (out.reward, out.peer)),
                start=b.y.new_zeros(()),
            )
        return self.head_loss(out.reward, b, b.eta.clean_peer) + self.head_loss(
            out.peer, b, b.eta.clean
        )

    def head_loss(self, s: Tensor, b: Feedback, w: Tensor) -> Tensor:
        """Return the loss of one head, given P(clean) under the other."""
        p, q = b.eta.guess, torch.sigmoid(s)
        sharp = torch.sigmoid(torch.logit(p, 1e-6) / self.sharpen)
        own = torch.where(w > 0.5, w * b.y + (1 - w) * p, sharp)
        t = b.eta.share * own + (1 - b.eta.share) * own[b.eta.partner]
        u = self.weight * min(1.0, (b.t - self.warm_up) / max(self.ramp, 1e-6))
        chosen, noisy = b.seen * (w > 0.5), b.seen * (w <= 0.5)
        split = masked_mean(bce(s, t), chosen) + u * masked_mean((q - t).square(), noisy)
        mean = masked_mean(q, b.seen).clamp(1e-6, 1 - 1e-6)
        prior = (b.eta.base.mean() if self.prior is None else mean.new_tensor(self.prior)).clamp(
            1e-6, 1 - 1e-6
        )
        away = prior * (prior / mean).log() + (1 - prior) * ((1 - prior) / (1 - mean)).log()
        return split + b.seen.max() * away

    def monitor(self, out: Columns, b: Feedback) -> Tensor:
        return masked_mean(bce(self.reward(out), b.y), b.seen)

    def reward_form(self) -> MeanProbability:
        return MeanProbability(("reward", "peer"))


def clean_probability(s: Tensor, b: Feedback, fade: float, before: Tensor) -> Tensor:
    """Return (n,) P(row is of the component with the lower losses); ``before`` if the fit fails.

    Parameters
    ----------
    s : Tensor, shape (n,)
        Logits of one head.
    b : Feedback
        The log; only the rated rows are fitted.
    fade : float
        Adversarial strength: the target of the loss is 1 where fade * s < 2 y - 1; 0 keeps the labels.
    before : Tensor, shape (n,)
        Earlier probabilities; the rows without a rating keep them.

    Returns
    -------
    Tensor, shape (n,)
        P(clean), from a mixture of two Gaussians fitted to the losses.

    """
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - slow to import
    from sklearn.mixture import BayesianGaussianMixture  # noqa: PLC0415

    rated = b.seen > 0
    loss = bce(s, (fade * s < 2 * b.y - 1).to(s))[rated].double().cpu().numpy()
    if len(loss) < 2 or np.ptp(loss) == 0:
        return before
    scaled = ((loss - loss.min()) / np.ptp(loss))[:, None]
    mixture = BayesianGaussianMixture(
        n_components=2, max_iter=50, tol=0.01, reg_covar=5e-4, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(scaled)
    if not mixture.converged_:
        return before
    low = mixture.predict_proba(scaled)[:, mixture.means_[:, 0].argmin()]
    posterior = before.clone()
    posterior[rated] = torch.from_numpy(low).to(posterior)
    return posterior
