"""Feedback and texts at places and in spellings that each product may also use."""

import json

import pytest
from helpers.product_exports import column, lines

from trueward.importers import import_log


def generation(name, asked="Which pump?", answered="The red one.", **more):
    ids = {"id": name, "traceId": f"t-{name}", "type": "GENERATION", "name": "answer"}
    texts = {"input": asked, "output": answered, "startTime": "2025-05-01T10:00:00Z"}
    return ids | texts | more


def score(name, value=None, word=None, kind="NUMERIC", about="user-feedback"):
    ids = {
        "id": f"s-{name}",
        "traceId": f"t-{name}",
        "source": "API",
        "name": about,
        "dataType": kind,
    }
    return ids | {"value": value, "stringValue": word, "timestamp": "2025-05-01T11:00:00Z"}


def span(name, **more):
    texts = {"input.value": "Which pump?", "output.value": f"Pump {name}."}
    fields = {"name": "answer", "span_kind": "LLM", "start_time": "2025-05-01T10:00:00Z"}
    return (
        fields | {"context": {"span_id": name, "trace_id": f"t-{name}"}, "attributes": texts} | more
    )


def test_feedback_inside_objects_of_metadata_is_named_and_read_by_its_path(tmp_path):
    rows = [
        generation("a", metadata={"feedback": {"thumb": "up", "comment": "fine"}}),
        generation("b", metadata={"user-feedback": {"value": "down", "score": 1}}),
        generation("c", metadata=json.dumps({"app": {"user": {"vote": "down"}}})),
        generation("d", user_feedback=1),
    ]
    path = lines(tmp_path / "observations.jsonl", rows)
    result = import_log("langfuse", [path])
    assert column(result, "feedback") == {"a": None, "b": 0.0, "c": None, "d": None}
    for name in ("feedback.thumb", "app.user.vote", "user_feedback"):
        assert any(repr(name) in reason for reason in result.summary["skipped"]), name
    names = ("feedback.thumb", "app.user.vote", "user_feedback")
    result = import_log("langfuse", [path], mapping=[("thumbs", name) for name in names])
    assert column(result, "feedback") == {"a": 1.0, "b": 0.0, "c": 0.0, "d": 1.0}


def test_phoenix_annotations_under_their_longer_name_and_feedback_beside_the_attributes(tmp_path):
    note = {"name": "user_feedback", "annotator_kind": "HUMAN", "result": {"score": 0}}
    rows = [span("a", span_annotations=[note]), span("b", feedback={"rating": "up"})]
    path = lines(tmp_path / "spans.jsonl", rows)
    result = import_log("phoenix", [path], mapping=[("thumbs", "feedback.rating")])
    assert column(result, "feedback") == {"a": 0.0, "b": 1.0}


def test_stars_in_words_and_signs_are_ratings(tmp_path):
    observations = lines(tmp_path / "observations.jsonl", [generation(n) for n in "abc"])
    words = {"a": "★★★★★", "b": "1 star", "c": "3/5"}
    rows = [score(n, word=word, kind="CATEGORICAL", about="stars") for n, word in words.items()]
    scores = lines(tmp_path / "scores.jsonl", rows)
    result = import_log(
        "langfuse", [observations, scores], mapping=[("rating", "stars")], scale=(1, 5)
    )
    assert column(result, "feedback") == {"a": 1.0, "b": 0.0, "c": None}


@pytest.mark.parametrize(
    "asked",
    [
        {"args": ["Which pump?"], "kwargs": {"session_id": "s-1", "model": "small"}},
        {"args": ["<app.Bot object at 0x7f12ab>", "Which pump?"], "kwargs": {}},
        {"user_question": "Which pump?"},
        {"chatInput": "Which pump?"},
    ],
)
def test_the_text_among_the_arguments_of_a_function_is_the_prompt(asked, tmp_path):
    path = lines(tmp_path / "observations.jsonl", [generation("a", asked)])
    assert import_log("langfuse", [path]).log["prompt"].to_list() == ["Which pump?"]


def test_gradio_flags_are_words_of_feedback(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        "question,answer,flag,username,timestamp\n"
        "Which pump?,Red.,👍🏽,,2025-05-01 10:00:00\n"
        "Which cable?,Blue.,not helpful,,2025-05-01 10:01:00\n"
        "Which nut?,M4.,Silly,,2025-05-01 10:02:00\n",
        "utf-8",
    )
    log = import_log("gradio", [path]).log
    assert dict(zip(log["response"], log["feedback"], strict=True)) == {
        "Red.": 1.0,
        "Blue.": 0.0,
        "M4.": None,
    }


def librechat(name, parent, text="", *, is_user, **more):
    ids = {"messageId": name, "conversationId": "c", "parentMessageId": parent, "user": "u"}
    return (
        ids | {"isCreatedByUser": is_user, "text": text, "createdAt": "2025-05-01T10:00:00Z"} | more
    )


def test_librechat_what_a_user_attached_is_in_the_prompt(tmp_path):
    root, files = (
        "00000000-0000-0000-0000-000000000000",
        [{"type": "image/png"}, {"type": "application/pdf"}],
    )
    up = {"rating": "thumbsUp"}
    rows = [
        librechat("q", root, files=files, is_user=True),
        librechat("a", "q", "A red pump.", feedback=up, is_user=False),
    ]
    result = import_log("librechat", [lines(tmp_path / "messages.jsonl", rows)])
    assert result.log["prompt"].to_list() == ["[image]\n[file]"]
    assert result.log["feedback"].to_list() == [1.0]


def test_chatgpt_feedback_may_have_further_keys(tmp_path):
    def node(name, parent, role, text):
        content = {"content_type": "text", "parts": [text]}
        message = {
            "id": name,
            "author": {"role": role},
            "content": content,
            "create_time": 1746093600.0,
        }
        return {"id": name, "parent": parent, "children": [], "message": message}

    nodes = [node("q", None, "user", "Which pump?"), node("a", "q", "assistant", "The red one.")]
    chat = {"title": "x", "id": "c", "current_node": "a", "mapping": {n["id"]: n for n in nodes}}
    thumb = {
        "id": "f",
        "message_id": "a",
        "conversation_id": "c",
        "rating": "thumbs_down",
        "storage": "v2",
    }
    (tmp_path / "conversations.json").write_text(json.dumps([chat]), "utf-8")
    (tmp_path / "message_feedback.json").write_text(json.dumps([thumb]), "utf-8")
    result = import_log("auto", [tmp_path])
    assert (result.summary["source"], result.log["feedback"].to_list()) == ("chatgpt", [0.0])


def test_files_of_no_known_kind_beside_an_export_are_rejected_and_counted(tmp_path):
    lines(tmp_path / "observations.jsonl", [generation("a", metadata={"user-feedback": 1})])
    (tmp_path / "user.json").write_text('{"id": "u-1", "plan": "plus"}', "utf-8")
    result = import_log("auto", [tmp_path])
    assert (result.summary["source"], column(result, "feedback")) == ("langfuse", {"a": 1.0})
    assert result.tables.rejected["reason"].to_list() == [
        "is not a record of langfuse: its keys are id, plan"
    ]


def test_langfuse_parts_inside_a_trace_need_not_repeat_its_id(tmp_path):
    observation = {k: v for k, v in generation("a", "Q?", "A.").items() if k != "traceId"}
    thumb = {k: v for k, v in score("a", 0).items() if k != "traceId"}
    trace = {"id": "t", "timestamp": "2025-05-01T10:00:00Z", "userId": "u", "sessionId": "s"}
    trace |= {"input": "Q?", "output": "A.", "observations": [observation], "scores": [thumb]}
    result = import_log("langfuse", [lines(tmp_path / "traces.jsonl", [trace])])
    assert column(result, "feedback") == {"a": 0.0}


def test_a_column_of_an_attribute_is_one_signal(tmp_path):
    path = tmp_path / "spans.csv"
    path.write_text(
        "name,span_kind,context.span_id,context.trace_id,parent_id,start_time,attributes.input.value,"
        "attributes.output.value,attributes.user_feedback\n"
        "answer,LLM,s1,t1,,2025-05-01T10:00:00Z,Q?,A.,down\n",
        "utf-8",
    )
    result = import_log("phoenix", [path])
    assert (column(result, "feedback"), result.tables.events.height) == ({"s1": 0.0}, 1)


def test_langsmith_a_refusal_of_langchain_and_a_thumb_in_an_object(tmp_path):
    said = {"kwargs": {"content": "", "additional_kwargs": {"refusal": "I will not."}}}
    run = {"id": "r", "run_type": "chain", "name": "chat", "trace_id": "r", "parent_run_id": None}
    run |= {"inputs": {"question": "Q?"}, "outputs": {"generations": [[{"message": said}]]}}
    run["start_time"] = "2025-05-01T10:00:00Z"
    thumb = {"id": "f", "run_id": "r", "key": "user_score", "feedback_source": None}
    thumb |= {"value": {"label": "down"}, "created_at": "2025-05-01T10:01:00Z"}
    result = import_log("langsmith", [lines(tmp_path / "runs.jsonl", [run, thumb])])
    assert (result.log["response"].to_list(), column(result, "feedback")) == (
        ["I will not."],
        {"r": 0.0},
    )


def test_labelstudio_a_task_may_hold_a_chat_with_one_answer(tmp_path):
    chat = [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A."}]
    stars = {"from_name": "stars", "to_name": "chat", "type": "rating", "value": {"rating": 1}}
    note = {"id": 6, "completed_by": 3, "result": [stars]}
    task = {"id": 2, "data": {"messages": chat}, "annotations": [note]}
    (tmp_path / "tasks.json").write_text(json.dumps([task]), "utf-8")
    log = import_log("labelstudio", [tmp_path / "tasks.json"]).log
    assert log.select("prompt", "response", "gold").rows() == [("Q?", "A.", 0.0)]
