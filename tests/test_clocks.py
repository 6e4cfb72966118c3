"""The clock of the batteries: it stands still while a process waits for a processor, and not in a hang."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import clocks
from helpers.clocks import Clock, family

BUSY = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); print(flush=True)\nwhile True: pass"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A clock on the wall, and threads of processes that have waited so many seconds, set by hand."""

    class Machine:
        now = 100.0

        def threads(self, pid, waited, children=()):
            for number, seconds in waited.items():
                task = tmp_path / str(pid) / "task" / str(number)
                task.mkdir(parents=True, exist_ok=True)
                (task / "schedstat").write_text(f"1000 {int(seconds * 1e9)} 7\n")
                (task / "children").write_text(" ".join(map(str, children)))

    monkeypatch.setattr(clocks, "PROC", tmp_path)
    machine = Machine()
    monkeypatch.setattr(clocks.time, "monotonic", lambda: machine.now)
    return machine


def test_time_in_the_queue_for_a_processor_does_not_count(machine):
    machine.threads(1, {1: 5.0})
    clock = Clock(1)
    machine.now += 10
    machine.threads(1, {1: 5.0 + 7})
    assert clock.seconds() == pytest.approx(3)
    machine.now += 4  # it sleeps, or it works
    assert clock.seconds() == pytest.approx(7)


def test_of_many_threads_the_longest_wait_counts_once(machine):
    # four busy threads on one processor wait three quarters of the time each: the clock goes on
    machine.threads(1, {1: 0, 2: 0, 3: 0, 4: 0})
    clock = Clock(1)
    machine.now += 80
    machine.threads(1, {1: 60, 2: 60, 3: 60, 4: 60})
    assert clock.seconds() == pytest.approx(20)


def test_the_processes_that_a_process_started_count_as_its_threads(machine):
    machine.threads(1, {1: 0}, children=[2])
    machine.threads(2, {2: 0}, children=[3])
    machine.threads(3, {3: 0})
    clock = Clock(1)
    machine.now += 10
    machine.threads(3, {3: 6})
    assert family(1) == [1, 2, 3]
    assert clock.seconds() == pytest.approx(4)


def test_without_the_kernels_figures_it_is_a_clock_on_the_wall(machine):
    clock = Clock(1)
    machine.now += 10
    assert clock.seconds() == pytest.approx(10)


@pytest.fixture
def started():
    """Start Python processes, which are killed in the end."""
    running = []

    def start(code, *words):
        running.append(subprocess.Popen([sys.executable, "-c", code, *words], stdout=-1))
        running[-1].stdout.readline()
        return running[-1].pid

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="this system counts no time in the queue"
)
def test_a_starved_process_has_a_slow_clock_and_one_that_hangs_has_not(started):
    cpu = str(max(os.sched_getaffinity(0)))
    starved, asleep = started(BUSY, cpu), started("print(flush=True); input()")
    os.setpriority(os.PRIO_PROCESS, starved, 19)  # beside an equal it gets 1.5 % of the processor
    started(BUSY, cpu)
    slow, true, began = Clock(starved), Clock(asleep), time.monotonic()
    time.sleep(0.4)
    took = time.monotonic() - began
    assert slow.seconds() < 0.5 * took
    assert true.seconds() > 0.9 * took
