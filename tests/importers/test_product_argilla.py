"""Argilla 1.x: files that its own client wrote, in each of their layouts."""

from __future__ import annotations

import json

import polars as pl
import pytest
from helpers.product_exports import FIXTURES, column, lines, signals

from trueward.core.errors import TruewardError
from trueward.importers import import_log

CASES = FIXTURES.parent / "cases"
RATING = {"mapping": [("rating", "quality")], "scale": (1, 5)}
OK = {"mapping": [("thumbs", "ok")]}


def records(name):
    return [json.loads(line) for line in (CASES / name).read_text("utf-8").splitlines()]


def rejected(result):
    return result.tables.rejected.select("line", "reason").rows()


@pytest.mark.parametrize("form", ["dataset", "records", "page", "search", "older", "parquet"])
def test_feedback_datasets_in_all_their_layouts(form, tmp_path):
    rows = records("argilla_1_dataset.jsonl")
    path = CASES / f"argilla_1_{form}.jsonl"
    if form == "page":
        items = [{**r, "id": f"r{n}"} for n, r in enumerate(records("argilla_1_records.jsonl"), 1)]
        path = tmp_path / "page.json"
        path.write_text(json.dumps({"items": items, "total": 4}))
    elif form == "search":
        found = [
            {"record": {**r, "id": f"r{n}"}, "query_score": 1.0}
            for n, r in enumerate(records("argilla_1_records.jsonl"), 1)
        ]
        found[0]["record"]["suggestions"][0] = {"question_id": "7", "value": 3, "agent": "j"}
        path = tmp_path / "found.json"
        path.write_text(json.dumps({"items": found, "total": 4}))
    elif form == "older":  # objects of lists, and no suggestions
        for row in rows:
            for key in [key for key in row if "-suggestion" in key]:
                del row[key]
            for question in ("quality", "ok", "corrected", "order"):
                cells = row[question]
                row[question] = {k: [c[k] for c in cells] for k in ("user_id", "value", "status")}
        path = lines(tmp_path / "d.jsonl", rows)
    elif form == "parquet":
        path = tmp_path / "d.parquet"
        pl.DataFrame(rows).write_parquet(path)
    result = import_log("auto", path, **RATING)
    assert (result.source.name, result.info.export_scope.level) == ("argilla", "annotation")
    gold = {
        name: value for name, value in column(result, "gold").items() if name in ("r1", "r2", "r3")
    }
    # (5 - 1) / 4 and (4 - 1) / 4 are averaged; a draft and a discarded answer are no labels
    assert gold == {"r1": 0.875, "r2": None, "r3": 0.25}
    assert column(result, "judge")["r1"] == (None if form in {"older", "search"} else 3.0)
    assert result.log.height == 4
    assert result.log["feedback"].null_count() == 4
    assert result.summary["skipped"]["an answer that is draft and not submitted"] == 1
    assert ("the question '7' is not mapped" in result.summary["skipped"]) == (form == "search")
    thumbs = import_log("auto", path, **OK)
    assert column(thumbs, "gold")["r1"] == 0.5


def test_answers_in_words_and_in_several_values():
    mapping = [("correction", "corrected"), ("rating", "order"), ("rating", "quality")]
    result = import_log("argilla", CASES / "argilla_1_dataset.jsonl", mapping=mapping, scale=(1, 5))
    assert ("r3", "correction", 1.0, "annotator") in signals(result)
    assert result.summary["skipped"]["an answer of several values to 'order'"] == 1


def test_text_classification_needs_a_validated_annotation():
    path = CASES / "argilla_1_classification.jsonl"
    result = import_log("auto", path, mapping=[("thumbs", "annotation")])
    assert column(result, "response")["c1"] == "Trout."
    # c2 was not validated, c3 has two labels; the prediction of the best score is a judge's
    assert column(result, "gold") == {"c1": 1.0, "c2": None, "c3": None, "c4": None}
    assert signals(result) == [
        ("c1", "thumbs_up", 1.0, "annotator"),
        ("c1", "thumbs_up", 1.0, "judge"),
        ("c2", "thumbs_up", 1.0, "judge"),
    ]
    assert result.summary["skipped"] == {
        "an answer of several values to 'annotation'": 1,
        "an answer that is Default and not submitted": 1,
    }
    with pytest.raises(TruewardError, match="--map thumbs=annotation"):
        import_log("auto", path)


def test_text_to_text_corrects_its_best_prediction():
    result = import_log("auto", CASES / "argilla_1_texts.jsonl")
    assert column(result, "response") == {"x1": "Trout.", "x2": "Wren."}
    assert signals(result) == [("x1", "correction", 1.0, "annotator")]
    assert result.summary["skipped"] == {
        "a text without a prediction": 1,
        "an annotation that leaves the text as it was": 1,
    }


def test_what_is_wrong_is_rejected(tmp_path):
    good, second = records("argilla_1_records.jsonl")[:2]
    fields = {**second, "fields": {"question": "a", "answer": "b"}, "external_id": "q"}
    task = records("argilla_1_classification.jsonl")[0] | {"tokens": ["Name"], "id": "t"}
    plain = records("argilla_1_classification.jsonl")[1] | {"inputs": None, "text": "T", "id": "u"}
    other = {"traceId": "t", "name": "x", "dataType": "NUMERIC", "source": "API", "value": 1}
    found = [good, fields, task, plain, good, other, json.dumps(good)[:-9]]
    result = import_log("argilla", lines(tmp_path / "r.jsonl", found), **RATING)
    assert column(result, "gold") == {"r1": 0.875}
    assert [line for line, _ in rejected(result)] == [2, 3, 4, 6, 7]
    reasons = " ".join(reason for _, reason in rejected(result))
    assert (
        "no field 'prompt' among question, answer, fields: name it by --map prompt=FIELD" in reasons
    )
    assert "labels of tokens" in reasons
    assert "but of langfuse" in reasons
    assert result.summary["duplicates"]["responses"] == 1
