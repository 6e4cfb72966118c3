"""A model is measured on comparisons: accuracy by source, Brier score, slope and groups of P(A beats B)."""

import json
import math

import polars as pl
import pytest
import torch
from helpers.commands import run

import trueward as tw
from trueward.model.scores import Scores


class Numbers:
    """The reward of a response is the number that it is."""

    def score(self, _prompts, responses):
        reward = torch.tensor([float(r) for r in responses])
        return Scores(reward, torch.sigmoid(reward), 0 * reward, reward > 99)


def table(*rows, **columns):
    """Rows (winner, loser, times), each comparison of a prompt of its own."""
    listed = [(f"p{i}-{k}", a, b) for i, (a, b, n) in enumerate(rows) for k in range(n)]
    frame = pl.DataFrame(listed, schema=["prompt", "chosen", "rejected"], orient="row")
    return frame.with_columns(**columns)


def test_accuracy_brier_and_slope_by_hand():
    """Leads of 1, right in 30 of 40: sigmoid(b) = 3/4, and Brier 3/4 (1 - p)^2 + 1/4 p^2."""
    found = tw.evaluate_comparisons(Numbers(), table(("1", "0", 30), ("0", "1", 10)))
    p = 1 / (1 + math.exp(-1))
    assert found["accuracy"].value == pytest.approx(0.75)
    assert found["brier"].value == pytest.approx(0.75 * (1 - p) ** 2 + 0.25 * p**2)
    assert found["slope"].value == pytest.approx(math.log(3), abs=1e-6)
    # the variance of a log-odds: 1 / (n p (1 - p))
    width = found["slope"].high - found["slope"].low
    assert width == pytest.approx(2 * 2.02 / math.sqrt(40 * 3 / 16), rel=0.06)
    assert {b["observed"] for b in found.bins} <= {0.0, 0.5, 1.0, *(k / 10 for k in range(11))}
    assert sum(b["observed"] * b["comparisons"] for b in found.bins) == pytest.approx(30)
    assert all(b["predicted"] == pytest.approx(p) for b in found.bins)


def test_equal_rewards_count_half_ties_are_left_out_and_sources_are_apart():
    rows = table(("1", "0", 20), ("0", "0.0", 4), ("0", "1", 6))
    rows = rows.with_columns(
        source=pl.Series(["battle"] * 20 + ["judge"] * 10), tie=pl.Series([0.0] * 25 + [1.0] * 5)
    )
    found = tw.evaluate_comparisons(Numbers(), rows)
    assert (found.comparisons, found.ties) == (25, 5)
    assert found["accuracy_battle"].value == 1
    assert found["accuracy_judge"].value == pytest.approx(2 / 5)
    assert found["accuracy"].value == pytest.approx(22 / 25)
    assert found.sources == {"battle": 20, "judge": 10}
    assert "25 comparisons, 5 ties left out" in str(found)


def test_a_comparison_of_weight_3_counts_as_three():
    once = table(("2", "0", 9), ("0", "1", 5), weight=pl.lit(3.0))
    often = table(("2", "0", 27), ("0", "1", 15))
    a, b = (tw.evaluate_comparisons(Numbers(), rows) for rows in (once, often))
    for name in ("accuracy", "brier", "slope"):
        assert a[name].value == pytest.approx(b[name].value)


def test_intervals_are_clustered_by_user_and_prompt():
    """Two users decide all: the interval that knows it is wider, and says that users are few."""
    rows = table(("1", "0", 60), ("0", "1", 40))
    by_prompt = tw.evaluate_comparisons(Numbers(), rows)
    assert "name no users" in by_prompt.warnings[-1]
    users = ["a"] * 50 + ["b"] * 30 + ["c"] * 20
    both = tw.evaluate_comparisons(Numbers(), rows.with_columns(user_id=pl.Series(users)))
    wide, narrow = (e["accuracy"].high - e["accuracy"].low for e in (both, by_prompt))
    assert wide > 2 * narrow
    assert "effective number of 2.6 users" in both.warnings[-1]
    with pytest.raises(tw.UsageError, match="clustering by user needs the users"):
        tw.evaluate_comparisons(Numbers(), rows, cluster="user")


def test_what_cannot_be_measured_is_said():
    every = tw.evaluate_comparisons(Numbers(), table(("1", "0", 30)))
    assert every["slope"].value is None
    assert every["slope"].reason == "the model orders every comparison right"
    with pytest.raises(tw.TruewardError, match="30 ties and no comparison that a response won"):
        tw.evaluate_comparisons(Numbers(), table(("1", "0", 30), tie=pl.lit(1.0)))
    with pytest.raises(tw.UsageError, match="needs comparisons: give pairs"):
        tw.evaluate_comparisons(Numbers())

    class Interval:
        def score(self, prompts, responses):
            none = torch.zeros(len(prompts), len(responses)).sum(1)
            return Scores(None, None, none, none > 0)

    with pytest.raises(tw.TruewardError, match="identifies only an interval"):
        tw.evaluate_comparisons(Interval(), table(("1", "0", 30)))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model, a log with ids, comparisons by id, and the same by texts."""
    folder = tmp_path_factory.mktemp("compared")
    good, bad = "Open the settings and choose Undo.", "I do not know."
    rows = [
        (f"How do I undo {k}?", text) for k in range(60) for text in (f"{good} {k}", f"{bad} {k}")
    ]
    log = pl.DataFrame(rows, schema=["prompt", "response"], orient="row").with_columns(
        response_id=pl.Series([f"r{i}" for i in range(120)]),
        feedback=pl.Series([1.0, 0.0] * 60),
        user_id=pl.Series([f"u{i // 4}" for i in range(120)]),
    )
    log.write_parquet(folder / "log.parquet")
    right = pl.arange(0, 60, eager=True) % 5 > 0
    first = [f"r{2 * k + (not w)}" for k, w in enumerate(right)]
    second = [f"r{2 * k + w}" for k, w in enumerate(right)]
    pl.DataFrame({"winner_id": first, "loser_id": second}).write_parquet(folder / "pairs.parquet")
    texts = dict(log.select("response_id", "response").iter_rows())
    sides = {"chosen": [texts[k] for k in first], "rejected": [texts[k] for k in second]}
    battles = pl.DataFrame({"prompt": log["prompt"][::2], **sides})
    battles.write_ndjson(folder / "battles.jsonl")
    model = tw.fit("naive", tw.encode(tw.read_log(log), progress=False), epochs=3, seed=0)
    model.save(folder / "rm")
    return folder


def told(made, monkeypatch, capsys, *words):
    monkeypatch.chdir(made)
    return run(["evaluate", "rm", *words], capsys)


def test_the_command_reads_texts_or_the_ids_of_a_log(made, monkeypatch, capsys):
    code, out, err = told(made, monkeypatch, capsys, "--pairs", "battles.jsonl", "--json")
    assert code == 0, err
    by_text = json.loads(out)["metrics"]
    by_id = ("--log", "log.parquet", "--pairs", "pairs.parquet")
    code, out, err = told(made, monkeypatch, capsys, *by_id, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["metrics"]["accuracy"]["value"] == by_text["accuracy"]["value"] > 0.7
    assert found["comparisons"] == 60
    code, out, err = told(made, monkeypatch, capsys, *by_id, "--fail-if", "accuracy<0.99")
    assert code == 3
    assert "failed: accuracy is" in err
    assert "effective prompts and 30 effective users" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--pairs", "pairs.parquet"), "has ids of responses and no texts: give the log, too"),
        (("--as", "rewardbench"), "--as rewardbench needs --pairs FILE"),
        (("log.parquet", "--pairs", "battles.jsonl"), "only one of them"),
        (
            ("--log", "log.parquet", "--pairs", "pairs.parquet", "--gold", "log.parquet"),
            "--gold needs --log: comparisons need no gold labels",
        ),
        (("--pairs", "battles.jsonl", "--cluster", "user"), "clustering by user needs the users"),
        (("--pairs", "log.parquet"), "chosen"),
        (("--pairs", "battles.jsonl", "--draws", "50"), "--draws needs a test table"),
    ],
)
def test_a_wrong_command_is_answered_in_one_sentence(words, said, made, monkeypatch, capsys):
    code, _, err = told(made, monkeypatch, capsys, *words)
    assert code in (1, 2)
    assert said in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
