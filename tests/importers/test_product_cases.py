"""Small logs of the shapes that products write, each with its right rows."""

from __future__ import annotations

import copy
import json

import pytest
from helpers.product_exports import FIXTURES, column, lines, signals

from trueward.core.errors import TruewardError
from trueward.importers import import_log

CASES = FIXTURES.parent / "cases"


def case(name, source="auto", **options):
    return import_log(source, CASES / name, **options)


def records(name):
    text = (CASES / name).read_text("utf-8")
    return (
        json.loads(text)
        if text[0] in "[{" and "\n{" not in text
        else list(map(json.loads, text.splitlines()))
    )


def rejected(result):
    return [(line, reason) for _, line, reason in result.tables.rejected.rows()]


# Open WebUI


def test_open_webui_prompts_begin_with_the_system_prompt_of_their_chat():
    result = case("openwebui_system_prompt.json")
    assert column(result, "prompt") == {
        "b": "system: Answer like a pirate.\nuser: Hello?\n[image]",
        "e": "system: Answer like a butler.\nuser: Hello?",
    }
    assert result.log["prompt_id"].n_unique() == 2


def test_open_webui_an_image_alone_is_a_turn_and_old_chats_have_their_own_system_prompt(tmp_path):
    chats = records("openwebui_system_prompt.json")
    chats[0]["chat"]["history"]["messages"]["a"]["content"] = ""
    chats[1]["chat"] |= {"params": {}, "system": "Be old."}
    result = import_log("auto", lines(tmp_path / "c.jsonl", chats))
    assert column(result, "prompt") == {
        "b": "system: Answer like a pirate.\nuser: [image]",
        "e": "system: Be old.\nuser: Hello?",
    }
    assert column(result, "feedback")["b"] == 1.0


def test_open_webui_the_snapshot_of_a_rating_has_the_system_prompt_too(tmp_path):
    chat = records("openwebui_system_prompt.json")[0]
    rating = {"id": "f", "user_id": "u", "type": "rating", "data": {"rating": -1}}
    rating |= {"meta": {"message_id": "b", "chat_id": "c1"}, "snapshot": {"chat": chat}}
    result = import_log("auto", lines(tmp_path / "f.jsonl", [rating]))
    assert column(result, "prompt")["b"].startswith("system: Answer like a pirate.")


def test_open_webui_the_feedback_table_is_refused_with_what_to_export():
    with pytest.raises(TruewardError, match=r"neither prompts nor responses: export it as JSON"):
        case("openwebui_feedback_export.csv")


def test_open_webui_a_rating_of_a_failed_answer_is_counted(tmp_path):
    chats = records("openwebui_system_prompt.json")
    chats[0]["chat"]["history"]["messages"]["b"]["error"] = {"content": "timeout"}
    result = import_log("auto", lines(tmp_path / "c.jsonl", chats))
    assert result.summary["skipped"] == {
        "a rating of an answer that ended in an error": 1,
        "an answer that ended in an error": 1,
    }


# LibreChat


@pytest.mark.parametrize("form", ["flat", "recursive"])
def test_librechat_exports_of_the_interface(form):
    result = case(f"librechat_ui_export_{form}.json")
    assert result.source.name == "librechat"
    assert column(result, "response") == {"a1": "Bread and cheese.", "a2": "Salad."}
    assert set(column(result, "prompt").values()) == {
        "system: You are a chef.\nuser: Plan a picnic."
    }
    assert signals(result) == [("a1", "regenerate", 1.0, "user"), ("a1", "thumbs_up", 1.0, "user")]


def test_librechat_a_conversation_beside_its_messages_gives_the_system_prompt(tmp_path):
    messages = records("librechat_ui_export_flat.json")["messages"]
    conversation = {"conversationId": "cv", "endpoint": "openAI", "title": "t", "user": "usr"}
    conversation |= {"promptPrefix": "You are a cook.", "messages": [{"$oid": "650"}]}
    result = import_log("auto", lines(tmp_path / "m.jsonl", [*messages, conversation]))
    assert result.summary["read"] == {"conversation": 1, "message": 3}
    assert column(result, "prompt")["a2"].startswith("system: You are a cook.")


def test_librechat_messages_without_their_parent_are_rejected_with_their_lines_and_thumbs():
    result = case("librechat_orphan_parent.jsonl")
    why = "its parent u1_ is missing, so its prompt is unknown"
    assert rejected(result) == [
        (4, f"a rating of message a2: {why}"),
        (4, f"message a2: {why}"),
        (6, f"message a3: {why}"),
    ]
    assert column(result, "response") == {"a1": "Bread."}


def test_librechat_parts_of_an_answer_are_lines(tmp_path):
    messages = records("librechat_orphan_parent.jsonl")
    messages[2]["parentMessageId"] = "a1"
    result = import_log("auto", lines(tmp_path / "m.jsonl", messages))
    assert column(result, "response")["a3"] == "Let me look.\nDone."
    assert column(result, "feedback") == {"a1": None, "a2": 0.0, "a3": None}


def test_librechat_an_export_without_messages_is_counted(tmp_path):
    export = records("librechat_ui_export_flat.json")
    empty = {**export, "conversationId": "x", "messages": []}
    result = import_log("auto", lines(tmp_path / "m.jsonl", [export, empty]))
    assert result.summary["skipped"] == {"an export of a conversation without messages": 1}


# Dify


def test_dify_prompts_have_the_turns_above_and_answers_may_be_regenerated():
    result = case("dify_history.json")
    assert column(result, "prompt")["m3"] == (
        "user: How long do I boil eggs?\nassistant: Nine minutes for hard boiled.\nuser: And soft?"
    )
    assert column(result, "prompt")["m1"] == "How long do I boil eggs?"
    assert column(result, "feedback") == {"m1": 0.0, "m2": None, "m3": 1.0}
    assert column(result, "channel.regenerate") == {"m1": 1.0, "m2": 0.0, "m3": 0.0}
    assert column(result, "channel.continue") == {"m1": 0.0, "m2": 1.0, "m3": None}


@pytest.mark.parametrize("parent", ["00000000-0000-0000-0000-000000000000", ...])
def test_dify_messages_of_old_versions_follow_one_another(tmp_path, parent):
    page = records("dify_history.json")
    for message in page["data"]:
        message["parent_message_id"] = parent
        if parent is ...:
            del message["parent_message_id"]
    page["data"][2]["query"] = "Eggs?"
    (tmp_path / "m.json").write_text(json.dumps(page))
    prompts = column(import_log("auto", tmp_path / "m.json"), "prompt")
    assert prompts["m3"] == (
        "user: Eggs?\nassistant: It depends.\nuser: How long do I boil eggs?\n"
        "assistant: Nine minutes for hard boiled.\nuser: And soft?"
    )


def test_dify_the_console_shows_what_was_sent_who_rated_and_what_was_annotated(tmp_path):
    page = records("dify_history.json")
    first = page["data"][2]
    first["message"] = [{"role": "system", "text": "Be a cook."}, {"role": "user", "text": "Eggs?"}]
    first["message_files"] = [{"type": "image", "belongs_to": "user"}]
    first["feedbacks"] = [
        {"rating": "like", "content": "ok", "from_source": "user", "from_end_user_id": "u"},
        {"rating": "dislike", "from_source": "admin", "from_account": {"id": "a"}},
    ]
    first["annotation"] = {"content": "Nine minutes."}
    (tmp_path / "m.json").write_text(json.dumps(page))
    result = import_log("auto", tmp_path / "m.json")
    assert column(result, "prompt")["m1"] == "system: Be a cook.\nuser: Eggs?"
    assert [s[1:] for s in signals(result) if s[0] == "m1"] == [
        ("comment", 1.0, "user"),
        ("continue", 0.0, "user"),
        ("correction", 1.0, "annotator"),
        ("prompt_edit", 1.0, "user"),  # the other turn has no image
        ("thumbs_down", 1.0, "annotator"),
        ("thumbs_up", 1.0, "user"),
    ]
    assert column(result, "feedback")["m1"] == 1.0


def test_dify_damaged_messages_only_reject_themselves(tmp_path):
    page = records("dify_history.json")
    other = [copy.deepcopy(page["data"][0]) for _ in range(3)]
    other[0] |= {"id": "m4", "created_at": "soon"}
    other[1] |= {"id": "m5", "parent_message_id": "m9"}
    other[2] |= {"id": "m3", "answer": "Another text."}
    result = import_log("auto", lines(tmp_path / "m.jsonl", [*page["data"], *other]))
    assert sorted(column(result, "response")) == ["m1", "m2", "m3"]
    assert [line for line, _ in rejected(result)] == [4, 5, 5, 6]
    assert "soon" in rejected(result)[0][1]
    assert "its parent m9 is missing" in rejected(result)[2][1]


# Label Studio


def test_label_studio_chats_have_a_response_for_each_answer_with_its_labels():
    result = case("labelstudio_chat.json")
    assert column(result, "prompt") == {"m2": "Hi?"}
    assert column(result, "response") == {"m2": "Hello."}
    assert signals(result) == [("m2", "rating", 4.0, "annotator")]
    assert column(result, "gold") == {"m2": 0.75}  # of 1 to 5 stars


def test_label_studio_chats_begin_with_the_messages_of_their_task(tmp_path):
    (task,) = records("labelstudio_chat.json")
    task["data"]["dialogue"] = [{"role": "system", "content": "Be kind."}]
    chat = task["annotations"][0]["result"]
    more = copy.deepcopy(chat[1])
    more["id"], more["value"]["chatmessage"]["createdAt"] = "m4", 1772000009000
    chat += [more, {"id": "m1", "type": "rating", "from_name": "q", "value": {"rating": 1}}]
    result = import_log(
        "auto", lines(tmp_path / "t.jsonl", [task]), mapping=[("rating", "quality")]
    )
    assert column(result, "prompt") == {
        "m2": "system: Be kind.\nuser: Hi?",
        "m4": "system: Be kind.\nuser: Hi?\nassistant: Hello.",
    }
    assert result.summary["skipped"] == {"a label that is about no answer of the chat": 1}


def test_label_studio_templates_of_comparisons_need_no_mapping():
    result = case("labelstudio_rlhf.json")
    assert [(w, x) for w, x, *_ in result.pairs.rows()] == [
        ("labelstudio:1/right", "labelstudio:1/left")
    ]
    assert result.summary["skipped"] == {"a result of type ranker is no label": 1}


def test_label_studio_two_ratings_of_one_answer_need_a_name(tmp_path):
    (task,) = records("labelstudio_chat.json")
    chat = task["annotations"][0]["result"]
    chat.append({"id": "m2", "type": "rating", "from_name": "tone", "value": {"rating": 1}})
    path = lines(tmp_path / "t.jsonl", [task])
    with pytest.raises(TruewardError, match="--map rating=quality"):
        import_log("auto", path)
    result = import_log("auto", path, mapping=[("rating", "tone")])
    assert column(result, "gold") == {"m2": 0.0}


def test_ratings_beyond_the_scale_are_counted(tmp_path):
    (task,) = records("labelstudio_chat.json")
    task["annotations"][0]["result"][2]["value"]["rating"] = 9
    result = import_log("auto", lines(tmp_path / "t.jsonl", [task]))
    assert any("1 ratings lie outside the scale of 1 to 5" in note for note in result.notes)


# Gradio


def test_gradio_flagged_runs():
    result = case("gradio_flagged.csv")
    assert (result.source.name, result.info.export_scope.level) == ("gradio", "rated_only")
    rows = result.log.sort("time").select("prompt", "response", "feedback").rows()
    assert rows == [("Name a fish.", "Trout.", None), ("Name a tree.", "Oak.", 0.0)]
    assert result.summary["skipped"] == {"a run without a flag": 1}


@pytest.mark.parametrize("header", ["flag,timestamp", "flag,username,timestamp"])
def test_gradio_rows_one_field_short_of_the_header(tmp_path, header):
    flag = "" if "username" not in header else "Incorrect,"
    rows = [f"question,output,{header}", f"Fish?,Trout.,{flag}2026-01-01 10:00:00", "Tree?"]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(rows))
    result = import_log("auto", path)
    assert result.log["response"].to_list() == ["Trout."]
    assert result.log["feedback"].to_list() == [0.0 if flag else None]
    assert [line for line, _ in rejected(result)] == [3]


def test_gradio_flags_of_the_app_are_mapped_and_empty_runs_rejected(tmp_path):
    rows = [{"q": "Fish?", "temperature": "1", "out": "Trout.", "flag": "Silly", "timestamp": "1"}]
    rows += [{**rows[0], "out": ""}, {**rows[0], "flag": "", "q": "Tree?", "out": "Oak."}]
    path = lines(tmp_path / "log.jsonl", rows)
    with pytest.raises(TruewardError, match="by --positive silly, --negative silly"):
        import_log("gradio", path)
    result = import_log("gradio", path, mapping=[("flag", "Silly"), ("prompt", "q")])
    assert sorted(result.log["feedback"].to_list(), key=str) == [0.0, None]
    assert [line for line, _ in rejected(result)] == [2]


def test_gradio_likes_of_a_chat(tmp_path):
    pairs = [["Hi?", "Hello."], ["Fish?", "Trout."]]
    chat = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}]
    rows = [{"chatbot": json.dumps(pairs), "index": "1", "liked": "True", "timestamp": "5"}]
    rows += [
        {"conversation": chat, "index": 1, "value": "Hello.", "flag": "Dislike", "timestamp": 6}
    ]
    rows += [{"conversation": chat, "index": 7, "value": "?", "flag": "Like", "timestamp": 6}]
    result = import_log("auto", lines(tmp_path / "log.jsonl", rows))
    found = result.log.sort("time").select("prompt", "response", "feedback").rows()
    assert found == [
        ("user: Hi?\nassistant: Hello.\nuser: Fish?", "Trout.", 1.0),
        ("Hi?", "Hello.", 0.0),
    ]
    assert rejected(result) == [(3, "message 7 of the conversation is no answer")]


# ChatGPT


def test_chatgpt_conversations_with_their_feedback():
    result = case("chatgpt_export")
    assert (result.source.name, result.info.export_scope.level) == ("chatgpt", "full")
    assert column(result, "response") == {"a1": "Yo.", "a2": "Hello."}
    assert column(result, "feedback") == {"a1": 0.0, "a2": None}
    assert column(result, "channel.regenerate") == {"a1": 1.0, "a2": 0.0}
    assert column(result, "parent_response_id")["a2"] == "chatgpt:cv/a1"
    assert column(result, "prompt")["a1"] == "Hi?"


def chatgpt():
    (conversation,) = json.loads((CASES / "chatgpt_export/conversations.json").read_text())
    (rating,) = json.loads((CASES / "chatgpt_export/message_feedback.json").read_text())
    return conversation, rating


def test_chatgpt_tools_thoughts_and_hidden_messages_are_no_turns(tmp_path):
    conversation, rating = chatgpt()
    nodes = conversation["mapping"]
    image = {"content_type": "image_asset_pointer", "asset_pointer": "file://x"}
    nodes["u1"]["message"]["content"] = {
        "content_type": "multimodal_text",
        "parts": [image, "What is it?"],
    }
    call = copy.deepcopy(nodes["a1"])
    call |= {"id": "call"}
    call["message"] |= {"recipient": "python", "content": {"content_type": "code", "text": "1+1"}}
    tool = copy.deepcopy(call)
    tool |= {"id": "tool", "parent": "call"}
    tool["message"] |= {"author": {"role": "tool"}, "recipient": "all"}
    hidden = copy.deepcopy(call)
    hidden |= {"id": "hidden", "parent": "r"}
    hidden["message"] |= {"author": {"role": "system"}, "recipient": "all"}
    hidden["message"]["metadata"] = {"is_visually_hidden_from_conversation": True}
    nodes |= {"call": call, "tool": tool, "hidden": hidden}
    nodes["a2"]["parent"], nodes["u1"]["parent"] = "tool", "hidden"
    conversation["current_node"] = "a2"
    result = import_log("auto", lines(tmp_path / "c.jsonl", [conversation, rating]))
    assert set(column(result, "prompt").values()) == {
        "[image]\nWhat is it?",
        "user: [image]\nWhat is it?\ntool: 1+1",  # what the tool gave is part of the prompt
    }
    assert column(result, "response") == {"a1": "Yo.", "a2": "Hello."}
    assert column(result, "channel.regenerate")["a1"] == 1.0


def test_chatgpt_feedback_without_its_answer_and_alone(tmp_path):
    conversation, rating = chatgpt()
    lost = {**rating, "message_id": "a9", "content": json.dumps({"text": "too short"})}
    said = {**rating, "message_id": "a2", "rating": "thumbs_up", "user_id": "user-x"}
    said["content"] = json.dumps({"text": "nice", "tags": ["helpful"]})
    result = import_log("auto", lines(tmp_path / "c.jsonl", [conversation, lost, said]))
    assert rejected(result) == [(2, "a rating without its answer: a9 is not among the messages")]
    assert column(result, "feedback") == {"a1": None, "a2": 1.0}
    assert ("a2", "comment", 1.0, "user") in signals(result)
    with pytest.raises(TruewardError, match=r"conversations\.json beside message_feedback\.json"):
        import_log("chatgpt", lines(tmp_path / "f.jsonl", [rating]))


@pytest.mark.parametrize("source", ["chatgpt", "gradio", "librechat"])
def test_a_truncated_file_and_another_product_are_counted(tmp_path, source):
    conversation = chatgpt()[0]
    good = {"chatgpt": conversation, "librechat": records("librechat_ui_export_flat.json")}
    run = {"q": "Fish?", "out": "Trout.", "flag": "", "timestamp": "1"}
    first = good.get(source, run)
    other = {"traceId": "t", "name": "x"}
    path = lines(tmp_path / "x.jsonl", [first, other, json.dumps(first)[:-9]])
    result = import_log(source, path)
    assert [line for line, _ in rejected(result)] == [2, 3]
    assert result.log.height


# MLflow


def mlflow_trace(name="tr-1", **info):
    def text(role, content):
        return json.dumps({"messages": [{"role": role, "content": content}]})

    root = {"span_id": "s", "parent_span_id": None, "name": "chat", "attributes": {}}
    root["attributes"] = {
        "mlflow.spanInputs": text("user", "Name a fish."),
        "mlflow.spanOutputs": json.dumps("Trout."),
    }
    call = {"span_id": "c", "parent_span_id": "s", "attributes": {"mlflow.spanOutputs": '"inner"'}}
    known = {"trace_id": name, "state": "OK", "request_time": "2026-03-01T10:00:00Z"}
    known["trace_metadata"] = {"mlflow.trace.user": "u", "mlflow.trace.session": "s-1"}
    return {"info": known | info, "data": {"spans": [call, root]}}


def assessment(name, value, kind="HUMAN", **more):
    source = {"source_type": kind, "source_id": "ann@x.org"}
    row = {"assessment_id": f"a-{name}-{kind}", "assessment_name": name, "source": source}
    return row | {"feedback": {"value": value}, "create_time": "2026-03-01T10:01:00Z"} | more


def test_mlflow_traces_answer_with_their_root_and_have_assessments(tmp_path):
    assessments = [
        assessment("user_feedback", "thumbs down", rationale="no"),
        assessment("relevance", 0.5, "LLM_JUDGE"),
        assessment("user_feedback", True, valid=False),
        assessment("tone", "kind"),
        {"assessment_name": "x", "source": {"source_type": "ALIEN"}, "feedback": {"value": 1}},
    ]
    records = [mlflow_trace(assessments=assessments), mlflow_trace("tr-2", state="ERROR")]
    result = import_log("auto", lines(tmp_path / "t.jsonl", records))
    assert (result.source.name, result.info.export_scope.level) == ("mlflow", "full")
    assert column(result, "prompt") == {"tr-1": "Name a fish."}
    assert column(result, "response") == {"tr-1": "Trout."}
    assert result.log["session_id"].count() == result.log["user_id"].count() == 1  # as digests
    assert signals(result) == [
        ("tr-1", "comment", 1.0, "user"),
        ("tr-1", "rating", 0.5, "judge"),
        ("tr-1", "thumbs_down", 1.0, "user"),
    ]
    assert result.summary["skipped"] == {
        "a trace that ended in the state ERROR": 1,
        "an assessment that a later one overrides": 1,
        "the assessment 'tone' is not mapped": 1,
    }
    assert [line for line, _ in rejected(result)] == [1]


def test_mlflow_rows_of_search_traces_and_assessments_of_their_own(tmp_path):
    row = {"trace_id": "tr-1", "state": "TraceState.OK", "request_time": 1772000000000}
    row |= {"request": json.dumps({"question": "Name a fish."}), "response": '"Trout."'}
    row["assessments"] = json.dumps([assessment("helpful?", "yes")])
    rating = assessment("user_feedback", 0, trace_id="tr-1")
    lost = assessment("user_feedback", 1, trace_id="tr-9")
    path = lines(tmp_path / "t.jsonl", [row, rating, lost])
    result = import_log("auto", path, mapping=[("prompt", "request.question")])
    assert column(result, "prompt") == {"tr-1": "Name a fish."}
    assert column(result, "feedback") == {"tr-1": 0.0}
    assert [line for line, _ in rejected(result)] == [3]
    alone = lines(tmp_path / "a.jsonl", [{**row, "assessments": [assessment("nice", "yes")]}])
    with pytest.raises(TruewardError, match="--map thumbs=nice"):
        import_log("mlflow", alone, mapping=[("prompt", "request.question")])


def test_mlflow_corrections_and_traces_without_texts(tmp_path):
    expected = assessment("expected_response", None)
    expected |= {"expectation": {"value": "Cod."}, "feedback": None}
    empty = mlflow_trace("tr-2")
    empty["data"]["spans"] = []
    records = [mlflow_trace(assessments=[expected]), empty]
    result = import_log("mlflow", lines(tmp_path / "t.jsonl", records))
    assert signals(result) == [("tr-1", "correction", 1.0, "annotator")]
    assert "needs inputs and outputs" in rejected(result)[0][1]
