"""Inputs of several commands: methods, logs with gold labels, features of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from trueward.core.errors import TruewardError, UsageError

from .common import pairs
from .progress import note

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
    sample: tuple[str, int] = ("all", 0),
) -> Log:
    """Read a log and join gold labels.

    ``values`` are those of --positive, --negative and --unrated; ``sample`` that of --unrated-per-rated, with
    the seed.
    """
    from trueward.data.log import read_log
    from trueward.data.sampled_parquet import read_sampled_log
    from trueward.data.unrated_sampling import rated_rows

    words: dict[str, Any] = {name: given for name, given in (values or {}).items() if given}
    how: dict[str, Any] = {"mapping": pairs(mapping, "--map"), "split": split, **words}
    per_rated, seed = sample
    if per_rated == "all":
        table = read_log(log, **how)
        return table.with_gold(gold) if gold else table
    table = read_sampled_log(log, _number(per_rated), seed, gold=gold, **how)
    if table.unrated_share is not None:
        rated = int(rated_rows(table.frame).sum())
        note(
            f"using {len(table):,} rows of {log}: all {rated:,} with feedback or gold labels, and a random "
            f"{table.unrated_share:.2%} of the others with weights; --unrated-per-rated all uses every row"
        )
    return table


def _number(per_rated: str) -> float | str:
    if per_rated == "auto":
        return per_rated
    try:
        return float(per_rated)
    except ValueError:
        raise UsageError(
            f"--unrated-per-rated takes a positive number, auto or all, not {per_rated!r}"
        ) from None


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


def log_words(
    log: str,
    gold: str | None,
    mapping: list[str] | None,
    split: str | None,
    values: dict[str, list[str] | None] | None = None,
) -> list[str]:
    """Return a log with the options that read it, as words of another command."""
    words = [log, *(["--gold", gold] if gold else []), *(["--split", split] if split else [])]
    words += [w for one in mapping or () for w in ("--map", one)]
    return words + [
        w for k, v in (values or {}).items() for one in v or () for w in (f"--{k}", one)
    ]
