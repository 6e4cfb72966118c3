"""plan, label and merge from a shell: the figures of labels put in directly, and errors in one sentence."""

import json

import polars as pl
import pytest
from helpers.commands import run
from helpers.labels import label_file, planned

from trueward.asking.labels.batch import read_batch
from trueward.data.log import read_log
from trueward.features import encode
from trueward.fitting.fit import fit
from trueward.simulation import helpdesk, simulate


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A world without gold labels whose responses occur once, its truth, and naive on it."""
    folder = tmp_path_factory.mktemp("label")
    world = simulate(helpdesk(60, seed=2), rate=0.4, seed=2)
    rows = world.log.with_row_index("row").unique(["prompt", "response"], keep="first").sort("row")
    rows.drop("row").write_parquet(folder / "log.parquet")
    log = read_log(folder / "log.parquet")
    fit("naive", *encode(log).split(0.2), epochs=2).save(folder / "rm")
    return folder


@pytest.fixture
def told(made, capsys, monkeypatch):
    monkeypatch.chdir(made)

    def call(*words, code=0):
        found, out, err = run([str(w) for w in words], capsys)
        assert found == code, err
        return err if code else out

    return call


@pytest.mark.parametrize("draw", ["uniform", "stratified", "chance"])
def test_plan_label_and_merge_give_the_labels_and_weights_of_a_file_filled_in_directly(
    told, made, draw
):
    told("plan", "rm", "log.parquet", "--width", "0.08", "--draw", draw, "--out", "next.csv")
    told("label", "next.csv", "--out", "label.html")
    batch = read_batch(made / "next.csv")
    truth = {item.item: int(len(item.response) % 3 > 0) for item in batch.items}
    twice = [item.item for item in batch.items if item.labels > 1]
    assert len(twice) == round(0.15 * len(batch.items))
    label_file(made / "anna.jsonl", batch, "anna", truth)
    label_file(made / "ben.jsonl", batch, "ben", {k: truth[k] for k in twice})
    files = ("anna.jsonl", "ben.jsonl", "--plan", "next.csv")
    told("label", "merge", *files, "--out", "gold.parquet", "--disputed", "again.csv")
    assert not pl.read_csv(made / "again.csv").height
    table = pl.read_csv(made / "next.csv", infer_schema_length=None)
    table.with_columns(gold=pl.Series([*truth.values()])).write_csv(made / "direct.csv")
    log = read_log(made / "log.parquet")
    merged, direct = (log.with_gold(made / name).frame for name in ("gold.parquet", "direct.csv"))
    assert merged.equals(direct)
    assert merged["gold"].count() == len(batch.items)
    if draw == "chance":  # the figures, too
        words = ("evaluate", "rm", "--log", "log.parquet", "--json", "--gold")
        plain = told(*words, "gold.parquet")
        assert plain == told(*words, "direct.csv")
        judged = log.frame.select("prompt", "response").with_columns(
            judge=(pl.col("response").str.len_chars() % 3 > 0).cast(pl.Float64)
        )
        judged.write_parquet(made / "judge.parquet")
        better = told(*words, "gold.parquet", "--judge", "judge.parquet")
        width = [
            v["high"] - v["low"]
            for v in (json.loads(t)["metrics"]["good"] for t in (plain, better))
        ]
        assert width[1] < 0.7 * width[0], "a judge that is right narrows the interval"


def test_a_log_of_asks_gives_a_plan_of_the_silent(told, made):
    log = pl.read_parquet(made / "log.parquet").with_columns(asked=1, p_ask=0.9)
    log.write_parquet(made / "asks.parquet")
    words = ("plan", "rm", "asks.parquet", "--draw", "asked-silent")
    assert "needs --out" in told(*words, "--width", "0.3", code=2)
    said = told(*words, "--width", "0.3", "--out", "next.csv", "--twice", "0")
    drawn = pl.read_csv(made / "next.csv")
    assert f"label {drawn.height} more" in said
    assert "stand for the asked who stayed silent" in said
    silent = log.filter(pl.col("feedback").is_null())
    assert drawn.join(silent, on=["prompt", "response"], how="anti").is_empty()
    assert drawn["gold_weight"].to_list() == pytest.approx(
        [silent.height / drawn.height] * drawn.height
    )
    assert drawn["labels"].max() == 1


def test_tasks_are_written_with_what_to_do_next(told, made):
    planned(5, weights=True).write_csv(made / "five.csv")
    said = told("label", "five.csv", "--to", "argilla", "--out", "tasks.json")
    assert "5 tasks" in said
    assert "trueward import argilla" in said
    assert len(json.loads((made / "tasks.json").read_text())) == 5


def test_a_guideline_of_your_own_is_on_the_page(told, made):
    planned(5).write_csv(made / "five.csv")
    (made / "guide.txt").write_text("Good: short.")
    told("label", "five.csv", "--out", "label.html", "--guideline", "guide.txt")
    assert "Good: short." in (made / "label.html").read_text()
    said = json.loads(told("label", "page", "five.csv", "--out", "label.html", "--json"))
    assert (said["rows"], said["twice"]) == (5, 1)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("label there.csv --out label.html", 1, "there.csv"),
        ("label log.parquet --out label.htm", 2, "must end in .html"),
        ("label log.parquet", 2, "--out"),
        ("label log.parquet --out l.html --guideline gone.txt", 1, "cannot be read"),
        ("label log.parquet --out l.html --guideline empty.txt", 2, "is empty"),
        ("label log.parquet --out l.html --annotator a --annotator A", 2, "different names"),
        ("label log.parquet --out l.html --map prompt=question", 2, "question"),
        ("label log.parquet --to prodigy --out t.json", 2, "prodigy"),
        ("label merge gone.jsonl --out gold.parquet", 1, "cannot be read"),
        ("label merge log.parquet --out gold.parquet", 1, "is no label"),
        ("label merge --out gold.parquet", 2, "Missing argument 'files'"),
        ("label merge a.jsonl --out gold.xlsx", 2, "must end in .parquet, .csv, .jsonl"),
        ("label mrege a.jsonl b.jsonl --out gold.parquet", 2, "unexpected extra argument"),
        ("plan rm log.parquet --width .1 --twice 2", 2, "--twice takes a share"),
        ("plan rm log.parquet --width .1 --draw asked-silent --out n.csv", 1, "no lottery"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_sentence(told, made, words, code, said):
    (made / "empty.txt").write_text(" \n")
    err = told(*words.split(), code=code)
    assert said in err
    assert "Traceback" not in err
