"""One command stopped in one way: what must hold after, and after the same command is run again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from helpers.forks import Fork
from kill.jobs import JOBS, scratch, whole

TARGET = Path(__file__).with_name("target.py")
WAYS = (
    "kill",
    "kill over an old result",
    "term",
    "interrupt",
    "interrupt twice",
    "closed output",
    "full disk",
    "file size",
    "memory",
)
LONGEST = 20  # seconds of a `Clock` beyond those that a command takes when nothing stops it
UNDISTURBED = 300  # seconds for that
GIGABYTES = 4
ENDED_BY_SYSTEM = (-signal.SIGKILL, -signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS)


@dataclass
class Stop:
    """A command, a way to stop it, and when: a share of its time, or of what it is given."""

    job: str
    way: str
    share: float


class Stopper:
    """Stops commands in folders of their own, copied from one with what they read."""

    def __init__(self, place, inputs):
        self.place, self.inputs, self.count = place, inputs, 0
        self.seconds = {}
        self._temporary = place / "tmp"
        self._temporary.mkdir(exist_ok=True)

    def run(self, stop):
        """Carry out a stop; give what is wrong, a line each."""
        self.count += 1
        folder = self.place / str(self.count)
        with self._disk(folder, stop) as folder:
            shutil.copytree(self.inputs, folder, dirs_exist_ok=True)
            try:
                return self._stopped(JOBS[stop.job], stop, folder)
            except AssertionError as e:
                return [str(e)]
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def time_of(self, job, folder, words):
        """Seconds of the command when nothing stops it."""
        if job.name not in self.seconds:
            fork = self._start(words, folder)
            fork.wait_for_lines(1)
            began = fork.clock.seconds()
            code, _, err = fork.end(UNDISTURBED)
            assert code == 0, f"undisturbed, it ends with {code}: {err[-300:]}"
            self.seconds[job.name] = fork.clock.seconds() - began
        return self.seconds[job.name]

    def _stopped(self, job, stop, folder):
        words, out = job.given(folder), folder / job.out
        over = stop.way == "kill over an old result"
        undisturbed = folder / "undisturbed"
        if over or job.name not in self.seconds:
            shutil.copytree(self.inputs, undisturbed)
            self.time_of(job, undisturbed, job.given(undisturbed))
            if over and not (undisturbed / job.out).exists():
                self._start(job.given(undisturbed), undisturbed).end(UNDISTURBED)
        took = self.seconds[job.name]
        if job.name == "resume":
            self._interrupted(words, folder, took)
            words = [*words, "--resume"] if (folder / "rm.checkpoint").is_dir() else words
        if over:  # only now: an interrupted fit removes what it has finished
            shutil.move(undisturbed / job.out, out)
        old = _bytes(out) if over else None
        shutil.rmtree(undisturbed, ignore_errors=True)
        before = _names(folder)
        code, err = self._ended(words, folder, stop, took)
        wrong = _judged(code, err, stop)
        wrong += _files(job, stop, code, folder, out, old, before, err)
        _age(folder)
        return wrong + self._again(job, folder, out, took)

    def _again(self, job, folder, out, took):
        """Run the command again, as its user would."""
        if os.path.ismount(folder):
            subprocess.run(["mount", "-o", "remount,size=512m", folder], check=True)
        words = job.given(folder)
        if (folder / f"{job.out}.checkpoint").is_dir():
            words.append("--resume")
        code, _, err = self._start(words, folder).end(took + LONGEST)
        if code != 0:
            return [f"the same command again ends with {code}: {err[-400:]}"]
        whole(out)
        wrong = [f"scratch after the second run: {name}" for name in scratch(folder)]
        if (folder / f"{job.out}.checkpoint").exists():
            wrong.append("the checkpoint stays after the second run")
        return wrong

    def _start(self, words, folder, environment=()):
        output = self.place / f"output-{self.count}"
        given = {
            **os.environ,
            "TRUEWARD_CACHE": str(folder / "cache"),
            "TMPDIR": str(self._temporary),
        }
        return Fork(TARGET, words, output, given | dict(environment))

    def _interrupted(self, words, folder, took):
        """Leave an interrupted fit behind."""
        fork = self._start(words, folder)
        fork.wait_for_lines(1)
        ends = fork.clock.seconds() + took
        while fork.clock.seconds() < ends and not (folder / "rm.checkpoint").is_dir():
            time.sleep(0.01)
        if fork.process.is_alive():
            fork.process.kill()
        fork.process.join()
        shutil.rmtree(folder / "rm", ignore_errors=True)

    def _ended(self, words, folder, stop, took):
        limits = {
            "file size": {"KILL_FILE_SIZE": str(int(20_000 * 20**stop.share))},
            "memory": {"KILL_MEMORY": str(int(2**20 * 300**stop.share))},
            "closed output": {"KILL_STDOUT": "1"},
        }.get(stop.way, {})
        fork = self._start(words, folder, limits.items())
        signals = {"term": [signal.SIGTERM], "interrupt": [signal.SIGINT]}
        signals["interrupt twice"] = [signal.SIGINT] * 2
        signals["kill"] = signals["kill over an old result"] = [signal.SIGKILL]
        with contextlib.suppress(AssertionError):
            fork.wait_for_lines(1)
        if stop.way in signals:
            at = fork.clock.seconds() + stop.share * took
            while fork.process.is_alive() and fork.clock.seconds() < at:
                time.sleep(0.01)
            for number in signals[stop.way]:
                with contextlib.suppress(ProcessLookupError):  # it has ended
                    os.kill(fork.process.pid, number)
                time.sleep(0.03 * stop.share)
        code, _, err = fork.end(LONGEST if stop.way in signals else took + LONGEST)
        assert fork.memory < GIGABYTES * 2**30, f"it took {fork.memory / 2**30:.1f} GB"
        return code, err

    @contextlib.contextmanager
    def _disk(self, folder, stop):
        """A small disk of its own for a full one; elsewhere the folder."""
        if stop.way != "full disk" or not can_mount():
            yield folder
            return
        folder.mkdir(parents=True)
        size = 700 + int(400 * stop.share)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}k", "trueward", folder], check=True
        )
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def can_mount():
    """Whether this user may mount a disk in memory."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


def _judged(code, err, stop):
    """What is wrong with the exit code and the words."""
    expected = {
        "kill": (0, -signal.SIGKILL),
        "kill over an old result": (0, -signal.SIGKILL),
        "term": (0, 143, -signal.SIGTERM),
        "interrupt": (0, 130, -signal.SIGINT),
        "interrupt twice": (0, 130, -signal.SIGINT),
        "memory": (0, 1, *ENDED_BY_SYSTEM),
    }.get(stop.way, (0, 1))
    wrong = [] if code in expected else [f"exit code {code}: {err[-400:]}"]
    if "Traceback" in err or "itself failed" in err:
        wrong.append(f"traceback: {err[-600:]}")
    errors = sum(line.startswith("error: ") for line in err.splitlines())
    if code == 1 and errors != 1 and stop.way != "closed output":  # quiet, as in a pipe
        wrong.append(f"{errors} sentences: {err[-400:]}")
    if code in {130, 143} and err and "stopped" not in err:  # quiet while it starts
        wrong.append(f"no word of the stop: {err[-200:]!r}")
    return wrong


def _files(job, stop, code, folder, out, old, before, err):
    """What is wrong with the files that are there."""
    wrong = []
    try:
        if old is not None and code != 0 and not job.continues:
            if _bytes(out) != old:
                whole(out)
        elif out.exists() and not (job.continues and code != 0):
            whole(out)
        elif code == 0:
            wrong.append("exit code 0 without a result")
    except Exception as e:  # noqa: BLE001 - whatever a reader says of half a file
        wrong.append(f"half a file: {type(e).__name__}: {e}")
    asked_to_stop = code in {1, 130, 143} and stop.way != "interrupt twice"
    if asked_to_stop:
        wrong += [f"exit code {code} left {name}" for name in scratch(folder)]
        known = {out.name, f"{out.name}.checkpoint", "cache"}
        wrong += [f"exit code {code} left {n}" for n in _names(folder) - before - known]
    saved = folder / f"{job.out}.checkpoint"
    begun = err != "stopped\n"  # the word of a stop before the command begins
    if (
        code in {130, 143}
        and saved.exists()
        and "--resume" not in err
        and (begun or saved.name not in before)
    ):
        wrong.append(f"a checkpoint stays, and nothing says so: {err[-200:]!r}")
    return wrong


def _names(folder):
    return {p.name for p in folder.iterdir()}


def _bytes(path):
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path.parent)): p.read_bytes() for p in files}


def _age(folder):
    """Make what a dead process has left as old as it is when its user comes back."""
    for name in scratch(folder):
        with contextlib.suppress(OSError):
            os.utime(folder / name, (time.time() - 3600,) * 2)
