"""Odd files and odd words: an exit code and a sentence, no traceback, nothing half-written.

The same few cases at every run; `make fuzz` draws 10,000 with a seed of its own.
"""

import pytest
from fuzz.cases import KINDS, judged
from fuzz.run import BATCH, after, plan
from hypothesis import HealthCheck, Phase, given, settings

FEW = {"exports": 1, "backbones": 1, "benchmark folders": 1, "logs": 6, "imports": 6}


def count(kind):
    """Number of inputs of a kind in every run."""
    return FEW.get(kind, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_every_input_ends_in_an_exit_code_and_a_sentence(kind):
    @settings(
        max_examples=count(kind),
        derandomize=True,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(KINDS[kind][0])
    def one(case):
        wrong = judged(case)
        assert not wrong, f"{case.words}: {wrong}"

    one()


def test_a_run_goes_on_where_it_was_ended():
    whole = plan(900, 5)
    rest, passed = after(whole, 450)
    assert plan(900, 5) == whole
    assert rest == whole[len(whole) - len(rest) :]
    assert passed == 900 - sum(count for _, _, count in rest)
    assert 450 <= passed < 450 + BATCH
