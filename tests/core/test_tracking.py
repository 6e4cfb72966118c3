"""Trackers get the points of a run; one that is missing, has no login or fails is left out."""

import importlib.util
import json
import logging
import math
import sqlite3
from types import SimpleNamespace

import pytest
from helpers.commands import run
from helpers.trackers import Broken

from trueward.core.errors import TruewardError, UsageError
from trueward.core.tracking import Trackers, known_trackers, read_lines
from trueward.reporting.replay import track

SETTINGS = {"lr": 1e-3, "settings": {"steps": 4, "lora": None, "stop": ["a", "b"]}, "name = x": "y"}
POINTS = [{"step": s, "loss": 0.5**s, "kl": None, "note": "text"} for s in (1, 2, 3)]
RECORD = {"policy": "p", "settings": {"steps": 3}, "ended": POINTS[-1]}


@pytest.fixture
def finished(tmp_path):
    """The folder of a finished `align`."""
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "align.json").write_text(json.dumps(RECORD))
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(p)}\n" for p in POINTS))
    return folder


def test_a_tracker_gets_the_settings_and_the_finite_numbers_of_every_point(tracked_runs, capsys):
    with Trackers(["kept", "kept"], "rm", SETTINGS) as trackers:
        for point in [*POINTS, {"step": 4, "loss": math.nan, "rewards/a = b": 1}]:
            trackers.log(point)
    (about,) = tracked_runs
    assert about["project"] == "trueward"
    assert about["settings"] == {
        "lr": 1e-3,
        "settings.steps": 4,
        "settings.stop": '["a", "b"]',
        "name _ x": "y",
    }
    wanted = [{"step": s, "loss": 0.5**s} for s in (1, 2, 3)]
    assert about["points"] == [*wanted, {"step": 4, "rewards/a _ b": 1}]
    assert about["finished"]
    assert capsys.readouterr().out == ""  # standard output is the command's own


def test_a_tracker_that_fails_is_left_out_and_the_others_go_on(tracked_runs, caplog):
    with (
        caplog.at_level(logging.WARNING, "trueward"),
        Trackers(["broken", "kept"], "rm", {}) as trackers,
    ):
        for point in POINTS:
            trackers.log(point)
    (message,) = (r.getMessage() for r in caplog.records)
    assert message == (
        "broken is left out: ConnectionError: the server is gone; the run goes on, and `trueward track "
        "FOLDER --to NAME` sends its record later"
    )
    assert [p["step"] for p in Broken.runs[0]["points"]] == [1]
    assert Broken.runs[0]["finished"]
    assert [p["step"] for p in tracked_runs[0]["points"]] == [1, 2, 3]


@pytest.mark.parametrize("name", ["mlflow", "wandb", "trackio", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_named_with_its_package(name, monkeypatch, caplog):
    for module in (name, "torch.utils.tensorboard", "tensorboardX"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    monkeypatch.delattr("torch.utils.tensorboard", raising=False)
    with caplog.at_level(logging.WARNING, "trueward"):
        Trackers([name], "rm", {}).log(POINTS[0])
    (message,) = (r.getMessage() for r in caplog.records)
    assert message.startswith(f"{name} is left out: {name} is not installed (pip install ")


def test_a_name_that_is_no_tracker_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="no tracker 'tensorbord': did you mean tensorboard"):
        known_trackers(["tensorbord"])
    assert known_trackers(["comet_ml", "wandb", "wandb"]) == ("comet_ml", "wandb")


def test_wandb_without_a_login_does_not_ask_on_the_terminal(monkeypatch, caplog):
    fake = SimpleNamespace(login=lambda *, prompt: prompt)
    monkeypatch.setitem(__import__("sys").modules, "wandb", fake)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    Trackers(["wandb"], "rm", {})
    assert "wandb is left out: there is no login: run `wandb login`" in caplog.text


def test_a_last_line_that_was_cut_short_is_left_out(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert read_lines(file) == [{"step": 1, "loss": 2.0}]
    file.write_text('{"loss": 2.0}\n{"step": 2}\n')
    with pytest.raises(TruewardError, match="line 1 should hold the metrics of a step"):
        read_lines(file)


def test_the_record_of_a_finished_run_is_sent_from_a_shell(tracked_runs, finished, capsys):
    code, said, err = run(["track", str(finished), "--to", "kept"], capsys)
    assert (code, said) == (0, f"{finished}: 3 points sent to kept\n"), err
    (about,) = tracked_runs
    assert about["settings"] == {"policy": "p", "settings.steps": 3}
    assert about["points"] == [{"step": s, "loss": 0.5**s} for s in (1, 2, 3)]


def test_a_record_that_is_not_received_or_not_there_is_an_error(
    tracked_runs, finished, tmp_path, capsys
):
    def refused(code, what, folder, *to):
        found, said, err = run(["track", str(folder), *to], capsys)
        assert (found, said) == (code, ""), err
        assert what in err.strip().splitlines()[-1]

    refused(1, "broken is left out: ConnectionError", finished, "--to", "broken")
    refused(2, "choose one of trackio, tensorboard", finished, "--to", "xyz")
    refused(1, "has no record of a run", tmp_path, "--to", "kept")
    refused(1, "has no record of a run", tmp_path / "nowhere", "--to", "kept")
    (finished / "metrics.jsonl").write_text("")
    refused(1, "no finished step yet", finished, "--to", "kept")
    (finished / "align.json").write_text("[]")
    refused(1, "align.json is damaged", finished, "--to", "kept")


@pytest.mark.skipif(not importlib.util.find_spec("trackio"), reason="takes the extra `track`")
def test_trackio_keeps_the_record_on_this_machine(finished, tmp_path, monkeypatch):
    import trackio.sqlite_storage as storage
    from trackio import utils

    for module in (storage, utils):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")
    assert track(finished, "trackio", run="mine") == 3
    (file,) = (tmp_path / "trackio").glob("*.db")
    rows = sqlite3.connect(file).execute("select step, metrics from metrics order by step")
    assert [(s, json.loads(m)["loss"]) for s, m in rows] == [(1, 0.5), (2, 0.25), (3, 0.125)]


@pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="takes tensorboard")
def test_tensorboard_writes_events_that_it_reads_back(finished, tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    track(finished, "tensorboard")
    read = EventAccumulator(str(tmp_path / "events/trueward/policy")).Reload()
    assert [(e.step, e.value) for e in read.Scalars("loss")] == [(1, 0.5), (2, 0.25), (3, 0.125)]
