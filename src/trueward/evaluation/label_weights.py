"""Weights of labels, 1 / P(labelled), and what they assume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from trueward.core.weighted import effective_size

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[np.float64]

WIDEST = 20.0  # largest weight of a row, relative to a random draw
CLIPPED = 0.1  # share of the weight on labels at the largest weight that is worth a warning
FEW = 50  # effective labels below which conformal sets at 95 % are unreliable
CHOSEN = (
    "given the log (score, feedback, channels, context, features), the choice of gold rows does not depend "
    "on the label, and every kind of response had a chance to be chosen"
)
DRAWN = "gold_weight is 1 / P(labelled)"
REPRESENTS = "gold rows are a random draw of the rows, and weight is what each row stands for"
REACTS = (
    "given the prompt and the response, whether a user reacts does not depend on the quality, and feedback "
    "is without noise"
)


@dataclass(frozen=True)
class LabelWeights:
    """Weights proportional to 1 / P(labelled); a random draw gives 1."""

    #: (n,) weight of every row, labelled or not.
    weight: Tensor
    #: The assumption, effective sample size, largest weight and number of clipped rows.
    report: dict[str, Any]

    @staticmethod
    def of(
        chance: Array, labelled: NDArray[np.bool_], assumes: str, row_weight: Array | None = None
    ) -> LabelWeights:
        """Compute weights from probabilities, clipped at 1/20 of the share of labelled rows.

        Parameters
        ----------
        chance : (n,) array
            P(labelled) of every row.
        labelled : (n,) array of bool
            Which rows have a label.
        assumes : str
            When the weights are right, for the report.
        row_weight : (n,) array, optional
            What each row represents; it counts in the share and in the effective sample size.

        Returns
        -------
        LabelWeights
            With a warning in its report where the effective sample is small.

        """
        represents = np.ones(len(chance)) if row_weight is None else row_weight
        share = float(np.average(labelled, weights=represents))
        weight = np.minimum(share / np.maximum(chance, 1e-12), WIDEST)
        report = label_report((represents * weight)[labelled], assumes)
        report["clipped"] = int((weight == WIDEST).sum())
        held = (weight == WIDEST) & labelled
        carried = float(
            represents[labelled & held].sum() * WIDEST / (represents * weight)[labelled].sum()
        )
        warnings = [report["warning"]] if "warning" in report else []
        if carried > CLIPPED:
            warnings.append(
                f"{held.sum()} labels have the largest weight, {WIDEST:g}, and carry {carried:.0%} of all: "
                "responses like these were labelled even more rarely than that"
            )
        if assumes != DRAWN and float(np.ptp(chance)) < 1e-6 and not labelled.all():
            warnings.append(
                "nothing in the log predicts which rows have a label: all labels count the same, which does "
                "not show that they are a random draw"
            )
        if warnings:
            report["warning"] = "; ".join(warnings)
        return LabelWeights(torch.from_numpy(weight), report)


def label_report(w: Array, assumes: str) -> dict[str, Any]:
    """Report the effective sample size of the weights of labels, with a warning where it is small.

    Parameters
    ----------
    w : (n,) array
        Weights.
    assumes : str
        When they are right.

    """
    size = effective_size(w)
    report: dict[str, Any] = {
        "assumes": assumes,
        "effective_sample_size": round(size, 1),
        "largest_weight": round(float(w.max() / w.mean()), 2),
    }
    if size < max(FEW, 0.2 * len(w)):
        report["warning"] = (
            f"effective sample size of the weighted labels: {size:.0f} out of {len(w)}; few labels stand "
            "for the responses that were unlikely to be labelled"
        )
    return report
