"""Strata of rows by their likeness to clicked rows, from a one-class SVM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from trueward.core.random import torch_stream

from .nuisance_types import Computed

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Parameters


def strata(nu: float, far: float) -> Computed:
    """Return the nuisance ``stratum``: 1 inside a one-class SVM of the clicked rows, 2 farthest, 0 between.

    RBF kernel on standardised features, fitted on at most 10,000 clicked rows.

    Parameters
    ----------
    nu : float
        Share of the clicked rows outside the SVM.
    far : float
        Share of the rows without a click, by weight, those of the lowest score, that is farthest.

    Returns
    -------
    Computed
        Column ``stratum``.

    """

    def fit(train: Feedback, _val: Feedback, seed: int) -> tuple[Parameters, dict[str, Any]]:
        from sklearn.svm import OneClassSVM  # noqa: PLC0415 - slow to import

        mean, sd = train.x.float().mean(0), train.x.float().std(0).clamp(min=1e-6)
        clicks = (train.y > 0).nonzero().squeeze(-1)
        order = torch.randperm(len(clicks), generator=torch_stream(seed, "strata"))
        clicked_x = (train.x[clicks[order[:10_000].to(clicks.device)]].float() - mean) / sd
        w = train.row_weight[clicks[order[:10_000].to(clicks.device)]]
        svm = OneClassSVM(nu=nu).fit(clicked_x.cpu().numpy(), sample_weight=(w / w.mean()).cpu())
        vectors, dual = (
            torch.from_numpy(v).to(clicked_x) for v in (svm.support_vectors_, svm.dual_coef_[0])
        )
        numbers = torch.tensor([svm._gamma, svm.intercept_[0]]).to(clicked_x)  # noqa: SLF001
        parameters = {"mean": mean, "sd": sd, "vectors": vectors, "dual": dual, "numbers": numbers}
        without, place = scores(parameters, train)[train.y <= 0].sort()
        upto = train.row_weight[train.y <= 0][place].cumsum(0)
        wanted = far * upto[-1] * (1 - 1e-12)  # the rows of the lowest scores that weigh this much
        parameters["edge"] = without[min(int((upto < wanted).sum()), len(without) - 1)]
        stratum = apply(parameters, train)["stratum"][train.y <= 0]
        report: dict[str, Any] = {
            name: int((stratum == k).sum())
            for k, name in enumerate(("between", "inside", "farthest"))
        }
        if not all(report.values()):
            report["warning"] = f"a stratum of the rows without a click is empty: {report}"
        return parameters, report

    def scores(parameters: Parameters, b: Feedback) -> Tensor:
        at = parameters
        gamma, offset = at["numbers"]
        chunks = []
        for x in b.x.split(4096):
            distance = torch.cdist((x.float() - at["mean"]) / at["sd"], at["vectors"]).square()
            chunks.append(torch.exp(-gamma * distance) @ at["dual"] + offset)
        return torch.cat(chunks)

    def apply(parameters: Parameters, b: Feedback) -> dict[str, Tensor]:
        score = scores(parameters, b)
        outside = torch.where(score <= parameters["edge"], 2.0, 0.0)
        return {"stratum": torch.where(score >= 0, 1.0, outside).to(b.y)}

    return Computed("strata", ("stratum",), fit, apply, features=True)
