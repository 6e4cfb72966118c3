"""label and merge from a shell: pages, tasks, gold labels, and errors in one sentence."""

import json

import polars as pl
import pytest
from helpers.commands import run
from helpers.labels import label_file, planned

from trueward.asking.labels.batch import read_batch


@pytest.fixture
def made(tmp_path):
    planned(5, weights=True).write_csv(tmp_path / "five.csv")
    planned(5).write_parquet(tmp_path / "log.parquet")
    return tmp_path


@pytest.fixture
def told(made, capsys, monkeypatch):
    monkeypatch.chdir(made)

    def call(*words, code=0):
        found, out, err = run([str(w) for w in words], capsys)
        assert found == code, err
        return err if code else out

    return call


def test_labels_are_merged_disputed_ones_listed_and_adjudicated(told, made):
    batch = read_batch(made / "five.csv")
    ids = [item.item for item in batch.items]
    label_file(made / "a.jsonl", batch, "anna", {k: i % 2 for i, k in enumerate(ids)})
    label_file(made / "b.jsonl", batch, "ben", dict.fromkeys(ids, 1))
    words = ("label", "merge", "a.jsonl", "b.jsonl", "--plan", "five.csv", "--out", "gold.parquet")
    said = told(*words, "--disputed", "again.csv")
    assert "5 of 5 responses labelled, 5 by several annotators" in said
    assert "gold.parquet: 5 gold labels with gold_weight" in said
    again = read_batch(made / "again.csv")
    assert [item.item for item in again.items] == ids[::2]
    label_file(made / "c.jsonl", again, "cleo", dict.fromkeys(ids[::2], 0))
    found = json.loads(told(*words, "--adjudicated", "c.jsonl", "--json"))
    assert (found["labelled"], found["disputed"]) == (5, 0)
    assert pl.read_parquet(made / "gold.parquet")["gold"].to_list() == [0.0, 1.0, 0.0, 1.0, 0.0]


def test_tasks_are_written_with_what_to_do_next(told, made):
    said = told("label", "five.csv", "--to", "argilla", "--out", "tasks.json")
    assert "5 tasks" in said
    assert "trueward import argilla" in said
    assert len(json.loads((made / "tasks.json").read_text())) == 5


def test_a_guideline_of_your_own_is_on_the_page(told, made):
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
    ],
)
def test_a_wrong_command_line_is_answered_in_one_sentence(told, made, words, code, said):
    (made / "empty.txt").write_text(" \n")
    err = told(*words.split(), code=code)
    assert said in err
    assert "Traceback" not in err
