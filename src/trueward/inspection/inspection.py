"""A look at a log before anything is fitted on it."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any, TypeVar

from trueward.core.errors import TruewardError
from trueward.data.capabilities import LogCapabilities

from . import findings
from .finding import Finding, brief, many, percent
from .verdicts import Choice, Verdicts, verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from trueward.data.export_scope import ExportScope
    from trueward.data.log import Log, Regime

    Find = Callable[[Log], Iterable[Finding]]

T = TypeVar("T")
WIDTH = 100  # characters of a line of the report


@dataclass(frozen=True)
class Inspection:
    """What a log has, what is wrong with it, and which methods it supports."""

    source: str
    rows: int
    prompts: int
    users: int | None  # None where the log does not say who is who
    regime: Regime
    coverage: float  # share of rows with feedback
    findings: tuple[Finding, ...]  # worst first
    verdicts: Verdicts
    export_scope: ExportScope | None = (
        None  # what kind of export it was made of, where its file says so
    )

    @property
    def supported(self) -> tuple[str, ...]:
        """Methods that can be fitted on this log, some only with the right option (`options`)."""
        return self.verdicts.supported

    @property
    def unsupported(self) -> Mapping[str, str]:
        """Methods that cannot, each with the one thing that is missing."""
        return self.verdicts.unsupported

    @property
    def options(self) -> Mapping[str, tuple[Choice, ...]]:
        """Of supported methods where an option decides: what each value of it needs."""
        return self.verdicts.options

    @property
    def benchmark_only(self) -> tuple[str, ...]:
        """Methods that are fitted on the truth, which no log has."""
        return self.verdicts.benchmark_only

    def to_json(self) -> dict[str, Any]:
        """Give plain data."""
        return {
            "source": self.source,
            "rows": self.rows,
            "prompts": self.prompts,
            "users": self.users,
            "regime": self.regime,
            "coverage": self.coverage,
            "covers": None if self.export_scope is None else self.export_scope.level,
            "findings": [finding.to_json() for finding in self.findings],
            "supported": list(self.supported),
            "options": {k: [c.to_json() for c in v] for k, v in self.options.items()},
            "unsupported": dict(self.unsupported),
            "benchmark_only": list(self.benchmark_only),
        }

    def __str__(self) -> str:
        """Lay out the report in aligned columns of plain text."""
        lines = [self._header(), "", *self._findings(), "", "supported methods"]
        lines += self._supported()
        if self.unsupported:
            lines += ["", "not supported"]
        for missing, names in _gathered(self.unsupported).items():
            lines += _entry(
                "  ",
                f"{', '.join(names)}: need{'s' if len(names) == 1 else ''} {missing}",
                further="    ",
            )
        if self.benchmark_only:
            lines += ["", "benchmark only"]
            lines += _entry(
                "  ",
                ", ".join(self.benchmark_only) + ": needs the truth of every row, which no log has",
            )
        return "\n".join(line.rstrip() for line in lines)

    def _header(self) -> str:
        counts = [many(self.rows, "row"), many(self.prompts, "prompt")]
        counts += ["users unknown" if self.users is None else many(self.users, "user")]
        share = percent(self.coverage)
        given = {
            "implicit": f"{share} with a click",
            "channels": "no feedback beside the channels",
        }.get(self.regime, f"{share} with feedback")
        return ", ".join([f"{self.source}: {counts[0]}", *counts[1:], self.regime, given])

    def _findings(self) -> Iterator[str]:
        pad = max((len(f.name) for f in self.findings), default=0)
        for f in self.findings:
            rows = bool(f.examples) and isinstance(f.examples[0], int)
            where = ("rows " if rows else "") + ", ".join(brief(str(e)) for e in f.examples)
            text = f"{f.message} ({where})" if where else f.message
            yield from _entry(f"{f.severity:<7}  {f.name:<{pad}}  ", text)

    def _supported(self) -> Iterator[str]:
        """Name the methods; where an option decides, with a line for the choices that lack the same."""
        plain = [name for name in self.supported if name not in self.options]
        if plain or not self.supported:
            yield from _entry("  ", ", ".join(plain) or "none")
        pad = max(map(len, self.options), default=0)
        for name, choices in self.options.items():
            head = f"  {name:<{pad}}  "
            lacks = {c.option: (c.missing, c.interval_only) for c in choices}
            for (missing, interval), written in _gathered(lacks).items():
                tail = " (gives an interval, not a score)" if interval else ""
                tail += f" needs {missing}" if missing else ""
                yield from _entry(head, " or ".join(written) + tail, further=" " * len(head) + "  ")
                head = " " * len(head)


def inspect(log: Log) -> Inspection:
    """Look at ``log`` for what it can identify: findings, worst first, and the methods it supports."""
    if not len(log):
        raise TruewardError(
            f"inspection needs at least one row, and {log.source} has none: write one row for "
            "every response that was shown"
        )
    facts = LogCapabilities.of_log(log)
    found = [finding for find in finders().values() for finding in find(log)]
    users = log.frame["user_id"].drop_nulls().n_unique() if "user_id" in log.columns else None
    return Inspection(
        source=log.source,
        rows=facts.rows,
        prompts=facts.prompts,
        users=users,
        regime=log.regime,
        coverage=log.feedback_rate,
        findings=tuple(sorted(found, key=lambda finding: finding.order)),
        verdicts=verdicts(facts),
        export_scope=log.export_scope,
    )


def finders() -> dict[str, Find]:
    """Every finding by the name of its file, in alphabetical order."""
    package = findings.__name__
    names = sorted(
        m.name for m in pkgutil.iter_modules(findings.__path__) if not m.name.startswith("_")
    )
    found: dict[str, Find] = {}
    for name in names:
        find = vars(importlib.import_module(f"{package}.{name}")).get("find")
        if find is None:
            raise TypeError(f"inspection/findings/{name}.py must define find(log)")
        found[name] = find
    return found


def _gathered(said: Mapping[str, T]) -> dict[T, list[str]]:
    """Gather the names of which the same is said."""
    together: dict[T, list[str]] = {}
    for name, what in said.items():
        together.setdefault(what, []).append(name)
    return together


def _entry(head: str, text: str, further: str | None = None) -> list[str]:
    """Wrap ``text`` beside ``head``; further lines start with ``further``, or below its first word."""
    below = " " * len(head) if further is None else further
    room = max(40, WIDTH - max(len(head), len(below)))
    first, *rest = wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [head + first, *(below + line for line in rest)]
