"""A model remembers its log; the record of a folder that anyone may have written is followed with care."""

import json
from pathlib import Path

import pytest
from helpers.commands import run, table

from trueward.cli.recorded_log import portable, portable_command
from trueward.model.folder import _digest

SENSITIVITY = ["sensitivity", "rm"]


@pytest.fixture
def place(tmp_path, monkeypatch, capsys):
    """A working folder with a log and a model that was fitted on it by its absolute path."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    log = table(place / "log.parquet")
    assert run(["fit", "naive", log, "--epochs", "1", "--out", f"{place}/rm"], capsys)[0] == 0
    return place


def record(**changes):
    """Change the record of the log, with a digest of its own, as anybody can."""
    file = Path("rm/model.json")
    model = json.loads(file.read_text())
    model["report"]["log"] |= changes
    model["digest"] = _digest(model)
    file.write_text(json.dumps(model))


def test_a_model_holds_no_folder_of_the_machine(place):
    text = Path("rm/model.json").read_text()
    assert str(place) not in text
    report = json.loads(text)["report"]
    assert report["log"]["path"] == "log.parquet"
    assert report["command"] == "trueward fit naive log.parquet --epochs 1 --out rm"


def test_paths_elsewhere_are_names_and_addresses_lose_their_password(place):
    assert portable("/somewhere/else/log.parquet") == "log.parquet"
    assert portable("postgresql://me:word@host/db") == "postgresql://host/db"
    line = f"trueward fit naive /home/me/log.csv --map 'prompt=a b' --gold={place}/g.csv"
    assert portable_command(line) == "trueward fit naive log.csv --map 'prompt=a b' --gold=g.csv"


def test_the_log_is_read_and_named(place, capsys):
    code, out, err = run(SENSITIVITY, capsys)
    assert code == 0, err
    assert "odds ratio" in out
    assert "reading log.parquet" in err


def test_another_log_of_that_name_is_refused_with_both_sizes(place, capsys):
    rows = json.loads(Path("rm/model.json").read_text())["report"]["log"]["rows"]
    table(place / "log.parquet", response=[f"another {i}" for i in range(rows)])
    code, _out, err = run(SENSITIVITY, capsys)
    assert code == 1
    assert f"log.parquet has {rows} rows and is not the log" in err
    assert f"had {rows} rows with other texts" in err
    assert run([*SENSITIVITY, "log.parquet"], capsys)[0] == 0


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/hostname", "not in this folder"),
        ("../log.parquet", "not in this folder"),
        ("link.parquet", "not in this folder"),
        ("evil.sql", "a query or an address"),
        ("https://host/log.parquet", "a query or an address"),
        ("s3://bucket/log.parquet", "a query or an address"),
        ("memory:/bucket/log.parquet", "does not exist"),
        ("gone.parquet", "does not exist"),
        (None, "no valid record"),
        (["log.parquet"], "no valid record"),
    ],
)
def test_a_record_leads_nowhere_else(place, capsys, path, reason):
    table(place.parent / "log.parquet")
    Path("link.parquet").symlink_to(place.parent / "log.parquet")
    Path("evil.sql").write_text("select 1")
    record(path=path)
    code, _out, err = run(SENSITIVITY, capsys)
    assert code == 1
    assert reason in err


def test_gold_labels_are_followed_no_further_than_the_log(place, capsys):
    record(gold="../gold.parquet")
    code, _out, err = run(SENSITIVITY, capsys)
    assert (code, "as its gold, which is not in this folder" in err) == (1, True)
