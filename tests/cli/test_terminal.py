"""What the process around a command sees: signals, exit codes, and text without control characters."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from helpers.commands import run, table

from trueward.cli import terminal
from trueward.cli.app import main

FIT = ("fit", "naive", "--epochs", "4", "--seed", "1")


def stop_by(number, at):
    """Return a progress function that sends the process a signal in the given epoch."""
    epochs = []

    def progress(*_args):
        epochs.append(1)
        if len(epochs) == at:
            os.kill(os.getpid(), number)

    return lambda: progress


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_to_stop_keeps_the_epochs_and_says_how_to_go_on(
    tmp_path, capsys, monkeypatch, number, code
):
    before = signal.signal(number, signal.SIG_DFL if code != 130 else signal.default_int_handler)
    log = table(tmp_path / "log.parquet")
    monkeypatch.setattr("trueward.training.checkpoints.Checkpoints.__init__.__defaults__", (0.0,))
    fitting = [*FIT, log, "--out", str(tmp_path / "rm")]
    with monkeypatch.context() as patch:
        patch.setattr("trueward.cli.fitting.progress", stop_by(number, at=3))
        ended, _out, err = run(fitting, capsys)
    assert ended == code
    assert f"kept in {tmp_path}/rm.checkpoint: add --resume" in err
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    signal.signal(number, before)  # the tests may run under nohup
    assert run([*fitting, "--resume"], capsys)[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.parquet", "rm"]


def test_a_command_that_keeps_nothing_says_so(tmp_path, capsys, monkeypatch):
    log = table(tmp_path / "log.parquet")

    def stopped(*_args, **_options):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("trueward.inspection.inspect", stopped)
    code, _out, err = run(["inspect", log], capsys)
    assert (code, err) == (143, "stopped; nothing half-written is left behind\n")


def test_a_command_under_nohup_outlives_its_terminal(capsys):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminal.stop_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_text_cannot_move_the_cursor_of_a_terminal(tmp_path, capsys):
    log = table(tmp_path / "log.parquet", **{"channel.\x1b]0;title\x07\x9b2J": None})
    _code, out, err = run(["inspect", log, "--map", "prompt=no\x1b[2Jsuch"], capsys)
    assert r"\x1b[2J" in err
    assert not set(out + err) & {"\x1b", "\x07", "\x9b"}


def test_progress_bars_are_not_escaped_and_other_sequences_are(capsys):
    with terminal.escaped_output():
        sys.stderr.write("\r\x1b[Kepoch 1/4\x1b]0;title\x07\n")
        sys.stdout.write("\r\x1b[Ktab\t\n")
    shown = capsys.readouterr()
    assert shown.err == "\r\x1b[Kepoch 1/4\\x1b]0;title\\x07\n"
    assert shown.out == "\\x0d\\x1b[Ktab\t\n"


def test_a_full_disk_behind_the_output_is_one_sentence():
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "trueward", "methods"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == "error: the output could not be written: No space left on device\n"


def broken(*_args, **_options):
    raise ZeroDivisionError("division\nby zero")


def test_a_fault_of_trueward_is_one_sentence_and_a_traceback_under_debug(capsys, monkeypatch):
    monkeypatch.setattr("trueward.cli.app.app", broken)
    for words, traceback in ((["methods"], False), (["--debug", "methods"], True)):
        with pytest.raises(SystemExit) as stop:
            main(words)
        err = capsys.readouterr().err
        assert stop.value.code == 1
        assert "trueward itself failed (ZeroDivisionError: division by zero)" in err
        assert ("Traceback" in err) == traceback


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_before_the_command_begins_has_its_exit_code_and_a_word(
    number, code, capsys, monkeypatch
):
    """Typer turns every interrupt that no command has answered into exit code 130."""
    monkeypatch.setattr("trueward.cli.app.installed", lambda _name: os.kill(os.getpid(), number))
    before = signal.signal(number, signal.SIG_DFL if code != 130 else signal.default_int_handler)
    found, _out, err = run(["--version"], capsys)
    signal.signal(number, before)
    assert (found, err) == (code, "stopped\n")


def test_a_second_interrupt_before_the_command_begins_changes_nothing(capsys, monkeypatch):
    """It comes while the word about the first is printed."""
    said = []

    def echo(text, **_):
        os.kill(os.getpid(), signal.SIGINT)
        said.append(text)

    monkeypatch.setattr(
        "trueward.cli.app.installed", lambda _name: os.kill(os.getpid(), signal.SIGINT)
    )
    monkeypatch.setattr("trueward.cli.app.typer.echo", echo)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    code, _out, _err = run(["--version"], capsys)
    signal.signal(signal.SIGINT, before)
    assert (code, said) == (130, ["stopped"])


def test_a_stopped_benchmark_says_what_is_stored_and_by_which_signal(tmp_path, capsys, monkeypatch):
    def stopped(*_args, **_options):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("trueward.benchmark.run_benchmark", stopped)
    code, _out, err = run(["benchmark", "run", "quick", "--out", str(tmp_path / "runs")], capsys)
    assert code == 143
    assert "stopped; 0 finished jobs are stored; the same command continues the run" in err


def test_a_closed_standard_output_is_no_failure(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(SystemExit) as stop:
        main(["methods"])
    assert not stop.value.code


def test_a_long_value_is_cut_in_an_error(tmp_path, capsys):
    code, _out, err = run(["inspect", "log.csv", "--map", "x" * 70_000], capsys)
    assert code == 2
    assert "--map takes NAME=VALUE, not 'xxx" in err
    assert "... (70,002 characters)" in err
    assert len(err) < 500


@pytest.mark.parametrize(
    "raised",
    [
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"
        ),
        ImportError("libtorch.so: failed to map segment from shared object"),
        MemoryError(),
    ],
)
def test_too_little_memory_is_said_whatever_raises_it(capsys, monkeypatch, raised):
    def full(*_args, **_options):
        raise raised

    monkeypatch.setattr("trueward.cli.app.app", full)
    code, _out, err = run(["methods"], capsys)
    assert code == 1
    assert err == "error: this machine has too little memory for these rows; give fewer\n"


def test_a_second_interrupt_does_not_hide_what_the_first_has_kept(tmp_path, capsys, monkeypatch):
    def stopped_twice(*_args, **_options):
        try:
            raise KeyboardInterrupt("the fit so far is kept in rm.checkpoint")
        finally:
            raise KeyboardInterrupt

    monkeypatch.setattr("trueward.inspection.inspect", stopped_twice)
    code, _out, err = run(["inspect", table(tmp_path / "log.parquet")], capsys)
    assert (code, err) == (130, "stopped; the fit so far is kept in rm.checkpoint\n")


def test_a_second_interrupt_while_a_fit_looks_for_its_checkpoint_does_not_hide_it():
    from trueward.cli.fitting import _checkpoint_kept

    class Saved:
        def is_dir(self):
            os.kill(os.getpid(), signal.SIGINT)
            return True

        def __str__(self):
            return "rm.checkpoint"

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with (
        pytest.raises(KeyboardInterrupt, match=r"kept in rm\.checkpoint: add --resume"),
        _checkpoint_kept(Saved(), resume=True, team=None),
    ):
        raise KeyboardInterrupt
    signal.signal(signal.SIGINT, before)


def test_a_second_interrupt_does_not_cut_the_answer_to_the_first(monkeypatch):
    """The signal comes while the sentence is printed."""
    from trueward.cli import terminal

    said = []

    def echo(text, **_):
        os.kill(os.getpid(), signal.SIGINT)
        said.append(text)

    @terminal.stoppable
    def command():
        raise KeyboardInterrupt

    monkeypatch.setattr(terminal.typer, "echo", echo)
    with pytest.raises(typer.Exit) as stop:
        command()
    assert stop.value.exit_code == 130
    assert said == ["stopped; nothing half-written is left behind"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
