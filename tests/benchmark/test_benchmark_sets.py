"""Sets of a benchmark: the layouts of the hub on small files, shared sets where they are."""

import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trueward.benchmark.answers import Location
from trueward.benchmark.entries import set_entry
from trueward.benchmark.prepared import prepare
from trueward.benchmark.sets import SETS, read_set
from trueward.core.errors import TruewardError

SHARED = next(
    (p / "shared" / "data" for p in Path(__file__).resolve().parents if (p / "shared").is_dir()),
    Path("nowhere"),
)
TEXT = ["helpdesk", "arena", "gptfuzz", "pku", "topical_chat", "alpacaeval", "upworthy"]


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(r) + "\n" for r in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def helpsteer(folder):
    rest = {"correctness": 3, "coherence": 4, "complexity": 2, "verbosity": 1}
    rows = [
        {"prompt": f"q{i // 2}", "response": f"a{i}", "helpfulness": i % 5, **rest}
        for i in range(10)
    ]
    lines(folder / "train.jsonl.gz", rows)
    lines(
        folder / "validation.jsonl.gz", [{**rows[0], "prompt": "v", "helpfulness": None}, rows[3]]
    )


def ultrafeedback(folder):
    def talk(i, side):
        return [
            {"content": f"q{i}", "role": "user"},
            {"content": f"{side} {i}", "role": "assistant"},
        ]

    frame = pl.DataFrame(
        {
            "prompt": [f"q{i}" for i in range(6)],
            "prompt_id": [f"id{i}" for i in range(6)],
            "chosen": [talk(i, "good") for i in range(6)],
            "rejected": [talk(i, "bad") for i in range(6)],
            "messages": [talk(i, "good") for i in range(6)],
            "score_chosen": [8.0, 7.5, 9.0, 6.5, 10.0, 7.0],
            "score_rejected": [4.0, 7.0, 1.0, 6.5, 3.0, 2.0],
        }
    )
    (folder / "data").mkdir(parents=True)
    frame[:4].write_parquet(folder / "data" / "train_prefs-00000-of-00001.parquet")
    frame[4:].write_parquet(folder / "data" / "test_prefs-00000-of-00001.parquet")
    frame.write_parquet(folder / "data" / "train_sft-00000-of-00001.parquet")


def pku_saferlhf(folder):
    rows = [
        {
            "prompt": f"q{i}",
            "response_0": f"left {i}",
            "response_1": f"right {i}",
            "is_response_0_safe": i % 2 == 0,
            "response_0_severity_level": i % 4,
            "response_1_severity_level": 0,
            "better_response_id": 1,
        }
        for i in range(8)
    ]
    lines(folder / "data" / "Alpaca-7B" / "train.jsonl", rows[:6])
    lines(folder / "data" / "Alpaca2-7B" / "test.jsonl", rows[6:])


def read(name, folder, **options):
    return read_set(name, Location(path=folder, **options))


def test_helpsteer(tmp_path):
    helpsteer(tmp_path)
    found = read("helpsteer", tmp_path)
    assert found.threshold == 2.0
    assert found.frame.columns == ["prompt", "response", "rating", "part"]
    assert len(found.frame) == 11  # the row without a label is dropped
    assert found.frame["rating"].max() == 4.0


def test_ultrafeedback_takes_the_last_message_of_each_side(tmp_path):
    ultrafeedback(tmp_path)
    frame = read("ultrafeedback", tmp_path).frame.sort("response")
    assert len(frame) == 12
    assert frame["response"].to_list()[:2] == ["bad 0", "bad 1"]
    assert dict(frame.select("response", "rating").iter_rows())["good 4"] == 10.0


def test_pku_saferlhf_has_two_choices_of_positive(tmp_path):
    pku_saferlhf(tmp_path)
    severe = read("pku_saferlhf", tmp_path, positive="severe")
    safe = read("pku_saferlhf", tmp_path, positive="safe")
    assert len(severe.frame) == 16
    good = severe.frame["rating"] > severe.threshold
    assert good.sum() == 4
    assert ((safe.frame["rating"] > safe.threshold) == ~good).all()
    assert set_entry("pku_saferlhf").positive == "safe"


@pytest.mark.parametrize("name", ["helpsteer", "ultrafeedback", "pku_saferlhf"])
def test_a_missing_folder_is_an_error_with_the_download_command(tmp_path, name):
    with pytest.raises(TruewardError, match="hf download"):
        read_set(name, Location())
    with pytest.raises(TruewardError, match="hf download"):
        read_set(name, Location(data=tmp_path))
    with pytest.raises(TruewardError, match="should hold the files"):
        read(name, tmp_path)


def test_damaged_files_are_errors(tmp_path):
    (tmp_path / "train.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(TruewardError, match="cannot be read"):
        read("helpsteer", tmp_path)
    lines(tmp_path / "train.jsonl.gz", [{"prompt": "q", "response": "a"}])
    with pytest.raises(TruewardError, match="should have the column helpfulness"):
        read("helpsteer", tmp_path)


def test_the_set_rated_reads_a_table(tmp_path):
    frame = pl.DataFrame(
        {"prompt": ["a", "a", "b"], "response": ["x", "y", "z"], "label": [1, 0, 1]}
    )
    frame.write_csv(tmp_path / "mine.csv")
    assert len(read("rated", tmp_path / "mine.csv").frame) == 3
    with pytest.raises(TruewardError, match="give its path"):
        read_set("rated", Location())


def test_fewer_rows_are_whole_prompts():
    found = read_set("synthetic", Location(rows=400))
    assert len(found.frame) == 400
    few = found.first(101)
    assert len(few.frame) == 104
    assert set(few.frame["prompt"].value_counts()["count"]) == {4}
    assert np.array_equal(
        few.features[0],
        found.features[found.frame["response"].to_list().index(few.frame["response"][0])],
    )


def test_a_set_is_prepared_once(monkeypatch):
    said = []
    entry = set_entry({"name": "helpdesk", "rows": 200})
    first = prepare(entry, "wordllama", None, said.append)
    second = prepare(entry, "wordllama", None, said.append)
    assert len(said) == 1
    assert (first.folder, first.digest) == (second.folder, second.digest)
    assert first.features(np.array([3, 1])).shape[0] == 2
    assert first.directions.shape == (len(first.rows), 64)
    other = prepare(
        set_entry({"name": "helpdesk", "rows": 200, "threshold": 1}), "wordllama", None, said.append
    )
    assert other.folder != first.folder


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared sets are not here")
@pytest.mark.parametrize("name", TEXT)
def test_shared_sets(name):
    found = read_set(name, Location(data=SHARED, rows=300))
    assert {"prompt", "response", "rating"} <= set(found.frame.columns)
    assert found.frame["rating"].null_count() == 0
    assert SETS[name].description


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared sets are not here")
def test_real_logs_have_feedback_and_random_truth():
    coat = read_set("coat", Location(data=SHARED))
    assert coat.features.shape == (87000, 47)
    assert (coat.frame["feedback"].count(), coat.frame["rating"].count()) == (6960, 4640)
    picks = read_set("upworthy_picks", Location(data=SHARED))
    assert 0.1 < picks.frame["feedback"].count() / len(picks.frame) < 0.3
    known = picks.frame.drop_nulls("feedback")
    assert ((known["rating"] > picks.threshold) == (known["feedback"] > 0)).all()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared sets are not here")
def test_arena_prompts_are_their_text_for_the_file_numbers_them_anew_for_some_models():
    whole = read_set("arena", Location(data=SHARED)).frame
    assert whole["prompt"].n_unique() == 302
    assert "prompt_id" not in whole.columns
    entry = set_entry({"name": "arena", "rows": 300})
    made = prepare(entry, "wordllama", SHARED, lambda _line: None)
    assert made.about["threshold"] == 5.5
    assert made.rows["group"].value_counts()["count"].max() < 30
