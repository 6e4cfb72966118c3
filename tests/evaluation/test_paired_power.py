"""Power of a paired comparison: by hand, by published tables and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from trueward.core.errors import UsageError
from trueward.evaluation.paired_power import paired_power, runs_needed, smallest_difference


@pytest.mark.parametrize(("effect", "runs"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_runs_needed_are_those_of_the_tables(effect, runs):
    # paired t-test, two-sided .05, power .8 (Cohen 1988; G*Power)
    assert runs_needed(1.0, effect) == runs
    assert runs_needed(0.1, -0.1 * effect) == runs  # unit and sign do not matter


def test_many_runs_follow_the_normal_approximation():
    by_hand = (1.959964 + 0.841621) ** 2 * 0.19**2 / 0.01**2  # 2833.4
    assert runs_needed(0.19, 0.01) == pytest.approx(by_hand, abs=3)


def test_two_runs_by_hand():
    # one degree of freedom: t = tan(.475 pi) = 12.706, and under no difference P(|T| > t) = .05
    assert paired_power(1.0, 0.0, 2) == pytest.approx(0.05, abs=1e-9)
    assert math.tan(0.475 * math.pi) == pytest.approx(12.706, abs=1e-3)
    # D = mean, s = |d1 - d2| / sqrt 2; |mean| sqrt 2 / s > t, with d = 1 + N(0, 1): by integration over z2
    z = np.linspace(-8, 8, 4001)
    t = math.tan(0.475 * math.pi)
    tail = stats.norm.sf(t * np.abs(z) - math.sqrt(2)) + stats.norm.cdf(
        -t * np.abs(z) - math.sqrt(2)
    )
    expected = np.trapezoid(tail * stats.norm.pdf(z), z)
    assert paired_power(1.0, 1.0, 2) == pytest.approx(expected, abs=1e-4)


def test_the_smallest_difference_has_the_power_that_was_asked_for():
    found = smallest_difference(0.19, 6)
    assert found == pytest.approx(0.2726, abs=1e-4)
    assert paired_power(0.19, found, 6) == pytest.approx(0.8, abs=1e-6)
    assert smallest_difference(0.19, 6, power=0.9) > found > smallest_difference(0.19, 7)


def test_one_run_fewer_has_less_than_the_power():
    runs = runs_needed(0.3, 0.2, power=0.9, level=0.01)
    assert paired_power(0.3, 0.2, runs, level=0.01) >= 0.9
    assert paired_power(0.3, 0.2, runs - 1, level=0.01) < 0.9


def test_a_very_clear_difference_has_power_one():
    assert paired_power(0.001, 1.0, 20) == 1.0
    assert runs_needed(1e-6, 1.0) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_power(0.0, 0.1, 6), "standard deviation is a finite number above 0"),
        (lambda: paired_power(float("nan"), 0.1, 6), "standard deviation"),
        (lambda: paired_power(1.0, 0.1, 1), "2 runs or more, found 1"),
        (lambda: paired_power(1.0, float("inf"), 6), "finite number"),
        (lambda: smallest_difference(1.0, 6, power=0.04), "between the level"),
        (lambda: smallest_difference(1.0, 6, level=1.5), "level lies between 0 and 1"),
        (lambda: runs_needed(1.0, 0.0), "other than 0"),
        (lambda: runs_needed(1.0, 1e-6), "more than 10,000,000 runs"),
    ],
)
def test_wrong_input_says_what_is_expected(call, message):
    with pytest.raises(UsageError, match=message):
        call()
