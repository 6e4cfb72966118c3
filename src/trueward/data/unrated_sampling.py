"""Case-control sampling of a log: all rated rows, and a random part of the unrated ones, with weights."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trueward.core.arguments import NUMBER, SEED, TEXT, require_kinds
from trueward.core.errors import UsageError
from trueward.core.random import numpy_stream

from .log_columns import log_order
from .log_reading import as_log

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .log import Log
    from .log_pairs import LogPairs

WHOLE = 500_000  # rows up to which ``auto`` keeps a log as it is
LEAST = 2.0  # unrated rows for each rated one that ``auto`` keeps at least
EXPECTED = "should be a positive number or 'auto' (unrated rows to keep for each rated one)"


def sample_unrated(log: Log | object, per_rated: float | str = "auto", seed: int = 0) -> Log:
    r"""Keep all rated rows and a random sample of the unrated ones, each with weight 1 / P(kept).

    With :math:`m` rated and :math:`u` unrated rows, an unrated row is kept with probability
    :math:`\pi = \min(1, K m / u)` and its ``weight`` is divided by :math:`\pi`. Every sum over rows then has
    the expectation of the sum over the whole log (Horvitz and Thompson 1952); so does every loss, propensity
    and metric, as all of them read ``weight``. The sample is systematic over the unrated rows in the order of
    their prompts, so that every prompt and every part of the traffic is represented in proportion. It depends
    on the content of the rows and on the seed, not on the order of the log.

    Parameters
    ----------
    log : Log, path or table
        The n rows.
    per_rated : float or "auto", default "auto"
        K, the number of unrated rows to keep for each rated one. ``"auto"`` keeps a log of at most 500,000
        rows as it is. Of a longer one it keeps 500,000 rows, and at least 2 unrated rows for each rated one.
    seed : int, default 0
        Seed of the sample.

    Returns
    -------
    Log
        The kept rows in their order. It is the same log if all rows are kept.

    Raises
    ------
    UsageError
        If K is not a positive number.

    Notes
    -----
    Rated are rows with feedback, a gold label or a comparison; in a log of channels only, rows where any
    channel fired.
    The variance of an estimate grows by a factor of about 1 + 1 / K at most (Fithian and Hastie 2014).

    References
    ----------
    Horvitz and Thompson (1952), JASA 47. Fithian and Hastie (2014), Annals of Statistics 42.

    Examples
    --------
    >>> import trueward as tw
    >>> rows = {"prompt": ["a"] * 101, "response": [str(i) for i in range(101)]}
    >>> log = tw.read_log(pl.DataFrame(rows | {"feedback": [1.0] + [None] * 100}))
    >>> sample = tw.sample_unrated(log, per_rated=10)
    >>> len(sample), sample.frame["weight"].sum()
    (11, 101.0)

    """
    require_kinds("sample_unrated", seed=(seed, SEED))
    if not TEXT.admits(per_rated):
        require_kinds("sample_unrated", per_rated=(per_rated, NUMBER))
    log = as_log(log, "sample_unrated")
    rated = known_rows(log)
    kept = number_to_keep(rated, per_rated)
    if kept is None:
        return log
    return weighted_rows(log, rated, *choose(rated, content_digests(log.frame, seed), kept, seed))


def number_to_keep(rated: NDArray[np.bool_], per_rated: float | str) -> float | None:
    """Return the number of unrated rows to keep; None if all of them are kept.

    Parameters
    ----------
    rated : (n,) array of bool
        Which rows are rated.
    per_rated : float or "auto"
        See `sample_unrated`.

    Raises
    ------
    UsageError
        If ``per_rated`` is not a positive number.

    """
    m, n = int(rated.sum()), len(rated)
    if isinstance(per_rated, str):
        if per_rated != "auto":
            raise UsageError(f"per_rated {EXPECTED}, not {per_rated!r}")
        kept = n if n <= WHOLE else max(LEAST * m, WHOLE - m)
    elif not 0 < per_rated < float("inf"):
        raise UsageError(f"per_rated {EXPECTED}, not {per_rated}")
    else:
        kept = per_rated * m
    return kept if m and kept < n - m else None


def choose(
    rated: NDArray[np.bool_], digests: tuple[NDArray[Any], NDArray[Any]], kept: float, seed: int
) -> tuple[NDArray[np.bool_], float]:
    """Choose the rows to keep.

    Parameters
    ----------
    rated : (n,) array of bool
        Rows that are kept with certainty.
    digests : pair of (n,) arrays of uint64
        Of the prompt and of the row, from `content_digests`.
    kept : float
        Unrated rows to keep, from `number_to_keep`.
    seed : int
        Seed of the sample.

    Returns
    -------
    keep : (n,) array of bool
        Rows to keep.
    share : float
        P(kept) of an unrated row.

    """
    unrated = np.flatnonzero(~rated)
    share = kept / len(unrated)
    prompt, row = (digest[unrated] for digest in digests)
    order = unrated[np.lexsort((row, prompt))]
    keep = rated.copy()
    start = numpy_stream(seed, "unrated rows").random()
    keep[order[every(len(order), share, start)]] = True
    return keep, share


def weighted_rows(log: Log, rated: NDArray[np.bool_], keep: NDArray[np.bool_], share: float) -> Log:
    """Return the kept rows of a log; the ``weight`` of the unrated ones is divided by their P(kept).

    Parameters
    ----------
    log : Log
        The n rows.
    rated, keep : (n,) array of bool
        Which rows are rated, and which are kept.
    share : float
        P(kept) of an unrated row.

    """
    weight = log.row_weight.to_numpy() / np.where(rated, 1.0, share)
    frame = log.frame.with_columns(pl.Series("weight", weight)).filter(pl.Series(keep))
    share *= 1.0 if log.unrated_share is None else log.unrated_share
    rows = frame.select(log_order(frame.columns))
    return replace(log, frame=rows, pairs=_renumbered(log.pairs, keep), unrated_share=share)


def _renumbered(pairs: LogPairs | None, keep: NDArray[np.bool_]) -> LogPairs | None:
    """Return comparisons with the numbers that their rows have among the kept ones."""
    if pairs is None:
        return None
    place = pl.Series(np.cumsum(keep) - 1)
    sides = [place.gather(pairs.frame[side]).alias(side) for side in ("winner", "loser")]
    kinds = [side.cast(pairs.frame.schema[side.name]) for side in sides]
    return replace(pairs, frame=pairs.frame.with_columns(kinds), rows=int(keep.sum()))


def known_rows(log: Log) -> NDArray[np.bool_]:
    """Return which rows are kept with certainty: those of `rated_rows`, and those that were compared.

    Parameters
    ----------
    log : Log
        The n rows.

    Returns
    -------
    (n,) array of bool

    """
    known = rated_rows(log.frame)
    if log.pairs is not None:
        for side in ("winner", "loser"):
            known[log.pairs.frame[side].to_numpy()] = True
    return known


def rated_rows(frame: pl.DataFrame) -> NDArray[np.bool_]:
    """Return which rows have feedback or a gold label, or, without any feedback, a channel that fired.

    Parameters
    ----------
    frame : polars.DataFrame
        The canonical columns of a log.

    Returns
    -------
    (n,) array of bool

    """
    rated = frame["feedback"].is_not_null()
    if not rated.any():
        for name in frame.columns:
            if name.startswith("channel."):
                rated = rated | (frame[name] == 1).fill_null(value=False)
    if "gold" in frame.columns:
        rated = rated | frame["gold"].is_not_null()
    return rated.to_numpy().astype(bool)


def every(n: int, share: float, start: float) -> NDArray[np.int64]:
    """Return a systematic sample of 0..n-1: each number with probability ``share``.

    Parameters
    ----------
    n : int
        Number of rows in their order.
    share : float
        Share to keep, above 0 and at most 1.
    start : float
        A uniform random number in [0, 1).

    Returns
    -------
    (k,) array of int64
        Numbers in ascending order; k is within 1 of n * share.

    Examples
    --------
    >>> [every(6, 1 / 3, start).tolist() for start in (0.1, 0.4, 0.9)]
    [[2, 5], [1, 4], [0, 3]]

    """
    steps = np.floor(np.arange(n + 1) * share + start)
    return np.flatnonzero(np.diff(steps) >= 1)


def content_digests(frame: pl.DataFrame, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return keyed digests of the prompt and of the content of every row.

    Parameters
    ----------
    frame : polars.DataFrame
        With ``prompt_id`` and ``response``; ``user_id`` and ``model`` count if they are there.
    seed : int
        Key of the digests.

    Returns
    -------
    prompt, row : (n,) array of uint64

    """
    key = str(seed).encode()
    unique = frame["prompt_id"].unique()
    of_prompt = dict(zip(unique, (digest(text, key) for text in unique), strict=True))
    prompt = np.fromiter((of_prompt[p] for p in frame["prompt_id"]), np.uint64, len(frame))
    names = [n for n in ("user_id", "model") if n in frame.columns]
    words = [frame["response"], *(frame[n].cast(pl.String).fill_null("") for n in names)]
    texts = ("\x1f".join(row) for row in zip(*words, strict=True))
    return prompt, np.fromiter((digest(text, key) for text in texts), np.uint64, len(frame))


def digest(text: str, key: bytes) -> int:
    """Return a keyed digest of 64 bits."""
    raw = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=8, key=key).digest(), "little")
