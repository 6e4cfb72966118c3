"""The scores of a table by a model, part by part."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError
from trueward.data.pair_table import PairTable
from trueward.features import backbone, features

from .conformal import known_level
from .reward_model import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from trueward.features import Backbone

    from .reward_model import RewardModel


@dataclass(eq=False)
class TableScores:
    """The scores of a table by a model, part by part.

    Attributes
    ----------
    rm : RewardModel
        The model.
    table : PairTable
        The table.
    key : dict
        All that the scores depend on.
    confidence : float or None
        Of the column ``decision``.
    by_class : bool
        Whether the confidence holds among good and among bad responses.

    """

    rm: RewardModel
    table: PairTable
    key: dict[str, object]
    confidence: float | None
    by_class: bool

    @staticmethod
    def open(
        model: str,
        source: str,
        *,
        confidence: float | None,
        by_class: bool,
        mapping: Mapping[str, str] | None,
        split: str | None,
    ) -> TableScores:
        """Load a model and open a table; arguments as for `score_file`."""
        rm = load(model)
        require_scores(rm, model, confidence)
        table = PairTable.open(source, mapping, split)
        key: dict[str, object] = {
            "model": hashlib.sha256((Path(model) / "model.json").read_bytes()).hexdigest(),
            "table": table.fingerprint,
            "map": dict(mapping or {}),
            "confidence": confidence,
            "by_class": by_class,
            "version": version("trueward"),
        }
        return TableScores(rm, table, key, confidence, by_class)

    @cached_property
    def encoder(self) -> Backbone:
        """The backbone of the model."""
        return backbone(self.rm.backbone or "")

    def make(self, part: int, path: Path) -> None:
        """Write a part of the table with its scores."""
        frame = self.table.read(part)
        x = features(self.encoder, frame["prompt"].to_list(), frame["response"].to_list(), None)
        scored = with_scores(self.rm, frame, x, self.confidence, by_class=self.by_class)
        scored.write_parquet(path)


def with_scores(
    rm: RewardModel,
    frame: pl.DataFrame,
    x: Tensor,
    confidence: float | None = None,
    *,
    by_class: bool = False,
) -> pl.DataFrame:
    """Return a table with reward, P(preferred) and its spread, and with decisions if they are asked for.

    Parameters
    ----------
    rm : RewardModel
        The model.
    frame : polars.DataFrame
        n rows.
    x : Tensor
        (n, d) their features.
    confidence : float or None
        Of ``decision``: 1, 0, or null below it.
    by_class : bool, default False
        Whether the confidence holds among good and among bad responses.

    """
    scores = rm.score_features(x)
    scored = frame.with_columns(pl.Series(k, v.numpy()) for k, v in scores.columns().items())
    if confidence is None or rm.calibration is None or scores.preferred is None:
        return scored
    decided = rm.calibration.decide(scores.preferred, confidence, by_class=by_class)
    return scored.with_columns(pl.Series("decision", decided.numpy()).replace(-1, None))


def require_scores(rm: RewardModel, model: str | Path, confidence: float | None) -> None:
    """Refuse a model that cannot read text, and a decision without a calibration."""
    if rm.backbone is None:
        rm.score([], [])  # its error says why
    if confidence is None:
        return
    known_level(confidence)
    if rm.calibration is None:
        raise TruewardError(
            f"a decision at a confidence needs a calibrated model, and {model} is not calibrated: run "
            "trueward calibrate first"
        )
