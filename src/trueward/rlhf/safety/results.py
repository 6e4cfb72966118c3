"""The table of a safety evaluation: policies, paired differences, bounds, corrected figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.core.estimate import Estimate

from .corrected import corrected, corrected_difference
from .judge_kinds import gives
from .measures import MEASURES, Bounded, Measure, difference, measured

if TYPE_CHECKING:
    from collections.abc import Iterator

LABELS = "labels + "  # in front of the judges of a corrected figure
UNANSWERED = "no answer"  # problem of a verdict where the policy has none
ARROWS = {"lower": "lower is better", "higher": "higher is better"}


@dataclass(frozen=True)
class Line:
    """One figure of all policies by one judge, or by labels of people and several judges.

    Attributes
    ----------
    measure : Measure
        The figure.
    judge : str
        Name of the judge, or ``labels + JUDGES``.
    values : dict of str to Bounded or Estimate
        By policy.
    differences : dict of str to Bounded or Estimate
        By policy, minus the base.

    """

    measure: Measure
    judge: str
    values: dict[str, Bounded | Estimate]
    differences: dict[str, Bounded | Estimate]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return {
            "suite": self.measure.suite,
            "measure": self.measure.name,
            "better": self.measure.better,
            "judge": self.judge,
            "values": {name: v.to_json() for name, v in self.values.items()},
            "minus_base": {name: v.to_json() for name, v in self.differences.items()},
        }


@dataclass(frozen=True)
class SafetyResult:
    """The result of a safety evaluation; ``str()`` is the table.

    Attributes
    ----------
    policies : tuple of str
        The first is the base.
    lines : tuple of Line
        Figures in the order of `MEASURES`.
    settings : dict
        Policies, prompts, judges and decoding, each with its hashes.
    notes : tuple of str
        What a reader must know.

    """

    policies: tuple[str, ...]
    lines: tuple[Line, ...]
    settings: dict[str, Any]
    notes: tuple[str, ...]

    @staticmethod
    def of(
        verdicts: pl.DataFrame,
        settings: dict[str, Any],
        labels: pl.DataFrame | None = None,
        seed: int = 0,
    ) -> SafetyResult:
        """Summarise verdicts.

        Parameters
        ----------
        verdicts : polars.DataFrame
            One row for each answer and judge.
        settings : dict
            What the result says of its policies, prompts and judges.
        labels : polars.DataFrame, optional
            Labels of people, as `corrected.read_labels` returns them.
        seed : int
            Seed of the folds of corrected figures.

        Returns
        -------
        SafetyResult
            One line for each figure that a judge gives.

        """
        policies = tuple(verdicts["policy"].unique(maintain_order=True))
        judges = tuple(verdicts["judge"].unique(maintain_order=True))
        parts = {
            (str(policy), str(judge)): part
            for (policy, judge), part in verdicts.partition_by(
                "policy", "judge", as_dict=True
            ).items()
        }
        lines: list[Line] = []
        for measure in MEASURES:
            for judge in judges:
                line = _line(parts, policies, judge, measure)
                if line is not None:
                    lines.append(line)
            if labels is not None and measure.field == "harmful":
                lines += _labelled(parts, policies, measure, labels, seed)
        notes = tuple(_notes(verdicts, settings, labels))
        if labels is not None and not any(line.judge.startswith(LABELS) for line in lines):
            unused = (
                f"the {labels.height:,} labels correct no figure: their prompt and response must be those of "
                "verdicts.parquet, of a benchmark with a judge of harm"
            )
            notes = (unused, *notes)
        return SafetyResult(policies, tuple(lines), settings, notes)

    def to_json(self) -> dict[str, Any]:
        """Return the whole result as plain data."""
        return {
            "figures": [line.to_json() for line in self.lines],
            "notes": list(self.notes),
            **self.settings,
        }

    def __str__(self) -> str:
        """Format the table, one block for each figure, and the notes."""
        base, *others = self.policies
        found: list[str] = []
        suite = ""
        for line in self.lines:
            if line.measure.suite != suite:
                suite = line.measure.suite
                found += ["", suite] if found else [suite]
            found.append(f"  {line.measure.name} by {line.judge} ({ARROWS[line.measure.better]})")
            wide = max(map(len, self.policies))
            found.append(f"    {base:<{wide}}  {_shown(line.values[base])}")
            found += [
                f"    {name:<{wide}}  {_shown(line.values[name])}   minus {base} "
                f"{_shown(line.differences[name], signed=True)}"
                for name in others
            ]
        return "\n".join([*found, "", *(f"note: {note}" for note in self.notes)])


def _line(
    parts: dict[tuple[str, str], pl.DataFrame],
    policies: tuple[str, ...],
    judge: str,
    measure: Measure,
) -> Line | None:
    """Return a figure of all policies; None if the judge does not give it."""
    if not gives(judge, measure.field):
        return None
    values = {name: measured(parts[name, judge], measure) for name in policies}
    if all(v.low.value is None for v in values.values()):
        return None
    base = parts[policies[0], judge]
    others = {name: difference(parts[name, judge], base, measure) for name in policies[1:]}
    return Line(measure, judge, dict(values), dict(others))


def _labelled(
    parts: dict[tuple[str, str], pl.DataFrame],
    policies: tuple[str, ...],
    measure: Measure,
    labels: pl.DataFrame,
    seed: int,
) -> Iterator[Line]:
    """Yield a figure corrected by labels of people, from all judges that give it."""
    column = f"value.{measure.field}"
    judges = [
        judge
        for policy, judge in parts
        if policy == policies[0]
        and gives(judge, measure.field)
        and measured(parts[policy, judge], measure).prompts
    ]
    if not judges:
        return
    found = {}
    for name in policies:
        frames = [parts[name, judge] for judge in judges if column in parts[name, judge].columns]
        found[name] = corrected(frames, labels, measure, seed)
    if all(count == 0 for _, count, _ in found.values()):
        return
    others = {name: corrected_difference(found[name], found[policies[0]]) for name in policies[1:]}
    values = {name: estimate for name, (estimate, _, _) in found.items()}
    yield Line(measure, LABELS + " + ".join(judges), dict(values), dict(others))


def _notes(
    verdicts: pl.DataFrame, settings: dict[str, Any], labels: pl.DataFrame | None
) -> Iterator[str]:
    """Yield what a reader must know."""
    judges = list(verdicts["judge"].unique(maintain_order=True))
    silent = pl.col("problem") == UNANSWERED
    for (policy,), part in verdicts.filter(silent).group_by("policy", maintain_order=True):
        prompts = verdicts.filter(pl.col("policy") == policy).n_unique(["suite", "id"])
        yield (
            f"{part.n_unique(['suite', 'id']):,} of {prompts:,} prompts have no answer of {policy}: they are "
            "longer than its context, or its server refuses them; the figures are bounds"
        )
    off = verdicts.filter((pl.col("problem") != "") & ~silent)
    for (judge,), part in off.group_by("judge", maintain_order=True):
        of = verdicts.filter(pl.col("judge") == judge).height
        yield (
            f"{part.height:,} of {of:,} answers of {judge} could not be read ({part['problem'][0]}): the "
            "figures are bounds, with these answers as safe and as unsafe"
        )
    for suite, about in settings.get("prompts", {}).items():
        if about["left_out"]:
            yield f"{suite} leaves out {about['left_out']}"
        if "accepted" in about["version"] or "no hash" in about["version"]:
            yield f"the version of the prompts of {suite} is not pinned: {about['version']}"
    for judge in settings.get("judges", ()):
        for template in judge["templates"]:
            if "accepted" in template["version"]:
                yield f"the prompt of the judge {judge['kind']} is another version: {template['sha256'][:12]}"
    if "builtin" in judges:
        yield "builtin is our own small judge, for smoke tests: its figures compare with no published one"
    if "phrases" in judges:
        yield (
            "phrases finds refusals by their words: it tells no partial from a full refusal, and agrees with "
            "people on about 9 of 10 answers to XSTest"
        )
    if labels is not None:
        yield "figures by labels hold if the labelled responses are a random draw of the responses"
    yield "figures compare with others of the same judge, prompt and version only"


def _shown(value: Bounded | Estimate, *, signed: bool = False) -> str:
    """Format a value; without one, the reason."""
    if isinstance(value, Estimate) and value.value is None:
        return f"- ({value.reason})"
    text = str(value)
    positive = value.value if isinstance(value, Estimate) else value.low.value
    return f"+{text}" if signed and positive is not None and positive > 0 else text
