"""Inputs of several commands: methods, logs with gold labels, features of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from trueward.core.errors import TruewardError, UsageError

from .common import pairs

if TYPE_CHECKING:
    from trueward.data.feedback import Feedback
    from trueward.data.log import Log
    from trueward.model.reward_model import RewardModel


def require_fittable(method: str, chosen: dict[str, Any]) -> None:
    """Refuse a method that is fitted on true labels, and options that it does not have."""
    from trueward.fitting.fit import configure

    if configure(method, chosen)[0].takes_truth:
        raise UsageError(
            f"{method} is trained on true labels, which a log does not have: it is for benchmarks only"
        )


def read(
    log: str,
    gold: str | None,
    mapping: list[str] | None,
    split: str | None,
    values: dict[str, list[str] | None] | None = None,
) -> Log:
    """Read a log and join gold labels; ``values`` are those of --positive, --negative and --unrated."""
    from trueward.data.log import read_log

    words: dict[str, Any] = {name: given for name, given in (values or {}).items() if given}
    table = read_log(log, mapping=pairs(mapping, "--map"), split=split, **words)
    return table.with_gold(gold) if gold else table


def warn_of_export_scope(table: Log) -> None:
    """Warn of a log that has rated chats only."""
    from trueward.data.export_scope import MEANING

    scope = table.export_scope
    if scope is not None and scope.level == "rated_chats_only":
        typer.echo(
            f"warning: {table.source} has {MEANING[scope.level]}; for others: {scope.remedy}",
            err=True,
        )


def with_features(model: RewardModel, table: Log) -> Feedback:
    """Make the features that a model reads."""
    from trueward.features import encode

    if model.backbone is None:
        raise TruewardError(
            "this model was fit on features of unknown origin and cannot read the text of a log; use the "
            "library on a Feedback with features made the same way"
        )
    return encode(table, backbone=model.backbone)
