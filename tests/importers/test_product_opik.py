"""Opik: what each form of its export gives."""

from __future__ import annotations

import json

import pytest
from helpers.product_exports import FIXTURES, column, fixture, fixture_records, lines, signals

from trueward.core.errors import TruewardError
from trueward.importers import import_log


def bundles():
    return fixture_records("opik.jsonl")


def traces():
    return [bundle["trace"] for bundle in bundles()]


def rejected(result):
    return result.tables.rejected.select("line", "reason").rows()


def test_what_opik_export_writes():
    result = fixture("opik.jsonl", mapping=[("user", "trace.metadata.user")])
    assert (result.source.name, result.info.export_scope.level) == ("opik", "full")
    # of two model calls the one with the text of the trace was shown, with all that it saw
    assert column(result, "response") == {"t1-s3": "Trout.", "t2-s1": "Wren."}
    assert column(result, "prompt")["t1-s3"] == "system: Be brief.\nuser: Name a fish."
    # users vote by the SDK, the team in the UI, online rules are judges; each author by itself
    assert signals(result) == [
        ("t1-s3", "comment", 1.0, "user"),
        ("t1-s3", "rating", 0.9, "judge"),
        ("t1-s3", "thumbs_up", 1.0, "user"),
        ("t2-s1", "thumbs_down", 1.0, "annotator"),
        ("t2-s1", "thumbs_up", 1.0, "user"),
    ]
    assert column(result, "feedback") == {"t1-s3": 1.0, "t2-s1": 1.0}
    assert column(result, "gold") == {"t1-s3": None, "t2-s1": 0.0}
    assert result.log["user_id"].n_unique() == result.log["session_id"].n_unique() == 1
    assert result.log["model"].to_list() == ["tiny", "tiny"]
    assert result.summary["skipped"] == {
        "a model call that users were not shown: its trace put out another text": 1,
        "a span of type tool is no answer": 1,
        "a trace of source playground, which users did not see": 1,
        "a trace, read for its user, session and output": 2,
        "comments of the team are not read": 1,
        "the score 'tone' is not mapped": 1,
    }


def test_a_trace_and_its_spans_as_the_sdk_sends_them():
    result = import_log("auto", FIXTURES.parent / "cases" / "opik_sdk.jsonl")
    assert result.log["prompt"].to_list() == ["system: Be brief.\nuser: Name a fish."]
    assert result.log["response"].to_list() == ["Trout."]
    assert result.log["feedback"].to_list() == [0.0]  # the thumb was switched
    assert result.log["model"].to_list() == ["gpt-5-mini"]


def test_traces_alone_answer_with_their_output(tmp_path):
    page = {"page": 1, "size": 3, "total": 3, "content": traces(), "sortableBy": []}
    (tmp_path / "page.json").write_text(json.dumps(page))
    result = import_log("auto", tmp_path / "page.json")
    assert (result.source.name, result.info.export_scope.level) == ("opik", "full")
    assert column(result, "prompt") == {"t1": "Name a fish.", "t2": "And a bird?"}
    assert column(result, "feedback") == {"t1": 1.0, "t2": 1.0}
    assert import_log("auto", lines(tmp_path / "t.jsonl", traces())).log.equals(result.log)


def test_spans_beside_traces_and_scores_of_spans(tmp_path):
    spans = [span for bundle in bundles() for span in bundle["spans"]]
    thumb = {"name": "user_feedback", "value": 0.0, "source": "sdk"}
    spans[2]["feedback_scores"] = [thumb, {**thumb, "name": "Fit", "source": "online_scoring"}]
    plain = [{k: v for k, v in t.items() if k != "feedback_scores"} for t in traces()]
    result = import_log("opik", lines(tmp_path / "t.jsonl", [*plain, *spans]))
    assert column(result, "feedback") == {"t1-s3": 0.0, "t2-s1": None}
    assert column(result, "judge") == {"t1-s3": 0.0, "t2-s1": None}
    named = import_log("opik", lines(tmp_path / "t.jsonl", [*plain, *spans]), shown=["rewrite"])
    assert column(named, "response") == {"t1-s1": "fish name"}


def test_tables_of_the_ui_do_not_say_who_scored(tmp_path):
    row = {"id": "t1", "name": "chat", "start_time": "2026-03-01T10:00:00Z", "type": ""}
    row |= {"input.messages.0.role": "user", "input.messages.0.content": "Name a fish."}
    row |= {"output.answer": "Trout.", "feedback_scores.user_feedback": "0"}
    row |= {"feedback_scores.user_feedback_reason": "stale", "feedback_scores.Hallucination": "0.2"}
    other = {**dict.fromkeys(row, ""), "id": "t2", "input.messages.0.content": "Hi"}
    other |= {"output.answer": "Ho.", "feedback_scores.user_feedback": "-"}
    text = [",".join(row), *(",".join(r.values()) for r in (row, other))]
    (tmp_path / "t.csv").write_text("\n".join(text))
    result = import_log("auto", tmp_path / "t.csv")
    assert column(result, "prompt") == {"t1": "Name a fish.", "t2": "Hi"}
    assert column(result, "feedback") == {"t1": 0.0, "t2": None}
    assert ("t1", "comment", 1.0, "user") in signals(result)
    assert result.summary["skipped"]["the score 'Hallucination' is not mapped"] == 1


def test_the_csv_of_opik_export_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "t.csv").write_text("trace_id,trace_input,span_id\nt1,{'a': 1},s\n")
    with pytest.raises(TruewardError, match="--format json"):
        import_log("auto", tmp_path / "t.csv")


def test_what_is_wrong_is_rejected_with_its_line(tmp_path):
    good, wrong = traces()[:2]
    wrong["feedback_scores"] = [
        {"name": "user_feedback", "value": 1, "source": "alien"},
        {"name": "user_feedback", "value": 7, "source": "sdk"},
    ]
    silent = {**traces()[0], "id": "t4", "input": None, "output": None}
    thread = {"id": "th-1", "number_of_messages": 2, "last_message": "x", "thread_model_id": "m"}
    thread["feedback_scores"] = good["feedback_scores"]
    other = {"traceId": "t", "name": "x", "dataType": "NUMERIC", "source": "API", "value": 1}
    records = [good, wrong, silent, thread, good, other, json.dumps(good)[:-9]]
    result = import_log("opik", lines(tmp_path / "t.jsonl", records))
    assert column(result, "feedback") == {"t1": 1.0, "t2": None}
    assert [line for line, _ in rejected(result)] == [2, 2, 3, 3, 6, 7]
    reasons = " ".join(reason for _, reason in rejected(result))
    assert "should be sdk, ui or online_scoring, and is 'alien'" in reasons
    assert "'7' of a thumb has no known meaning" in reasons
    assert "but of langfuse" in reasons
    assert result.summary["duplicates"]["responses"] == 1
    assert result.summary["skipped"]["a score of a thread belongs to no single response"] == 3


def test_experiments_and_other_files_of_an_export_are_counted(tmp_path):
    bundle = bundles()[0]
    trial = {**bundle["trace"], "id": "e", "source": None, "experiment": {"id": "x", "name": "n"}}
    stamp = {"downloaded_at": "2026-03-05T08:00:00"}
    dataset = {"id": "d", "name": "qa", "items": [{"input": "q"}]} | stamp
    prompt = {"name": "p", "current_version": {"prompt": "Hi"}, "history": []} | stamp
    for name, value in {"trace_1": bundle, "dataset_qa": dataset, "prompt_p": prompt}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value, indent=2))
    (tmp_path / "trace_2.json").write_text(json.dumps({**bundle, "trace": trial, "spans": []}))
    result = import_log("auto", tmp_path)
    assert column(result, "feedback") == {"t1-s3": 1.0}
    assert result.summary["skipped"]["a trace of source experiment, which users did not see"] == 1
    assert result.summary["skipped"]["a dataset, prompt or experiment beside the traces"] == 2


def test_scores_of_other_names_and_no_text_at_all_are_said(tmp_path):
    trace = traces()[0]
    trace["feedback_scores"] = [{"name": "thumb", "value": 1, "source": "sdk"}]
    path = lines(tmp_path / "t.jsonl", [trace])
    with pytest.raises(TruewardError, match="--map thumbs=thumb"):
        import_log("auto", path)
    assert column(import_log("opik", path, mapping=[("thumbs", "thumb")]), "feedback") == {
        "t1": 1.0
    }
    path = lines(tmp_path / "e.jsonl", [{**trace, "input": {}, "output": {}}])
    with pytest.raises(TruewardError, match="an import needs responses"):
        import_log("opik", path)
