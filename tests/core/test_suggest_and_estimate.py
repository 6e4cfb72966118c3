"""One sentence about unknown names; one form of a number with its interval."""

from trueward.core.estimate import Estimate
from trueward.core.suggest import nearest, suggestion


def test_a_near_name_is_suggested_and_else_all_are_listed():
    known = {"naive": 1, "snips": 2}
    assert suggestion("niave", known) == "did you mean naive?"
    assert suggestion("qqq", known) == "choose one of naive, snips"
    assert suggestion(7, known) == "choose one of naive, snips"
    assert suggestion("x", iter(())) == "there are none"
    assert nearest("snps", iter(known)) == "snips"
    assert nearest("qqq", known) is None


def test_an_estimate_is_text_and_json_as_far_as_it_goes():
    assert str(Estimate(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"
    assert str(Estimate(0.5)) == "0.500"
    assert str(Estimate(None, reason="no rows")) == "-"
    assert Estimate(0.5, 0.25, 0.75).to_json() == {"value": 0.5, "low": 0.25, "high": 0.75}
    assert list(Estimate(None, reason="no rows").to_json()) == ["value", "low", "high", "reason"]


def test_the_estimate_of_an_evaluation_is_this_one():
    from trueward.evaluation import measure

    assert measure.Estimate is Estimate
