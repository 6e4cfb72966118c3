"""How the models were made: rows, warnings, who reacts, noise rates, and what else was estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.plotting import lines, spans

from .charts import distribution, figure, written
from .page import Prose, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.model.reward_model import RewardModel

    from .page import Block
    from .seen import Seen

COUNTS = frozenset({"folds", "rows"})
TOLD = {  # elsewhere on the page
    "flip_rates": frozenset({"rho_01", "rho_10"}),
    "propensity": COUNTS
    | {"rated", "effective_sample_size", "largest_weight", "low", "clipped", "clipped_rated"},
}


def in_short(seen: Seen) -> Section:
    """One row a model, and what the fits warned of."""
    head = ["model", "method", "fitted on", "with feedback", "calibrated"]
    rows = [[name, m.method, *_counts(m)] for name, m in seen.models.items()]
    blocks: list[Block] = [Table("What was fitted", head, rows, frozenset({0, 1, 4}))]
    methods = dict.fromkeys(m.estimator for m in seen.models.values())
    blocks += [Prose(f"{made.name} is right when {made.assumption}.") for made in methods]
    for name, m in seen.models.items():
        blocks += [Prose(f"{name}: {sentence}") for sentence in m.report.get("reasons", ())]
        blocks += [Prose(f"Warning of the fit of {name}: {w}.") for w in m.report["warnings"]]
    return Section("In short", blocks)


def _counts(m: RewardModel) -> list[str]:
    rows, rated = m.report["rows"], m.report["rated"]
    known = m.report.get("calibration")
    about = f"by {known['kind']} on {known['gold']} labels" if known else "no"
    return [f"{rows['train']:,} rows", f"{rated['train']:,}", about]


def overlap(seen: Seen) -> Iterator[Block]:
    """Who reacts: the chance of feedback given the text, of the responses with and without it."""
    yield Prose(
        "Weights of 1 / p stand or fall with the chance p that a response gets feedback. Where p is near 0 "
        "for a kind of response, no method can say what users think of it."
    )
    if seen.log is not None:
        yield from _chances(seen)
    found = {
        name: about
        for name, m in seen.models.items()
        if "effective_sample_size" in (about := m.report["nuisances"].get("propensity", {}))
    }
    if not found:
        yield Prose(f"No propensity was fitted for {' or '.join(seen.models)}.")
        return
    head = ["model", "rated rows", "effective", "largest weight", "p raised to", "rows so raised"]
    rows = [
        [
            name,
            f"{a['rated']:,}",
            f"{a['effective_sample_size']:,.0f}",
            f"{a['largest_weight']:.1f}",
            f"{a['low']:g}",
            f"{a['clipped']:,}",
        ]
        for name, a in found.items()
    ]
    yield Table("Weights of the fits: effective sample (sum w)^2 / sum w^2", head, rows)
    yield from _promised(found)


def _promised(found: dict[str, dict[str, Any]]) -> Iterator[Block]:
    """Predicted against observed chance of feedback, out of fold."""
    points = [
        {"predicted p": b["predicted"], "observed": b["observed"], "series": name}
        for name, about in found.items()
        for b in about.get("calibration_bins", ())
    ]
    if points:
        yield figure(
            lines,
            points,
            "predicted p",
            "observed",
            caption="Propensities of the fits against the share that got feedback, out of fold",
        )


def _chances(seen: Seen) -> Iterator[Block]:
    data = seen.data(next(iter(seen.models)))
    if data.o is None or "responds" not in data.eta:
        yield Prose(
            "A log of clicks does not say who looked and stayed silent, so it has no chance of feedback."
        )
        return
    p, o = data.eta.responds.double().numpy(), data.o.numpy() > 0
    if o.all():
        yield Prose("Every response has feedback, so there is nothing to say of who reacts.")
        return
    w = 1 / p[o].clip(1e-6)
    yield distribution(
        {"with feedback": p[o], "without": p[~o]},
        "p, chance of feedback given prompt and response",
        "Chance of feedback given the text, out of fold, of responses with and without feedback",
        "Quantiles of the chance of feedback",
    )
    yield Prose(
        f"Weighted by 1 / p, {o.sum():,} responses with feedback count as {w.sum() ** 2 / (w**2).sum():,.0f}."
    )


def noise(seen: Seen) -> Iterator[Block]:
    """How often feedback says the opposite of what is meant: estimated, given, or taken to be never."""
    rows = []
    for name, m in seen.models.items():
        own = m.report["nuisances"].get("flip_rates", {})
        for rate, what in (
            ("rho_01", "good, and feedback says bad"),
            ("rho_10", "bad, and feedback says good"),
        ):
            if rate in own:
                rows.append({"name": what, "series": name, **own[rate]})
            elif (given := getattr(m.estimator, rate, None)) is not None:
                yield Prose(f"{name} was given {rate} = {given:g} ({what}).")
    silent = [
        name
        for name, m in seen.models.items()
        if "flip_rates" not in m.report["nuisances"] and not getattr(m.estimator, "rho_01", None)
    ]
    if silent:
        yield Prose(f"No noise rates were estimated for {' or '.join(silent)}.")
    if rows:
        yield figure(spans, rows, "rate", caption="Estimated noise rates with their 95 % intervals")


def estimated(seen: Seen) -> Iterator[Block]:
    """Every other figure that a fit found on the way."""
    rows = []
    for name, m in seen.models.items():
        for what, about in m.report["nuisances"].items():
            left = {k: v for k, v in about.items() if k not in TOLD.get(what, COUNTS)}
            rows += [[name, what, *cells] for cells in _figures(left)]
    if rows:
        head = ["model", "estimated", "figure", "value", "low", "high"]
        yield Table("What else was estimated", head, rows, frozenset({0, 1, 2}))
    else:
        yield Prose("Nothing else was estimated.")


def _figures(about: dict[str, Any]) -> Iterator[list[str]]:
    for k, v in about.items():
        label = k.replace("_", " ")
        if isinstance(v, dict) and "value" in v:
            yield [label, *(written(v[end]) for end in ("value", "low", "high"))]
        elif isinstance(v, dict):
            yield from ([f"{label} {part}", written(n), "", ""] for part, n in v.items())
        elif isinstance(v, int | float) and not isinstance(v, bool):
            yield [label, f"{v:,.4g}", "", ""]
