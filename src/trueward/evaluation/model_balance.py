"""Whether two models of a product answered the same traffic: users, prompts and context compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from scipy.special import ndtr, stdtr

from trueward.core.errors import UsageError
from trueward.core.suggest import suggestion

from .linear_estimands import LinearEstimand
from .partial_labels import clustered_sum_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from trueward.core.clustering import Clusters
    from trueward.data.log import Log

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

WORDS = 30  # most frequent words of the prompts that are compared
VALUES = 10  # most frequent values of a context column that are compared
BEYOND_CHANCE = 0.01  # p-value over all compared columns together
LOYAL = 0.95  # share of the users with one model only from which the model belongs to the user

FEWEST = 10  # users or prompts with both models, for a comparison within them

DEFAULT = "model"  # the column that is compared where none is named
TEXTS = ("prompt", "response", "feedback", "prompt_id", "gold", "weight")  # columns without groups

Users = Literal["unknown", "one model each", "differ", "alike"]


@dataclass(frozen=True)
class Balance:
    """Comparison of the traffic of two models.

    Attributes
    ----------
    users : {"unknown", "one model each", "differ", "alike"}
        Whether users have one model each, differ in their share of either model by more than chance, or not.
    shared : int
        Number of users who had both models.
    columns : int
        Number of compared columns of prompts and context.
    unequal : dict of str to float
        Column -> difference of the means in standard deviations, where it is beyond chance; largest first.

    """

    users: Users
    shared: int
    columns: int
    unequal: dict[str, float]

    @property
    def confounded(self) -> bool:
        """Whether the log shows that the models had different users, prompts or context."""
        return self.users == "differ" or bool(self.unequal)

    def __str__(self) -> str:
        """Format what was found as sentences."""
        found = []
        if self.unequal:
            some = ", ".join(f"{k} ({v:+.2f} sd)" for k, v in list(self.unequal.items())[:3])
            more = f" and {len(self.unequal) - 3} more" if len(self.unequal) > 3 else ""
            found.append(f"the models had different traffic: {some}{more}")
        if self.users == "differ":
            found.append("users differ in how often they had which model, by more than chance")
        if self.confounded:
            found.append(
                "the choice of the model was not random, so the two means also compare their traffic"
            )
        else:
            found.append(
                f"{self.columns} columns of prompts and context do not differ between the models"
                if self.columns
                else "prompts and context were not compared"
            )
        if self.users == "one model each":
            found.append("every user had one model, so there is no comparison within users")
        elif 0 < self.shared < FEWEST:
            found.append(
                f"only {self.shared} users had both models: too few to compare within users"
            )
        if self.users == "unknown":
            found.append("the log has no user_id, so users are not compared")
        return "; ".join(found)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return dict(vars(self)) | {"confounded": self.confounded}


def balance(
    treated: Array, weight: Array, clusters: Clusters, covariates: Mapping[str, Array]
) -> Balance:
    """Compare users, prompts and context of the rows of two models.

    Columns are compared by t tests, clustered by user and prompt, with Bonferroni's correction at 1 %.
    The share of a model by user is compared with independent draws: sum_u n_u (a_u - a)^2 / (a (1 - a)).

    Parameters
    ----------
    treated : (n,) array
        1 for the model that is compared, 0 for the other.
    weight : (n,) array
        Weights of the rows.
    clusters : Clusters
        Users and prompts of the rows.
    covariates : mapping of str to (n,) array
        Columns that were fixed before a model answered.

    Returns
    -------
    Balance

    """
    estimand = LinearEstimand.contrast(treated, weight)
    unequal: dict[str, float] = {}
    for name, column in covariates.items():
        sd = float(np.sqrt(np.cov(column, aweights=weight, ddof=0)))
        if estimand is None or sd < 1e-9:
            continue
        error, freedom = clustered_sum_error(
            clusters, estimand.influence(column), np.abs(estimand.c)
        )
        gap = float(estimand.c @ column)
        p = 2 * float(stdtr(freedom, -abs(gap) / max(error, 1e-12)))
        if p < BEYOND_CHANCE / len(covariates):
            unequal[name] = gap / sd
    largest = sorted(unequal.items(), key=lambda kv: -abs(kv[1]))
    kind, shared = _users(treated, clusters.units.get("user"))
    return Balance(kind, shared, len(covariates), dict(largest))


def _users(treated: Array, user: Index | None) -> tuple[Users, int]:
    """How the choice of the model depends on the user, and how many users had both."""
    if user is None:
        return "unknown", 0
    ids = np.unique(user, return_inverse=True)[1]
    n = np.bincount(ids)
    mean = np.bincount(ids, treated) / n
    shared = int(((mean > 0) & (mean < 1)).sum())
    if not (n > 1).any():
        return "unknown", 0
    if (1 - shared / (n > 1).sum()) >= LOYAL:
        return "one model each", shared
    a = float(treated.mean())
    v = a * (1 - a)
    statistic = float((n * (mean - a) ** 2).sum() / v)
    variance = float(
        (2 + (1 - 6 * v) / v / n).sum()
    )  # of a squared standardised binomial: 2 + k / n
    p = float(ndtr(-(statistic - (len(n) - 1)) / np.sqrt(variance)))
    return ("differ" if p < BEYOND_CHANCE else "alike"), shared


def compared_column(log: Log, column: str | None = None) -> list[str | None] | None:
    """Read the column of a log whose values are compared.

    Parameters
    ----------
    log : Log
        The log, with n rows.
    column : str, optional
        Name of the column; by default ``model``, if it has two values.

    Returns
    -------
    list of str or None, or None
        (n,) values as text; None where no column is named and ``model`` has less than two values.

    Raises
    ------
    UsageError
        If the log has no such column.

    """
    if column is None:
        if DEFAULT not in log.columns or log.frame[DEFAULT].drop_nulls().n_unique() < 2:
            return None
        column = DEFAULT
    if column in log.columns:
        return log.frame[column].cast(pl.String).to_list()
    if column in log.ignored:
        raise UsageError(
            f"{log.source} has a column {column!r} that is not one of a log: write --map "
            f"model={column} --compare model"
        )
    known = [c for c in log.frame.columns if c not in TEXTS]
    raise UsageError(f"{log.source} has no column {column!r}: {suggestion(column, known)}")


def traffic_columns(log: Log) -> dict[str, Array]:
    """Compute columns of a log that were fixed before a model answered: prompt, context and time.

    Parameters
    ----------
    log : Log
        The log, with n rows.

    Returns
    -------
    dict of str to (n,) array
        Logarithm of the prompt's length, its number of lines, a question mark, digits, and the 30 most
        frequent words, as 0 or 1; every numeric context, the most frequent values of the others; the time.

    Examples
    --------
    >>> import trueward as tw
    >>> frame = {"prompt": ["sort a list", "a poem"], "response": ["b", "c"], "feedback": [1, 0]}
    >>> columns = traffic_columns(tw.read_log(pl.DataFrame(frame)))
    >>> columns["prompt has digits"].tolist(), "word 'poem'" in columns
    ([0.0, 0.0], True)

    """
    prompt = log.frame["prompt"].str.slice(0, 2000)
    columns = {
        "prompt length": log.frame["prompt"].str.len_chars().log1p(),
        "prompt lines": prompt.str.count_matches("\n").log1p(),
        "prompt has ?": prompt.str.contains("?", literal=True),
        "prompt has digits": prompt.str.contains(r"\d"),
    }
    words = prompt.str.to_lowercase().str.extract_all(r"\p{L}{3,}").list.unique()
    count = words.explode().drop_nulls().value_counts(sort=False, name="rows")
    count = count.filter(pl.col("rows") < len(log)).sort("rows", "prompt", descending=[True, False])
    for word in count["prompt"].head(WORDS):
        columns[f"word '{word}'"] = words.list.contains(word)
    for name in log.frame.columns:
        values = log.frame[name]
        if name == "time":
            columns[name] = values.to_physical() if values.dtype.is_temporal() else values
        elif name.startswith("context.") and values.dtype.is_numeric():
            columns[name] = values
        elif name.startswith("context."):
            text = values.cast(pl.String)
            for value in text.drop_nulls().value_counts(sort=True)[name].head(VALUES):
                columns[f"{name} {value}"] = text == value
    numbers = {k: v.cast(pl.Float64, strict=False) for k, v in columns.items()}
    return {k: v.fill_nan(None).fill_null(v.mean() or 0.0).to_numpy() for k, v in numbers.items()}
