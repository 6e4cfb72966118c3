"""Training and validation rows of what `fit` was given: encoded and split where they are not yet."""

from __future__ import annotations

import logging
from numbers import Real
from typing import TYPE_CHECKING

from trueward.core.arguments import described
from trueward.core.errors import UsageError
from trueward.data.feedback import Feedback, Labelled
from trueward.data.log import Log
from trueward.data.log_reading import as_log
from trueward.data.truth import Test
from trueward.features.given import BACKBONE, feedback_of, labelled_of
from trueward.training.config import Train

if TYPE_CHECKING:
    from trueward.features import Backbone

LOG = logging.getLogger("trueward")


def training_rows(
    train: object, val: object, backbone: str | Backbone | None, seed: int
) -> tuple[Feedback | Labelled, Feedback | Labelled, str | None]:
    """Encode and split the rows of a fit, and state in one line what was done.

    Parameters
    ----------
    train : Feedback, Labelled, Log, Test, path or table
        The rows; texts are encoded.
    val : the same, or float
        Validation rows, or the share of the prompts that is held out for them, in (0, 1).
    backbone : str, Backbone or None
        What makes features of texts; None for the default.
    seed : int
        Seed of the split.

    Returns
    -------
    train, val : Feedback or Labelled
        Training and validation rows.
    line : str or None
        What was done, also logged; None where the rows were ready.

    Raises
    ------
    UsageError
        If the rows are of another kind, or the share is not in (0, 1).
    TruewardError
        If the texts cannot be read or encoded.

    """
    for name, value in (("train", train), ("val", val)):
        if isinstance(value, Train):
            raise UsageError(
                f"fit takes rows as {name}, and was given the settings Train: give its fields as keywords, "
                "such as epochs=5"
            )
    if backbone is not None and isinstance(train, Feedback | Labelled):
        raise UsageError("fit: backbone is for texts, and these rows have features: leave it out")
    chosen = BACKBONE if backbone is None else backbone
    share = float(val) if isinstance(val, Real) and not isinstance(val, bool) else None
    if share is not None and not 0 < share < 1:
        raise UsageError(
            f"fit: val is the share of the prompts that is held out, between 0 and 1, not {val}"
        )
    lines = []
    if not isinstance(train, Feedback | Labelled):
        table = train if isinstance(train, Log | Test) else as_log(train, "fit")
        made = labelled_of if isinstance(table, Test) else feedback_of
        train = made(table, chosen, "fit")
        name = chosen if isinstance(chosen, str) else type(chosen).__name__
        lines.append(f"encoded {len(table):,} responses of {table.source} with {name}")
    if share is None:
        return train, _encoded(val, chosen), _said(lines)
    if isinstance(train, Labelled):
        raise UsageError("fit: rows with true labels are not split: give validation rows as val")
    rows, held = train.split(share, seed)
    lines.append(
        f"held out {len(held):,} of {len(train):,} responses for early stopping (val={share:g} of the "
        f"prompts, seed={seed})"
    )
    return rows, held, _said(lines)


def _encoded(val: object, backbone: str | Backbone) -> Feedback | Labelled:
    if isinstance(val, Feedback | Labelled):
        return val
    if val is None or isinstance(val, bool):
        raise UsageError(
            f"fit takes validation rows or the share of the prompts to hold out as val, not {described(val)}"
        )
    return (
        labelled_of(val, backbone, "fit")
        if isinstance(val, Test)
        else feedback_of(val, backbone, "fit")
    )


def _said(lines: list[str]) -> str | None:
    if not lines:
        return None
    line = " and ".join(lines)
    LOG.warning("fit: %s", line)
    return line
