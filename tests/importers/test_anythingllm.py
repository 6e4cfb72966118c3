"""Chats of AnythingLLM: the export, rows of its tables, pages and histories of its API."""

import csv
import json
import sqlite3

import pytest
from helpers.product_exports import column, fixture, fixture_records, lines, signals

from trueward.core.errors import TruewardError
from trueward.data.readers.delimited import Reading
from trueward.importers import import_log

CHATS = fixture_records("anythingllm_chats.jsonl")
EXPORT = fixture_records("anythingllm_export.json")


def imported(tmp_path, *records, source="anythingllm", **options):
    return import_log(source, lines(tmp_path / "chats.jsonl", records), **options)


def chat(number, prompt="Open?", text="Yes.", **more):
    response = json.dumps({"text": text, "type": "chat", "sources": []})
    ids = {"id": number, "workspaceId": 1, "user_id": 7, "thread_id": 2, "include": 1}
    time = {"createdAt": f"2026-03-02T09:{number:02d}:00Z"}
    return ids | {"prompt": prompt, "response": response, "feedbackScore": None} | time | more


def test_rows_of_the_table():
    result = fixture("anythingllm_chats.jsonl")
    assert (result.source.name, result.info.export_scope.level) == ("anythingllm", "full")
    assert column(result, "feedback") == {"1": 0.0, "2": 1.0, "3": None, "4": 1.0}
    assert column(result, "response")["1"] == "At seven."  # without the thoughts
    assert column(result, "prompt") == {
        "1": "When does the pool open?",
        "2": "system: Be brief.\n\nSunday: 8-18.\nuser: When does the pool open?",
        "3": "system: Be brief.\nuser: When does the pool open?\n"
        "assistant: At eight on Sundays.\nuser: And the sauna?",
        "4": "What is this?\n[image]",
    }
    # a thread that was cleared is no branch of the new one
    assert {name for _, name, *_ in signals(result)} == {"thumbs_up", "thumbs_down", "repair"}
    assert result.summary["skipped"] == {
        "a rating of a message that is no answer with a text": 1,
        "an answer without text": 1,
    }
    assert result.log["gold"].null_count() == 4


def test_the_export_as_json_and_as_csv(tmp_path):
    result = fixture("anythingllm_export.json")
    assert column(result, "feedback") == {"1": 0.0, "2": 1.0, "3": None}
    assert column(result, "prompt")["2"] == "And the sauna?\n[image]"
    assert result.log["user_id"].null_count() == 1  # API is nobody
    path = tmp_path / "chats.csv"
    names = ("id", "workspace", "prompt", "response", "sent_at", "username", "rating")
    with path.open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([names, *([row[name] for name in names] for row in EXPORT)])
    as_csv = import_log("auto", path)
    assert as_csv.source.name == "anythingllm"
    assert column(as_csv, "feedback") == column(result, "feedback")


def test_a_table_of_the_database(tmp_path):
    path = tmp_path / "anythingllm.db"
    db = sqlite3.connect(path)
    names = list(chat(1))
    db.execute("CREATE TABLE users (id INTEGER)")
    db.execute(f"CREATE TABLE workspace_chats ({', '.join(names)})")
    marks = ", ".join("?" * len(names))
    for row in (chat(1, feedbackScore=1), chat(2, "When?", feedbackScore=0)):
        db.execute(f"INSERT INTO workspace_chats VALUES ({marks})", tuple(row.values()))
    db.commit()
    db.close()
    result = import_log("anythingllm", path, reading=Reading(table="workspace_chats"))
    assert column(result, "feedback") == {"1": 1.0, "2": 0.0}
    assert column(result, "prompt")["2"] == "user: Open?\nassistant: Yes.\nuser: When?"


def test_pages_and_histories_of_the_api(tmp_path):
    history = [
        {"role": "user", "content": "Open?", "chatId": 1, "sentAt": 1772442000},
        {"role": "assistant", "content": "Yes.", "chatId": 1, "feedbackScore": True},
        {"role": "user", "content": "When?", "chatId": 2, "attachments": [{"mime": "text/plain"}]},
        {"role": "assistant", "content": "Now.", "chatId": 2, "feedbackScore": False},
    ]
    result = imported(tmp_path, {"history": history}, source="auto")
    assert column(result, "feedback") == {"1": 1.0, "2": 0.0}
    assert column(result, "prompt")["2"] == "user: Open?\nassistant: Yes.\nuser: When?\n[file]"
    page = {"chats": [chat(2, "When?", user={"username": "ann"}), chat(1)], "hasPages": False}
    result = imported(tmp_path, page, source="auto")
    assert column(result, "prompt")["2"] == "user: Open?\nassistant: Yes.\nuser: When?"


def test_threads_and_users_are_apart_and_ids_are_numbers(tmp_path):
    rows = [chat(10, "When?"), chat(9), chat(8, "Other?", thread_id=3), chat(7, "Me?", user_id=8)]
    result = imported(tmp_path, *rows)
    assert column(result, "prompt")["10"] == "user: Open?\nassistant: Yes.\nuser: When?"
    assert result.log["session_id"].n_unique() == 3


def test_chats_of_an_embed_are_responses_without_feedback(tmp_path):
    row = chat(1) | {"embed_id": 4, "session_id": "s"}
    del row["workspaceId"], row["feedbackScore"]
    result = imported(tmp_path, row, source="auto")
    assert result.log["response_id"].to_list() == ["anythingllm:embed/1"]
    assert result.log["feedback"].null_count() == 1


def test_ids_that_repeat(tmp_path):
    rows = [chat(1), chat(1), chat(2, feedbackScore=1), chat(2, text="No.", feedbackScore=0)]
    result = imported(tmp_path, *rows)
    assert column(result, "response") == {"1": "Yes."}
    assert sorted(result.tables.rejected["line"]) == [3, 4]
    assert result.summary["skipped"] == {"a copy of a chat": 1}


def test_what_cannot_be_read_rejects_only_itself(tmp_path):
    rows = [chat(1), chat(2, createdAt="noon"), chat(3, prompt=""), chat(4, feedbackScore="meh")]
    rows += [chat(0) | {"id": None}, chat(5, response="not JSON", feedbackScore=0)]
    result = imported(tmp_path, *rows, json.dumps(chat(6))[:50])
    assert column(result, "feedback") == {"1": None, "4": None, "5": 0.0}
    assert sorted(result.tables.rejected["line"]) == [2, 3, 4, 5, 7]


def test_texts_at_another_place(tmp_path):
    row = chat(1, prompt=None, response=json.dumps({"final": "Yes."}), meta={"asked": "Open?"})
    paths = [("prompt", "meta.asked"), ("response", "response.final"), ("user", "meta.user")]
    result = imported(tmp_path, row, mapping=paths[:2])
    assert (column(result, "prompt"), column(result, "response")) == ({"1": "Open?"}, {"1": "Yes."})
    with pytest.raises(TruewardError, match=r"--map user=meta\.user: .* which are meta\.asked, "):
        imported(tmp_path, row, mapping=paths)


def test_formats_without_ratings_are_not_taken_for_chats(tmp_path):
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "Open?"}]
    turns.append({"role": "assistant", "content": "Yes."})
    for row in ({"messages": turns}, {"instruction": "s", "input": "Open?", "output": "Yes."}):
        with pytest.raises(TruewardError, match="as JSON or CSV, not as JSONL or Alpaca"):
            imported(tmp_path, row)


def test_a_wrong_product_and_no_text_at_all(tmp_path):
    with pytest.raises(TruewardError, match="but of anythingllm"):
        imported(tmp_path, chat(1), source="dify")
    with pytest.raises(TruewardError, match="an answer without text"):
        imported(tmp_path, chat(1, text=None))


def test_a_long_thread_keeps_the_last_turns(tmp_path):
    result = imported(tmp_path, *(chat(i, f"q{i}", f"a{i}", createdAt=i) for i in range(1, 61)))
    assert column(result, "prompt")["60"].startswith("assistant: a35")
    assert column(result, "prompt")["60"].endswith("user: q60")
