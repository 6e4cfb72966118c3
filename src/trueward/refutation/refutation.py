"""What the attempts to refute a fit came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Any

FLOORS = frozenset({"random_common_cause", "subset_stability", "null_channel"})
INDENT = 48  # columns before the sentence


@dataclass(frozen=True)
class Check:
    """One attempt to refute: what was found, what is allowed, and a sentence that says what it means."""

    name: str
    passed: bool | None  # None: it does not apply, for the reason in the sentence
    found: float | None
    limit: float | None  # the most that passes; of the checks in `FLOORS`, the least
    sentence: str


@dataclass(frozen=True)
class Refutation:
    """What every attempt to refute ``method`` on a log came to."""

    method: str
    rows: int  # that were fitted and judged by
    of: int  # rows of the log
    seed: int
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.passed is not False for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Give plain data."""
        return {"passed": self.passed, **asdict(self), "checks": [asdict(c) for c in self.checks]}

    def __str__(self) -> str:
        """Lay out one check a row, its sentence in the last column."""
        lines = [self._header(), ""]
        lines.append(f"{'check':<21}{'verdict':<8}{'found':>6}  {'limit':<11}reason")
        for c in self.checks:
            first, *rest = wrap(c.sentence, 72, break_long_words=False, break_on_hyphens=False)
            lines += [_row(c) + first, *(" " * INDENT + line for line in rest)]
        return "\n".join(lines)

    def _header(self) -> str:
        rows = f"{self.rows:,} rows"
        if self.rows < self.of:
            rows = f"{self.rows:,} of {self.of:,} rows (whole prompts, drawn at random)"
        failed = [c.name for c in self.checks if c.passed is False]
        tried = sum(c.passed is not None for c in self.checks)
        withstood = f"not refuted by {tried} of {len(self.checks)} checks"
        found = f"refuted by {', '.join(failed)}" if failed else withstood
        return f"{self.method} on {rows}: {found if tried else 'no check applies'}"


def _row(c: Check) -> str:
    verdict = {True: "pass", False: "FAIL", None: "n/a"}[c.passed]
    found = "-" if c.found is None else f"{c.found:.3f}"
    sign = ">=" if c.name in FLOORS else "<="
    limit = "" if c.limit is None else f"{sign} {c.limit:.3f}"
    return f"{c.name:<21}{verdict:<8}{found:>6}  {limit:<11}"
