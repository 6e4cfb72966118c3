"""How many responses each labelled one stands for, and a model calibrated on labels so weighted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import expit

from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import numpy_stream, stream_seed
from trueward.data.feedback import fold_of, prompt_numbers
from trueward.estimation.gold_regression import Prior, Sample

from .log_signals import evidence, signals

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback
    from trueward.model.reward_model import RewardModel

    Array = NDArray[np.float64]

FOLDS = 5  # of prompts: no row tells its own chance
WIDEST = 20.0  # a row stands for at most so many times as many as in a draw at random
RIDGES = (1.0, 10.0, 100.0)  # precision of what the columns add, chosen by marginal likelihood as
SPREADS = (0.0, 0.2, 1.0)  # sd of what the features add to the log-odds of being chosen
OTHERS = 10_000  # rows without a label that the chance of being chosen is fitted on
FEW = 50  # effective labels below which sets at 95 % rest on a handful

CHOSEN = (
    "gold rows were chosen by what is logged (score, feedback, channels, context, features) and not by the "
    "label beyond that, and every kind of response had a chance"
)
REACTS = (
    "whether anybody reacts depends on the prompt and the response alone, not on how good it was beyond "
    "what they say, and feedback is without noise"
)


@dataclass(frozen=True)
class Weights:
    """(n,) how many responses a row stands for were it labelled: 1 / chance, a draw at random giving 1."""

    each: Tensor
    report: dict[str, Any]

    @staticmethod
    def of(chance: Array, labelled: NDArray[np.bool_], assumes: str) -> Weights:
        """Clip the chances at 1/20 of their mean, and count what that raised."""
        share = labelled.mean()
        weight = np.minimum(share / np.maximum(chance, 1e-12), WIDEST)
        w = weight[labelled]
        size = float(w.sum() ** 2 / np.square(w).sum())
        report: dict[str, Any] = {
            "assumes": assumes,
            "effective_sample_size": round(size, 1),
            "largest_weight": round(float(w.max() / w.mean()), 2),
            "clipped": int((weight == WIDEST).sum()),
        }
        if size < max(FEW, 0.2 * len(w)):
            report["warning"] = (
                f"the weights leave an effective sample of {size:.0f} out of {len(w)} labels: what is "
                "said of unlikely rows rests on few of them"
            )
        return Weights(torch.from_numpy(weight), report)


def calibrate(
    model: RewardModel,
    log: Feedback,
    *,
    chosen: bool = False,
    feedback: bool = False,
    seed: int = 0,
) -> RewardModel:
    """Calibrate ``model`` on labels that are no random draw of the log: each counts as 1 / its chance.

    chosen: gold rows were picked; their chance is that of being picked given all that is logged, by a
    logistic regression on other prompts. feedback: there are no gold labels, and the feedback of rated rows
    takes their place; their chance is p(x) = P(o=1 given x), out of fold. With neither, gold rows are a
    random draw. The report says what is assumed, and how many equal labels the weights are worth.
    Weighted conformal sets: Tibshirani, Barber, Candes and Ramdas, NeurIPS 2019; a new response has no
    feedback yet, so its own weight is the mean over the log.
    """
    if chosen and feedback:
        raise UsageError("calibrate takes gold rows that were chosen, or feedback, not both")
    if feedback:
        log, found = rated(log, seed)
    elif chosen and len(log.audited):
        found = picked(model, log, seed)
    else:
        return model.calibrated(log, seed=seed)
    made = model.calibrated(log, weight=found.each, seed=seed)
    about = dict(made.report["calibration"])
    doubts = [about.get("warning") if chosen else None, found.report.get("warning")]
    if feedback:
        about["labels"] = "feedback"
        doubts.append(
            "if on rows that the model was fitted on, it looks surer than it is of others"
        )
    said = {"warning": "; ".join(d for d in doubts if d)} if any(doubts) else {}
    about = {k: v for k, v in about.items() if k != "warning"} | found.report | said
    return replace(made, report={**made.report, "calibration": about})


def rated(log: Feedback, seed: int) -> tuple[Feedback, Weights]:
    """The log with the feedback of rated rows as gold labels, and weights 1 / p(x)."""
    if log.o is None:
        raise TruewardError(
            "calibrating on feedback needs a log that says bad as well as good, and this one has clicks "
            "only: have some responses audited and give --gold"
        )
    seen = log.o > 0
    known = seen.cpu().numpy()
    rates = signals(replace(log, gold=None), seed)
    chance = rates["responds"].double().numpy() if "responds" in rates else known.astype(float)
    labelled = replace(log, gold=torch.where(seen, log.y, torch.nan))
    return labelled, Weights.of(chance, known, REACTS)


def picked(model: RewardModel, log: Feedback, seed: int) -> Weights:
    """Weights 1 / P(gold given the score, the signals, what was logged, features)."""
    known = np.zeros(len(log), dtype=bool)
    known[log.audited.cpu().numpy()] = True
    score = replace(model, calibration=None).score_features(log.x).reward
    if score is None:
        raise TruewardError(
            "calibrating needs one P(preferred) a row, and this model identifies only an interval"
        )
    if known.all():
        return Weights.of(np.ones(len(log)), known, CHOSEN)
    table, x = evidence(score.double().cpu().numpy(), replace(log, gold=None), seed)
    table[:, 0] /= max(float(table[:, 0].std()), 1e-9)
    group = prompt_numbers(len(log), log.group)
    return Weights.of(_chance(known, table, x, group, seed), known, CHOSEN)


def _chance(known: NDArray[np.bool_], table: Array, x: Array, group: Tensor, seed: int) -> Array:
    """(n,) P(known) by ridge logistic regressions, each row by those on other prompts."""
    n, k = table.shape
    rng = numpy_stream(seed, "others")
    others = rng.permutation(np.flatnonzero(~known))[:OTHERS]
    rows = np.sort(np.concatenate([np.flatnonzero(known), others]))
    weight = np.where(known[rows], 1.0, (~known).sum() / len(others))
    design = np.hstack([np.ones((n, 1)), table, x])
    whole = Sample(design[rows], known[rows].astype(float), weight, rows)
    priors = [(Prior(ridge, (0.0,) * k, (0.0,) * k), s) for ridge in RIDGES for s in SPREADS]
    prior, s = max(priors, key=lambda at: whole.mode(*at).evidence)
    fold = fold_of(n, FOLDS, stream_seed(seed, "chosen"), group).numpy()
    found = np.empty(n)
    for j in range(FOLDS):
        w = whole.at(fold[rows] != j).mode(prior, s).w
        found[fold == j] = expit(design[fold == j][:, : len(w)] @ w)
    return found
