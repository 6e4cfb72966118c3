"""The main job from a shell: each command on the output of the one before."""

import json
import re

import polars as pl
import pytest
from helpers.commands import run

from trueward.simulation import helpdesk


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    path = tmp_path_factory.mktemp("rated") / "rated.parquet"
    helpdesk(150, seed=1).rename({"prompt": "question"}).write_parquet(path)
    return str(path)


@pytest.fixture
def done(capsys):
    def command(*words):
        code, out, err = run(list(map(str, words)), capsys)
        assert code == 0, err
        return out

    return command


@pytest.fixture
def world(rated, tmp_path, done):
    noise = ("--rho-01", "0.1", "--rho-10", "0.2", "--rate", "0.4", "--gold", "30")
    done("simulate", rated, tmp_path / "world", "--map", "prompt=question", *noise)
    return tmp_path / "world"


def test_a_world_becomes_a_model_that_scores_and_is_measured(world, tmp_path, done):
    assert "naive" in done("inspect", world / "log.parquet", "--methods")
    told = done("fit", "causalrm", world / "log.parquet", "--out", tmp_path / "rm",
                "-o", "estimator=snips", "-o", "rho_01=0.1", "-o", "rho_10=0.2", "-v")  # fmt: skip
    assert "effective sample size" in " ".join(told.split())
    done("score", tmp_path / "rm", world / "test.parquet", "--out", tmp_path / "s.parquet")
    scored = pl.read_parquet(tmp_path / "s.parquet")
    assert {"prompt", "response", "reward", "preferred", "spread"} <= set(scored.columns)
    assert scored["preferred"].is_between(0, 1).all()
    found = json.loads(done("evaluate", tmp_path / "rm", world / "test.parquet", "--json"))
    names = {"auroc", "r2", "mae", "rmse", "brier", "nll", "ece", "pearson", "spearman"}
    assert names | {"pair_accuracy", "best_of_n_lift"} <= set(found)
    for name in names:
        assert set(found[name]) >= {"value", "low", "high"}
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    assert not list(tmp_path.glob("*.checkpoint"))


def test_a_fit_on_channels_says_how_often_each_fires_and_what_was_estimated(rated, tmp_path, done):
    words = ("--map", "prompt=question", "--mechanism", "two-channel", "--rate", "0.5")
    done("simulate", rated, tmp_path / "world", *words)
    log, out = tmp_path / "world" / "log.parquet", ("--out", tmp_path / "rm")
    told = " ".join(done("fit", "channels", log, *out, "--verbose").split())
    assert re.search(
        r"copy logged \d+, fires \d+, like logged \d+, fires \d+, together copy&like \d+", told
    )
    assert re.search(r"activity of copy: rows \d+, fires \d+", told)
    assert "network.copy: folds 5" in told


def test_gold_labels_of_a_world_let_implicitrm_use_them(world, tmp_path, done):
    done(
        "fit", "implicitrm", world / "log.parquet", "--out", tmp_path / "rm", "-o", "identify=gold"
    )


def test_a_gold_file_is_joined(world, tmp_path, done):
    log = pl.read_parquet(world / "log.parquet")
    gold = log.filter(pl.col("gold").is_not_null()).select("prompt", "response", "gold")
    gold.write_csv(tmp_path / "audited.csv")
    log.drop("gold").write_parquet(tmp_path / "log.parquet")
    done("fit", "implicitrm", tmp_path / "log.parquet", "--gold", tmp_path / "audited.csv",
         "--out", tmp_path / "rm", "-o", "identify=gold")  # fmt: skip


def test_an_interval_only_model_scores_an_interval_and_is_not_evaluated(
    world, tmp_path, done, capsys
):
    log = str(world / "log.parquet")
    done("fit", "implicitrm", log, "--out", tmp_path / "rm", "-o", "identify=none",
         "-o", "allow_unidentified=true")  # fmt: skip
    done("score", tmp_path / "rm", log, "--out", tmp_path / "s.parquet")
    scored = pl.read_parquet(tmp_path / "s.parquet")
    assert {"low", "high"} <= set(scored.columns)
    assert not {"reward", "preferred"} & set(scored.columns)
    code, _out, err = run(["evaluate", str(tmp_path / "rm"), str(world / "test.parquet")], capsys)
    assert code == 1
    assert "interval" in err


def test_the_same_command_gives_the_same_model(world, tmp_path, done):
    for name in ("a", "b"):
        done(
            "fit", "dr", world / "log.parquet", "--out", tmp_path / name, "--seed", 3, "--epochs", 3
        )
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]


def test_methods_are_listed_and_described(done):
    assert "causalrm" in done("methods")
    assert done("methods", "causalrm").startswith("# causalrm")
    assert json.loads(done("methods", "--json"))["ips"]["options"]["clip"]["meaning"]


def test_json_of_inspect_is_plain_data(world, done):
    assert json.loads(done("inspect", world / "log.parquet", "--json"))["rows"] == 480


@pytest.mark.slow
def test_the_demo_recovers_more_than_naive_and_writes_its_page(tmp_path, done):
    found = json.loads(done("demo", "--out", tmp_path / "demo.html", "--json"))
    assert list(found) == ["oracle", "naive", "ips", "causalrm", "implicitrm", "anchored"]
    assert found["oracle"]["r2"]["value"] > found["causalrm"]["r2"]["value"]
    assert found["causalrm"]["r2"]["low"] > found["naive"]["r2"]["value"]
    assert found["anchored"]["r2"]["value"] > found["causalrm"]["r2"]["value"]
    page = (tmp_path / "demo.html").read_text()
    assert "oracle" in page
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page), "the page is self-contained"
