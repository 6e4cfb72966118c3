"""A clock that stands still while a process waits for a processor: a busy machine makes nothing look slow."""

import os
import time
from pathlib import Path

PROC = Path("/proc")


class Clock:
    """Seconds since it was made, without those that a process spent in the queue for a processor.

    Linux counts the nanoseconds that each thread could have run and had no processor
    (`/proc/PID/task/TID/schedstat`, second field). Between two readings the clock advances by the time that
    went by less the longest wait of any thread of the process or of its children: not the sum, in which
    many busy threads would hide that they never end. A process that sleeps waits for nothing, so the clock
    of one that hangs goes as fast as the one on the wall; so does the clock of systems without those files.
    """

    def __init__(self, pid=None):
        self._pid, self._seconds = os.getpid() if pid is None else pid, 0.0
        self._at, self._waits = time.monotonic(), waits(self._pid)

    def seconds(self):
        """Read the clock."""
        at, now = time.monotonic(), waits(self._pid)
        waited = max((wait - self._waits.get(k, 0.0) for k, wait in now.items()), default=0.0)
        self._seconds += max(at - self._at - waited, 0.0)
        self._at, self._waits = at, now
        return self._seconds


def waits(pid):
    """Thread -> seconds it has spent in the queue for a processor, of a process and its children."""
    found = {}
    for one in family(pid):
        for task in _within(PROC / str(one) / "task"):
            if fields := _text(task / "schedstat").split():
                found[task.name] = int(fields[1]) / 1e9
    return found


def memory(pid):
    """The most bytes that a process, or the largest of its children, has held at once."""
    peaks = [0]
    for one in family(pid):
        for line in _text(PROC / str(one) / "status").splitlines():
            if line.startswith("VmHWM:"):
                peaks.append(1024 * int(line.split()[1]))
    return max(peaks)


def family(pid):
    """A process and what it has started, and what that has."""
    pids = [pid]
    for one in pids:
        for task in _within(PROC / str(one) / "task"):
            pids += map(int, _text(task / "children").split())
    return pids


def _within(folder):
    try:
        return list(folder.iterdir())
    except OSError:  # the process has ended, or there is no /proc
        return []


def _text(path):
    try:
        return path.read_text()
    except OSError:
        return ""
