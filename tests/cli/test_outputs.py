"""What a command writes: replaced with a word, kept with --no-clobber, by one command at a time."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.commands import run, table

from trueward.cli.app import main

FIT = ["fit", "naive", "log.parquet", "--epochs", "1", "--out", "rm"]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder with a log and a model."""
    folder = tmp_path_factory.mktemp("fitted")
    log = table(folder / "log.parquet")
    with pytest.raises(SystemExit) as stop:
        main([*FIT[:2], log, *FIT[3:-1], str(folder / "rm")])
    assert not stop.value.code
    return folder


@pytest.fixture
def place(fitted, tmp_path, monkeypatch):
    """A working folder with a log and a model."""
    shutil.copytree(fitted, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_fit_onto_a_model_says_that_it_replaces_it(place, capsys):
    code, _, err = run([*FIT, "--seed", "7"], capsys)
    assert code == 0
    assert "rm exists; the result replaces it when this command ends" in err
    assert json.loads(Path("rm/model.json").read_text())["report"]["command"].endswith("--seed 7")


COMMANDS = {
    "fit": FIT,
    "calibrate": ["calibrate", "rm", "log.parquet", "--feedback", "--out", "rm"],
    "score": ["score", "rm", "log.parquet", "--out", "there.csv"],
    "training-data": ["training-data", "verl", "rm", "--out", "there.jsonl"],
    "export": ["export", "rm", "there"],
    "simulate": ["simulate", "log.parquet", "there", "--map", "rating=feedback"],
    "import": ["import", "generic", "log.parquet", "--out", "there"],
    "sensitivity": ["sensitivity", "rm", "--figure", "there.svg"],
    "plan": ["plan", "rm", "log.parquet", "--width", "0.1", "--out", "there.csv"],
    "label": ["label", "log.parquet", "--out", "there.html"],
    "merge": ["label", "merge", "a.jsonl", "--out", "there.csv"],
    "demo": ["demo", "--out", "there.html"],
    "table": ["benchmark", "table", "runs", "--out", "there"],
    "align": [
        "align",
        "--policy",
        "p",
        "--reward",
        "rm",
        "--prompts",
        "log.parquet",
        "--out",
        "policy",
    ],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_clobber_keeps_what_is_there(place, capsys, name):
    for file in ("there.csv", "there.jsonl", "there.svg", "there.html"):
        Path(file).write_text("kept")
    for folder, mark in (("there", "kept"), ("policy", "align.json"), ("runs", "kept")):
        Path(folder).mkdir()
        Path(folder, mark).write_text("{}")
    before = content(place)
    for words in (["--no-clobber", *COMMANDS[name]], [*COMMANDS[name], "--no-clobber"]):
        code, _out, err = run(words, capsys)
        assert code == 1, err
        assert "exists, and --no-clobber keeps it" in err
    assert content(place) == before


def test_no_clobber_writes_where_nothing_is(place, capsys):
    Path("empty").mkdir()
    assert run([*FIT[:-1], "empty", "--no-clobber"], capsys)[0] == 0
    score = ["score", "rm", "log.parquet", "--out", "new.csv", "--no-clobber"]
    assert [run(score, capsys)[0] for _ in range(2)] == [0, 1]


HOLD = (
    "import sys; from trueward.core.output_lock import only_writer\n"
    "with only_writer(sys.argv[1]): print('held', flush=True); input()"
)


def test_a_second_process_is_refused_in_one_sentence(place, capsys):
    before = content(place)
    score = ["score", "rm", "log.parquet", "--out", "scores.csv"]
    for words in (FIT, score):
        command = [sys.executable, "-c", HOLD, words[-1]]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, **pipes) as other:
            assert other.stdout.readline() == b"held\n"
            code, _, err = run(words, capsys)
            assert code == 1
            assert f"is being written by process {other.pid} on {os.uname().nodename} since" in err
            other.communicate(b"\n")
    assert content(place) == before
    assert run(score, capsys)[0] == 0


def test_files_have_the_modes_that_the_umask_gives(place, capsys):
    old = os.umask(0o027)
    try:
        for words in (FIT, COMMANDS["score"], ["export", "rm", "export", "--allow-remote-code"]):
            code, _, err = run(words, capsys)
            assert code == 0, err
    finally:
        os.umask(old)
    made = [Path("rm"), Path("there.csv"), Path("export")]
    for path in [p for top in made for p in (top, *top.rglob("*"))]:
        assert path.stat().st_mode & 0o777 == (0o750 if path.is_dir() else 0o640), path
