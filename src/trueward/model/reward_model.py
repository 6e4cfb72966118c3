"""A fitted reward model: it scores, says how sure it is, and keeps where it came from."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError
from trueward.estimation.method import Method, settings
from trueward.estimators._registry import make
from trueward.training.networks import Net, Shape
from trueward.training.preprocessing import Inputs, Standard
from trueward.training.step import member_of

from .calibration import Calibration
from .composed_model import Composed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.data.feedback import Columns, Feedback

FORMAT = 3
OWN = "language_model"  # the folder of a language model that was tuned with the reward
_CALIBRATION = ("numbers", "misfit", "mass")  # the last only where there are weights
PARTS = ("torch", "numpy", "safetensors", "wordllama", "polars")


@dataclass(frozen=True)
class Scores:
    """What a reward model says of n responses, each (n,) float32.

    ``reward`` is the logit of ``preferred``, P(preferred), the mean over the members; ``spread`` is the
    standard deviation of P over the members. ``far``, a boolean, says where the features lie farther out
    than all but one in a thousand of the training rows: of such text the model knows nothing. Where the
    method gives an interval, P lies in [``low``, ``high``]; one that identifies nothing more has no
    ``reward`` and no ``preferred``.
    """

    reward: Tensor | None
    preferred: Tensor | None
    spread: Tensor
    far: Tensor
    low: Tensor | None = None
    high: Tensor | None = None

    def columns(self) -> dict[str, Tensor]:
        """The columns that there are, by name."""
        return {k: v for k, v in vars(self).items() if v is not None}


@dataclass(frozen=True, eq=False)
class RewardModel:
    """The network of a method, or what its reward is composed of, the scaling of x, the record of the fit."""

    made_by: Method
    net: Net | Composed
    standard: Standard  # of x
    backbone: str | None  # what makes x from text, as JSON; None: features come from outside
    card: str
    report: dict[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None  # of P, on gold labels
    language_model: Path | None = None  # a folder with what makes x, where the fit changed that
    usual: float = math.inf  # mean square of standardised features that training rows hardly exceed

    @property
    def method(self) -> str:
        """Name of the method that was fitted."""
        return self.made_by.name

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> Scores:
        """Score responses to prompts, text by text."""
        if self.backbone is None:
            raise TruewardError(
                "this model was fitted on features from outside, so it cannot read text; make the "
                "same features and call score_features"
            )
        if len(prompts) != len(responses):
            raise TruewardError(
                f"scoring takes one prompt a response, and was given {len(prompts)} prompts and "
                f"{len(responses)} responses"
            )
        from trueward.features import backbone, features  # noqa: PLC0415 - loads text models, which features skip

        return self.score_features(features(backbone(self.backbone), prompts, responses, None))

    def score_features(self, x: Tensor) -> Scores:
        """Score (n, d) features as the model was fitted on."""
        wanted = len(self.standard.mean)
        if x.dim() != 2 or x.shape[1] != wanted:
            raise TruewardError(f"this model reads (n, {wanted}) features, not {tuple(x.shape)}")
        inputs = Inputs(self.standard, None, torch.float32)
        with torch.no_grad():
            seen = [inputs(i, None, {"x"}) for i in x.split(4096)]
            parts = [self._logits(self.net(i)) for i in seen]
            far = torch.cat([i["x"].square().mean(1) for i in seen]) > self.usual
        p = torch.sigmoid(torch.cat(parts, 2).double() if parts else torch.zeros(1, 1, 0))
        scale = self.calibration or (lambda v: v)
        spread = scale(p[0]).std(0, correction=0).float()
        mean, *ends = scale(p.mean(1))
        if self.made_by.interval_only:
            return Scores(None, None, spread, far, mean.float(), torch.ones_like(spread))
        low, high = (v.float() for v in ends) if ends else (None, None)
        return Scores(torch.logit(mean, 1e-9).float(), mean.float(), spread, far, low, high)

    def _logits(self, out: Columns) -> Tensor:
        """(1, M, n) logits of the reward, or (3, M, n) with the ends of its interval."""
        found = []
        for m in range(self.net.members):
            mine = member_of(out, m)
            found.append(
                torch.stack([self.made_by.reward(mine), *(self.made_by.interval(mine) or ())])
            )
        return torch.stack(found, 1)

    def calibrated(
        self, log: Feedback, *, weight: Tensor | None = None, seed: int = 0
    ) -> RewardModel:
        """The same order with P(preferred) as the gold labels of ``log`` have it; see `Calibration`.

        weight: (n,) 1 over the chance that a row was labelled, where that was no draw at random.
        """
        if not len(log.audited):
            raise TruewardError(
                "calibrating needs gold labels on rows of the log, and found none: give --gold"
            )
        plain = replace(self, calibration=None)
        rows = log[log.audited]
        p = plain.score_features(rows.x).preferred
        if p is None or rows.gold is None:
            raise TruewardError(
                "calibrating needs one P(preferred) a row, and this model identifies only an interval"
            )
        shares, own = None, 1.0
        if weight is not None:
            mean = weight[log.audited].double().mean()
            shares, own = weight[log.audited].double() / mean, float(weight.double().mean() / mean)
        found, about = Calibration.of(p, rows.gold, rows.group, seed, shares, own)
        if "gold" in self.made_by.needs:
            about["warning"] = (
                f"{self.method} is fitted on gold labels: if on these, it looks surer than it is of others"
            )
        return replace(self, calibration=found, report={**self.report, "calibration": about})

    def save(self, folder: str | Path) -> None:
        """Write ``model.safetensors`` and ``model.json``; the folder changes as a whole or not at all."""
        target = claim(folder)
        tensors = {f"net.{k}": v for k, v in self.net.tensors().items()}
        tensors |= {"standard.mean": self.standard.mean, "standard.scale": self.standard.scale}
        tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        if self.calibration is not None:
            kept = {f"calibration.{k}": getattr(self.calibration, k) for k in _CALIBRATION}
            tensors |= {k: v for k, v in kept.items() if v is not None}
        with replacing(target) as path:
            path.mkdir()
            save_file(tensors, path / "model.safetensors")
            if self.language_model is not None:
                shutil.copytree(self.language_model, path / OWN)
            about = {
                "format": FORMAT,
                "trueward": version("trueward"),
                "method": self.method,
                "options": settings(self.made_by),
                "composed": isinstance(self.net, Composed),
                "shape": self.net.shapes(),
                "backbone": self.backbone,
                "language_model": self.language_model is not None,
                "usual": self.usual if math.isfinite(self.usual) else None,
                "calibration": None if self.calibration is None else self.calibration.kind,
                "sha256": _sha256(path / "model.safetensors"),
                "versions": {name: version(name) for name in PARTS},
                "report": self.report,
                "card": self.card,
            }
            about["digest"] = _digest(about)
            (path / "model.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


def claim(folder: str | Path) -> Path:
    """Give the folder as a place for a model: a new one, an empty one, or one that holds a model."""
    path = Path(folder)
    ours = path.is_dir() and (not any(path.iterdir()) or (path / "model.json").exists())
    if path.exists() and not ours:
        raise TruewardError(
            f"{path} exists and is no reward model, so it is left alone; give another folder"
        )
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _digest(about: dict[str, Any]) -> str:
    """SHA-256 of all that a model.json says, but for the digest itself."""
    said = {k: v for k, v in about.items() if k != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def load(folder: str | Path) -> RewardModel:
    """Read what `RewardModel.save` wrote; anything damaged or newer is refused."""
    path = Path(folder)
    about = _about(path)
    try:
        if _sha256(path / "model.safetensors") != about["sha256"]:
            raise TruewardError(
                f"{path}/model.safetensors is not the file that was saved with this model.json: it is "
                "damaged or incomplete; copy the folder again"
            )
        tensors = load_file(path / "model.safetensors")
        made, shape = make(about["method"], about["options"]), about["shape"]
        own = {k[4:]: v for k, v in tensors.items() if k.startswith("net.")}
        composed, own_text = about["composed"], about.get("language_model", False)
        return RewardModel(
            made_by=made,
            net=Composed.of(made, shape, own) if composed else Net.of(Shape.from_json(shape), own),
            standard=Standard(tensors["standard.mean"], tensors["standard.scale"]),
            backbone=_moved(about["backbone"], path / OWN) if own_text else about["backbone"],
            language_model=path / OWN if own_text else None,
            card=about["card"],
            report=about["report"],
            usual=math.inf if about["usual"] is None else about["usual"],
            calibration=None
            if about["calibration"] is None
            else Calibration(
                about["calibration"],
                tensors["calibration.numbers"],
                tensors["calibration.misfit"],
                tensors.get("calibration.mass"),
            ),
        )
    except (SafetensorError, OSError, LookupError, AttributeError, TypeError, RuntimeError) as e:
        raise TruewardError(
            f"{path} is a damaged reward model ({type(e).__name__}: {e}); copy or fit it again"
        ) from e


def _moved(backbone: str, folder: Path) -> str:
    """The description of a backbone whose files are in ``folder`` now."""
    return json.dumps({**json.loads(backbone), "model": str(folder.resolve())})


def _about(path: Path) -> dict[str, Any]:
    file = path / "model.json"
    if not file.is_file():
        raise TruewardError(
            f"{path} is no reward model: it has no model.json; give the folder that fit --out wrote"
        )
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        newest = int(about["format"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise TruewardError(f"{file} is damaged ({e}); copy or fit the model again") from e
    if newest < FORMAT:
        raise TruewardError(
            f"{path} was written by trueward {about.get('trueward', '?')} in format {newest}, which this "
            "version no longer reads: fit it again"
        )
    if newest > FORMAT:
        raise TruewardError(
            f"{path} was written by trueward {about.get('trueward', '?')} in format {newest}, and this "
            f"version reads up to {FORMAT}: upgrade trueward"
        )
    if about.get("digest") != _digest(about):
        raise TruewardError(f"{file} is damaged or was edited by hand; copy or fit the model again")
    return dict(about)
