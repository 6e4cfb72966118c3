"""Commands that are stopped lose nothing, leave nothing half-written, and go on when they are run again.

Two stops at every run; `make kill` makes 100, of every command, in every way, at random moments.
"""

import pytest
from kill.jobs import prepare
from kill.stops import Stop, Stopper

# command, how it is stopped, seconds after it began
STOPS = [
    ("import", "kill over an old result", 0.4),
    ("fit", "term", 0.5),
]


@pytest.fixture(scope="module")
def stopper(tmp_path_factory):
    place = tmp_path_factory.mktemp("kill")
    prepare(place / "inputs")
    return Stopper(place, place / "inputs")


@pytest.mark.parametrize(("job", "way", "share"), STOPS)
def test_a_stopped_command_loses_nothing_and_goes_on(stopper, job, way, share):
    stopper.seconds[job] = 1.0
    assert stopper.run(Stop(job, way, share)) == []
