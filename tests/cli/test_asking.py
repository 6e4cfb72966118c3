"""`trueward ask`: the code, the plan and the check, through the command line."""

import json

import polars as pl
import pytest
from typer.testing import CliRunner

import trueward as tw
from trueward.cli.app import app


@pytest.fixture
def log(tmp_path):
    asks = [tw.ask(f"r{i}", 0.2, "k1") for i in range(500)]
    feedback = [1.0 if a.asked and i % 3 else None for i, a in enumerate(asks)]
    frame = pl.DataFrame(
        {
            "prompt": [f"p{i}" for i in range(500)],
            "response": "text",
            "response_id": [f"r{i}" for i in range(500)],
            "feedback": feedback,
        }
    ).with_columns(*pl.DataFrame([a.columns() for a in asks]))
    frame.write_csv(tmp_path / "log.csv")
    return str(tmp_path / "log.csv")


def run(*words):
    return CliRunner().invoke(app, ["ask", *words])


def test_the_code_is_printed_as_it_is():
    assert "def ask(" in run("snippet").stdout
    assert "Promise<bigint>" in run("snippet", "--lang", "ts").stdout
    assert "trueward.${name}" in run("snippet", "--for", "langfuse", "--lang", "ts").stdout
    with pytest.raises(tw.UsageError, match="py, ts, js"):
        raise run("snippet", "--lang", "rust").exception


def test_a_check_says_whether_the_lottery_was_fair(log):
    fair = run("check", log, "--key", "k1")
    assert fair.exit_code == 0
    assert "the lottery is fair" in fair.stdout
    assert "share of good responses: - (0 gold labels" in fair.stdout
    wrong = run("check", log, "--key", "other", "--json")
    assert wrong.exit_code == 1
    found = json.loads(wrong.stdout)
    assert found["share_good"] is None
    assert "is this the key?" in found["problems"][0]


def test_a_plan_reads_the_log_or_numbers(log):
    found = json.loads(run("plan", log, "--up", "0.7", "--json").stdout)
    assert found["responses"] == 500
    assert "random gold labels alone: 1,537" in run("plan", "--responses", "10000").stdout
    with pytest.raises(tw.UsageError, match="--responses N"):
        raise run("plan").exception
