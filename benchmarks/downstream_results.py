"""Read the cells of `downstream` and the published runs of `examples/rlhf_truth`; differences and their intervals."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

NAIVE = "naive"
SAME = 0.0005  # difference below which two policies are the same


@dataclass(frozen=True, eq=False)
class Cell:
    """A world, a mechanism and a seed, with every result that was computed on it."""

    world: str
    mechanism: str
    seed: int
    rounds: int
    content: dict[str, Any]

    def found(self, arm: str, number: int = 1, log: str = "all") -> dict[str, Any] | None:
        """Return a result, or None where there is none or the fit failed."""
        for r in self.content["results"]:
            if (r["arm"], r["round"], r["log"]) == (arm, number, log) and "failed" not in r:
                return dict(r)
        return None

    def by_prompt(self, arm: str, policy: str, number: int = 1, log: str = "all") -> Array | None:
        """Return the value of a policy by test prompt; of the base policy where ``arm`` is base."""
        if arm == "base":
            return np.array(self.content["base"])
        r = self.found(arm, number, log)
        return np.array(r["values"][policy]) if r and policy in r["values"] else None

    def value(self, arm: str, policy: str, number: int = 1, log: str = "all") -> float | None:
        """Return the mean value of a policy over the test prompts."""
        values = self.by_prompt(arm, policy, number, log)
        return None if values is None else float(values.mean())

    def failures(self) -> list[dict[str, Any]]:
        """Return the results of failed fits."""
        return [r for r in self.content["results"] if "failed" in r]


def read_cells(out: Path) -> list[Cell]:
    """Return the stored cells, in order."""
    cells = []
    for file in sorted(out.glob("*-*-*.json")):
        c = json.loads(file.read_text("utf-8"))
        cells.append(Cell(c["world"], c["mechanism"], c["seed"], c["rounds"], c))
    return cells


@dataclass(frozen=True)
class Mean:
    """A mean over logs with the half-width of its 95 % interval; NaN where the logs do not give one."""

    value: float
    half: float
    logs: int

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0, and the difference is not a rounding error."""
        return abs(self.value) > max(self.half, SAME)

    @property
    def plain(self) -> str:
        """Format with sign."""
        return f"{self.value:+.3f}" + ("" if np.isnan(self.half) else f" ± {self.half:.3f}")

    def __str__(self) -> str:
        """Format with sign, bold where the interval excludes 0."""
        return f"**{self.plain}**" if self.clear else self.plain


def over_logs(by_part: dict[str, list[Array]]) -> Mean | None:
    """Return the mean over logs, with a t-interval over logs.

    Where every mechanism has two logs or more, mechanisms are fixed and weigh the same: the variance is that
    between the logs of one mechanism. Otherwise it is that between all logs, so it includes the differences
    between mechanisms.
    """
    parts = {k: [float(d.mean()) for d in v] for k, v in by_part.items() if v}
    values = [x for v in parts.values() for x in v]
    if not values:
        return None
    if min(map(len, parts.values())) > 1:
        sd, degrees = between_logs(by_part)
        error = sd * sum(1 / len(v) for v in parts.values()) ** 0.5 / len(parts)
        value = fmean(fmean(v) for v in parts.values())
        return Mean(value, float(stdtrit(degrees, 0.975)) * error, len(values))
    half = float("nan")
    if len(values) > 1:
        error = float(np.std(values, ddof=1)) / len(values) ** 0.5
        half = float(stdtrit(len(values) - 1, 0.975)) * error
    return Mean(fmean(values), half, len(values))


def over_prompts(logs: list[Array]) -> Mean | None:
    """Return the mean over the logs of a mechanism; the interval is over their test prompts, given the logs."""
    if not logs:
        return None
    error = sum(float(d.var(ddof=1)) / len(d) for d in logs) ** 0.5 / len(logs)
    wide = float(stdtrit(min(map(len, logs)) - 1, 0.975)) * error
    return Mean(fmean(float(d.mean()) for d in logs), wide, len(logs))


def between_logs(by_part: dict[str, list[Array]]) -> tuple[float, int]:
    """Return the standard deviation between the logs of one mechanism, pooled over mechanisms, and its df."""
    found = [np.array([float(d.mean()) for d in v]) for v in by_part.values() if v]
    degrees = sum(len(v) - 1 for v in found)
    squares = sum(float(((v - v.mean()) ** 2).sum()) for v in found)
    return ((squares / degrees) ** 0.5 if degrees else float("nan")), degrees


def gather(cells: Iterable[Cell], value: Callable[[Cell], Array | None]) -> dict[str, list[Array]]:
    """Return values by prompt for every log, by mechanism, without those that are missing."""
    found: dict[str, list[Array]] = {}
    for c in cells:
        v = value(c)
        if v is not None:
            found.setdefault(c.mechanism, []).append(v)
    return found


def minus(a: Array | None, b: Array | None) -> Array | None:
    """Return a - b, None where one is missing."""
    return None if a is None or b is None else a - b


@dataclass(frozen=True)
class Published:
    """A paired comparison to naive on a page of `examples/rlhf_truth`."""

    what: str
    runs: int
    sd: float
    differences: dict[str, float]
    kl: tuple[float, ...]  # a token, at the end of the training, by reward


#: Heading of the table, its title here, and the column of the difference after the name of the reward.
TABLES = (
    ("## Best of n", "best of 64, nothing trained", -1),
    ("## What the policies are worth", "policy after GRPO", 3),
    ("## What the reward says", "policy at its best, chosen by the truth", 4),
)
LEARNED = ("causalrm", "three_outcome", "anchored")


def published(page: Path) -> list[Published]:
    """Read the differences to naive off a page; the sd over seeds follows from the half-width and n."""
    text = page.read_text("utf-8")
    trained, logs = (
        int(re.search(p, text)[1]) for p in (r"(\d+) seeds for what", r"over (\d+) logs")
    )
    found = []
    for heading, what, column in TABLES:
        part = text.split(heading, 1)[1].split("\n## ", 1)[0]
        runs = logs if "Best" in heading else trained
        halves, differences, kl = [], {}, []
        for arm in LEARNED:
            row = re.search(rf"^\| `{arm}` \|(.*)\|$", part, re.MULTILINE)
            cells = row[1].split("|")
            value, half = (float(v) for v in cells[column].replace("+", "").split("±"))
            differences[arm] = value
            kl += [float(cells[4])] if "GRPO" in what else []
            halves.append(half)
        # half = t sd / sqrt(n)
        sd = (
            float(np.sqrt(np.mean(np.square(halves)))) * runs**0.5 / float(stdtrit(runs - 1, 0.975))
        )
        found.append(Published(what, runs, sd, differences, tuple(kl)))
    return found
