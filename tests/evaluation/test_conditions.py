"""Conditions of --fail-if."""

import pytest

from trueward.core.errors import TruewardError, UsageError
from trueward.core.estimate import Estimate
from trueward.evaluation.conditions import read_condition

FOUND = {"auroc": Estimate(0.58, 0.51, 0.65), "r2": Estimate(None, reason="all labels are equal")}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("auroc<0.6", True),
        ("auroc < 0.58", False),
        ("auroc<=0.58", True),
        ("auroc.low<0.5", False),
        ("auroc.high>0.6", True),
        ("auroc>=6e-1", False),
    ],
)
def test_an_estimate_or_an_end_of_its_interval_is_compared(text, holds):
    said = read_condition(text).holds(FOUND)
    assert (said is not None) == holds
    if said:
        assert said.endswith(f"--fail-if {read_condition(text)}")


@pytest.mark.parametrize(
    "text", ["", "auroc", "auroc=0.6", "auroc<", "auroc<x", "auroc<nan", "a b<1"]
)
def test_what_is_no_condition_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match=r"such as 'auroc<0\.6'"):
        read_condition(text)


def test_a_condition_that_cannot_be_checked_is_no_success():
    with pytest.raises(TruewardError, match=r"r2 has no value .all labels are equal"):
        read_condition("r2<0").holds(FOUND)
    with pytest.raises(TruewardError, match="brier has no interval"):
        read_condition("brier.low<0").holds({"brier": Estimate(0.2)})


def test_an_unknown_metric_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="auroc"):
        read_condition("aurok<0.5").holds(FOUND)
