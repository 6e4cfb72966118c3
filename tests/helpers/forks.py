"""Python processes that start in a moment, forked from one that has imported torch and transformers.

As a fresh interpreter for what trueward does; not for how it starts (imports, finalisation).
"""

import io
import multiprocessing
import os
import runpy
import signal
import socket
import sys
import time

from helpers.clocks import Clock, family, memory

FORKS = multiprocessing.get_context("forkserver")
# not polars or trueward: the threads of polars do not survive a fork
FORKS.set_forkserver_preload(
    ["torch", "transformers", "peft", "accelerate", "sklearn.linear_model"]
)


class Fork:
    """A running process; its output goes to two files, its time is that of a `Clock`."""

    def __init__(self, script, arguments, output, environment=None):
        output.mkdir(parents=True, exist_ok=True)
        self.files = [output / "stdout", output / "stderr"]
        command = [str(word) for word in (script, *arguments)]
        self.process = FORKS.Process(
            target=_run, args=(command, self.files, environment or dict(os.environ))
        )
        for file in self.files:
            file.write_bytes(b"")  # of an earlier process, too
        self.process.start()
        self.clock, self.memory = Clock(self.process.pid), 0

    def wait_for_lines(self, count):
        """Wait until the process has written so many lines."""
        while self.files[0].read_bytes().count(b"\n") < count:
            assert self.process.is_alive(), "a process ended before it had written its lines"
            time.sleep(0.001)

    def kill(self):
        self.process.kill()
        self.process.join()
        assert self.process.exitcode == -signal.SIGKILL, "a process ended before it was killed"

    def end(self, timeout=300):
        """Wait at most so many seconds of its clock; give its exit code, output and errors."""
        ends = self.clock.seconds() + timeout
        while self.process.is_alive() and self.clock.seconds() < ends:
            self.process.join(0.1)
            self.memory = max(self.memory, memory(self.process.pid))
        if self.process.is_alive():
            for pid in reversed(family(self.process.pid)):
                os.kill(pid, signal.SIGKILL)
            self.process.join()
            raise AssertionError(f"a process did not end within {timeout:.0f} s")
        return self.process.exitcode, *(file.read_text("utf-8") for file in self.files)


def fork(script, arguments, output, environment=None):
    """Run a script to its end; give its exit code, output and errors."""
    return Fork(script, arguments, output, environment).end()


def as_launched(count, script, arguments, output):
    """Run a script in ``count`` processes, as a launcher starts them; give what `fork` does, of each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    team = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    forks = [
        Fork(
            script,
            arguments,
            output / str(rank),
            os.environ | team | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(count)
    ]
    return [process.end() for process in forks]


def _run(command, files, environment):
    for descriptor, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.stdout, sys.stderr = (io.TextIOWrapper(os.fdopen(i, "wb"), "utf-8") for i in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")
