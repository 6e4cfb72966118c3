"""The page that people label on: self-contained, blind, with texts as data; and the tasks of other tools."""

import base64
import hashlib
import json
import re

import polars as pl
import pytest
from helpers.labels import planned

import trueward as tw
from trueward.asking.labels.batch import read_batch
from trueward.asking.labels.tasks import task_file
from trueward.core.errors import TruewardError, UsageError
from trueward.importers import import_log

HOSTILE = "</script><!--<script>alert(1)</script> \u2028 &lt; {{7*7}} @SCRIPT@ @BATCH@"


def island(html):
    return json.loads(re.search(r'id="batch">(.*?)</script>', html, re.DOTALL)[1])


def test_the_page_asks_for_nothing_and_allows_its_own_script_only():
    html = tw.label_page(planned(3)).html()
    policy = re.search(r'Security-Policy" content="([^"]+)"', html)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    for text in (script, style):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert not re.search(r"(src|href)=|https?://|@import|url\(", html)
    assert "innerHTML" not in script
    assert "fetch(" not in script


def test_texts_are_data_and_come_back_as_they_are():
    texts = {"prompt": [HOSTILE, "b"], "response": ["x" + HOSTILE, HOSTILE]}
    html = tw.label_page(pl.DataFrame(texts), guideline=HOSTILE).html()
    assert html.count("</script>") == 2
    assert html.count("<script") == 2
    data = island(html)
    assert [data["prompts"][row[1]] for row in data["items"]] == texts["prompt"]
    assert [row[2] for row in data["items"]] == texts["response"]
    assert data["guideline"] == HOSTILE


def test_the_page_is_blind():
    rows = planned(4).with_columns(gold=1.0, feedback=pl.lit(1.0), reward=pl.lit(-3.25))
    data = island(tw.label_page(rows).html())
    assert set(data) == {
        *["format", "batch", "guideline", "reasons", "annotators", "prompts", "items"]
    }
    assert all(len(row) == 5 for row in data["items"])
    assert "-3.25" not in json.dumps(data)


def test_a_thousand_responses_are_less_than_five_megabytes():
    rows = pl.DataFrame(
        {
            "prompt": [f"{i // 4}: " + "why is that so? " * 100 for i in range(1000)],
            "response": [f"{i}: " + "because <it> is & so. " * 100 for i in range(1000)],
        }
    )
    assert len(tw.label_page(rows).html().encode()) < 5e6


def test_responses_are_shared_at_random_in_equal_parts_and_some_go_to_two():
    page = tw.label_page(planned(100), annotators=["anna", "ben", "cleo"])
    shares = page.shares()
    assert sorted(map(len, shares)) == [1] * 85 + [2] * 15
    counts = [sum(k in who for who in shares) for k in range(3)]
    assert sum(counts) == 115
    assert max(counts) - min(counts) <= 1
    assert [item.labels for item in page.batch.items] == [len(who) for who in shares]
    assert shares == tw.label_page(planned(100), annotators=["anna", "ben", "cleo"]).shares()
    assert "anna 38" in str(page) or "anna 39" in str(page)


@pytest.mark.parametrize("names", [["anna", "Anna"], ["anna", " "], ["x" * 61]])
def test_names_of_annotators_differ_and_are_short(names):
    with pytest.raises(UsageError, match="annotator"):
        tw.label_page(planned(3), annotators=names)


def test_copies_are_labelled_once():
    rows = pl.DataFrame({"prompt": ["a", "a", "b"], "response": ["x", "x", "y"]})
    assert len(tw.label_page(rows).batch.items) == 2
    with pytest.raises(TruewardError, match="two values of gold_weight"):
        tw.label_page(rows.with_columns(gold_weight=pl.Series([1.0, 2.0, 3.0])))


def test_a_chance_that_some_rows_lack_and_a_whole_log_are_refused():
    rows = pl.DataFrame({"prompt": ["a", "b"], "response": ["x", "y"], "gold_weight": [2.0, None]})
    with pytest.raises(TruewardError, match=r"1 of 2 rows of .* have none"):
        tw.label_page(rows)
    many = pl.select(prompt=pl.int_range(10_001).cast(pl.String), response=pl.lit("r"))
    with pytest.raises(UsageError, match="at most 10,000: draw those"):
        tw.label_page(many)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (pl.DataFrame({"prompt": ["a"]}), "response"),
        (
            pl.DataFrame(
                {"prompt": [], "response": []},
                schema=dict.fromkeys(["prompt", "response"], pl.String),
            ),
            "no row",
        ),
    ],
)
def test_what_cannot_be_labelled_is_one_sentence(rows, said):
    with pytest.raises(TruewardError, match=said):
        tw.label_page(rows)


def test_a_column_labels_of_another_table_has_no_meaning():
    rows = pl.DataFrame({"prompt": ["a"], "response": ["b"], "labels": ["politics"]})
    assert tw.label_page(rows).batch.items[0].labels == 1


# tasks of other tools, and the way back
def back(tmp_path, source, records, name="export.json"):
    path = tmp_path / name
    path.write_text(json.dumps(records))
    return import_log(source, [str(path)], mapping=[("thumbs", "label")]).log


def label_studio(tasks, labels):
    for k, (task, label) in enumerate(zip(tasks, labels, strict=True)):
        value = {"choices": [label]}
        result = [{"type": "choices", "from_name": "label", "to_name": "response", "value": value}]
        by = {"id": k, "completed_by": 7, "created_at": "2026-01-02T00:00:00Z", "result": result}
        yield {"id": k + 1, **task, "annotations": [by], "predictions": []}


def argilla(tasks, labels):
    for task, label in zip(tasks, labels, strict=True):
        answers = {"label.responses": [label], "label.responses.users": ["u"]}
        status = {"label.responses.status": ["submitted"], "_server_id": task["id"]}
        yield {"id": task["id"], **task["fields"], **task["metadata"], **answers, **status}


def langfuse(tasks, labels):
    for task, label in zip(tasks["batch"], labels, strict=True):
        trace = task["body"] | {"userId": None, "sessionId": None, "public": False}
        about = {"traceId": trace["id"], "observationId": None, "timestamp": "2026-01-02T00:00:00Z"}
        score = {"id": f"s{trace['id']}", "name": "label", "value": None, "stringValue": label}
        yield trace | {
            "scores": [score | about | {"source": "ANNOTATION", "dataType": "CATEGORICAL"}]
        }


@pytest.mark.parametrize(
    ("tool", "source", "export"),
    [
        ("label-studio", "labelstudio", label_studio),
        ("argilla", "argilla", argilla),
        ("langfuse", "langfuse", langfuse),
    ],
)
def test_the_export_of_a_tool_has_the_labels_and_the_chances(tmp_path, tool, source, export):
    batch = read_batch(planned(6, weights=True))
    labels = ["good", "bad"] * 3
    log = back(tmp_path, source, list(export(json.loads(task_file(batch, tool)), labels)))
    found = {
        row["response"]: (row["gold"], row["gold_weight"])
        for row in log.select("response", "gold", "gold_weight").iter_rows(named=True)
    }
    assert found == {
        item.response: (float(label == "good"), item.gold_weight)
        for item, label in zip(batch.items, labels, strict=True)
    }
    assert set(log["prompt"]) == {item.prompt for item in batch.items}


def test_a_uniform_draw_has_tasks_without_weights(tmp_path):
    batch = read_batch(planned(4))
    tasks = json.loads(task_file(batch, "label-studio"))
    log = back(tmp_path, "labelstudio", list(label_studio(tasks, ["good"] * 4)))
    assert "gold_weight" not in log.columns
    assert log["gold"].to_list() == [1.0] * 4


def test_a_task_without_a_label_has_no_weight(tmp_path):
    tasks = json.loads(task_file(read_batch(planned(3, weights=True)), "label-studio"))
    exported = list(label_studio(tasks, ["good"] * 3))
    exported[0]["annotations"] = []
    log = back(tmp_path, "labelstudio", exported).sort("response")
    assert log["gold"].null_count() == 1
    assert (log["gold"].is_null() == log["gold_weight"].is_null()).all()


def test_there_are_no_tasks_for_an_unknown_tool():
    with pytest.raises(UsageError, match="no tasks for 'prodigy'"):
        task_file(read_batch(planned(3)), "prodigy")
