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


PAIRS = "pairs."  # before the name of a column of --pairs


def require_fittable(method: str, chosen: dict[str, Any]) -> None:
    """Refuse a method that is fitted on true labels, and options that it does not have."""
    from trueward.fitting.fit import configure

    if configure(method, chosen)[0].takes_truth:
        raise UsageError(
            f"{method} is trained on true labels, which a log does not have: it is for benchmarks only"
        )


def read(
    log: str | None,
    gold: str | None,
    mapping: list[str] | None,
    split: str | None,
    values: dict[str, list[str] | None] | None = None,
    sample: tuple[str, int] = ("all", 0),
    compared: str | None = None,
) -> Log:
    """Read a log, join gold labels, find the rows that are compared, and sample the unrated ones.

    ``values`` are those of --positive, --negative and --unrated, ``sample`` that of --unrated-per-rated with
    the seed, and ``compared`` that of --pairs.
    """
    from trueward.data.log_reading import read_log
    from trueward.data.pair_layouts import read_comparisons
    from trueward.data.sampled_parquet import read_sampled_log

    how: dict[str, Any] = {name: given for name, given in (values or {}).items() if given}
    if log is None and compared is None:
        raise UsageError("give a log, or --pairs FILE whose responses are the log, or both")
    of_pairs, of_log = pairs_map(mapping, log)
    how |= {"mapping": of_log, "split": split}
    if compared is not None:
        how["pairs"] = read_comparisons(compared, mapping=of_pairs)
    per_rated, seed = sample
    if per_rated == "all":
        table = read_log(log, **how)
        table = table.with_gold(gold) if gold else table
    else:
        table = read_sampled_log(log, _number(per_rated), seed, gold=gold, **how)
    _say_what_is_left_out(table)
    return table


def _say_what_is_left_out(table: Log) -> None:
    """Say which comparisons cannot be used, and which rows a sample holds."""
    from trueward.data.unrated_sampling import known_rows

    for text in [] if table.pairs is None else table.pairs.notes():
        note(f"note: {text}")
    if table.unrated_share is not None:
        known = int(known_rows(table).sum())
        note(
            f"using {len(table):,} rows of {table.source}: all {known:,} with feedback, gold labels or "
            f"comparisons, and a random {table.unrated_share:.2%} of the others with weights; "
            "--unrated-per-rated all uses every row"
        )


def _number(per_rated: str) -> float | str:
    if per_rated == "auto":
        return per_rated
    try:
        return float(per_rated)
    except ValueError:
        raise UsageError(
            f"--unrated-per-rated takes a positive number, auto or all, not {per_rated!r}"
        ) from None


def pairs_map(mapping: list[str] | None, log: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """Return the mappings of the columns of --pairs, named ``pairs.NAME``, and of those of the log."""
    given = pairs(mapping, "--map")
    of_pairs = {k.removeprefix(PAIRS): v for k, v in given.items() if k.startswith(PAIRS)}
    of_log = {k: v for k, v in given.items() if not k.startswith(PAIRS)}
    return (of_pairs, of_log) if log is not None else (of_log | of_pairs, {})


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
    log: str | None,
    gold: str | None,
    mapping: list[str] | None,
    split: str | None,
    values: dict[str, list[str] | None] | None = None,
) -> list[str]:
    """Return a log with the options that read it, as words of another command; without a log, ``LOG``."""
    words = [
        log or "LOG",
        *(["--gold", gold] if gold else []),
        *(["--split", split] if split else []),
    ]
    words += [w for one in mapping or () for w in ("--map", one)]
    return words + [
        w for k, v in (values or {}).items() for one in v or () for w in (f"--{k}", one)
    ]
