"""Rank the models of a product by the comparisons of its own log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.arguments import MAPPING, SEVERAL, TEXT, require_kinds
from trueward.core.clustering import few_warnings
from trueward.core.errors import TruewardError, UsageError
from trueward.data.log import Log
from trueward.data.log_reading import read_log
from trueward.data.pair_layouts import read_comparisons
from trueward.data.pair_tensors import STYLES

from .battles import Battles, battles_of
from .davidson import comparable, strengths, told_apart
from .standings import Standing, one_sided, ranked, unranked

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from trueward.core.clustering import Cluster
    from trueward.core.estimate import Estimate


@dataclass(frozen=True)
class Leaderboard:
    """Models from the best to the worst; ``str()`` is a table.

    See Also
    --------
    trueward.leaderboard : Makes it.

    """

    #: The models, the best first; those without a score last.
    standings: tuple[Standing, ...]
    #: ``position``, what the response shown first gains, and ``length`` and ``markdown``, what an increase by
    #: 1 of log(1 + characters) or log(1 + elements of markdown) gains, in log-odds.
    effects: dict[str, Estimate]
    #: P(tie) between two models of equal strength; None without ties.
    ties: float | None
    #: Comparisons by source.
    sources: dict[str, int]
    #: What limits the ranking, and what was left out.
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "models": [{**vars(s), "score": s.score.to_json()} for s in self.standings],
            "effects": {k: e.to_json() for k, e in self.effects.items()},
            "ties": self.ties,
            "sources": self.sources,
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        """Format a table with one model a line."""
        wide = 2 + max(len(s.model) for s in self.standings)
        lines = [
            f"{'model':<{wide}}{'score':>6}  {'95 % interval':<16}{'rank':<8}{'comparisons':>11}  win rate"
        ]
        for s in self.standings:
            e = s.score
            score = "-" if e.value is None else f"{e.value:.0f}"
            span = "" if e.low is None or e.high is None else f"{e.low:.0f} to {e.high:.0f}"
            rank = (
                ""
                if s.best is None
                else f"{s.best}"
                if s.best == s.worst
                else f"{s.best}-{s.worst}"
            )
            why = f"  ({e.reason})" if e.reason else ""
            own = f"{s.comparisons:>11,}  {s.win_rate:>8.3f}{why}"
            lines.append(f"{s.model:<{wide}}{score:>6}  {span:<16}{rank:<8}{own}")
        words = {"position": "the response shown first gains"}
        for name, e in self.effects.items():
            what = words.get(name, f"more {name} (log) gains")
            lines.append(f"{what} {e} in log-odds")
        of = ", ".join(f"{n:,} {source}" for source, n in self.sources.items())
        lines.append(f"{of}; 400 points are odds of 10 to 1")
        return "\n".join([*lines, *(f"warning: {w}" for w in self.warnings)])


def leaderboard(
    source: str | os.PathLike[str] | Log | object,
    *,
    pairs: str | os.PathLike[str] | object | None = None,
    mapping: Mapping[str, str] | None = None,
    control: Sequence[str] = (),
    sources: Sequence[str] = (),
    cluster: Cluster = "both",
) -> Leaderboard:
    """Rank models by comparisons of their responses.

    Strengths are those of Davidson's model of ties (1970), by maximum likelihood, beside the effect of being
    shown first, where positions are known, and of the style that is controlled. Intervals are those of
    influence functions, clustered by user and by prompt.

    Parameters
    ----------
    source : str, Path, table or Log
        The folder of an import, with comparisons; a log with a column ``model``, with ``pairs``; or a file of
        battles: model_a, model_b, winner.
    pairs : str, Path or table, optional
        Comparisons of responses of the log, see `read_log`.
    mapping : mapping of str to str, optional
        Name of a column -> column of the source.
    control : sequence of {"length", "markdown"}
        Style whose effect is estimated beside the strengths, so that models are compared at equal style.
    sources : sequence of str
        Sources of comparisons to use; default: all.
    cluster : {"prompt", "user", "both"}, default "both"
        Units that intervals are clustered by, where they are known.

    Returns
    -------
    Leaderboard

    Raises
    ------
    TruewardError
        If fewer than two models are compared, or models are not named.
    UsageError
        If a style or a source is unknown, or its texts are not there.

    Examples
    --------
    >>> import polars as pl
    >>> rows = {"model_a": ["x", "y"] * 9, "model_b": ["y", "x"] * 9}
    >>> battles = pl.DataFrame(rows | {"winner": ["model_a"] * 9 + ["model_b"] * 9})
    >>> [(s.model, round(s.win_rate, 2)) for s in leaderboard(battles).standings]
    [('x', 0.56), ('y', 0.44)]

    """
    require_kinds("leaderboard", mapping=(mapping, MAPPING.or_none), cluster=(cluster, TEXT))
    require_kinds("leaderboard", control=(control, SEVERAL), sources=(sources, SEVERAL))
    for name in control:
        if not isinstance(name, str) or name not in STYLES:
            raise UsageError(f"control takes {' and '.join(STYLES)}, not {name!r}")
    found = _read(source, pairs, mapping).of(sources)
    columns, names = found.covariates(control)
    models, numbers = np.unique(np.r_[found.winner, found.loser], return_inverse=True)
    if len(models) < 2:
        raise TruewardError(
            f"{found.source} compares {len(models)} model{'s' if len(models) != 1 else ''}, and a "
            "leaderboard needs two: give comparisons of responses of different models"
        )
    winner, loser = np.split(numbers, 2)
    tie = found.tie > 0
    inside = comparable(winner, loser, tie, len(models))
    if tie.all():
        inside = inside[:0]
    standings = unranked(found, models, winner, loser, inside)
    effects: dict[str, Estimate] = {}
    level, warnings = None, [*found.warnings, *one_sided(found)]
    if len(inside) > 1:
        place = np.full(len(models), -1)
        place[inside] = np.arange(len(inside))
        kept = (place[winner] >= 0) & (place[loser] >= 0)
        sides, weight = (place[winner[kept]], place[loser[kept]]), found.weight[kept]
        apart = told_apart(*sides, columns[kept], weight, len(inside))
        warnings += [
            f"the effect of {name} is not estimated: it cannot be told from which models were compared"
            for name in np.array(names, dtype=str)[~apart]
        ]
        own = found.units(kept, cluster)
        fit = strengths(*sides, tie[kept], columns[kept][:, apart], weight, len(inside))
        standings = ranked(found, models, winner, loser, inside, fit, own) + standings
        effects = {
            str(name): own.estimate(float(fit.gamma[k]), fit.influence[:, len(inside) + k])
            for k, name in enumerate(np.array(names, dtype=str)[apart])
        }
        warnings += few_warnings(own.effective())
        level = None if fit.tie is None else float(1 / (1 + 2 * np.exp(-fit.tie)))
    if found.user is None and cluster != "prompt":
        warnings.append("the comparisons name no users, so intervals are clustered by prompt alone")
    return Leaderboard(tuple(standings), effects, level, found.counts, tuple(warnings))


def _read(source: Any, pairs: Any, mapping: Mapping[str, str] | None) -> Battles:
    """Read comparisons whose sides have the names of models."""
    if isinstance(source, Log):
        log = source
    elif pairs is None and not _is_import(source):
        found = read_comparisons(source, mapping=mapping)
        if "model_chosen" in found.frame.columns:
            return battles_of(found)
        raise TruewardError(
            f"{found.source} names no models: give model_a and model_b, or a log with a column `model` and "
            "its comparisons (--pairs)"
        )
    else:
        log = read_log(source, pairs=source if pairs is None else pairs, mapping=mapping)
    if log.pairs is None or "model" not in log.columns:
        lacks = "comparisons (--pairs FILE)" if log.pairs is None else "a column `model`"
        raise TruewardError(f"a leaderboard needs {lacks}, and {log.source} has none")
    return Battles.of_log(log)


def _is_import(source: Any) -> bool:
    from pathlib import Path  # noqa: PLC0415

    from trueward.data.readers.folders import is_import  # noqa: PLC0415

    return isinstance(source, str | Path) and "://" not in str(source) and is_import(Path(source))
