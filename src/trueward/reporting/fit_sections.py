"""Sections on the fits: rows, warnings, propensities, noise rates and other nuisances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.weighted import effective_size
from trueward.evaluation.plotting import intervals, lines

from .charts import cell_text, distribution, figure
from .page import Callout, Folded, Prose, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.model.reward_model import RewardModel

    from .inputs import ReportInputs
    from .page import Block

COUNTS = frozenset({"folds", "rows"})
SHOWN = {  # figures of nuisances that other sections show
    "flip_rates": frozenset({"rho_01", "rho_10"}),
    "propensity": COUNTS
    | {"rated", "effective_sample_size", "largest_weight", "low", "clipped", "clipped_rated"},
}
RATE_SOURCES = {  # source of a noise rate -> the rest of "the rate is ..."
    "given": "given, not estimated",
    "gold": "estimated from the gold labels on rated responses",
    "levels": "estimated from where P(thumb up) levels off as the proxy gets surer",
    "extremes": "read off the extremes of the proxy, as published",
}


def summary(inputs: ReportInputs) -> Section:
    """Build the section on the fits: one row a model, and the assumptions of the methods.

    Parameters
    ----------
    inputs : ReportInputs
        Models, log and test of the report.

    Returns
    -------
    Section
        A table and sentences.

    """
    head = ["model", "method", "fitted on", "with feedback", "calibrated"]
    rows = [[name, m.method, *_counts(m)] for name, m in inputs.models.items()]
    blocks: list[Block] = [Table("Models and their rows", head, rows, frozenset({0, 1, 4}))]
    methods = dict.fromkeys(m.estimator for m in inputs.models.values())
    blocks += [Prose(f"Assumption of {method.name}: {method.assumption}.") for method in methods]
    for name, m in inputs.models.items():
        blocks += [Prose(f"{name}: {sentence}") for sentence in m.report.get("reasons", ())]
    return Section("What was fitted", blocks)


def _counts(m: RewardModel) -> list[str]:
    rows, rated = m.report["rows"], m.report["rated"]
    fitted = m.report.get("calibration")
    calibration = f"by {fitted['kind']} on {fitted['gold']} labels" if fitted else "no"
    return [f"{rows['train']:,} rows", f"{rated['train']:,}", calibration]


def overlap(inputs: ReportInputs) -> Iterator[Block]:
    """Yield propensities p = P(feedback given the text), with and without feedback, and the weights 1 / p.

    Parameters
    ----------
    inputs : ReportInputs
        Models, log and test of the report.

    Yields
    ------
    Block
        Figures, tables and sentences on the propensities.

    Raises
    ------
    TruewardError
        If a model cannot read text.

    """
    yield Prose(
        "Methods that weight by 1 / p need p = P(feedback given the text) to be right and above 0. Where p "
        "is near 0 for a kind of response, the log has no information on what users think of it."
    )
    if inputs.log is not None:
        yield from _propensities(inputs)
    fitted = {
        name: report
        for name, m in inputs.models.items()
        if "effective_sample_size" in (report := m.report["nuisances"].get("propensity", {}))
    }
    if not fitted:
        yield Prose(f"No propensity was fitted for {' or '.join(inputs.models)}.")
        return
    head = [
        "model",
        "rated rows",
        "effective rows",
        "largest weight",
        "p clipped at",
        "rows clipped",
    ]
    rows = [
        [
            name,
            f"{a['rated']:,}",
            f"{a['effective_sample_size']:,.0f}",
            f"{a['largest_weight']:.1f}",
            f"{a['low']:g}",
            f"{a['clipped']:,}",
        ]
        for name, a in fitted.items()
    ]
    yield Table("Weights of the fits; effective rows: (sum w)^2 / sum w^2", head, rows)
    yield from _propensity_calibration(fitted)


def _propensity_calibration(fitted: dict[str, dict[str, Any]]) -> Iterator[Block]:
    """Predicted p against the observed share of feedback, out of fold."""
    points = [
        {"predicted p": b["predicted"], "observed": b["observed"], "series": name}
        for name, report in fitted.items()
        for b in report.get("calibration_bins", ())
    ]
    if points:
        yield figure(
            lines,
            points,
            "predicted p",
            "observed",
            caption="Propensities of the fits against the observed share of feedback, out of fold",
        )


def _propensities(inputs: ReportInputs) -> Iterator[Block]:
    data = inputs.data(next(iter(inputs.models)))
    if data.o is None or "responds" not in data.eta:
        yield Prose(
            "A log of clicks does not show who read a response without reacting, so it has no propensity."
        )
        return
    p, o = data.eta.responds.double().numpy(), data.o.numpy() > 0
    if o.all():
        yield Prose("Every response has feedback, so the log does not show who reacts.")
        return
    represents = inputs.weight
    each = np.ones(len(p)) if represents is None else represents
    yield distribution(
        {"with feedback": p[o], "without": p[~o]},
        "p = P(feedback given prompt and response)",
        "P(feedback given the text), out of fold, of responses with and without feedback",
        "Quantiles of P(feedback given the text)",
        None if represents is None else {"with feedback": each[o], "without": each[~o]},
    )
    yield Prose(
        f"Weighted by 1 / p, the {o.sum():,} responses with feedback have an effective sample size of "
        f"{effective_size(each[o] / p[o].clip(1e-6)):,.0f}."
    )


def noise(inputs: ReportInputs) -> Iterator[Block]:
    """Yield the noise rates of the feedback: estimated, given as options, or assumed to be 0.

    Parameters
    ----------
    inputs : ReportInputs
        Models, log and test of the report.

    Yields
    ------
    Block
        Sentences, and a figure of the estimated rates with their intervals.

    """
    rows = []
    for name, m in inputs.models.items():
        rates = m.report["nuisances"].get("flip_rates", {})
        for rate, what in (
            ("rho_01", "P(rated bad given good)"),
            ("rho_10", "P(rated good given bad)"),
        ):
            if rate in rates:
                rows.append({"name": what, "series": name, **rates[rate]})
                if outside := outside_interval(rate, what, rates[rate]):
                    yield Callout(f"{name}: {outside}")
                if (source := RATE_SOURCES.get(rates[rate].get("source"))) is not None:
                    yield Prose(f"{name}: {rate}, {what}, is {source}.")
            elif (given := getattr(m.estimator, rate, None)) is not None:
                yield Prose(f"{name} was fitted with {rate} = {given:g}, {what}.")
    without = [
        name
        for name, m in inputs.models.items()
        if "flip_rates" not in m.report["nuisances"] and not getattr(m.estimator, "rho_01", None)
    ]
    if without:
        yield Prose(f"No noise rates were estimated for {' or '.join(without)}.")
    if rows:
        yield figure(
            intervals, rows, "rate", caption="Estimated noise rates with their 95 % intervals"
        )


def outside_interval(rate: str, what: str, found: dict[str, Any]) -> str:
    """Explain a noise rate outside of its interval; empty where it lies inside, or has none.

    Parameters
    ----------
    rate, what : str
        Name of the rate, and what it is the probability of.
    found : dict
        ``value``, ``low``, ``high`` and ``source`` of the record of the fit.

    Returns
    -------
    str
        Sentences.

    """
    value, low, high = (found.get(k) for k in ("value", "low", "high"))
    if value is None or low is None or high is None or low <= value <= high:
        return ""
    near = low if value < low else high
    if value == 0:
        why = "It was set to 0, because this log does not determine it; the interval is of the estimate"
    elif found.get("source") == "extremes":
        why = (
            "It is an extreme of the proxy; the interval is of the ratings of the surest responses"
        )
    else:
        why = "The interval is of the ratings of the surest responses, which disagree with the rate"
    return (
        f"the rate {rate}, {what}, is {value:.3f} and lies outside of its interval {low:.3f} to {high:.3f}. "
        f"{why}. Compare a fit with -o {rate}={near:.2f}"
    )


def other_nuisances(inputs: ReportInputs) -> Iterator[Block]:
    """Yield a table of all other figures of the nuisances.

    Parameters
    ----------
    inputs : ReportInputs
        Models, log and test of the report.

    Yields
    ------
    Block
        The table, or a sentence where there are no other figures.

    """
    rows = []
    for name, m in inputs.models.items():
        for what, figures in m.report["nuisances"].items():
            left = {k: v for k, v in figures.items() if k not in SHOWN.get(what, COUNTS)}
            rows += [[name, what, *cells] for cells in _figures(left)]
    if rows:
        head = ["model", "nuisance", "figure", "value", "low", "high"]
        table = Table("Other estimated nuisances", head, rows, frozenset({0, 1, 2}))
        yield Folded(f"{len(rows)} other figures of the nuisances", [table])
    else:
        yield Prose("The fits estimated no other nuisances.")


def _figures(report: dict[str, Any]) -> Iterator[list[str]]:
    for k, v in report.items():
        label = k.replace("_", " ")
        if isinstance(v, dict) and "value" in v:
            yield [label, *(cell_text(v[end]) for end in ("value", "low", "high"))]
        elif isinstance(v, dict):
            yield from ([f"{label} {part}", cell_text(n), "", ""] for part, n in v.items())
        elif isinstance(v, int | float) and not isinstance(v, bool):
            yield [label, f"{v:,.4g}", "", ""]
