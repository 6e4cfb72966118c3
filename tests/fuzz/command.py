"""A case of the battery: files, and a command that reads them; and what is wrong with how it ended."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from helpers.clocks import Clock

from trueward.cli.app import main

LONGEST = 20.0  # seconds of a `Clock` for one command
LONGEST_ERROR = 3_000  # characters
DONE, REJECTED = 0, 3
CODES = (0, 1, 2, 3)
VERDICTS = ("refute", "verify-export", "ask")  # exit code 1 is also their result
ERROR = re.compile(r"^(?:error|Error): ", re.MULTILINE)
WARNING = re.compile(r"^\S+\.py:\d+: \w*Warning", re.MULTILINE)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Case:
    """Files by name, and the words of a command; {d} in the words and in texts is their folder.

    ``writes`` names what the command may leave: it stands there after exit code 0 and 3, and does not
    after 1 and 2.
    """

    words: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    writes: tuple[str, ...] = ()

    @property
    def command(self):
        return next((w for w in self.words if not w.startswith("-")), "")


def write(case, folder):
    """Write the files of a case."""
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        here = os.fsencode(folder) if path.suffix in {".sql", ".yaml"} else b"{d}"
        path.write_bytes(content.replace(b"{d}", here))


def faults_of(case):
    """Run a case in a new folder; give what is wrong, a line each."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        write(case, folder)
        before = contents(folder)
        words = [w.replace("{d}", str(folder)) for w in case.words]
        clock = Clock()
        code, out, err, wrong = ran(words, folder)
        took = clock.seconds()
        wrong += said(case, code, out, err)
        wrong += left(case, code, before, folder)
        if took > LONGEST:
            wrong.append(f"it took {took:.0f} s")
        return [w.replace(str(folder), "{d}") for w in wrong]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ran(words, place):
    """Exit code, output and errors of a command, and faults of how it ended."""
    out, err, wrong, code = io.StringIO(), io.StringIO(), [], 0
    with contextlib.ExitStack() as stack:
        below = stack.enter_context(_descriptor_2())
        stack.enter_context(_no_network())
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("default")
        here = Path.cwd()
        os.chdir(place)
        try:
            main(words)
        except SystemExit as stop:
            code = stop.code or 0
        except BaseException as e:  # noqa: BLE001 - a panic of Rust is no Exception
            wrong.append(f"raised {type(e).__name__}: {_short(e)} at {_where(e)}")
        finally:
            os.chdir(here)
        sys.stderr.flush()
    beneath = below()
    if beneath.strip():
        wrong.append(f"printed beneath Python: {beneath[:400]}")
    return code, out.getvalue(), err.getvalue(), wrong


def said(case, code, out, err):
    """What is wrong with an exit code and its words."""
    wrong = [] if code in CODES else [f"exit code {code}"]
    if code == REJECTED and case.command != "import":
        wrong.append("exit code 3 of a command that rejects no rows")
    if "Traceback" in err + out:
        wrong.append(f"traceback: {err[-400:]}")
    if "itself failed" in err:
        wrong.append(f"fault of its own: {err[-500:]}")
    if match := WARNING.search(err):
        wrong.append(f"warning of Python: {err[match.start() :][:300]}")
    if CONTROL.search(out + err):
        wrong.append(f"control characters: {CONTROL.findall(out + err)[:5]}")
    errors = ERROR.findall(err)
    verdict = code == 1 and case.command in VERDICTS and out.strip()
    if code in {1, 2} and len(errors) != 1 and not (verdict and not errors):
        wrong.append(f"exit code {code} with {len(errors)} sentences: {err[-400:]!r}")
    if code in {DONE, REJECTED} and errors:
        wrong.append(f"exit code {code} with an error: {err[-400:]!r}")
    if errors and len(err[err.index(errors[-1]) :]) > LONGEST_ERROR:
        wrong.append(f"an error of {len(err):,} characters: {err[:200]!r}")
    if code in {DONE, REJECTED} and "--json" in case.words and out.strip():
        wrong += _json_faults(out)
    return wrong


def left(case, code, before, folder):
    """What is wrong with the files that a command left."""
    after = contents(folder)
    wrong = [f"changed {name}" for name, was in before.items() if after.get(name) != was]
    new = sorted({Path(name).parts[0] for name in after if name not in before})
    written = {Path(name).parts[0] for name in case.writes}
    if code in {1, 2} and not (code == 1 and case.command in VERDICTS):
        wrong += [f"exit code {code} left {name}" for name in new]
    else:
        wrong += [f"left {name}" for name in new if name not in written]
    if code in {DONE, REJECTED} and case.writes and "--help" not in case.words:
        wrong += [f"did not write {name}" for name in case.writes if not (folder / name).exists()]
    return wrong


def contents(folder):
    """Name -> bytes of every file below a folder; None of a folder."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }


def _json_faults(out):
    def constant(word):
        raise ValueError(f"{word} is no JSON")

    try:
        json.loads(out, parse_constant=constant)
    except ValueError as e:
        return [f"--json printed no JSON ({e}): {out[:200]!r}"]
    return []


@contextlib.contextmanager
def _descriptor_2():
    """Catch what native code prints to the file descriptor of standard error."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        text = []
        try:
            yield lambda: text[0]
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            text.append(file.read().decode("utf-8", "replace"))


@contextlib.contextmanager
def _no_network():
    """Refuse every connection but those between processes of this machine."""
    connect = socket.socket.connect

    def refused(self, address):
        if self.family != socket.AF_UNIX:
            raise ConnectionRefusedError(111, "Connection refused")
        connect(self, address)

    socket.socket.connect = refused
    try:
        yield
    finally:
        socket.socket.connect = connect


def _short(e):
    return " ".join(str(e).split())[:300]


def _where(e):
    frames = traceback.extract_tb(e.__traceback__)
    ours = [f for f in frames if "trueward" in f.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
