"""Simulate a log of feedback with known truth: split, selection, label noise and gold labels.

Each of these steps has its own random stream, so a change of one does not change the others.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trueward.core.arguments import MAPPING, NUMBER, TEXT, WHOLE, require_kinds
from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError, UsageError
from trueward.core.options import check_names
from trueward.core.options import options as option_fields
from trueward.core.random import numpy_stream
from trueward.data.log_reading import as_test

from .asks import AskOptions
from .mechanisms import CLICKS, MECHANISMS, mechanism_named
from .rated import RatedTable, read_rated
from .reactions import draw_reactions, sparse
from .scores import text_statistics
from .selection import LogRows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from trueward.data.truth import Test

    Array = NDArray[np.float64]

_TEXT = ("prompt", "response", "prompt_id")
#: Files of a written world.
FILES = ("log.parquet", "test.parquet", "truth.parquet", "scenario.json", "pairs.parquet")
CHANNELS = {"two_channel", "channels", "channels_users"}  # mechanisms with several channels
RATE, CLICK_RATE = 0.2, 0.5  # default mean propensity, for thumbs and for clicks, as in the papers

NUMBERS = dict.fromkeys(("alpha", "rho_01", "rho_10", "test_share"), NUMBER)
KINDS = NUMBERS | dict.fromkeys(("rate", "threshold"), NUMBER.or_none)
KINDS |= {"mechanism": TEXT, "gold": WHOLE, "seed": WHOLE, "options": MAPPING.or_none}


@dataclass(frozen=True, eq=False)
class World:
    """A simulated log, a clean test set, and the truth of the log.

    Attributes
    ----------
    log : polars.DataFrame
        The log that a product would have: prompt, response, prompt_id and, depending on the
        mechanism, feedback, user_id, context.*, channel.*, gold.
    test : polars.DataFrame
        Other prompts, every row with its true label: prompt, response, prompt_id, label, rating.
    truth : polars.DataFrame
        One row for each row of the log; for evaluation only. label (r*), rating, propensity (p; with
        channels, P(any action)), observed and flipped. Clicks: mu and activity (A). Channel k: propensity.k
        (mu_k), activity.k. Users: user_effect (b_u), leniency (c_u), opinion. `idn`: flip_rate.
    pairs : polars.DataFrame or None
        Comparisons by ``response_id``, of the mechanisms that have some.
    scenario : dict
        All settings, the sizes, and the realised rates under ``realised``.

    """

    log: pl.DataFrame
    test: pl.DataFrame
    truth: pl.DataFrame
    scenario: dict[str, Any]
    pairs: pl.DataFrame | None = None

    def write(self, folder: str | Path) -> Path:
        """Write the log, the test, the truth, the scenario and any comparisons, all or none.

        Parameters
        ----------
        folder : str or Path
            Created if it does not exist. An earlier world in it is replaced.

        Returns
        -------
        Path
            The absolute path of the folder.

        Raises
        ------
        TruewardError
            If the folder has other files.

        """
        folder = Path(folder).resolve()
        if folder.is_dir():
            others = sorted(p.name for p in folder.iterdir() if p.name not in FILES)
        else:
            others = [folder.name] if folder.exists() else []
        if others:
            raise TruewardError(
                f"{folder} has {others[0]}, which is not a file of a simulated world and would be lost; "
                "choose a new folder"
            )
        with replacing(folder) as path:
            path.mkdir()
            for name in ("log", "test", "truth"):
                getattr(self, name).write_parquet(path / f"{name}.parquet")
            if self.pairs is not None:
                self.pairs.write_parquet(path / "pairs.parquet")
            text = json.dumps(self.scenario, indent=2, allow_nan=False)
            (path / "scenario.json").write_text(text + "\n", encoding="utf-8")
        return folder


def simulate(
    rated: pl.DataFrame | Test | object,
    *,
    mechanism: str = "rating",
    alpha: float = 0.5,
    rate: float | None = None,
    rho_01: float = 0.0,
    rho_10: float = 0.0,
    gold: int = 0,
    test_share: float = 0.2,
    threshold: float | None = None,
    seed: int = 0,
    features: NDArray[Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> World:
    """Simulate a log of selective, noisy feedback on rated answers.

    A user reacts with the propensity p of the mechanism. The feedback is r* = 1[rating > threshold],
    flipped with the probability rho_01 (if r* = 1) or rho_10 (if r* = 0).

    Parameters
    ----------
    rated : polars.DataFrame, Test, path or table
        Columns prompt, response, rating (or label in [0, 1]), optionally prompt_id.
    mechanism : str
        Who reacts: a key of `trueward.simulation.MECHANISMS`.
    alpha : float
        Strength of the selection, in (0, 1]. 1 is no selection; smaller is stronger.
    rate : float, optional
        Mean propensity, in (0, 1]; with several channels, of the first. None: 0.2, for clicks 0.5.
    rho_01, rho_10 : float
        Noise rates P(observed 0 | true 1) and P(observed 1 | true 0).
    gold : int
        Number of gold labels, drawn uniformly over the rows of the log.
    test_share : float
        Share of the prompts in the test set, in (0, 1).
    threshold : float, optional
        r* = rating > threshold. None: the median of the distinct ratings.
    seed : int
        Seed of the random streams.
    features : array of float, shape (n, d), optional
        The x of mechanisms that depend on it, one row for each row of ``rated``. None: lengths,
        punctuation and hashed words of the text.
    options : mapping of str to Any, optional
        Options of the mechanism ``asked``, fields of `AskOptions`: the share of asks, who answers, and how
        asking changes that. Values may be text, as on a command line.

    Returns
    -------
    World

    Raises
    ------
    UsageError
        If a setting is out of range.
    TruewardError
        If the rated table is invalid.

    Examples
    --------
    >>> from trueward.simulation import helpdesk, simulate
    >>> world = simulate(helpdesk(50), mechanism="rating", alpha=0.5, rho_10=0.1, gold=20)
    >>> len(world.log), len(world.test), int(world.log["gold"].count())
    (160, 40, 20)

    """
    given = locals()
    require_kinds("simulate", **{name: (given[name], kind) for name, kind in KINDS.items()})
    if not isinstance(rated, pl.DataFrame):
        rated = as_test(rated, "simulate").frame
    name = mechanism_named(mechanism)
    rate = (CLICK_RATE if name in CLICKS else RATE) if rate is None else rate
    _check(name, alpha, rate, rho_01 + rho_10)
    more = _own_options(name, options or {}, seed)
    table = read_rated(rated, threshold, features)
    rows, held = table.split(test_share, seed)
    context = numpy_stream(seed, "context")
    selection = MECHANISMS[name](_log_rows(table, rows), alpha, rate, context, *more)
    label = table.label[rows]
    reactions = draw_reactions(selection, label, rho_01, rho_10, seed)
    settings = {"mechanism": name, "alpha": alpha, "rate": rate, "rho_01": rho_01, "rho_10": rho_10}
    settings |= {"gold": gold, "test_share": test_share, "threshold": table.threshold, "seed": seed}
    settings |= {"options": asdict(more[0])} if more else {}
    frame = table.frame.with_columns(pl.Series("label", table.label))
    among = _silent(reactions.columns) if more and more[0].gold_on == "silent" else None
    sizes = _sizes(table, rows, held, selection.pairs)
    return World(
        log=frame[rows]
        .select(_TEXT)
        .with_columns(*reactions.columns, *_gold(label, gold, seed, among)),
        test=frame[held].select(*_TEXT, "label", "rating"),
        truth=frame[rows].select("label", "rating").hstack(pl.DataFrame(reactions.truth)),
        scenario=settings | sizes | {"realised": reactions.realised(label)},
        pairs=selection.pairs,
    )


def _check(name: str, alpha: float, rate: float, rho: float) -> None:
    """Raise if a setting is out of range."""
    if not 0 < alpha <= 1:
        raise UsageError(f"alpha must lie in (0, 1], where 1 is no selection, found {alpha}")
    if not 0 < rate <= 1:
        raise UsageError(f"the rate of feedback must lie in (0, 1], found {rate}")
    if name in CHANNELS and rho != 0:
        raise UsageError(f"the mechanism {name} has no label noise; set rho_01 and rho_10 to 0")


def _log_rows(table: RatedTable, rows: NDArray[np.int64]) -> LogRows:
    """Return the rows of the log, with the ratings rescaled to [1, 5] over the log."""
    rating = table.frame["rating"].to_numpy()[rows]
    low, high = rating.min(), rating.max()
    if low == high or table.label[rows].min() == table.label[rows].max():
        raise TruewardError(
            "all responses of the log are equally good after the split into log and test; rate more "
            "prompts, or use another test_share or seed"
        )

    def features() -> Array:
        if table.features is not None:
            return table.features[rows]
        text = table.frame[rows]
        return text_statistics(text["prompt"].to_list(), text["response"].to_list())

    scaled = 1 + 4 * (rating - low) / (high - low)
    return LogRows(scaled, table.label[rows], features, table.group[rows])


def _own_options(name: str, given: Mapping[str, Any], seed: int) -> list[AskOptions]:
    """Return the options of the mechanism ``asked``; no other mechanism has any."""
    if name != "asked":
        if given:
            raise UsageError(
                f"the mechanism {name} has no options, found {', '.join(given)}: only `asked` has some"
            )
        return []
    known = option_fields(AskOptions)
    check_names(given, known, "the mechanism asked")
    values = {
        k: known[k].parse(v, "the mechanism asked") if isinstance(v, str) else v
        for k, v in given.items()
    }
    chosen = AskOptions(**values)
    return [replace(chosen, key=chosen.key or f"simulated-{seed}")]


def _silent(columns: list[pl.Series]) -> NDArray[np.bool_]:
    """(n,) whether a response was asked about, the question seen, and no feedback given."""
    log = pl.DataFrame(columns)
    shown = pl.col("seen") == 1 if "seen" in log.columns else pl.lit(value=True)
    return (
        log.select((pl.col("asked") == 1) & shown & pl.col("feedback").is_null())
        .to_series()
        .to_numpy()
    )


def _gold(
    label: Array, count: int, seed: int, among: NDArray[np.bool_] | None = None
) -> list[pl.Series]:
    """Draw ``count`` gold labels uniformly over some rows; a larger draw contains a smaller one."""
    rows = len(label) if among is None else int(among.sum())
    if not 0 <= count <= rows:
        what = f"a log of {rows} rows" if among is None else f"{rows} asked and silent responses"
        raise UsageError(f"gold={count} is out of range for {what}; use a number from 0 to {rows}")
    drawn = np.zeros(len(label), dtype=bool)
    order = numpy_stream(seed, "gold").permutation(len(label))
    drawn[(order if among is None else order[among[order]])[:count]] = True
    return [sparse("gold", label, drawn)] if count else []


def _sizes(
    table: RatedTable, rows: NDArray[np.int64], held: NDArray[np.int64], pairs: pl.DataFrame | None
) -> dict[str, int | str]:
    return {
        "features": "surface" if table.features is None else "given",
        "levels": table.levels,
        "merged_duplicates": table.merged,
        "log_rows": len(rows),
        "test_rows": len(held),
        "log_prompts": len(np.unique(table.group[rows])),
        "test_prompts": len(np.unique(table.group[held])),
    } | ({} if pairs is None else {"pairs": pairs.height})
