"""What a server says of its model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError

TOKENS, CPU_TOKENS = 16_384, 1_024  # of a batch, at most

if TYPE_CHECKING:
    from trueward.model.reward_model import RewardModel


def described(folder: str, model: RewardModel) -> dict[str, Any]:
    """Return the JSON of ``/v1/model``.

    Parameters
    ----------
    folder : str
        Where the model was loaded from.
    model : RewardModel
        The model.

    Returns
    -------
    dict
        Name, digest, method, backbone, calibration with its guarantee, limit of texts, card.

    Raises
    ------
    TruewardError
        If the model reads features in place of text.

    """
    from trueward.features import identity  # noqa: PLC0415
    from trueward.model.folder import read_record  # noqa: PLC0415

    from .reading_limit import ReadingLimit  # noqa: PLC0415

    require_text(folder, model.backbone)
    path = Path(folder)
    record = read_record(path)
    limit = ReadingLimit.of(model.backbone)
    about = model.report.get("calibration") or {}
    calibration = model.calibration and {
        "kind": model.calibration.kind,
        "gold_labels": about.get("gold"),
        "guarantee": about.get("guarantee"),
        "warning": about.get("warning"),
    }
    return {
        "name": path.resolve().name,
        "digest": record["digest"],
        "trueward": record.get("trueward"),
        "method": model.method,
        "backbone": identity(model.backbone),
        "interval_only": model.estimator.interval_only,
        "by_class": model.calibration is not None and model.calibration.label is not None,
        "calibration": calibration,
        "batch_tokens": _batch_tokens(model.backbone),
        "limit": {"most": limit.most, "unit": limit.unit},
        "card": model.card,
    }


def _batch_tokens(spec: str | None) -> int:
    """Tokens of a batch that suit the model: a language model on a CPU gains nothing from large ones."""
    from trueward.features import backbone  # noqa: PLC0415
    from trueward.features.transformers.transformer import Transformer  # noqa: PLC0415 - loads torch

    model = None if spec is None else backbone(spec)
    on_cpu = isinstance(model, Transformer) and model.device.type == "cpu"
    return CPU_TOKENS if on_cpu else TOKENS


def require_text(folder: str | Path, backbone: str | None) -> None:
    """Refuse a model that reads features in place of text.

    Parameters
    ----------
    folder : str or Path
        Where it is.
    backbone : str or None
        JSON description of its backbone.

    Raises
    ------
    TruewardError
        If it has none.

    """
    if backbone is None:
        raise TruewardError(
            f"{folder} was fitted on features from outside and cannot read text, so it cannot be served: fit "
            "with a backbone that reads text"
        )
