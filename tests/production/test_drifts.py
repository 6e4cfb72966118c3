"""Four drifts in worlds where one thing changes, and by hand where the numbers can be counted."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit, ndtr

from trueward.core.clustering import clusters
from trueward.evaluation.prediction_powered import AuditRows
from trueward.production.monitoring.drift import NAMES, UNCHANGED
from trueward.production.monitoring.drifts import Comparison
from trueward.production.monitoring.gold_rows import gold_drift
from trueward.production.monitoring.looks import interval_level, window_lengths
from trueward.production.monitoring.monitor import TOLERANCE, compare
from trueward.production.monitoring.rows import MonitoredRows

FIRST, WEEKLY = 2000, 250
LEVEL = 1e-4  # about that of a look in the first year


def rows_of(rng, n, topic=0.0, react=1.0, better=0.0, taste=0.0):
    """Rows with z of the prompt, v of the response, P = sigma(v), and reactions that prefer good rows."""
    z = rng.normal(size=(n, 4)) + topic * np.array([1.0, 0, 0, 0])
    v = rng.normal(size=n) + 0.4 * z[:, 1] + better
    good = rng.random(n) < expit(v + taste)
    rated = rng.random(n) < react * np.where(good, 0.25, 0.15)
    return MonitoredRows(
        prompt=z,
        features=np.column_stack([z, v]),
        up=(rated & good) * 1.0,
        down=(rated & ~good) * 1.0,
        weight=np.ones(n),
        group=np.arange(n),
        p=expit(v),
    )


def together(*parts):
    names = [f.name for f in dataclasses.fields(MonitoredRows)]
    columns = {k: [getattr(p, k) for p in parts] for k in names}
    columns["group"] = [np.arange(sum(map(len, parts)))]
    return MonitoredRows(
        **{k: None if v[0] is None else np.concatenate(v) for k, v in columns.items()}
    )


def drifts(reference, live, level=LEVEL):
    rows = together(reference, live)
    units = clusters(len(rows), group=rows.group)
    window = np.arange(len(reference), len(rows))
    return Comparison(rows, len(reference), units, TOLERANCE).drifts(window, level)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({}, None),
        ({"topic": 0.6}, "traffic"),
        ({"react": 1.5}, "behaviour"),
        ({"better": 0.5}, "quality"),
        ({"taste": -1.0}, "calibration"),
    ],
)
def test_the_drift_that_happened_is_the_one_that_is_detected(changed, named):
    rng = np.random.default_rng(1)
    found = drifts(rows_of(rng, 3000), rows_of(rng, 4000, **changed))
    assert [k for k in NAMES if found[k].detected] == ([named] if named else [])


def test_the_size_of_each_drift_is_that_of_the_world():
    rng = np.random.default_rng(2)
    reference = rows_of(rng, 20_000)
    shifted = drifts(reference, rows_of(rng, 20_000, topic=0.6))["traffic"]
    assert shifted.value == pytest.approx(ndtr(0.6 / np.sqrt(2)), abs=0.01)
    assert shifted.low < ndtr(0.6 / np.sqrt(2)) < shifted.high
    twice = drifts(reference, rows_of(rng, 20_000, react=2.0))["behaviour"]
    assert twice.low < 2 < twice.high
    v = rng.normal(size=10**6) * np.sqrt(1.16)
    better = drifts(reference, rows_of(rng, 20_000, better=0.5))["quality"]
    assert better.low < float((expit(v + 0.5) - expit(v)).mean()) < better.high
    taste = drifts(reference, rows_of(rng, 20_000, taste=-1.0))
    assert (
        taste["calibration"].low
        < float((expit(v - 1) - expit(v)).mean())
        < taste["calibration"].high
    )
    assert not taste["behaviour"].fires


def counted(up, down, silent, p):
    """Rows without differences but their ratings."""
    n = up + down + silent
    return MonitoredRows(
        prompt=np.zeros((n, 1)),
        features=np.zeros((n, 1)),
        up=np.repeat([1.0, 0, 0], [up, down, silent]),
        down=np.repeat([0.0, 1, 0], [up, down, silent]),
        weight=np.ones(n),
        group=np.arange(n),
        p=np.full(n, p),
    )


def test_behaviour_and_calibration_are_ratios_of_counts():
    same = drifts(counted(200, 100, 700, 2 / 3), counted(40, 20, 40, 2 / 3))
    assert same["behaviour"].value == pytest.approx(2.0, rel=1e-4)  # 60 % react, and 30 % did
    assert same["calibration"].value == pytest.approx(0.0, abs=1e-5)  # the prior of the intercept


def test_more_good_ratings_through_selection_on_quality_are_no_change_of_behaviour():
    # half are good and good ones are rated twice as often: 20 % and 10 %; then 80 % of the answers are good
    then = drifts(counted(200, 100, 1700, 0.5), counted(160, 20, 820, 0.5))
    assert then["behaviour"].value == pytest.approx(1.0, rel=1e-3)
    assert then["calibration"].value == pytest.approx(0.3, abs=1e-3)


def test_what_cannot_be_told_says_why():
    few = drifts(counted(200, 100, 700, 0.6), counted(3, 2, 95, 0.6))
    assert "5 effective prompts or users with ratings, and 10 are needed" in few["behaviour"].reason
    rng = np.random.default_rng(3)
    clicks = [dataclasses.replace(rows_of(rng, 1000), down=None) for _ in range(2)]
    found = drifts(*clicks)
    assert found["behaviour"].low < 1 < found["behaviour"].high
    assert "negative ratings" in found["calibration"].reason
    bounded = [dataclasses.replace(rows_of(rng, 1000), p=None) for _ in range(2)]
    assert "only an interval" in drifts(*bounded)["quality"].reason


def test_gold_labels_measure_how_far_the_truth_is_from_p():
    rng = np.random.default_rng(10)
    n = 4000
    p = rng.uniform(0.2, 0.8, n)
    r = (rng.random(n) < p - 0.15) * 1.0
    gold = np.where(rng.random(n) < 0.2, r, np.nan)
    rows = AuditRows(p, p, gold, p - 0.1, np.arange(n))
    found = gold_drift(rows, np.arange(1000, 4000), LEVEL, 0.05)
    assert found.source == "gold"
    assert found.low < -0.15 < found.high < 0
    few = gold_drift(rows, np.arange(20), LEVEL, 0.05)
    assert "gold labels, and 10 are needed" in few.reason
    assert gold_drift("all of one class", np.arange(20), LEVEL, 0.05).reason == "all of one class"


def test_users_who_come_back_widen_the_intervals():
    rng = np.random.default_rng(4)
    rows = together(rows_of(rng, 2000), rows_of(rng, 1000))
    user = np.r_[rng.integers(0, 200, 2000), rng.integers(0, 30, 1000)]
    window = np.arange(2000, 3000)
    found = [
        Comparison(rows, 2000, clusters(3000, group=rows.group, user=u), TOLERANCE).drifts(
            window, LEVEL
        )
        for u in (None, user)
    ]
    for name in ("behaviour", "calibration"):
        alone, shared = (f[name].high - f[name].low for f in found)
        assert shared > alone


def test_rows_count_by_their_weight():
    rng = np.random.default_rng(5)
    reference, live = rows_of(rng, 1000), rows_of(rng, 600)
    twice = np.where(np.arange(600) % 3, 1, 2)
    weighted = drifts(reference, dataclasses.replace(live, weight=twice.astype(float)))
    repeated = drifts(reference, live.take(np.repeat(np.arange(600), twice)))
    for name in NAMES[1:]:
        assert weighted[name].value == pytest.approx(repeated[name].value, abs=1e-9)


def weekly(rng, weeks, **later):
    """Number of the week of every row, and the rows with a change from week 5 on."""
    parts = [rows_of(rng, WEEKLY, **(later if week >= 5 else {})) for week in range(1, weeks + 1)]
    return np.repeat(np.arange(1, weeks + 1), WEEKLY), parts


def test_no_alarm_over_52_looks_without_a_drift():
    rng = np.random.default_rng(6)
    number, parts = weekly(rng, 52)
    names = [str(w) for w in range(1, 53)]
    periods = compare(
        together(rows_of(rng, FIRST), *parts), FIRST, number, names, alpha=0.05, tolerance=TOLERANCE
    )
    assert len(periods) == 52
    assert not [k for p in periods for k in NAMES if p.strongest[k].detected]


def test_a_drift_is_seen_soon_and_later_weeks_change_no_earlier_one():
    rng = np.random.default_rng(7)
    reference = rows_of(rng, FIRST)
    number, parts = weekly(rng, 9, react=2.0)
    names = [str(w) for w in range(1, 10)]
    settings = {"alpha": 0.05, "tolerance": TOLERANCE}
    whole = compare(together(reference, *parts), FIRST, number, names, **settings)
    part = compare(together(reference, *parts[:6]), FIRST, number[: 6 * WEEKLY], names, **settings)
    first = min(int(p.name) for p in whole if p.strongest["behaviour"].detected)
    assert 5 <= first <= 6
    assert whole[-1].strongest["behaviour"].fires
    assert whole[-1].strongest["behaviour"].since >= "5"
    for now, then in zip(whole, part, strict=False):
        for name in NAMES:
            assert now.strongest[name].value == pytest.approx(then.strongest[name].value)


def test_the_levels_of_all_looks_windows_and_drifts_sum_to_less_than_alpha():
    spent = sum(
        len(window_lengths(t)) * 4 * interval_level(t, 0.05, 4) for t in range(1, 52 * 30 + 1)
    )
    assert 0.0499999 < spent < 0.05
    assert interval_level(52, 0.05, 4) * 6 * 4 * 52 == pytest.approx(0.025)


def test_the_unchanged_values_lie_inside_of_the_ranges_of_the_drifts():
    found = drifts(*[rows_of(np.random.default_rng(s), 500) for s in (8, 9)])
    for name in NAMES:
        assert found[name].low <= UNCHANGED[name] <= found[name].high
