"""Inspect a log before a fit: run every finding, and check what each method needs."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from trueward.core.errors import TruewardError
from trueward.core.overview import Overview, Shown
from trueward.core.wording import for_reader
from trueward.core.wrapping import text_width, wrapped
from trueward.data.capabilities import LogCapabilities
from trueward.data.log_reading import as_log

from . import findings
from .finding import Finding, percent, pluralised, shortened
from .verdicts import Choice, Verdicts, selected_by_auto, verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from trueward.data.export_scope import ExportScope
    from trueward.data.log import Log, Regime

    FindingFunction = Callable[[Log], Iterable[Finding]]

T = TypeVar("T")
NARROW = 72  # characters of a line below which findings have no columns


@dataclass(frozen=True, repr=False)
class Inspection(Shown):
    """Size of a log, its findings, and the methods that it supports; ``str()`` is the report.

    See Also
    --------
    inspect : Computes it.

    """

    #: File or name that the log was read from.
    source: str
    #: Number of logged responses.
    rows: int
    #: Number of distinct prompts.
    prompts: int
    #: Number of distinct users; None where the log has no ``user_id``.
    users: int | None
    #: ``observational``, ``implicit`` (clicks) or ``channels``.
    regime: Regime
    #: Share of the shown responses with feedback, in [0, 1]; rows count by their weight.
    coverage: float
    #: Findings, worst first.
    findings: tuple[Finding, ...]
    #: Methods by whether the log supports them.
    verdicts: Verdicts
    #: Which responses the export has; None where its file does not state it.
    export_scope: ExportScope | None = None
    #: Number of shown responses that the rows represent; None where the log has no ``weight``.
    represents: float | None = None
    #: Method that `auto` selects on the whole log, and why; None where the log supports no fit.
    selected: str | None = None

    @property
    def supported(self) -> tuple[str, ...]:
        """Methods that can be fitted on this log, some only with the right option (`options`)."""
        return self.verdicts.supported

    @property
    def unsupported(self) -> Mapping[str, str]:
        """Methods that cannot be fitted, each with the one requirement that is missing."""
        return self.verdicts.unsupported

    @property
    def options(self) -> Mapping[str, tuple[Choice, ...]]:
        """Supported methods for which the value of an option decides, with what each value needs."""
        return self.verdicts.options

    @property
    def benchmark_only(self) -> tuple[str, ...]:
        """Methods that need true labels on every row."""
        return self.verdicts.benchmark_only

    def to_json(self) -> dict[str, Any]:
        """Return the inspection as plain data."""
        return {
            "source": self.source,
            "rows": self.rows,
            "prompts": self.prompts,
            "users": self.users,
            "regime": self.regime,
            "coverage": self.coverage,
            **({} if self.represents is None else {"represents": self.represents}),
            "covers": None if self.export_scope is None else self.export_scope.level,
            "findings": [finding.to_json() for finding in self.findings],
            "supported": list(self.supported),
            "options": {k: [c.to_json() for c in v] for k, v in self.options.items()},
            "unsupported": dict(self.unsupported),
            "benchmark_only": list(self.benchmark_only),
        }

    def _overview(self) -> Overview:
        rows = [[f.severity, f.name, f.message] for f in self.findings]
        notes = ["supported methods:", *self._supported_lines()]
        return Overview(self._title(), ("", "finding", ""), rows, notes)

    def __str__(self) -> str:
        """Format the findings as aligned text, with the method that `auto` selects."""
        lines = [self._header(), "", *self._finding_lines(), ""]
        if self.selected is not None:
            lines += wrapped("", f"`auto` selects {self.selected}", further="  ")
        lines += wrapped("", self._count(), further="  ")
        return "\n".join(line.rstrip() for line in lines)

    def _count(self) -> str:
        """Say how many methods the log supports."""
        of = len(self.supported) + len(self.unsupported)
        return f"This log supports {len(self.supported)} of {of} methods."

    def methods_text(self) -> str:
        """Format which methods the log supports, with the options that decide, as aligned text."""
        lines = ["supported methods", *self._supported_lines()]
        if self.unsupported:
            lines += ["", "not supported"]
        for missing, names in _names_by_value(self.unsupported).items():
            lines += wrapped(
                "  ",
                f"{', '.join(names)}: need{'s' if len(names) == 1 else ''} {missing}",
                further="    ",
            )
        if self.benchmark_only:
            lines += ["", "benchmark only"]
            lines += wrapped(
                "  ",
                ", ".join(self.benchmark_only)
                + ": needs the true label of every row, which no log has",
            )
        return "\n".join(line.rstrip() for line in lines)

    def _header(self) -> str:
        return "\n".join(wrapped("", self._title(), further="  "))

    def _title(self) -> str:
        counts = [pluralised(self.rows, "row"), pluralised(self.prompts, "prompt")]
        if self.represents is not None:
            counts[0] += f" for {self.represents:,.0f} responses"
        counts += ["users unknown" if self.users is None else pluralised(self.users, "user")]
        share = percent(self.coverage)
        feedback = {
            "implicit": f"{share} with a click",
            "channels": "no feedback beside the channels",
        }.get(self.regime, f"{share} with feedback")
        return ", ".join([f"{self.source}: {counts[0]}", *counts[1:], self.regime, feedback])

    def _finding_lines(self) -> Iterator[str]:
        pad = max((len(f.name) for f in self.findings), default=0)
        narrow = text_width() < NARROW
        for f in self.findings:
            rows = bool(f.examples) and isinstance(f.examples[0], int)
            where = ("rows " if rows else "") + ", ".join(shortened(str(e)) for e in f.examples)
            text = f"{f.message} ({where})" if where else f.message
            if narrow:
                yield from wrapped(f"{f.severity}  ", f"{f.name}: {text}", further="  ")
            else:
                yield from wrapped(f"{f.severity:<7}  {f.name:<{pad}}  ", text)

    def _supported_lines(self) -> Iterator[str]:
        """Name the methods; where an option decides, one line for the values that lack the same."""
        plain = [name for name in self.supported if name not in self.options]
        if plain or not self.supported:
            yield from wrapped("  ", ", ".join(plain) or "none")
        pad = max(map(len, self.options), default=0)
        for name, choices in self.options.items():
            head = f"  {name:<{pad}}  "
            lacks = {c.option: (c.missing, c.interval_only) for c in choices}
            for (missing, interval), values in _names_by_value(lacks).items():
                tail = " (gives an interval, not a score)" if interval else ""
                tail += f" needs {missing}" if missing else ""
                text = " or ".join(values) + tail
                yield from wrapped(head, text, further=" " * len(head) + "  ")
                head = " " * len(head)


def inspect(log: Log | object) -> Inspection:
    """Report what a log can identify before anything is fitted on it.

    Parameters
    ----------
    log : Log, path or table
        A log with at least one row; what is no `Log` is read by `read_log`.

    Returns
    -------
    Inspection
        Findings, worst first, and the methods that the log supports.

    Raises
    ------
    TruewardError
        If the log has no rows.

    Examples
    --------
    >>> import polars as pl, trueward as tw
    >>> rows = {"prompt": ["a", "a", "b", "b"], "response": ["1", "2", "3", "4"]}
    >>> table = pl.DataFrame({**rows, "feedback": [1.0, 0.0, None, None]})
    >>> report = tw.inspect(tw.read_log(table))
    >>> report.regime, report.coverage
    ('observational', 0.5)
    >>> report.findings[0].message
    'a fit needs at least 2 responses rated good, and found 1'

    """
    log = as_log(log, "inspect")
    if not len(log):
        raise TruewardError(
            f"inspection needs at least one row, and {log.source} has none: write one row for "
            "every response that was shown"
        )
    capabilities = LogCapabilities.from_log(log)
    results = [
        replace(finding, message=for_reader(finding.message))
        for function in finding_functions()
        for finding in function(log)
    ]
    users = log.frame["user_id"].drop_nulls().n_unique() if "user_id" in log.columns else None
    return Inspection(
        source=log.source,
        rows=capabilities.rows,
        prompts=capabilities.prompts,
        users=users,
        regime=log.regime,
        coverage=log.feedback_rate,
        findings=tuple(sorted(results, key=lambda finding: finding.order)),
        verdicts=verdicts(capabilities),
        export_scope=log.export_scope,
        represents=float(log.row_weight.sum()) if "weight" in log.columns else None,
        selected=selected_by_auto(capabilities),
    )


def finding_functions() -> tuple[FindingFunction, ...]:
    """Collect ``FINDINGS`` of every module in ``inspection/findings/``, modules in alphabetical order.

    Raises
    ------
    TypeError
        If a module does not define ``FINDINGS``.

    """
    modules = sorted(
        m.name for m in pkgutil.iter_modules(findings.__path__) if not m.name.startswith("_")
    )
    functions: list[FindingFunction] = []
    for name in modules:
        declared = vars(importlib.import_module(f"{findings.__name__}.{name}")).get("FINDINGS")
        if declared is None:
            raise TypeError(
                f"inspection/findings/{name}.py must define FINDINGS, a tuple of functions of a log"
            )
        functions += declared
    return tuple(functions)


def _names_by_value(values: Mapping[str, T]) -> dict[T, list[str]]:
    """Group the names that have the same value."""
    groups: dict[T, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(value, []).append(name)
    return groups
