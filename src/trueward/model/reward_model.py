"""A fitted reward model: scores with their uncertainty, calibration, saving and loading."""

from __future__ import annotations

import importlib
import json
import logging
import math
import os
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from trueward.core.arguments import PATH, described, require_kinds
from trueward.core.errors import TruewardError, UsageError
from trueward.core.overview import Overview, Shown, cell
from trueward.core.wording import for_reader
from trueward.data.pairs import pairs_of
from trueward.data.row_order import ReorderedRows
from trueward.estimation.method import Method, settings
from trueward.estimators._registry import is_found, make
from trueward.features.given import feedback_of
from trueward.training.networks import Net, Shape
from trueward.training.preprocessing import InputTransform, Standardizer
from trueward.training.problem import member_logits

from .calibration import MAPS, Calibration
from .composed_model import ComposedModel
from .folder import (
    FORMAT,
    OWN,
    claim,
    read_record,
    read_tensors,
    require_same_reward,
    write_folder,
)
from .scores import Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.data.feedback import Columns, Feedback
    from trueward.data.log import Log

LOG = logging.getLogger("trueward")
__all__ = ["FORMAT", "OWN", "RewardModel", "Scores", "claim", "fitted", "load"]

# name in a saved folder -> field of `Calibration`; earlier releases wrote the first two or three
_CALIBRATION = {
    "numbers": "parameters",
    "misfit": "nonconformity",
    "mass": "cumulative_weight",
    "label": "label",
    "class_mass": "class_mass",
}


@dataclass(frozen=True, eq=False, repr=False)
class RewardModel(Shown):
    """A fitted reward model.

    `fit`, `tune` and `load` return one.

    Attributes
    ----------
    estimator : Method
        The method with its options.
    net : Net or ComposedModel
        The network of the reward, or the networks that the reward is composed of.
    standardizer : Standardizer
        Standardises the features.
    backbone : str or None
        JSON description of the backbone that makes features from text. None: features come from outside.
    card : str
        Model card, markdown.
    report : dict
        Record of the fit: rows, losses, nuisances, warnings.
    calibration : Calibration or None
        Calibration of P(preferred) on gold labels.
    language_model : Path or None
        Folder of the fine-tuned language model, where `tune` changed it.
    ood_threshold : float
        Mean square of standardised features above which a row is out of distribution.

    Examples
    --------
    >>> import torch
    >>> import trueward as tw
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(200, 4, generator=g)
    >>> rated = (torch.rand(200, generator=g) < 0.7).float()
    >>> log = tw.Feedback(x, (x[:, 0] > 0).float() * rated, rated)
    >>> model = tw.fit("naive", log, log, epochs=1)
    >>> scores = model.score_features(x[:3])
    >>> scores.preferred.shape
    torch.Size([3])

    """

    estimator: Method
    net: Net | ComposedModel
    standardizer: Standardizer
    backbone: str | None
    card: str
    report: dict[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    language_model: Path | None = None
    ood_threshold: float = math.inf

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.estimator.name

    def score(self, prompts: Any, responses: Any = None) -> Scores:
        """Score responses to prompts.

        Parameters
        ----------
        prompts : sequence of str or of messages, table, Log, Test or conversations
            n prompts, as in the log. Without ``responses``: a table of prompt and response (a file, polars,
            pandas, pyarrow, `datasets`, a list of dictionaries), or one or several lists of chat messages
            that end with the response.
        responses : sequence of str or of messages, optional
            n responses, one a prompt.

        Returns
        -------
        Scores
            Logits, probabilities, spread, out-of-distribution flags; see `Scores`.

        Raises
        ------
        TruewardError
            If the model was fitted on features from outside, or the lengths differ.

        """
        if isinstance(prompts, Tensor | np.ndarray):
            raise UsageError(
                "score reads texts, and was given an array: score_features takes features"
            )
        if self.backbone is None:
            raise TruewardError(
                "this model was fitted on features from outside, so it cannot read text; compute the "
                "same features and call score_features"
            )
        questions, answers = pairs_of(prompts, responses)
        from trueward.features import backbone, features  # noqa: PLC0415 - loads text models, which features skip

        return self.score_features(features(backbone(self.backbone), questions, answers, None))

    def predict_proba(self, prompts: Any, responses: Any = None) -> NDArray[np.float64]:
        """Return P(not preferred) and P(preferred) of every response, as scikit-learn does.

        Parameters
        ----------
        prompts : as for `score`, or (n, d) Tensor or array
            Whatever `score` takes, or features as for `score_features`.
        responses : sequence of str or of messages, optional
            n responses, one a prompt.

        Returns
        -------
        (n, 2) array
            Each row sums to 1; the second column is ``preferred`` of `Scores`.

        Raises
        ------
        TruewardError
            If the model identifies only an interval, or cannot read the texts or features.

        """
        if isinstance(prompts, Tensor | np.ndarray) and responses is None:
            scores = self.score_features(torch.as_tensor(prompts))
        else:
            scores = self.score(prompts, responses)
        if scores.preferred is None:
            raise TruewardError(
                "predict_proba needs one P(preferred) a row, and this model identifies only an interval: see "
                "low and high of score"
            )
        p = scores.preferred.double().cpu().numpy()
        return np.stack([1 - p, p], axis=1)

    @property
    def plot(self) -> Any:
        """Charts of this model by Altair: ``plot.calibration(test)``, see `trueward.Plots`."""
        return importlib.import_module("trueward").Plots(self)  # drawn above this layer

    def _overview(self) -> Overview:
        rows = self.report.get("rows", {}).get("train")
        rated = self.report.get("rated", {}).get("train")
        on = "" if rows is None else f", fitted on {rows:,} rows ({rated:,} with feedback)"
        calibrated = "" if self.calibration is None else ", calibrated"
        facts = [["method", self.method]]
        facts += [[k, str(v)] for k, v in settings(self.estimator).items()]
        facts.append(["reads", "features from outside" if self.backbone is None else self.backbone])
        if beside := self.report.get("beside_naive"):
            facts.append(["AUROC on held-out ratings", cell(beside["auroc"])])
            facts.append(["AUROC of naive", cell(beside["naive_auroc"])])
        told = [*self.report.get("reasons", ()), *map(_warning, self.report.get("warnings", ()))]
        notes = [for_reader(note) for note in told]
        shown = [[name, cell(value)] for name, value in facts]
        return Overview(f"{self.method}{on}{calibrated}", ("", "value"), shown, notes)

    def score_features(self, x: Tensor) -> Scores:
        """Score rows of features.

        Parameters
        ----------
        x : Tensor
            (n, d) features, computed as those of the training rows; not standardised.

        Returns
        -------
        Scores
            Logits, probabilities, spread, out-of-distribution flags; see `Scores`.

        Raises
        ------
        TruewardError
            If x has another shape.

        """
        width = len(self.standardizer.mean)
        if not isinstance(x, Tensor | ReorderedRows):
            raise UsageError(
                f"score_features takes an (n, {width}) Tensor of features, not {described(x)}; score reads "
                "texts"
            )
        if x.dim() != 2 or x.shape[1] != width:
            raise TruewardError(f"this model reads (n, {width}) features, not {tuple(x.shape)}")
        transform = InputTransform(self.standardizer, None, torch.float32)
        with torch.no_grad():
            inputs = [transform(part, None, {"x"}) for part in x.split(4096)]
            logits = [self._logits(self.net(i)) for i in inputs]
            size = torch.cat([i["x"].square().mean(1) for i in inputs])
        ood = size > self.ood_threshold
        p = torch.sigmoid(torch.cat(logits, 2).double() if logits else torch.zeros(1, 1, 0))
        calibrate = self.calibration or (lambda v: v)
        spread = calibrate(p[0]).std(0, correction=0).float()
        mean, *ends = calibrate(p.mean(1))
        if self.estimator.interval_only:
            return Scores(None, None, spread, ood, mean.float(), torch.ones_like(spread))
        low, high = (v.float() for v in ends) if ends else (None, None)
        return Scores(torch.logit(mean, 1e-9).float(), mean.float(), spread, ood, low, high)

    def _logits(self, out: Columns) -> Tensor:
        """(1, M, n) logits of the reward, or (3, M, n) with the ends of its interval."""
        members = []
        for m in range(self.net.members):
            own = member_logits(out, m)
            ends = self.estimator.interval(own) or ()
            members.append(torch.stack([self.estimator.reward(own), *ends]))
        return torch.stack(members, 1)

    def calibrated(
        self, log: Feedback | Log | object, *, weight: Tensor | None = None, seed: int = 0
    ) -> RewardModel:
        """Return a copy whose P(preferred) is calibrated on the gold labels of a log.

        Each label counts ``weight`` x ``gold_weight`` of the log. `trueward.calibrate` estimates weights
        that are not known. See `trueward.model.calibration.Calibration` for the calibration maps.

        Parameters
        ----------
        log : Feedback, Log, path or table
            Rows with ``gold`` labels; texts are encoded with the model's backbone.
        weight : Tensor, optional
            (n,) 1 / P(row is labelled), in the place of ``gold_weight``.
        seed : int, default 0
            Draws the folds.

        Raises
        ------
        TruewardError
            If the log has no or too few gold labels, or the model identifies only an interval.

        """
        log = feedback_of(log, self.backbone, "calibrated")
        if not len(log.audited):
            raise TruewardError(
                "calibrating needs gold labels on rows of the log, and found none: give --gold"
            )
        plain, audited = replace(self, calibration=None), log.audited
        rows = log[audited]
        order = rows.row_order().to(audited.device)
        rows, audited = rows[order], audited[order]
        p = plain.score_features(rows.x).preferred
        if p is None or rows.gold is None:
            raise TruewardError(
                "calibrating needs one P(preferred) a row, and this model identifies only an interval"
            )
        weights, new_weight = None, 1.0
        if weight is not None:
            each = log.row_weight * weight.to(log.row_weight)
            mean = each[audited].mean()
            weights = (each[audited] / mean).cpu()
            new_weight = float((log.row_weight @ each) / log.row_weight.sum() / mean)
        elif log.weight is not None or log.gold_weight is not None:
            each = log.label_weight[audited].cpu()
            weights = each / each.mean()
            # mean weight of a response drawn from the population: sum w^2 / sum w over the labels
            new_weight = float(weights.square().mean())
        calibration, record = Calibration.fit(
            p, rows.gold, rows.group, seed, weights, new_weight, rows.user
        )
        if "gold" in self.estimator.needs:
            own = (
                f"{self.method} is fitted on gold labels: if on these, its calibrated probabilities are "
                "overconfident on other rows"
            )
            record["warning"] = "; ".join([own, *filter(None, [record.get("warning")])])
        report = {**self.report, "calibration": record}
        return replace(self, calibration=calibration, report=report)

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder; it is replaced as a whole or not at all.

        ``model.safetensors`` holds the tensors and ``model.json`` the method, its options and the report.
        A fine-tuned language model is copied beside them.

        Parameters
        ----------
        folder : str or Path
            A new folder, an empty one, or one that holds a reward model.

        Raises
        ------
        TruewardError
            If the folder holds anything else, or cannot be written.

        """
        if not is_found(type(self.estimator)):
            LOG.warning(
                "%s is a method of this process only, and the saved model will not load in another: give it "
                "an entry point trueward.methods in an installed package",
                self.method,
            )
        tensors = {f"net.{k}": v for k, v in self.net.tensors().items()}
        tensors["standard.mean"] = self.standardizer.mean
        tensors["standard.scale"] = self.standardizer.scale
        tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        if self.calibration is not None:
            for name, attribute in _CALIBRATION.items():
                if (value := getattr(self.calibration, attribute)) is not None:
                    tensors[f"calibration.{name}"] = value
        threshold = self.ood_threshold
        record = {
            "method": self.method,
            "options": settings(self.estimator),
            "composed": isinstance(self.net, ComposedModel),
            "shape": self.net.shapes(),
            "backbone": self.backbone,
            "language_model": self.language_model is not None,
            "usual": threshold if math.isfinite(threshold) else None,
            "calibration": None if self.calibration is None else self.calibration.kind,
            "report": self.report,
            "card": self.card,
        }
        write_folder(folder, tensors, record, self.language_model)


#: what a damaged folder with a digest of its own may raise
DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
)


def load(folder: str | Path) -> RewardModel:
    """Load a model that `RewardModel.save` wrote.

    Parameters
    ----------
    folder : str or Path
        Its folder.

    Returns
    -------
    RewardModel
        The model, on the CPU.

    Raises
    ------
    TruewardError
        If the folder is damaged, no reward model, or of another format.

    Examples
    --------
    >>> import trueward as tw
    >>> model = tw.load("rm")  # doctest: +SKIP

    """
    require_kinds("load", folder=(folder, PATH))
    path = Path(folder)
    record = read_record(path)
    try:
        tensors = read_tensors(path, record)
        method, shape = make(record["method"], record["options"]), record["shape"]
        if method.composed:
            require_same_reward(path, record)
        own = {k[4:]: v for k, v in tensors.items() if k.startswith("net.")}
        net: Net | ComposedModel
        if record["composed"]:
            net = ComposedModel.from_tensors(method, shape, own)
        else:
            net = Net.from_tensors(Shape.from_json(shape), own)
        tuned = record.get("language_model", False)
        kind, threshold = record["calibration"], record["usual"]
        if kind is not None and kind not in MAPS:
            raise ValueError(f"its calibration {kind[:40]!r} is none of {', '.join(MAPS)}")
        required = ("numbers", "misfit")
        fields = {
            k: v for k, v in _CALIBRATION.items() if k in required or f"calibration.{k}" in tensors
        }
        return RewardModel(
            estimator=method,
            net=net,
            standardizer=Standardizer(tensors["standard.mean"], tensors["standard.scale"]),
            backbone=_moved(record["backbone"], path / OWN) if tuned else record["backbone"],
            language_model=path / OWN if tuned else None,
            card=record["card"],
            report=record["report"],
            ood_threshold=math.inf if threshold is None else threshold,
            calibration=None
            if kind is None
            else Calibration(kind, **{v: tensors[f"calibration.{k}"] for k, v in fields.items()}),
        )
    except TruewardError:
        raise
    except DAMAGE as e:
        reason = f"{type(e).__name__}: {' '.join(str(e).split())[:200]}"
        writer, ours = record.get("trueward"), version("trueward")
        other = "" if writer == ours else f", or one of trueward {writer} that {ours} cannot read"
        raise TruewardError(
            f"{path} is a damaged reward model{other} ({reason}); copy or fit it again"
        ) from e


def fitted(model: object, function: str) -> RewardModel:
    """Return a model, or load its folder.

    Parameters
    ----------
    model : RewardModel, str or Path
        The model, or the folder that `RewardModel.save` wrote.
    function : str
        Name of the function that needs it; begins the error.

    Returns
    -------
    RewardModel

    Raises
    ------
    UsageError
        If it is neither.
    TruewardError
        If the folder holds no model.

    """
    if isinstance(model, RewardModel):
        return model
    if isinstance(model, str | os.PathLike):
        return load(Path(model))
    raise UsageError(
        f"{function} takes a fitted reward model or its folder as model, not {described(model)}"
    )


def _warning(text: str) -> str:
    return f"warning: {text}"


def _moved(backbone: str, folder: Path) -> str:
    """The description of a backbone whose files are in ``folder`` now."""
    return json.dumps({**json.loads(backbone), "model": str(folder.resolve())})
