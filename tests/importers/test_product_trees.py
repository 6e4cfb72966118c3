"""Prompts and implicit signals from chats as trees, damaged ones included."""

from __future__ import annotations

import json

import polars as pl
import pytest
from helpers.product_exports import FIXTURES, column, fixture_records, lines, signals

from trueward.importers import import_log
from trueward.importers.chat_rows import REPAIR
from trueward.importers.trees import MAX_PROMPT

FEEDBACK = fixture_records("openwebui_feedback.json")[0]
MESSAGES = fixture_records("librechat_messages.jsonl")
OUTPUT = [{"type": "message", "content": [{"type": "output_text", "text": "kite"}]}]


def message(name, parent, role, text, **more):
    return {"id": name, "parentId": parent, "role": role, "content": text} | more


def chat(*messages, name="c-9", current=None, **more):
    history = {"messages": {m["id"]: m for m in messages}, "currentId": current}
    return {"id": name, "user_id": "u-1", "chat": {"history": history}, "updated_at": 10} | more


def imported(tmp_path, *records):
    return import_log("openwebui", [lines(tmp_path / "chats.jsonl", records)])


def copied(record):
    return json.loads(json.dumps(record))


def test_a_prompt_edited_and_sent_again_abandons_the_older_answer(tmp_path):
    result = imported(
        tmp_path,
        chat(
            message("u1", None, "user", "Capital of Prue?", timestamp=1),
            message("a1", "u1", "assistant", "Which one?", timestamp=2),
            message("u2", None, "user", "Capital of Peru?", timestamp=3),
            message("a2", "u2", "assistant", "Lima.", timestamp=4),
            current="a2",
        ),
    )
    assert signals(result) == [
        ("a1", "branch_kept", 0.0, "user"),
        ("a1", "prompt_edit", 1.0, "user"),
        ("a2", "branch_kept", 1.0, "user"),
    ]
    assert column(result, "channel.prompt_edit") == {"a1": 1.0, "a2": 0.0}


@pytest.mark.parametrize(
    ("turn", "repairs"),
    [
        ("No, I meant the river.", True),
        ("no, the other one", True),
        ("That's not what I asked for.", True),
        ("Sorry, I meant Lima in Ohio", True),
        ("Wrong.", True),
        ("You misunderstood me", True),
        ("No problem, thanks!", False),
        ("No thanks", False),
        ("Now the same for Chile", False),
        ("I mean it, thanks", False),
        ("What did I mean by that?", False),
        ("Nobody knows that", False),
    ],
)
def test_a_turn_that_takes_the_answer_back_is_a_repair(turn, repairs):
    assert bool(REPAIR.match(turn)) == repairs


def test_the_answer_before_a_repair_was_repaired_and_other_continued_ones_were_not():
    result = import_log("auto", [FIXTURES / "repaired_chat.jsonl"])
    assert signals(result) == [
        ("a1", "repair", 1.0, "user"),
        ("a2", "repair", 0.0, "user"),
    ]
    # no turn follows the last answer: its signal is null and not 0
    assert column(result, "channel.repair") == {"a1": 1.0, "a2": 0.0, "a3": None}


def test_changed_answers_keep_the_text_as_shown(tmp_path):
    result = imported(
        tmp_path,
        chat(
            message("u1", None, "user", "Rhyme?"),
            message("a1", "u1", "assistant", "night!", originalContent="night"),
            message("a2", "u1", "assistant", "x", output=OUTPUT),
        ),
    )
    # 1 of 6 characters; an answer with output items never says whether it was changed
    assert column(result, "response") == {"a1": "night", "a2": "kite"}
    assert [e[:2] for e in signals(result) if e[1] == "edit"] == [("a1", "edit")]
    assert result.tables.events.filter(channel="edit")["value"].item() == pytest.approx(1 / 6)
    assert column(result, "channel.edit") == {"a1": 1.0, "a2": None}


def test_reasoning_is_not_the_answer_and_a_model_behind_an_alias_is_named(tmp_path):
    result = imported(
        tmp_path,
        chat(
            message("u1", None, "user", "Rhyme?"),
            message("a1", "u1", "assistant", '<details type="reasoning">hm</details>\nkite')
            | {"model": "arena-model", "selectedModelId": "tiny-chat-1"},
        ),
    )
    assert result.log.select("response", "model").rows() == [("kite", "tiny-chat-1")]


def test_answers_that_failed_are_unfinished_or_empty_are_skipped(tmp_path):
    result = imported(
        tmp_path,
        chat(
            message("u1", None, "user", "Rhyme?"),
            message("a1", "u1", "assistant", "x", error={"content": "timeout"}),
            message("a2", "u1", "assistant", "x", done=False),
            message("a3", "u1", "assistant", ""),
            message("a4", "u1", "assistant", "kite", done=True),
            message("g", None, "assistant", "Welcome!"),
        ),
    )
    assert column(result, "response") == {"a4": "kite"}
    assert result.summary["skipped"] == {
        "a greeting: an answer without a prompt": 1,
        "an answer that ended in an error": 1,
        "an answer that was not finished": 1,
        "an answer without text": 1,
    }


# variants of the feedback export


def test_open_webui_messages_as_a_list_ratings_as_text_and_details_on_top(tmp_path):
    record = copied(FEEDBACK)
    history = record["snapshot"]["chat"]["chat"]["history"]
    history["messages"] = list(history["messages"].values())
    record["data"]["rating"] = "-1"
    record["details"] = record["data"].pop("details")
    record["user"] = {"id": "u-1", "name": "Sam", "email": "sam@example.org"}
    record["snapshot"]["timestamp"] = 1772000070000
    result = imported(tmp_path, record)
    whole = import_log("openwebui", [FIXTURES / "openwebui_feedback.json"])
    assert signals(result) == signals(whole)
    assert result.log.equals(whole.log)
    assert "sam@example.org" not in str(result.log.to_dicts()) + str(
        result.tables.events.to_dicts()
    )


def test_open_webui_of_two_records_of_one_user_and_message_the_newest_counts(tmp_path):
    again = copied(FEEDBACK) | {"id": "fb-2", "updated_at": 1772009999}
    again["data"] |= {"rating": 1, "details": None}
    result = imported(tmp_path, again, FEEDBACK)
    assert column(result, "feedback")["m2"] == 1.0


def test_open_webui_ratings_join_the_chats_they_are_on(tmp_path):
    record = copied(FEEDBACK)
    snapshot = record.pop("snapshot")  # as shared files and /feedbacks/list have it
    chats = {**snapshot["chat"], "updated_at": 1772000999}
    alone = tmp_path / "alone.json"
    alone.write_text(json.dumps([record]))
    both = import_log("openwebui", [alone, lines(tmp_path / "chats.jsonl", [chats])])
    assert both.info.export_scope.level == "full"
    assert column(both, "feedback") == {"m2": 0.0, "m3": None, "m5": None}
    orphan = import_log("openwebui", [alone, FIXTURES / "openwebui_chats.jsonl"])
    assert orphan.tables.events_without_response == 2  # the thumb and the grade
    assert "without its response" in orphan.tables.rejected["reason"][0]


def test_open_webui_a_message_that_the_chat_lost_has_its_text_in_the_snapshot(tmp_path):
    chats = copied(FEEDBACK["snapshot"]["chat"]) | {"updated_at": 1772000999}
    messages = chats["chat"]["history"]["messages"]
    del messages["m2"]
    messages["m1"]["childrenIds"] = ["m3"]
    result = imported(tmp_path, chats, FEEDBACK)
    assert column(result, "feedback") == {"m2": 0.0, "m3": None, "m5": None}
    assert column(result, "response")["m2"] == "It depends."


def test_open_webui_a_deleted_chat_leaves_its_snapshot_and_of_copies_the_newest_counts(tmp_path):
    older = copied(FEEDBACK)
    older["id"], older["meta"]["message_id"] = "fb-0", "m5"
    older["data"] = {"rating": 1}
    old_chat = older["snapshot"]["chat"]
    old_chat["updated_at"] = 1772000001
    old_chat["chat"]["history"]["currentId"] = "m2"
    result = imported(tmp_path, older, FEEDBACK)
    assert column(result, "channel.branch_kept") == {"m2": 0.0, "m3": 1.0, "m5": None}
    assert column(result, "feedback") == {"m2": 0.0, "m3": None, "m5": 1.0}


def linear_chats(n=120, **rating):
    """Chats of two answers, each with one way to go on: the user continues, and rates every second chat."""
    for i in range(n):
        rated = {"annotation": {"rating": -1 if i % 3 else 1}} if i % 2 else {}
        yield chat(
            message("u", None, "user", f"Question {i}?", timestamp=1772000000 + i),
            message("a", "u", "assistant", f"Answer {i}.", timestamp=1772000001 + i, **rated),
            message("v", "a", "user", f"Follow up {i}?", timestamp=1772000002 + i),
            message("b", "v", "assistant", f"Second answer {i}.", timestamp=1772000003 + i),
            name=f"c{i}",
            current="b",
        )


def test_linear_chats_have_no_signal_that_nobody_could_withhold(tmp_path):
    result = imported(tmp_path, *linear_chats(3))
    assert result.summary["channels"] == {"thumbs_down": 1}
    assert not [c for c in result.log.columns if c.startswith("channel.")]


def test_an_answer_beside_one_that_failed_was_not_chosen(tmp_path):
    result = imported(
        tmp_path,
        chat(
            message("u1", None, "user", "Capital of Peru?", timestamp=1),
            message("a1", "u1", "assistant", "Li", timestamp=2, error="timeout"),
            message("a2", "u1", "assistant", "Lima.", timestamp=3),
            message("u2", "a2", "user", "Thanks", timestamp=4),
            message("a3", "u2", "assistant", "Welcome.", timestamp=5),
            current="a3",
        ),
    )
    assert [e for e in signals(result) if e[1] in {"branch_kept", "continue"}] == []


def test_answers_side_by_side_say_which_one_the_user_went_on_from(tmp_path):
    result = imported(
        tmp_path,
        chat(
            message("u1", None, "user", "Rhyme?", timestamp=1),
            message("a1", "u1", "assistant", "night", modelIdx=0, timestamp=2),
            message("a2", "u1", "assistant", "kite", modelIdx=1, timestamp=2),
            message("u2", "a2", "user", "Another", timestamp=4),
            message("a3", "u2", "assistant", "light", timestamp=5),
            current="a3",
        ),
    )
    assert column(result, "channel.continue") == {"a1": 0.0, "a2": 1.0, "a3": None}
    assert column(result, "channel.branch_kept") == {"a1": 0.0, "a2": 1.0, "a3": None}
    assert column(result, "channel.branch_dropped") == {"a1": 1.0, "a2": 0.0, "a3": None}


# LibreChat


def test_librechat_iso_dates_tags_of_any_kind_and_contents_in_parts(tmp_path):
    records = copied(MESSAGES)
    for record in records:
        record["createdAt"] = record["createdAt"]["$date"]
        record["updatedAt"] = {"$date": {"$numberLong": "1780304520000"}}
    records[1]["feedback"] = {"rating": "thumbsDown", "tag": "own_tag", "text": "too short"}
    records[2]["content"] = [{"type": "think", "think": "hm"}, {"type": "text", "text": "A menu."}]
    result = import_log("auto", [lines(tmp_path / "m.jsonl", records)])
    assert signals(result) == [
        ("a1", "comment", 1.0, "user"),
        ("a1", "regenerate", 1.0, "user"),
        ("a1", "thumbs_down", 1.0, "user"),
    ]
    assert column(result, "response")["a2"] == "A menu."


def test_librechat_temporary_failed_and_unfinished_messages_are_skipped(tmp_path):
    flagged = [
        {**MESSAGES[1], "messageId": f"x{i}", flag: True, "feedback": None}
        for i, flag in enumerate(("isTemporary", "error", "unfinished"))
    ]
    result = import_log("librechat", [lines(tmp_path / "m.jsonl", [*MESSAGES, *flagged])])
    assert sorted(column(result, "response")) == ["a1", "a2"]
    assert sum(result.summary["skipped"].values()) == 3


def test_librechat_messages_of_two_users_with_one_id_are_two(tmp_path):
    others = [{**m, "user": "usr-4", "conversationId": "cv-2"} for m in MESSAGES]
    others[1] = {**others[1], "text": "Another text.", "feedback": None}
    result = import_log("librechat", [lines(tmp_path / "m.jsonl", [*others, *MESSAGES])])
    assert result.log.height == 4
    assert result.log["feedback"].count() == 1


def test_librechat_of_an_id_with_two_texts_neither_counts_unless_one_is_newer(tmp_path):
    twin = {**MESSAGES[2], "text": "Another menu."}
    result = import_log("librechat", [lines(tmp_path / "m.jsonl", [*MESSAGES, twin])])
    assert sorted(column(result, "response")) == ["a1"]
    assert result.tables.rejected.height == 2
    newer = {**twin, "updatedAt": {"$date": "2026-06-02T09:00:00Z"}}
    result = import_log("librechat", [lines(tmp_path / "n.jsonl", [newer, *MESSAGES])])
    assert column(result, "response")["a2"] == "Another menu."


# trees in a bad state


def test_deleted_messages_and_circles_reject_what_hangs_on_them_and_no_more(tmp_path):
    result = imported(
        tmp_path,
        chat(
            message("u1", None, "user", "Rhyme?"),
            message("a1", "u1", "assistant", "kite"),
            message("a2", "deleted", "assistant", "lost"),
            message("u3", "a3", "user", "round"),
            message("a3", "u3", "assistant", "and round"),
            message("self", "self", "assistant", "me"),
        ),
    )
    assert column(result, "response") == {"a1": "kite"}
    assert sorted(result.tables.rejected["reason"]) == [
        "message a2: its parent deleted is missing, so its prompt is unknown",
        "message a3: its parents form a circle",
        "message self: its parents form a circle",
    ]


def test_a_chat_of_20_000_turns_is_read_without_calling_itself(tmp_path):
    # twenty times what Python lets a function call itself
    turns = []
    for i in range(20_000):
        role = "assistant" if i % 2 else "user"
        turns.append(
            message(f"m{i}", f"m{i - 1}" if i else None, role, f"turn {i}", timestamp=i + 1)
        )
    result = imported(tmp_path, chat(*turns, current="m19999"))
    assert result.log.height == 10_000
    assert result.tables.events.filter(channel="repair", value=0).height == 9_999
    last = result.tables.responses.filter(response_id="openwebui:c-9/m19999")
    assert last["prompt"].list.len().item() == MAX_PROMPT
    assert last["turn"].item() == 9_999
    # answers number 26 and on have more than 50 messages above them
    assert (
        sum(n for reason, n in result.summary["skipped"].items() if "more than 50" in reason)
        == 9_975
    )


def test_shuffled_messages_give_the_same_tables(tmp_path):
    turns = [
        message(
            f"m{i}",
            f"m{i - 1 - i % 3}" if i > 3 else None,
            "assistant" if i % 2 else "user",
            f"t {i}",
        )
        for i in range(40)
    ]
    one = imported(tmp_path, chat(*turns, current="m39"))
    other = import_log(
        "openwebui", [lines(tmp_path / "other.jsonl", [chat(*turns[::-1], current="m39")])]
    )
    assert one.log.equals(other.log)
    assert one.tables.events.equals(other.tables.events)
    assert one.tables.events.filter(pl.col("channel") == "regenerate").height >= 0
