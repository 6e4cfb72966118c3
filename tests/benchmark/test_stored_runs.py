"""The folder of a run from elsewhere: a damaged config is a sentence, a damaged job is not finished."""

import json
import shutil

import pytest
from golden.benchmarks import CONFIG
from golden.world import DATA
from helpers.commands import run

from trueward.benchmark.runs import Runs
from trueward.benchmark.stored import is_row


@pytest.fixture
def runs(tmp_path):
    return shutil.copytree(DATA / "benchmark_folder", tmp_path / "runs")


def changed(file, *keys, to):
    tree = json.loads(file.read_text())
    inside = tree
    for key in keys[:-1]:
        inside = inside[key]
    inside[keys[-1]] = to
    file.write_text(json.dumps(tree))


@pytest.mark.parametrize(
    ("keys", "to"),
    [
        (("sets", 0, "label"), 5),
        (("sets", 0, "name"), "nowhere"),
        (("scenarios", 1, "gold"), 10**400),
        (("scenarios", 0, "more"), []),
        (("methods",), {"a": 1}),
        (("seeds",), None),
        (("trials",), float("nan")),
        (("kind",), True),
    ],
)
def test_a_run_with_a_damaged_config_is_one_sentence(runs, capsys, keys, to):
    changed(runs / "benchmark.json", "config", *keys, to=to)
    code, _, err = run(["benchmark", "table", str(runs)], capsys)
    assert code == 1
    assert err.startswith("error: ")
    assert "benchmark.json is damaged (config" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("key", "to"),
    [
        ("gold", None),
        ("alpha", float("inf")),
        ("seed", "0"),
        ("method", "another"),
        ("set", "another"),
        ("metrics", {"r2": "good"}),
        ("metrics", [1]),
        ("warnings", "none"),
        ("labels", None),
        ("status", "failed"),
    ],
)
def test_a_damaged_job_is_not_finished(runs, key, to):
    before = Runs.read(runs).rows()
    file = next(
        p for p in (runs / "jobs").iterdir() if json.loads(p.read_text())["status"] == "done"
    )
    changed(file, key, to=to)
    after = Runs.read(runs).rows()
    assert [r["key"] for r in before if r["key"] != file.stem] == [r["key"] for r in after]
    assert len(after) == len(before) - 1


def test_every_stored_row_is_a_row(runs):
    config = Runs.read(runs).about["config"]
    for path in (runs / "jobs").iterdir():
        assert is_row(json.loads(path.read_text()), config)


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        (
            "budget: {epochs: 2, folds: 2, nuisance_epochs: 1}",
            "budget: -10",
            "budget must be a map",
        ),
        ("name: implicit, noise: none", "name: implicit, rho_01: a", "rho_01 must be a number"),
        ("name: golden", "name: 2026-01-02", "put dates in quotes"),
        ("name: implicit, noise: none", "name: mar, noise: none, strength: a", "no 'strength'"),
    ],
)
def test_a_value_of_another_type_in_a_config_is_one_sentence(tmp_path, capsys, was, now, said):
    file = tmp_path / "run.yaml"
    file.write_text(CONFIG.replace(was, now))
    code, _, err = run(["benchmark", "run", str(file), "--out", str(tmp_path / "runs")], capsys)
    assert code == 2
    assert said in err
    assert "itself failed" not in err


@pytest.mark.parametrize("value", ["1" + "0" * 400, ".inf", ".nan"])
def test_a_number_of_a_config_is_finite(tmp_path, capsys, value):
    file = tmp_path / "run.yaml"
    file.write_text(CONFIG.replace("alpha: 0.5", f"alpha: {value}"))
    code, _, err = run(["benchmark", "run", str(file), "--out", str(tmp_path / "runs")], capsys)
    assert code == 2
    assert "alpha must be a finite number" in err
