"""The report of one fitted model, or of several beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError, UsageError
from trueward.estimation.method import settings
from trueward.inspection import inspect
from trueward.plotting import odds_ratio

from . import fit as _fit
from . import quality as _quality
from . import responses as _responses
from .charts import figure, tabled
from .page import Code, Page, Prose, Section, Table, Written
from .seen import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from trueward.data.log import Log, Test
    from trueward.inspection import Inspection
    from trueward.model.reward_model import RewardModel

    from .page import Block

    Blocks = Callable[[Seen], Iterable[Block]]


def of_models(
    models: Mapping[str, RewardModel],
    log: Log | None,
    test: Test | None,
    *,
    command: str | None,
    seed: int,
    rows: int,
    say: Callable[[str], None],
) -> Page:
    """Put together everything that the models, the log and the test can show."""
    if not models:
        raise UsageError("a report takes at least one model")
    seen = Seen(models, log, test, seed, rows, say)
    names = ", ".join(models)
    title = f"Reward model {names}" if len(models) == 1 else f"Reward models {names}"
    sections = [_fit.in_short(seen)]
    if log is not None:
        say("inspecting the log ...")
        found = inspect(log)
        sections.append(Section("The log", list(_findings(found, seen))))
    sections += [Section(title, _tried(seen, *makes)) for title, makes in _plan(seen)]
    sections += [Section("Model cards" if len(models) > 1 else "Model card", list(_cards(seen)))]
    sections += [Section("Get it again", list(_again(seen, command)))]
    return Page(title, _lead(seen), sections)


def _plan(seen: Seen) -> Iterator[tuple[str, tuple[Blocks, ...]]]:
    """Titles, and what fills the sections, of what there is to show."""
    yield "Who reacts", (_fit.overlap,)
    yield "Wrong feedback", (_fit.noise, _fit.estimated)
    if seen.test is not None:
        yield "On clean responses", (_quality.on_test,)
    if seen.log is not None and "gold" in seen.log.columns:
        yield "On the log, by its gold labels", (_quality.on_gold,)
    if seen.test is not None or (seen.log is not None and "gold" in seen.log.columns):
        yield "Calibration", (_quality.calibration,)
    if seen.test is not None and "rating" in seen.test.columns:
        yield "Recovered truth", (_quality.recovered,)
    if seen.log is not None:
        yield "Sensitivity to who reacts", (_sensitivity,)
        yield "Scores", (_responses.spread,)
        if len(seen.models) > 1:
            yield "Where the models differ", (_responses.agreement,)
        else:
            yield "Best and worst responses", (_responses.ends,)


def _tried(seen: Seen, *makes: Blocks) -> list[Block]:
    """The blocks of a section; a sentence where one cannot be had."""
    blocks: list[Block] = []
    for make in makes:
        try:
            blocks += make(seen)
        except TruewardError as e:
            blocks.append(Prose(f"Not to be had: {e}."))
    return blocks


def _lead(seen: Seen) -> str:
    """What the page is about."""
    what = ["the fit"]
    what += [] if seen.log is None else [f"{len(seen.log):,} logged responses"]
    what += [] if seen.test is None else [f"{len(seen.test):,} clean responses"]
    lacking = (
        [] if seen.log is not None else ["No log was given, so nothing is said of its responses."]
    )
    lacking += [] if seen.test is not None else ["No clean test was given."]
    return " ".join([f"From {', '.join(what)}.", *lacking, *seen.sampled])


def _findings(found: Inspection, seen: Seen) -> Iterator[Block]:
    yield Prose(str(found).partition("\n")[0] + ".")
    rows = [
        [f.severity, f.name.replace("_", " "), f.message, _rows(f.examples)] for f in found.findings
    ]
    if rows:
        head = ["", "finding", "what was found", "rows"]
        yield Table("Findings, worst first", head, rows, frozenset(range(4)))
    else:
        yield Prose("Nothing was found that needs a word.")
    for name, m in seen.models.items():
        missing = found.unsupported.get(m.method)
        if missing:
            yield Prose(
                f"This log does not support {m.method}, the method of {name}: it needs {missing}."
            )


def _rows(examples: Sequence[int | str]) -> str:
    """Row numbers; names are left out, for they may be those of users."""
    return ", ".join(str(e) for e in examples if isinstance(e, int))


def _sensitivity(seen: Seen) -> Iterator[Block]:
    found = {name: seen.sensitivity(name) for name in seen.models}
    yield Prose(
        "Of responses that nobody rated, the odds of being good are taken to be the model's, divided by the "
        "odds ratio, good against bad, of reacting. At 1 the model is taken at its word."
    )
    drawn = [(name, s) for name, s in found.items() if s.odds]
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
            odds_ratio,
            shown,
            caption="Conclusions along the odds ratio of reacting",
            table=tabled(points, "Conclusions along the odds ratio"),
            kept=one,
        )
    for name, s in found.items():
        yield Prose(f"{name}:")
        yield Code(str(s))


def _cards(seen: Seen) -> Iterator[Block]:
    for text in dict.fromkeys(m.card for m in seen.models.values()):
        yield Written(text)


def _again(seen: Seen, command: str | None) -> Iterator[Block]:
    for name, m in seen.models.items():
        made = m.report.get("command")
        yield Prose(f"{name}, the model:")
        yield Code(made or "fitted from the library, which keeps no command")
    if command:
        yield Prose("This page:")
        yield Code(command)
    rows = [
        [name, m.report["data"], ", ".join(f"{k} {v}" for k, v in settings(m.estimator).items())]
        for name, m in seen.models.items()
    ]
    yield Table(
        "Digest of the rows that were fitted, and options",
        ["model", "rows", "options"],
        rows,
        frozenset({0, 1, 2}),
    )
    if seen.log is not None:
        yield Prose(f"SHA-256 of the log's content: {seen.log.fingerprint}.")
