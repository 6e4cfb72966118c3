"""Every documented variant of an export gives the same rows, or is refused by name."""

from __future__ import annotations

import gzip
import json

import polars as pl
import pytest
from helpers.product_exports import FIXTURES, column, fixture_records, lines, signals

from trueward.core.errors import TruewardError
from trueward.importers import import_log

OBSERVATIONS = fixture_records("langfuse_observations.jsonl")
SCORES = fixture_records("langfuse_scores.jsonl")


def camel(record):
    """The same record under the names of the UI export."""
    words = {k: k.split("_") for k in record}
    return {w[0] + "".join(p.title() for p in w[1:]): record[k] for k, w in words.items()}


def reasons(result):
    return result.tables.rejected["reason"].to_list()


# Langfuse


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "json", "csv", "csv.gz", "parquet"])
def test_langfuse_blob_export_in_every_format_of_its_folder(ending, tmp_path):
    project = tmp_path / "pr-9"
    for name, records in (("observations", OBSERVATIONS), ("scores", SCORES)):
        (project / name).mkdir(parents=True)
        path = project / name / f"2026-03-02T10-00-00.{ending}"
        frame = pl.DataFrame(records, infer_schema_length=None)
        text = {
            "json": json.dumps(records),
            "csv": frame.write_csv(),
            "jsonl": "".join(json.dumps(r) + "\n" for r in records),
        }
        if ending == "parquet":
            frame.write_parquet(path)
        else:
            data = text[ending.removesuffix(".gz")].encode()
            path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    (project / "manifests").mkdir()
    (project / "manifests" / "2026-03-02T10-00-00.json").write_text('{"version": 1, "files": []}')
    result = import_log("auto", [tmp_path])
    assert result.source.name == "langfuse"
    assert column(result, "feedback") == {"obs-01": 1.0, "obs-02": None}
    assert reasons(result) == []


def test_langfuse_ui_export_beside_the_blob_export_in_one_folder(tmp_path):
    lines(tmp_path / "observations.jsonl", OBSERVATIONS)
    lines(tmp_path / "blob.jsonl", SCORES[1:])
    lines(
        tmp_path / "ui.jsonl",
        [{**camel(SCORES[0]), "traceName": "t", "timestamp": "2026-03-02T09:16:10Z"}],
    )
    assert column(import_log("auto", [tmp_path]), "feedback") == {"obs-01": 1.0, "obs-02": None}


def test_langfuse_columns_of_scores_on_a_trace_count_if_their_name_is_mapped(tmp_path):
    trace = {
        "id": "tr-1",
        "timestamp": "2026-03-02T09:00:00Z",
        "name": "t",
        "userId": "u",
        "sessionId": "s",
    }
    trace |= {"input": "Hi", "output": "Hello", "user-feedback": ["1"], "tags": [], "tone": [0.5]}
    result = import_log("langfuse", [lines(tmp_path / "traces.jsonl", [trace])])
    assert result.log["response"].to_list() == ["Hello"]
    assert result.log["feedback"].to_list() == [1.0]
    assert result.summary["skipped"] == {"the column 'tone' looks like scores and is not mapped": 1}


def test_langfuse_traces_give_user_and_session_and_text_only_without_a_generation(tmp_path):
    about = {
        "timestamp": "2026-03-02 09:15:00.000",
        "user_id": "u-1",
        "session_id": "s-1",
        "tags": [],
    }
    traces = [
        {"id": "tr-01", "input": "outer", "output": "text", **about},
        {"id": "tr-02", "input": None, "output": None, **about},
        {"id": "tr-09", "input": "Ping?", "output": "Pong.", **about},
    ]
    score = {**SCORES[0], "id": "sc-9", "trace_id": "tr-09", "value": 0}
    paths = [lines(tmp_path / "o.jsonl", OBSERVATIONS), lines(tmp_path / "t.jsonl", traces)]
    result = import_log("langfuse", [*paths, lines(tmp_path / "s.jsonl", [score])])
    assert column(result, "response") == {
        "obs-01": "How about Fair Winds?",
        "obs-02": "51",
        "tr-09": "Pong.",
    }
    assert result.log["user_id"].n_unique() == 1
    assert result.log["session_id"].null_count() == 0
    assert column(result, "feedback") == {"obs-01": None, "obs-02": None, "tr-09": 0.0}


def test_langfuse_a_score_of_a_trace_goes_to_its_last_generation(tmp_path):
    later = {**OBSERVATIONS[0], "id": "obs-09", "start_time": "2026-03-02 09:16:00.000"}
    paths = [
        lines(tmp_path / "o.jsonl", [later, *OBSERVATIONS]),
        FIXTURES / "langfuse_scores.jsonl",
    ]
    assert column(import_log("langfuse", paths, shown=["chat"]), "feedback") == {
        "obs-01": None,
        "obs-02": None,
        "obs-09": 1.0,
    }
    # two calls with one text are one answer
    assert column(import_log("langfuse", paths), "feedback") == {"obs-02": None, "obs-09": 1.0}


def test_langfuse_rows_at_both_ends_of_windows_repeat_and_the_newest_counts(tmp_path):
    changed = {**SCORES[0], "value": 0, "updated_at": "2026-03-02 10:00:00.000"}
    paths = [
        lines(tmp_path / "s.jsonl", [changed, *SCORES]),
        FIXTURES / "langfuse_observations.jsonl",
    ]
    result = import_log("langfuse", [*paths, lines(tmp_path / "again.jsonl", OBSERVATIONS)])
    assert column(result, "feedback")["obs-01"] == 0.0
    # of the records of responses, one is a span; of those of events, one a comment
    assert result.summary["duplicates"] == {"responses": 3, "events": 2}


@pytest.mark.parametrize(
    "asked",
    [
        "Suggest a name.",
        [{"role": "user", "content": "Suggest a name."}],
        {"model": "tiny", "messages": [{"role": "user", "content": "Suggest a name."}]},
        json.dumps(json.dumps([{"role": "user", "content": "Suggest a name."}])),
        [{"role": "user", "content": [{"type": "text", "text": "Suggest a name."}]}],
    ],
)
def test_langfuse_inputs_are_text_messages_or_a_request(asked, tmp_path):
    result = import_log(
        "langfuse", [lines(tmp_path / "o.jsonl", [{**OBSERVATIONS[0], "input": asked}])]
    )
    assert result.log["prompt"].to_list() == ["Suggest a name."]


def test_langfuse_without_the_field_group_of_texts_stops(tmp_path):
    bare = [{k: v for k, v in o.items() if k not in {"input", "output"}} for o in OBSERVATIONS]
    with pytest.raises(TruewardError, match="export these field groups too"):
        import_log("langfuse", [lines(tmp_path / "o.jsonl", bare)])


def test_answers_that_are_json_stay_text_and_calls_of_tools_are_no_answers(tmp_path):
    calls = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]}
    observations = [
        {**OBSERVATIONS[0], "id": "a", "trace_id": "1", "output": '{"name": "Fair Winds"}'},
        {**OBSERVATIONS[0], "id": "b", "trace_id": "2", "output": '["Gale", "Breeze"]'},
        {**OBSERVATIONS[0], "id": "c", "trace_id": "3", "output": json.dumps(calls)},
    ]
    result = import_log("langfuse", [lines(tmp_path / "o.jsonl", observations)])
    assert column(result, "response") == {"a": '{"name": "Fair Winds"}', "b": '["Gale", "Breeze"]'}
    assert result.summary["skipped"] == {"an answer without text, such as a tool call": 1}
    assert reasons(result) == []


def test_langfuse_corrections_reviews_and_scores_of_sessions(tmp_path):
    subject = {"kind": "observation", "id": "obs-01", "traceId": "tr-01"}
    base = {"timestamp": "2026-03-02T09:16:10Z", "source": "API", "projectId": "p", "comment": None}
    page = [
        {
            **base,
            "id": "a",
            "name": "output",
            "dataType": "CORRECTION",
            "value": "Gale",
            "subject": subject,
        },
        {
            **base,
            "id": "b",
            "name": "user-feedback",
            "dataType": "BOOLEAN",
            "value": True,
            "subject": subject,
        }
        | {"source": "ANNOTATION", "authorUserId": "rev-1"},
        {**base, "id": "c", "name": "user-feedback", "dataType": "BOOLEAN", "value": True}
        | {"subject": {"kind": "session", "id": "s-1"}},
    ]
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"data": page, "meta": {"limit": 100, "cursor": "x"}}))
    result = import_log("langfuse", [FIXTURES / "langfuse_observations.jsonl", path])
    assert (
        column(result, "feedback")["obs-01"] == 0.0
    )  # a correction says that the answer was not good
    assert column(result, "gold")["obs-01"] == 1.0
    assert result.tables.events.filter(channel="correction")["text"].to_list() == ["Gale"]
    assert (
        result.summary["skipped"][
            "a score of a session or an experiment belongs to no single response"
        ]
        == 1
    )


def test_scores_without_the_texts_are_refused_with_the_export_that_has_them():
    with pytest.raises(TruewardError, match="export observations"):
        import_log("langfuse", [FIXTURES / "langfuse_scores.jsonl"])


# Phoenix

PHOENIX = fixture_records("phoenix_spans_and_annotations.jsonl")


def test_phoenix_data_frames_hold_messages_as_lists(tmp_path):
    spans = [
        {
            "context.span_id": "s001",
            "context.trace_id": "a1f0",
            "span_kind": "LLM",
            "start_time": "2026-04-01T08:00:00Z",
            "attributes.llm.input_messages": [
                {"message.role": "user", "message.content": "Give me a pancake recipe."}
            ],
            "attributes.llm.output_messages": [
                {"message.role": "assistant", "message.content": "Mix flour, milk and eggs."}
            ],
        }
    ]
    notes = [
        {"span_id": "s001", "annotation_name": "user_feedback", "annotator_kind": "HUMAN"}
        | {"result.label": "thumbs-down", "result.score": None, "result.explanation": None},
        {"span_id": "s001", "annotation_name": "note", "annotator_kind": "HUMAN"}
        | {"result.label": None, "result.score": None, "result.explanation": "x"},
    ]
    pl.DataFrame(spans).write_parquet(tmp_path / "spans.parquet")
    pl.DataFrame(notes).write_parquet(tmp_path / "annotations.parquet")
    result = import_log("auto", [tmp_path])
    assert result.log.select("prompt", "response", "feedback").rows() == [
        ("Give me a pancake recipe.", "Mix flour, milk and eggs.", 0.0)
    ]


def test_phoenix_contents_in_parts_and_pages(tmp_path):
    span = json.loads(json.dumps(PHOENIX[0]))
    del span["kind"], span["attributes"]["llm.input_messages.0.message.content"]
    key = "llm.input_messages.0.message.contents.{}.message_content.text"
    span["attributes"] |= {key.format(1): "a recipe.", key.format(0): "Give me "}
    (tmp_path / "spans.json").write_text(json.dumps({"data": [span], "next_cursor": None}))
    assert import_log("auto", [tmp_path]).log["prompt"].to_list() == ["Give me a recipe."]


def test_phoenix_annotations_of_traces_reviewers_and_updates(tmp_path):
    other = {**PHOENIX[0], "context": {"trace_id": "a1f0", "span_id": "s009"}}
    other |= {"start_time": "2026-04-01T08:00:30Z"}
    base = {k: v for k, v in PHOENIX[2].items() if k not in {"kind", "span_id"}}
    up = {"label": "up", "score": 1, "explanation": None}
    extra = [
        {**base, "id": "A8", "trace_id": "a1f0", "source": "APP", "result": up},
        {**PHOENIX[2], "id": "A9", "updated_at": "2026-04-01T09:00:00Z", "result": up},
    ]
    path = lines(tmp_path / "p.jsonl", [*PHOENIX, other, *extra])
    result = import_log("phoenix", path, shown=["chat"])
    assert column(result, "feedback") == {
        "s001": 1.0,
        "s002": None,
        "s009": None,
    }  # updated in place
    assert column(result, "gold") == {
        "s001": None,
        "s002": None,
        "s009": 1.0,
    }  # on the last LLM span


# LangSmith

RUNS = fixture_records("langsmith.jsonl")


def test_langsmith_a_run_of_the_model_that_feedback_names_stands_for_its_root(tmp_path):
    child = {**RUNS[0], "id": "llm-1", "parent_run_id": RUNS[0]["id"], "run_type": "llm"}
    child |= {"outputs": {"generations": [[{"text": "Rain, and rain"}]]}}
    idle = {**child, "id": "llm-2", "trace_id": RUNS[1]["id"], "parent_run_id": RUNS[1]["id"]}
    tool = {**child, "id": "tool-1", "run_type": "tool"}
    records = [*RUNS[:2], child, idle, tool, {**RUNS[2], "run_id": "llm-1"}]
    result = import_log("langsmith", [lines(tmp_path / "r.jsonl", records)])
    assert result.log["response"].to_list() == ["Rain, and rain", "n-e-c-e-s-s-a-r-y"]
    assert result.log["feedback"].to_list() == [0.0, None]


def test_langsmith_bulk_export_holds_json_in_strings(tmp_path):
    plain = [
        {k: json.dumps(v) if isinstance(v, dict) else v for k, v in r.items() if k != "kind"}
        for r in RUNS
    ]
    for name, part in (("runs", plain[:2]), ("feedback", plain[2:])):
        pl.DataFrame(part).write_parquet(tmp_path / f"{name}.parquet")
    result = import_log("auto", [tmp_path])
    assert result.log["feedback"].to_list() == [0.0, None]
    assert result.log["response"].to_list() == ["Soft rain on the roof", "n-e-c-e-s-s-a-r-y"]


def test_langsmith_texts_that_only_the_user_knows_the_place_of(tmp_path):
    odd = {**RUNS[0], "inputs": {"q": {"text": "Why?"}}, "outputs": {"final": ["So."]}}
    path = lines(tmp_path / "r.jsonl", [odd])
    with pytest.raises(
        TruewardError, match=r"no prompt in inputs \(q\).*--map prompt=inputs\.NAME"
    ):
        import_log("langsmith", [path])
    result = import_log(
        "langsmith",
        [path],
        mapping=[("prompt", "inputs.q.text"), ("response", "outputs.final[-1]")],
    )
    assert result.log.select("prompt", "response").rows() == [("Why?", "So.")]


def test_langsmith_one_run_key_and_user_counts_once_the_newest(tmp_path):
    source = {"type": "api", "metadata": {"user_id": "u-2"}, "user_id": None}
    first = {**RUNS[2], "feedback_source": source}
    second = {**first, "id": "later", "score": True, "modified_at": "2026-02-11T11:00:00"}
    second |= {"created_at": "2026-02-11T11:00:00", "correction": {"output": "Rain."}}
    result = import_log("langsmith", [lines(tmp_path / "r.jsonl", [second, *RUNS[:2], first])])
    thumbs = result.tables.events.filter(pl.col("channel").str.starts_with("thumbs"))
    assert thumbs["channel"].to_list() == ["thumbs_up"]
    # called good and corrected in the same moment: no word on whether it was good
    assert result.log["feedback"].to_list() == [None, None]
    assert any("within 5 seconds" in note for note in result.notes)


def test_langsmith_older_runs_kept_only_if_rated_are_no_full_coverage(tmp_path):
    records = []
    for i in range(80):
        at = f"2026-0{1 + i // 20}-{1 + i % 20:02d}T10:00:00"
        name = f"run-{i:03d}"
        records.append({**RUNS[1], "id": name, "trace_id": name, "start_time": at})
        if i < 40 or i % 5 == 0:  # all of January and February, a fifth later
            records.append(
                {**RUNS[2], "id": f"f-{i}", "run_id": name, "created_at": at, "score": i % 2}
            )
    result = import_log("langsmith", [lines(tmp_path / "r.jsonl", records)])
    assert result.info.export_scope.level == "rated_only"
    assert any("base retention" in note for note in result.notes)
    even = [r for r in records if r.get("kind") == "run" or int(r["id"][2:]) % 5 == 0]
    assert (
        import_log("langsmith", [lines(tmp_path / "e.jsonl", even)]).info.export_scope.level
        == "full"
    )


def test_langsmith_experiments_side_by_side_are_annotation(tmp_path):
    paired = {**RUNS[2], "comparative_experiment_id": "x"}
    result = import_log("langsmith", [lines(tmp_path / "r.jsonl", [*RUNS[:2], paired])])
    assert result.log["feedback"].null_count() == 2
    assert result.log["gold"].to_list() == [0.0, None]


# Helicone

REQUESTS = fixture_records("helicone.jsonl")


def test_helicone_json_that_ends_in_a_comma_repeats_and_other_providers(tmp_path):
    other = {**REQUESTS[1], "request_id": "rq-9", "scores": {"helicone-score-feedback": 0}}
    other |= {
        "request_body": {"system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]}
    }
    other |= {
        "response_body": {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}
    }
    path = tmp_path / "requests.json"
    path.write_text(
        "[" + "".join(json.dumps(r) + ",\n" for r in [*REQUESTS, REQUESTS[0], other]) + "]"
    )
    result = import_log("auto", [path])
    assert column(result, "feedback") == {"rq-1": 1.0, "rq-2": None, "rq-9": 0.0}
    assert column(result, "prompt")["rq-9"] == "system: Be brief.\nuser: Hi"
    assert result.summary["duplicates"]["responses"] == 1


def test_helicone_csv_and_requests_without_bodies_are_refused(tmp_path):
    path = tmp_path / "requests.csv"
    path.write_text(
        "response_id,request_created_at,response_status\nrs-1,2026-05-05T12:00:00Z,200\n"
    )
    with pytest.raises(TruewardError, match="export JSON lines"):
        import_log("auto", [path])
    bare = {**REQUESTS[0], "request_body": None, "response_body": None, "signed_body_url": "u"}
    with pytest.raises(TruewardError, match="--include-body"):
        import_log("helicone", [lines(tmp_path / "r.jsonl", [bare])])


def test_helicone_answers_from_the_cache_and_other_scores(tmp_path):
    cached = {**REQUESTS[1], "request_id": "rq-8", "cache_reference_id": "rq-2"}
    scored = {**REQUESTS[1], "scores": {"helicone-score-feedback": 1, "tone": 3}}
    result = import_log("helicone", [lines(tmp_path / "r.jsonl", [scored, cached])])
    assert result.summary["skipped"] == {
        "an answer from the cache, which repeats another": 1,
        "the score name 'tone' is not mapped": 1,
    }


# Dify

DIFY = {
    "feedback_id": "f-1",
    "app_id": "app-1",
    "conversation_id": "cv-1",
    "message_id": "msg-1",
    "user_query": "My printer is offline.",
    "ai_response": "Check the cable first.",
    "feedback_rating": "👍",
    "feedback_rating_raw": "like",
    "feedback_comment": "",
    "feedback_source": "user",
    "feedback_date": "2026-05-01 10:02:00",
    "from_end_user_id": "eu-1",
    "message_date": "2026-05-01 10:00:00",
    "from_account_name": "",
}
PAGE = {"id": "msg-1", "conversation_id": "cv-1", "inputs": {}, "query": "My printer is offline."}


def test_dify_json_export_and_the_newest_word_of_a_user(tmp_path):
    later = {**DIFY, "feedback_id": "f-2", "feedback_rating_raw": "dislike"}
    later |= {"feedback_date": "2026-05-01 12:00:00"}
    path = tmp_path / "feedback.json"
    path.write_text(
        json.dumps({"export_info": {"total_records": 2}, "feedback_data": [later, DIFY]})
    )
    result = import_log("auto", [path])
    assert result.info.export_scope.level == "rated_only"
    assert column(result, "feedback") == {"msg-1": 0.0}
    assert result.summary["duplicates"]["events"] == 1


def test_dify_answers_cut_to_500_characters_need_the_full_text(tmp_path):
    cut = {**DIFY, "ai_response": "x" * 500 + "..."}
    path = lines(tmp_path / "feedback.jsonl", [cut, {**DIFY, "message_id": "msg-7"}])
    result = import_log("dify", [path])
    assert column(result, "feedback") == {"msg-7": 1.0}
    assert reasons(result) == [
        "a thumbs_up without its response: dify:msg-1 is not among the responses"
    ]
    page = {
        "limit": 20,
        "has_more": False,
        "data": [{**PAGE, "answer": "x" * 800, "created_at": 1777629600}],
    }
    (tmp_path / "messages.json").write_text(json.dumps(page))
    whole = import_log("dify", [path, tmp_path / "messages.json"])
    assert column(whole, "feedback") == {"msg-1": 1.0, "msg-7": 1.0}
    assert column(whole, "response")["msg-1"] == "x" * 800
    assert whole.info.export_scope.level == "rated_chats_only"


def test_dify_pages_of_feedbacks_and_messages(tmp_path):
    rated = {
        "id": "f-1",
        "message_id": "msg-1",
        "conversation_id": "cv-1",
        "rating": "like",
        "content": None,
    }
    rated |= {
        "from_source": "user",
        "from_end_user_id": "eu-1",
        "created_at": "2026-05-01T10:02:00",
    }
    (tmp_path / "feedbacks.json").write_text(json.dumps({"data": [rated]}))
    feedbacks = [
        {
            **PAGE,
            "answer": "Check the cable.",
            "feedback": {"rating": "like"},
            "created_at": 1777629600,
        },
        {**PAGE, "id": "msg-2", "answer": "And then?", "feedback": None, "created_at": 1777629700},
    ]
    page = {"limit": 20, "has_more": False, "data": feedbacks}
    (tmp_path / "messages.json").write_text(json.dumps(page))
    result = import_log("auto", [tmp_path])
    assert column(result, "feedback") == {"msg-1": 1.0, "msg-2": None}


# Argilla and Label Studio


def test_argilla_nested_without_a_status_is_refused_and_with_one_read(tmp_path):
    record = {
        "id": "r1",
        "_server_id": "b1",
        "fields": {"prompt": "Name a planet.", "response": "Mars."},
    }
    record |= {"responses": {"ok": [{"value": "yes", "user_id": "an-1"}]}, "suggestions": {}}
    with pytest.raises(TruewardError, match="flatten=True"):
        import_log("argilla", [lines(tmp_path / "r.jsonl", [record])])
    record["responses"]["ok"][0]["status"] = "submitted"
    result = import_log(
        "argilla", [lines(tmp_path / "r.jsonl", [record])], mapping=[("thumbs", "ok")]
    )
    assert result.log["gold"].to_list() == [1.0]


def test_argilla_other_fields_and_questions_without_a_mapping(tmp_path):
    record = {
        "_server_id": "b1",
        "question": "Name a planet.",
        "reply": "Mars.",
        "helpful.responses": [5],
    }
    record |= {"helpful.responses.users": ["a"], "helpful.responses.status": ["submitted"]}
    path = lines(tmp_path / "r.jsonl", [record])
    with pytest.raises(TruewardError, match="--map prompt=FIELD"):
        import_log("argilla", [path])
    fields = [("prompt", "question"), ("response", "reply")]
    with pytest.raises(TruewardError, match=r"'helpful' \(1\).*--map thumbs=helpful.*--scale 1:5"):
        import_log("argilla", [path], mapping=fields)
    result = import_log("argilla", [path], mapping=[*fields, ("rating", "helpful")], scale=(1, 5))
    assert result.log["gold"].to_list() == [1.0]


def test_ratings_of_an_unknown_scale_are_no_labels_and_the_error_asks_for_the_scale():
    with pytest.raises(TruewardError, match=r"3 ratings run from 4 to 5.*--scale 1:5"):
        import_log("argilla", [FIXTURES / "argilla.json"], mapping=[("rating", "helpfulness")])


def test_label_studio_old_and_short_exports(tmp_path):
    result = [{"from_name": "ok", "to_name": "r", "type": "choices", "value": {"choices": ["Bad"]}}]
    old = {"id": 1, "data": {"prompt": "Name a tool.", "response": "Moon."}}
    old |= {
        "completions": [{"id": 5, "completed_by": 2, "result": result}, {"id": 6, "skipped": True}]
    }
    short = {"id": 2, "prompt": "Name a bird.", "response": "Robin.", "ok": "Good", "annotator": 2}
    short |= {"annotation_id": 7, "created_at": "2026-01-10T10:00:00Z", "lead_time": 2.0}
    (tmp_path / "tasks.json").write_text(json.dumps([old, short]))
    result = import_log("auto", [tmp_path], mapping=[("thumbs", "ok")])
    assert column(result, "gold") == {"1": 0.0, "2": 1.0}


def test_label_studio_ground_truth_counts_before_other_annotations(tmp_path):
    def rated(name, value, truth):
        result = [{"from_name": "q", "to_name": "r", "type": "rating", "value": {"rating": value}}]
        return {"id": name, "completed_by": name, "result": result, "ground_truth": truth}

    task = {"id": 1, "data": {"prompt": "p", "response": "r"}}
    task |= {"annotations": [rated(1, 1, False), rated(2, 5, True)]}
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([task]))
    result = import_log("labelstudio", [path], mapping=[("rating", "q")], scale=(1, 5))
    assert result.log["gold"].to_list() == [1.0]
    assert result.summary["skipped"] == {"an annotation beside the ground truth": 1}


# OpenTelemetry


def typed(attributes):
    def value(v):
        if isinstance(v, list):
            return {"arrayValue": {"values": [value(x) for x in v]}}
        if isinstance(v, dict):
            return {
                "kvlistValue": {"values": [{"key": k, "value": value(x)} for k, x in v.items()]}
            }
        return {"doubleValue": v} if isinstance(v, float) else {"stringValue": v}

    return [{"key": k, "value": value(v)} for k, v in attributes.items()]


def test_otlp_json_nests_spans_and_logs_and_types_every_value(tmp_path):
    spans, event = fixture_records("otel.jsonl")[:2], fixture_records("otel.jsonl")[2]
    nested = [
        {"traceId": s["trace_id"], "spanId": s["span_id"], "name": s["name"], "parentSpanId": ""}
        | {"startTimeUnixNano": "1782889200000000000", "attributes": typed(s["attributes"])}
        for s in spans
    ]
    nested[1]["events"] = [
        {"name": "gen_ai.evaluation.result", "timeUnixNano": "1782889230000000000"}
        | {
            "attributes": typed(
                {"gen_ai.evaluation.name": "user_thumbs", "gen_ai.evaluation.score.label": "down"}
            )
        }
    ]
    log = {
        "eventName": event["eventName"],
        "spanId": "b7ad01",
        "timeUnixNano": "1782889220000000000",
    }
    log["attributes"] = typed(event["attributes"])
    envelopes = [
        {"resourceSpans": [{"scopeSpans": [{"spans": nested}]}]},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [log]}]}]},
    ]
    result = import_log("auto", [lines(tmp_path / "otlp.jsonl", envelopes)])
    assert column(result, "feedback") == {"b7ad01": 1.0, "b7ad02": 0.0}
    assert column(result, "response") == {"b7ad01": "Lima.", "b7ad02": "Santiago."}


def test_otel_links_by_response_id_where_the_parent_is_another_span(tmp_path):
    records = fixture_records("otel.jsonl")
    records[2]["parent_span_id"] = "outer"
    other = json.loads(json.dumps(records[2]))
    other["attributes"]["gen_ai.evaluation.name"] = "relevance"
    result = import_log("otel", [lines(tmp_path / "o.jsonl", [*records, other])])
    assert column(result, "feedback") == {"b7ad01": 1.0, "b7ad02": None}
    assert [s for s in result.summary["skipped"] if "'relevance' is not mapped" in s]


def test_otel_older_instrumentation_and_spans_without_captured_text(tmp_path):
    older = {"trace_id": "1", "span_id": "2", "start": "2026-07-01T07:00:00Z"}
    older["attributes"] = {
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": "Be brief.",
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": "Hi",
        "gen_ai.completion.0.content": "Hello.",
    }
    bare = {"trace_id": "1", "span_id": "3", "attributes": {"gen_ai.operation.name": "chat"}}
    tool = {
        "trace_id": "1",
        "span_id": "4",
        "attributes": {"gen_ai.operation.name": "execute_tool"},
    }
    result = import_log("otel", [lines(tmp_path / "o.jsonl", [older, bare, tool])])
    assert result.log["prompt"].to_list() == ["system: Be brief.\nuser: Hi"]
    assert reasons(result) == [
        "has no text: the application does not capture content, switch it on"
    ]
    assert result.summary["skipped"] == {"a span of the operation execute_tool is no answer": 1}


# FastChat and Arena

CHATS = fixture_records("fastchat.jsonl")


def test_fastchat_of_several_votes_on_one_state_the_last_counts(tmp_path):
    down = {**CHATS[2], "type": "downvote", "tstamp": CHATS[2]["tstamp"] + 60}
    flag = {**CHATS[2], "type": "flag", "tstamp": CHATS[2]["tstamp"] - 30}
    result = import_log("fastchat", [lines(tmp_path / "c.jsonl", [down, flag, *CHATS[:3]])])
    rated = result.log.filter(pl.col("feedback").is_not_null())
    assert rated.select("response", "feedback").rows() == [("Kite, bright, flight.", 0.0)]
    assert result.summary["channels"] == {"flag": 1, "regenerate": 1, "thumbs_down": 1}


@pytest.mark.parametrize(
    ("models", "why"),
    [
        (["Model A", "Model B"], None),
        (["tiny-chat-1", "tiny-chat-2"], None),
        (["tiny-chat-1", ""], "one side of the battle has a name"),
        (["tiny-chat-2", "tiny-chat-1"], "contradict"),
    ],
)
def test_fastchat_battles_are_valid_or_say_why_not(models, why, tmp_path):
    result = import_log(
        "fastchat", [lines(tmp_path / "c.jsonl", [CHATS[0], {**CHATS[3], "models": models}])]
    )
    assert result.pairs.height == (why is None)
    assert [r for r in reasons(result) if why and why in r] == (reasons(result) if why else [])
    assert len(reasons(result)) == (why is not None)


@pytest.mark.parametrize(("vote", "value"), [("tievote", 0.5), ("bothbad_vote", -1.0)])
def test_fastchat_ties_are_one_tied_comparison(vote, value, tmp_path):
    result = import_log("fastchat", [lines(tmp_path / "c.jsonl", [{**CHATS[3], "type": vote}])])
    assert result.tables.events["value"].to_list() == [value, value]
    (pair,) = result.pairs.to_dicts()
    assert (pair["tie"], abs(pair["position"])) == (1.0, 1.0)
    assert result.info.export_scope.level == "rated_only"  # votes without the records of chats


def test_arena_battles_as_published(tmp_path):
    sides = [
        [{"role": "user", "content": "Define atom."}, {"role": "assistant", "content": text}]
        for text in ("The smallest unit.", "A thing.")
    ]
    cleaned = {
        "question_id": "q1",
        "model_a": "m1",
        "model_b": "m2",
        "winner": "model_b",
        "judge": "arena_user_1",
    }
    cleaned |= {"conversation_a": sides[0], "conversation_b": sides[1], "turn": 1, "anony": True}
    cleaned |= {"tstamp": 1682351591.1}
    parts = [
        [
            {"role": m["role"], "content": [{"type": "text", "text": m["content"], "image": None}]}
            for m in side
        ]
        for side in sides
    ]
    newest = {
        "id": "n1",
        "model_a": "m1",
        "model_b": "m2",
        "winner": "both_bad",
        "evaluation_session_id": "s",
    }
    newest |= {"conversation_a": parts[0], "conversation_b": parts[1], "is_code": False}
    lines(tmp_path / "arena.jsonl", [cleaned, newest])
    frame = pl.DataFrame(
        {"id": [5], "model_a": ["m1"], "model_b": ["m2"], "prompt": ['["Hi", "Again"]']}
        | {"response_a": ['["Yes", "A"]'], "response_b": ['["No", "B"]']}
        | {"winner_model_a": [1], "winner_model_b": [0], "winner_tie": [0]}
    )
    frame.write_csv(tmp_path / "train.csv")
    result = import_log("auto", [tmp_path])
    assert result.info.export_scope.level == "rated_only"
    columns = ("winner_id", "loser_id", "tie", "position")
    assert result.pairs.select(columns).rows() == [
        ("fastchat:5/a", "fastchat:5/b", 0.0, 1.0),
        ("fastchat:n1/a", "fastchat:n1/b", 1.0, 1.0),
        ("fastchat:q1/b", "fastchat:q1/a", 0.0, -1.0),
    ]
    assert result.log.filter(response_id="fastchat:5/a")["prompt"].to_list() == [
        "user: Hi\nassistant: Yes\nuser: Again"
    ]
    assert result.log.filter(response_id="fastchat:n1/a")["response"].to_list() == [
        "The smallest unit."
    ]


def test_preferences_become_feedback_only_where_the_user_says_so():
    asked = {"positive": ["preferred>=1"], "negative": ["preferred<=0"]}
    result = import_log("fastchat", [FIXTURES / "fastchat.jsonl"], **asked)
    by_text = dict(result.log.select("response", "feedback").iter_rows())
    assert by_text["The smallest unit of an element."] == 1.0
    assert by_text["A thing."] == 0.0


def test_the_signals_of_a_fixture_are_those_that_are_said():
    assert signals(import_log("helicone", [FIXTURES / "helicone.jsonl"])) == [
        ("rq-1", "thumbs_up", 1.0, "user")
    ]
