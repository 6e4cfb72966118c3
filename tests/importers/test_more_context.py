"""What the model saw beside the turns: instructions, passages, results of tools; and files and thoughts."""

import csv
import json

from helpers.chat_records import chat_gpt, libre_chat, message, open_webui
from helpers.product_exports import column, fixture_records, lines

from trueward.importers import import_log


def test_chat_gpt_custom_instructions_and_results_of_tools_are_in_the_prompt(tmp_path):
    given = {"content_type": "user_editable_context", "user_profile": "I am Ann."}
    given["user_instructions"] = "Be brief."
    hidden = {"metadata": {"is_visually_hidden_from_conversation": True}}
    call = {"content_type": "code", "text": "search('fig')"}
    nodes = dict(
        [
            chat_gpt("i", None, "user", given, **hidden),
            chat_gpt("a", "i", "user", {"content_type": "text", "parts": ["Fruit?"]}),
            chat_gpt("c", "a", "assistant", call, recipient="browser"),
            chat_gpt(
                "t", "c", "tool", {"content_type": "tether_browsing_display", "result": "Figs."}
            ),
            chat_gpt("b", "t", "assistant", {"content_type": "text", "parts": ["A fig."]}),
            chat_gpt("d", "b", "user", {"content_type": "text", "parts": ["Why?"]}),
            chat_gpt("e", "d", "assistant", {"content_type": "text", "parts": ["Sweet."]}),
        ]
    )
    chat = {"conversation_id": "c", "title": "t", "current_node": "e", "mapping": nodes}
    result = import_log("auto", lines(tmp_path / "conversations.jsonl", [chat]))
    assert column(result, "prompt") == {
        "b": "system: I am Ann.\n\nBe brief.\nuser: Fruit?\ntool: Figs.",
        "e": "system: I am Ann.\n\nBe brief.\nuser: Fruit?\ntool: Figs.\nassistant: A fig.\nuser: Why?",
    }


def test_libre_chat_results_of_tools_and_thoughts(tmp_path):
    tool = {"type": "tool_call", "tool_call": {"name": "w", "args": "{}", "output": "2 degrees"}}
    parts = [{"type": "think", "think": "Hm."}, tool, {"type": "text", "text": "Cold."}]
    rows = [libre_chat("a", None, True, "Weather?"), libre_chat("b", "a", False, "", content=parts)]
    rows.append(libre_chat("c", "b", True, "Sure?"))
    rows.append(libre_chat("d", "c", False, ":::thinking\nHm, hm.\n:::\nYes."))
    result = import_log("librechat", lines(tmp_path / "m.jsonl", rows))
    assert column(result, "response") == {"b": "Cold.", "d": "Yes."}
    assert column(result, "prompt") == {
        "b": "user: Weather?\ntool: 2 degrees",
        "d": "user: Weather?\ntool: 2 degrees\nassistant: Cold.\nuser: Sure?",
    }


def test_open_webui_passages_are_given_for_one_answer(tmp_path):
    found = [{"source": {"name": "hours.txt"}, "document": ["Sunday: 8-18.", "Monday: closed."]}]
    turns = [
        message("a", None, "user", "Open?"),
        message("b", "a", "assistant", "Yes.", sources=found),
    ]
    turns += [message("c", "b", "user", "Sure?"), message("d", "c", "assistant", "Yes.")]
    result = import_log("openwebui", lines(tmp_path / "c.jsonl", [open_webui(*turns)]))
    assert column(result, "prompt") == {
        "b": "system: Old.\n\nSunday: 8-18.\n\nMonday: closed.\nuser: Open?",
        "d": "system: Old.\nuser: Open?\nassistant: Yes.\nuser: Sure?",
    }


def test_dify_thoughts_are_no_answer_and_comments_stand_beside_thumbs(tmp_path):
    thought = '<details style="color:gray" open> <summary> Thinking... </summary>\nHm.</details>\n'
    row = {"conversation_id": "c", "query": "Open?", "id": "m", "created_at": 1}
    row |= {"answer": f"{thought}Yes.", "feedback": {"rating": "dislike", "content": "No."}}
    only = row | {"id": "n", "answer": "<think>Hm.</think>", "feedback": None}
    result = import_log("dify", lines(tmp_path / "m.jsonl", [row, only]))
    assert column(result, "response") == {"m": "Yes."}
    assert column(result, "feedback") == {"m": 0.0}
    assert "No." in result.tables.events["text"].to_list()


def test_dify_passages_are_given_for_one_answer(tmp_path):
    found = [{"position": 1, "content": "Sunday: 8-18."}, {"position": 2, "content": None}]
    row = {"conversation_id": "c", "query": "Open?", "id": "m", "created_at": 1, "answer": "Yes."}
    later = row | {"query": "Sure?", "id": "n", "created_at": 2}
    rows = [row | {"retriever_resources": found}, later | {"retriever_resources": []}]
    result = import_log("dify", lines(tmp_path / "m.jsonl", rows))
    assert column(result, "prompt") == {
        "m": "system: Sunday: 8-18.\nuser: Open?",
        "n": "user: Open?\nassistant: Yes.\nuser: Sure?",
    }


def test_arena_comparisons_have_the_turns_before_them(tmp_path):
    def turn(role, text):
        return {"role": role, "content": [{"type": "text", "text": text, "image": None}]}

    first = {"user": turn("user", "Fruit?")}
    first |= {f"model_side_{s}": turn("assistant", t) for s, t in (("a", "Fig."), ("b", "Plum."))}
    last = {"user": turn("user", "Why?")}
    last |= {f"model_side_{s}": turn("assistant", t) for s, t in (("a", "Sweet."), ("b", "Sour."))}
    row = {"id": "x", "model_a": "m", "model_b": "n", "winner": "model_a", "evaluation_order": 2}
    row |= {f"conversation_{s}": [last["user"], last[f"model_side_{s}"]] for s in "ab"}
    paths = [lines(tmp_path / "one.jsonl", [row | {"full_conversation": [first, last]}])]
    result = import_log("auto", paths)
    assert column(result, "prompt") == {
        "a": "user: Fruit?\nassistant: Fig.\nuser: Why?",
        "b": "user: Fruit?\nassistant: Plum.\nuser: Why?",
    }
    paths = [lines(tmp_path / "two.jsonl", [row | {"full_conversation": [first]}])]
    assert column(import_log("auto", paths), "prompt") == {"a": "Why?", "b": "Why?"}


def test_fast_chat_images_beside_a_text(tmp_path):
    row = next(r for r in fixture_records("fastchat.jsonl") if r["type"] == "chat")
    pairs = row["state"]["messages"]
    offset = row["state"].get("offset") or 0
    pairs[offset][1] = ["What is this?", ["ab12", "cd34"]]
    result = import_log("fastchat", lines(tmp_path / "log.jsonl", [row]))
    assert "What is this?\n[image]\n[image]" in result.log["prompt"][0]


def test_gradio_files_system_prompts_and_columns_that_are_not_read(tmp_path):
    path = tmp_path / "log.csv"
    names = ["Picture", "System prompt", "Temperature", "Answer", "flag", "timestamp"]
    image = json.dumps({"path": "flagged/Picture/ab/towel.png", "url": None})
    rows = [[image, "Be brief.", "0.5", "A towel.", "correct", "2026-03-02 09:00:00"]]
    rows.append(["What?", "", "0.5", "flagged/Answer/x/out.png", "correct", "2026-03-02 09:01:00"])
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    result = import_log("gradio", path)
    (row,) = result.log.iter_rows(named=True)
    assert (row["prompt"], row["response"]) == ("system: Be brief.\nuser: [image]", "A towel.")
    assert result.summary["skipped"] == {
        "the column 'Temperature' is not read": 1,
        "an answer without text, such as an image": 1,
    }


def test_gradio_chats_with_files(tmp_path):
    path = tmp_path / "log.csv"
    pairs = [[["/tmp/a/towel.png"], "A towel."], [{"file": {"path": "/t/b.wav"}}, "A song."]]
    turns = [{"role": "user", "content": {"path": "/tmp/c.jpg", "mime_type": "image/jpeg"}}]
    turns.append({"role": "assistant", "content": "A sauna."})
    rows = [[json.dumps(pairs), "[1, 1]", "Like", "", "2026-03-02 09:00:00"]]
    rows.append([json.dumps(turns), "1", "Dislike", "", "2026-03-02 09:01:00"])
    names = ["conversation", "index", "flag", "username", "timestamp"]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    result = import_log("gradio", path)
    assert sorted(result.log["prompt"]) == [
        "[image]",
        "user: [image]\nassistant: A towel.\nuser: [audio]",
    ]
    assert sorted(result.log["feedback"]) == [0.0, 1.0]
