"""Evaluate a reward model on the published file of a benchmark."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from trueward.core.arguments import MAPPING, TEXT, require_kinds
from trueward.core.clustering import clusters, few_warnings
from trueward.core.errors import TruewardError
from trueward.core.estimate import Estimate
from trueward.model.reward_model import fitted

from . import preference_scores
from .estimates import Estimates
from .preference_files import TIES, read_comparisons
from .weighted_means import Part, weighted_mean

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.core.clustering import Clusters

    from .preference_files import Comparisons, PreferenceBenchmark

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

SCORES = {
    "rewardbench2": preference_scores.rewardbench2,
    "rewardbench": preference_scores.rewardbench,
    "rm-bench": preference_scores.rm_bench,
    "judgebench": preference_scores.judgebench,
}
#: Control -> names of the pairs whose chosen response has more and less of it.
SIDES = {"length": ("longer", "shorter"), "style": ("richer", "plainer")}
#: Headers, items of lists, and bold words of markdown.
MARKDOWN = re.compile(r"^ {0,3}#{1,6}\s|^\s*(?:[-*+]|\d+[.)])\s|\*\*[^*\n]+\*\*", re.MULTILINE)


@runtime_checkable
class TextScorer(Protocol):
    """A model that scores texts, as a fitted `RewardModel` does."""

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> Any:
        """Score n responses to n prompts; the result has ``reward``, (n,) or None."""


@dataclass(frozen=True, repr=False)
class PairScores(Estimates):
    """Scores of a benchmark by name; ``str()`` is a table.

    See Also
    --------
    trueward.evaluate_pairs : Computes them, and lists their names.

    """

    #: Name of the benchmark.
    benchmark: str
    #: Number of rows of the file.
    rows: int
    #: Number of different prompts.
    prompts: int
    #: Reasons why intervals may be too narrow.
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, dict[str, float | str | None]]:
        """Return ``{"score": {"value": .., "low": .., "high": ..}, ...}``; undefined values are null."""
        return {name: e.to_json() for name, e in self.estimates.items()}

    def _title(self) -> str:
        first = next(iter(self.estimates.items()), None)
        shown = "" if first is None else f", {first[0]} {first[1]}"
        return f"{self.benchmark}: {self.rows:,} rows, {self.prompts:,} prompts{shown}"

    def _notes(self) -> list[str]:
        return [f"warning: {w}" for w in self.warnings]

    def __str__(self) -> str:
        """Format a table with one score a line."""
        lines = self._lines(self.benchmark)
        lines.append(f"{self.rows} rows, {self.prompts} prompts; intervals clustered by prompt")
        return "\n".join([*lines, *(f"warning: {w}" for w in self.warnings)])


def evaluate_pairs(
    model: TextScorer | Path | str,
    source: str | os.PathLike[str] | object,
    benchmark: PreferenceBenchmark,
    *,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
) -> PairScores:
    """Evaluate a reward model on the published file of RewardBench 2, RewardBench, RM-Bench or JudgeBench.

    Parameters
    ----------
    model : RewardModel, str or Path
        A fitted model that reads text or its folder, or any object with its ``score``.
    source : str, Path or table
        The file, as published; nothing is downloaded. Prompts and responses of messages are read as in a
        log, one line ``role: content`` each.
    benchmark : {"rewardbench2", "rewardbench", "rm-bench", "judgebench"}
        The benchmark of the file.
    mapping : mapping of str to str, optional
        Column of the published file -> column of the source.
    split : str, optional
        Which split of a folder to read.

    Returns
    -------
    PairScores
        ``score`` of the benchmark and those of its parts, as published, in [0, 1] (Ties of RewardBench 2 in
        [-.01, 1.01]). Of all pairs of a chosen and a rejected response, without Ties: ``accuracy``;
        ``accuracy_longer`` and ``accuracy_shorter`` where the chosen one has more or fewer characters, and
        their mean ``length_controlled``; likewise ``accuracy_richer``, ``accuracy_plainer`` and
        ``style_controlled``, by the number of headers, items of lists and bold words. A model that only
        likes long responses has ``length_controlled`` = .5. Each has a 95 % interval clustered by prompt.

    Raises
    ------
    TruewardError
        If the file is of another benchmark, is damaged, or the model identifies only an interval.
    UsageError
        If there is no such benchmark, or the mapping is wrong.

    Notes
    -----
    The formulas are those of `trueward.evaluation.preference_scores`, the intervals those of
    `trueward.evaluation.weighted_means`.

    See Also
    --------
    evaluate : Metrics on a table of labels or ratings.

    Examples
    --------
    >>> import polars as pl, torch, trueward as tw
    >>> from trueward.model.scores import Scores
    >>> class Brief:
    ...     def score(self, prompts, responses):
    ...         reward = -torch.tensor([float(len(r)) for r in responses])
    ...         zero = torch.zeros_like(reward)
    ...         return Scores(reward, torch.sigmoid(reward), zero, zero > 0)
    >>> pairs = {"pair_id": ["a", "b"], "source": ["livebench-math"] * 2, "question": ["2 + 2?", "3 - 1?"]}
    >>> pairs |= {"response_A": ["4", "It is 2."], "response_B": ["It is 5.", "3"], "label": ["A>B"] * 2}
    >>> scores = tw.evaluate_pairs(Brief(), pl.DataFrame(pairs), "judgebench")
    >>> scores["score"].value, scores["length_controlled"].value
    (0.5, 0.5)

    """
    require_kinds(
        "evaluate_pairs",
        benchmark=(benchmark, TEXT),
        mapping=(mapping, MAPPING.or_none),
        split=(split, TEXT.or_none),
    )
    if not isinstance(model, TextScorer) or isinstance(model, type):
        model = fitted(model, "evaluate_pairs")
    data = read_comparisons(source, benchmark, mapping=mapping, split=split)
    scores = _scored(model, data)
    group = np.array([unit_of_row(data, i) for i in range(len(data.ids))])
    units = clusters(len(group), group=np.unique(group, return_inverse=True)[1])
    estimates = dict(SCORES[benchmark](data, scores, units))
    estimates |= dict(_controlled(data, scores, units))
    warnings = few_warnings(units.effective())
    return PairScores(estimates, benchmark, len(group), len(set(data.prompts)), warnings)


def _scored(model: TextScorer, data: Comparisons) -> list[Array]:
    """Score all responses; those of a row in one array, the chosen ones first."""
    answers = [[*c, *r] for c, r in zip(data.chosen, data.rejected, strict=True)]
    prompts = [p for p, a in zip(data.prompts, answers, strict=True) for _ in a]
    reward: Tensor | None = model.score(prompts, [text for a in answers for text in a]).reward
    if reward is None:
        raise TruewardError(
            "comparing responses needs one reward for each, and this model identifies only an interval; fit "
            "it with an option that fixes the scale (gold labels, a prior or an anchor)"
        )
    ends = np.cumsum([len(a) for a in answers])
    return np.split(reward.detach().cpu().double().numpy(), ends[:-1])


def unit_of_row(data: Comparisons, i: int) -> str:
    """Name the unit that the intervals are clustered by.

    Parameters
    ----------
    data : Comparisons
        The rows.
    i : int
        Number of a row, from 0.

    Returns
    -------
    str
        The prompt; of Ties the number that ref:N and tied:N share.

    """
    tied = TIES.fullmatch(data.ids[i]) if data.parts[i].casefold() == "ties" else None
    return f"Ties {tied[2]}" if tied else f"prompt {data.prompts[i]}"


def _controlled(
    data: Comparisons, scores: Sequence[Array], units: Clusters
) -> Iterator[tuple[str, Estimate]]:
    """Accuracy over pairs, and the mean of those with a longer and with a shorter chosen response."""
    sides: dict[str, list[Array]] = {"length": [], "style": []}
    rows, right = [], []
    for i, (chosen, rejected) in enumerate(zip(data.chosen, data.rejected, strict=True)):
        if data.parts[i].casefold() == "ties":
            continue
        own, other = np.split(scores[i], [len(chosen)])
        right.append((own[:, None] > other[None]).ravel())
        rows.append(np.full(own.size * other.size, i))
        for control, size in (("length", len), ("style", _marks)):
            a, b = (np.array([size(text) for text in texts]) for texts in (chosen, rejected))
            sides[control].append(np.sign(a[:, None] - b[None]).ravel())
    at, win = np.concatenate(rows), np.concatenate(right).astype(np.float64)
    yield "accuracy", weighted_mean([Part("accuracy", 1.0, at, win)], units)
    for control, words in SIDES.items():
        side = np.concatenate(sides[control])
        halves = [
            Part(word, 0.5, at[side == sign], win[side == sign])
            for word, sign in zip(words, (1, -1), strict=True)
        ]
        lacking = {h.name: f"no chosen response is {h.name}" for h in halves if not len(h.rows)}
        for half in halves:
            alone = replace(half, weight=1.0)
            reason = lacking.get(half.name)
            found = Estimate(None, reason=reason) if reason else weighted_mean([alone], units)
            yield f"accuracy_{half.name}", found
        reason = "; ".join(lacking.values())
        both = Estimate(None, reason=reason) if reason else weighted_mean(halves, units)
        yield f"{control}_controlled", both


def _marks(text: str) -> int:
    """Count the markdown elements of a text."""
    return len(MARKDOWN.findall(text))
