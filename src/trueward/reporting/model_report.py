"""Report of one fitted model, or of several models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError, UsageError
from trueward.estimation.method import settings
from trueward.evaluation.plotting import odds_ratio_curves
from trueward.inspection import inspect

from . import bounds_sections, fit_sections, quality_sections, response_sections
from .charts import figure, rows_as_table
from .inputs import ReportInputs
from .page import Code, Folded, Markdown, Page, Prose, Section, Table
from .verdict_section import first_section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from trueward.data.log import Log
    from trueward.data.truth import Test
    from trueward.inspection import Inspection
    from trueward.model.reward_model import RewardModel

    from .page import Block

    Blocks = Callable[[ReportInputs], Iterable[Block]]

#: Sections on internals, which the screen shows on demand.
FOLDED = ("Who reacts", "Noise in the feedback", "Bounds whoever reacts")


def model_page(
    models: Mapping[str, RewardModel],
    log: Log | None,
    test: Test | None,
    *,
    command: str | None,
    seed: int,
    rows: int,
    say: Callable[[str], None],
) -> Page:
    """Build the report of models, with every section that the log and the test allow.

    Parameters
    ----------
    models : mapping of str to RewardModel
        At least one model, by name.
    log, test : Log, Test or None
        What to report on.
    command : str or None
        Command that reproduces the page.
    seed : int
        Seed of intervals and samples.
    rows : int
        Largest number of rows read of the log, and of the test.
    say : callable
        Is called with a line of text as each part begins.

    Returns
    -------
    Page
        The report.

    Raises
    ------
    UsageError
        If there is no model.

    """
    if not models:
        raise UsageError("a report needs at least one model, and was given none")
    inputs = ReportInputs(models, log, test, seed, rows, say)
    names = ", ".join(models)
    title = f"Reward model {names}" if len(models) == 1 else f"Reward models {names}"
    inspection = None
    if log is not None:
        say("inspecting the log ...")
        inspection = inspect(log)
    serious = [] if inspection is None else inspection.findings
    warnings = [f.message for f in serious if f.severity in ("error", "warning")]
    sections = [first_section(inputs, warnings), fit_sections.summary(inputs)]
    if inspection is not None:
        sections.append(Section("The log", list(_findings(inspection, inputs))))
    contents = list(_contents(inputs))
    for k, (name, functions) in enumerate(contents, 1):
        say(f"[{k}/{len(contents)}] {name}")
        sections.append(Section(name, _blocks(inputs, *functions), folded=name in FOLDED))
    cards = "Model cards" if len(models) > 1 else "Model card"
    sections += [Section(cards, list(_cards(inputs)), folded=True)]
    sections += [Section("Reproduce", list(_reproduction(inputs, command)), folded=True)]
    return Page(title, _lead(inputs), sections)


def _contents(inputs: ReportInputs) -> Iterator[tuple[str, tuple[Blocks, ...]]]:
    """Titles of the sections, and the functions that build their blocks."""
    yield "Who reacts", (fit_sections.overlap,)
    yield "Noise in the feedback", (fit_sections.noise, fit_sections.other_nuisances)
    if inputs.test is not None:
        yield "On clean responses", (quality_sections.on_test,)
    if inputs.log is not None and "gold" in inputs.log.columns:
        yield "Audit on the log", (quality_sections.on_gold,)
    if inputs.test is not None or (inputs.log is not None and "gold" in inputs.log.columns):
        yield "Calibration", (quality_sections.calibration,)
    if inputs.test is not None and "rating" in inputs.test.columns:
        yield "Scores by rating", (quality_sections.recovered,)
    if inputs.log is not None:
        yield "Sensitivity to who reacts", (_sensitivity,)
        yield "Bounds whoever reacts", (bounds_sections.whoever_reacts,)
        yield "Scores", (response_sections.score_distribution,)
        if len(inputs.models) > 1:
            yield "Where the models differ", (response_sections.agreement,)
        else:
            yield "Best and worst responses", (response_sections.best_and_worst,)


def _blocks(inputs: ReportInputs, *functions: Blocks) -> list[Block]:
    """The blocks of a section; the reason where they cannot be built."""
    blocks: list[Block] = []
    for function in functions:
        try:
            blocks += function(inputs)
        except TruewardError as e:
            blocks.append(Prose(f"Not available: {e}."))
    return blocks


def _lead(inputs: ReportInputs) -> str:
    """The first paragraph: what the report reads."""
    what = ["the fit"]
    what += [] if inputs.log is None else [f"{len(inputs.log):,} logged responses"]
    what += [] if inputs.test is None else [f"{len(inputs.test):,} clean responses"]
    lacking = (
        []
        if inputs.log is not None
        else ["No log was given, so sections on its responses are missing."]
    )
    lacking += [] if inputs.test is not None else ["No clean test was given."]
    return " ".join([f"From {', '.join(what)}.", *lacking, *inputs.sampled])


def _findings(inspection: Inspection, inputs: ReportInputs) -> Iterator[Block]:
    yield Prose(" ".join(str(inspection).partition("\n\n")[0].split()) + ".")
    rows = [
        [
            f.severity,
            f.name.replace("_", " "),
            f.message + (f" (rows {at})" if (at := _rows(f.examples)) else ""),
        ]
        for f in inspection.findings
    ]
    if rows:
        head = ["severity", "finding", "message"]
        yield Table("Findings, worst first", head, rows, frozenset(range(3)))
    else:
        yield Prose("The inspection found nothing to report.")
    for name, m in inputs.models.items():
        missing = inspection.unsupported.get(m.method)
        if missing:
            yield Prose(
                f"This log does not support {m.method}, the method of {name}: it needs {missing}."
            )


def _rows(examples: Sequence[int | str]) -> str:
    """Row numbers; names are left out, because they may identify users."""
    return ", ".join(str(e) for e in examples if isinstance(e, int))


def _sensitivity(inputs: ReportInputs) -> Iterator[Block]:
    results = {name: inputs.sensitivity(name) for name in inputs.models}
    yield Prose(
        "The odds that an unrated response is good are assumed to be the model's, divided by the odds ratio "
        "of reacting, good against bad. At 1 the result is the model's own."
    )
    drawn = [(name, s) for name, s in results.items() if s.odds]
    if drawn:
        one = len(drawn) == 1
        shown = [("mean P(preferred)", drawn[0][1])] if one else drawn
        points = [
            {
                "model": name,
                "odds ratio": m.at,
                "mean P": m.mean,
                "rank": m.rank,
                "pairs kept": m.kept,
            }
            for name, s in drawn
            for m in s.odds
        ]
        yield figure(
            odds_ratio_curves,
            shown,
            caption="Conclusions along the odds ratio of reacting",
            table=rows_as_table(points, "Conclusions along the odds ratio"),
            kept=one,
        )
    texts = [block for name, s in results.items() for block in (Prose(f"{name}:"), Code(str(s)))]
    yield Folded("All numbers, with other noise rates and gold labels", texts)


def _cards(inputs: ReportInputs) -> Iterator[Block]:
    for text in dict.fromkeys(m.card for m in inputs.models.values()):
        yield Markdown(text)


def _reproduction(inputs: ReportInputs, command: str | None) -> Iterator[Block]:
    for name, m in inputs.models.items():
        fit_command = m.report.get("command")
        yield Prose(f"The model {name}:")
        yield Code(fit_command or "fitted from Python, which records no command")
    if command:
        yield Prose("This page:")
        yield Code(command)
    rows = [
        [name, m.report["data"], ", ".join(f"{k} {v}" for k, v in settings(m.estimator).items())]
        for name, m in inputs.models.items()
    ]
    yield Table(
        "Digest of the training rows, and options",
        ["model", "rows", "options"],
        rows,
        frozenset({0, 1, 2}),
    )
    if inputs.log is not None:
        yield Prose(f"SHA-256 of the log's content: {inputs.log.fingerprint}.")
