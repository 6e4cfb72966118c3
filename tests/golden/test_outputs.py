"""What the other commands say in numbers stays what it was: streams of random numbers, too."""

import pytest
from golden import outputs
from golden.world import differences, read

SAID, WORLDS, ROWS = (read(f"outputs_{k}.json") for k in ("commands", "worlds", "training"))
# Scores on texts rest on features rounded to float16; on one machine the numbers are equal.
CLOSE = {"atol": 5e-3, "rtol": 5e-3}


@pytest.fixture
def place(tmp_path):
    outputs.inputs(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", SAID)
def test_a_command_says_the_same_numbers(name, place):
    wrong = differences(outputs.said(name, place), SAID[name], **CLOSE)
    assert not wrong, "\n".join(wrong[:10])


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_is_simulated_the_same(name, place):
    wrong = differences(outputs.simulated(name, place), WORLDS[name], atol=1e-6, rtol=1e-6)
    assert not wrong, "\n".join(wrong[:10])


@pytest.mark.parametrize("kind", ROWS)
def test_rows_for_another_trainer_are_the_same(kind, place):
    wrong = differences(outputs.training_rows(kind, place), ROWS[kind], **CLOSE)
    assert not wrong, "\n".join(wrong[:10])
