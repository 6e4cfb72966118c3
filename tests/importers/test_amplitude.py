"""Events of Amplitude Agent Analytics: sessions, turns of several model calls, scores."""

import gzip
import json

import pytest
from helpers.product_exports import column, fixture, fixture_records, lines, signals

from trueward.core.errors import TruewardError, UsageError
from trueward.importers import import_log
from trueward.importers.traces import NOT_NAMED, UNKNOWN

EVENTS = fixture_records("amplitude.jsonl")  # written by the SDK, amplitude-ai 1.21


def event(kind, at, text=None, session="s", **props):
    properties = {"[Agent] Session ID": session} | {f"[Agent] {k}": v for k, v in props.items()}
    properties |= {} if text is None else {"$llm_message": {"text": text}}
    time = f"2026-03-02 09:00:{at:02d}.000000"
    ids = {"user_id": "ann", "$insert_id": f"{session}-{at}-{kind}", "event_time": time}
    return ids | {"event_type": kind, "event_properties": properties}


def asked(text, at, name=None, **props):
    return event("[Agent] User Message", at, text, **{"Message ID": name or f"u{at}"} | props)


def answered(text, at, name=None, **props):
    more = {"Message ID": name or f"a{at}", "Agent ID": "helper"} | props
    return event("[Agent] AI Response", at, text, **more)


def score(value, at, target=None, name="user-feedback", source="user", **props):
    more = {"Score Name": name, "Score Value": value, "Evaluation Source": source}
    return event("[Agent] Score", at, **more | {"Target ID": target} | props)


def imported(tmp_path, *events, **options):
    return import_log("amplitude", lines(tmp_path / "events.jsonl", events), **options)


def test_what_the_sdk_writes():
    result = fixture("amplitude.jsonl", mapping=[("rating", "csat")], scale=(1, 5))
    assert (result.source.name, result.info.export_scope.level) == ("amplitude", "full")
    assert signals(result) == [
        ("a1", "comment", 1.0, "user"),
        ("a1", "regenerate", 1.0, "user"),
        ("a1", "thumbs_down", 1.0, "user"),
        ("a2", "copy", 1.0, "user"),
        ("a2", "thumbs_up", 1.0, "user"),
        ("a5", "rating", 0.9, "judge"),
        ("a5", "rating", 5.0, "user"),  # of the session: its last answer
    ]
    assert column(result, "prompt") == {
        "a1": "system: Be brief.\nuser: Name a fruit.",
        "a2": "system: Be brief.\nuser: Name a fruit.",
        "a5": 'user: And its colour?\n[image]\ntool: {"colour": "yellow"}',
    }
    assert column(result, "parent_response_id")["a2"] == "amplitude:a1"
    assert result.log["gold"].null_count() == 3
    assert result.summary["skipped"] == {
        "a call of tools without a text": 1,
        "an answer of an agent to another agent, which users were not shown": 1,
        "an event '[Agent] Session End' is not read": 1,
        "an event that is not of an agent": 1,
    }


def test_an_unmapped_score_is_named_and_its_answer_stays():
    result = fixture("amplitude.jsonl")
    assert result.summary["skipped"]["the score 'csat' is not mapped"] == 1
    assert column(result, "feedback") == {"a1": 0.0, "a2": 1.0, "a5": None}


def test_a_prompt_has_the_earlier_turns_with_the_results_of_tools(tmp_path):
    tool = event("[Agent] Tool Call", 2, **{"Invocation ID": "t", "Tool Output": "12 degrees"})
    rows = [asked("Cold?", 1), tool, answered("Yes.", 3), asked("Thanks.", 4), answered("Sure.", 5)]
    result = imported(tmp_path, *rows[::-1])
    assert column(result, "prompt")["a5"] == (
        "user: Cold?\ntool: 12 degrees\nassistant: Yes.\nuser: Thanks."
    )


def test_of_several_answers_of_one_turn_users_say_which_they_were_shown(tmp_path):
    title = {"Agent ID": "titles"}
    rows = [
        asked("Name a fruit.", 1),
        answered("Fruit names", 2, "t", **title),
        answered("Fig.", 3),
    ]
    rows += [score(1, 4, "a3"), asked("Why?", 5), answered("It is sweet.", 6)]
    rows[4]["event_properties"] |= {"[Agent] Agent ID": "helper"}
    result = imported(tmp_path, *rows)
    assert column(result, "response") == {"a6": "It is sweet."}
    assert result.summary["skipped"][UNKNOWN] == 2
    assert "helper (1), titles (1)" in result.notes[0]
    assert "is a call or a span without an answer" in result.tables.rejected["reason"][0]
    result = imported(tmp_path, *rows, shown=["helper"])
    assert column(result, "feedback") == {"a3": 1.0, "a6": None}
    assert result.summary["skipped"] == {NOT_NAMED: 1}
    assert column(result, "prompt")["a6"] == ("user: Name a fruit.\nassistant: Fig.\nuser: Why?")
    with pytest.raises(UsageError, match="its names are helper, titles"):
        imported(tmp_path, *rows, shown=["help"])


def test_a_thumb_on_a_copy_of_what_users_saw_counts_and_one_on_a_step_does_not(tmp_path):
    child = {"Parent Agent ID": "helper", "Agent ID": "planner"}
    rows = [asked("Name a fruit.", 1), answered("Fig.", 2), answered("Fig.", 3)]
    rows += [answered("Plan: list fruit", 4, "p", **child), score(0, 5, "a2"), score(1, 6, "p")]
    result = imported(tmp_path, *rows)
    assert column(result, "feedback") == {"a3": 0.0}
    assert result.tables.rejected.height == 1


def test_a_thumb_on_a_call_of_tools_is_about_the_answer_after_it(tmp_path):
    rows = [asked("Cold?", 1), answered("", 2, "call", **{"Tool Calls": '[{"name": "w"}]'})]
    rows += [answered("Yes.", 3), score(1, 4, "call")]
    rows += [asked("And now?", 5), answered("", 6, "bad", **{"Is Error": True}), score(0, 7, "bad")]
    result = imported(tmp_path, *rows)
    assert column(result, "feedback") == {"a3": 1.0}
    assert result.tables.rejected["line"].to_list() == [7]
    assert result.summary["skipped"] == {
        "a call of tools without a text": 1,
        "an answer that ended in an error": 1,
    }


def test_a_system_prompt_that_is_sent_once_is_that_of_later_answers(tmp_path):
    first, later = (
        {"System Prompt": "Be brief.", "System Prompt Length": 9},
        {"System Prompt Length": 9},
    )
    rows = [asked("Cold?", 1), answered("Yes.", 2, **first), asked("Now?", 3)]
    rows += [answered("No.", 4, **later), asked("Then?", 5), answered("So.", 6)]
    prompts = column(imported(tmp_path, *rows), "prompt")
    assert prompts["a4"].startswith("system: Be brief.\nuser: Cold?")
    assert prompts["a6"].startswith("user: Cold?")


def test_an_edited_message_stands_beside_the_original(tmp_path):
    rows = [asked("Name a frut.", 1), answered("Frut?", 2)]
    rows += [asked("Name a fruit.", 3, **{"Is Edit": True, "Edited Message ID": "u1"})]
    result = imported(tmp_path, *rows, answered("Fig.", 4))
    assert column(result, "prompt") == {"a2": "Name a frut.", "a4": "Name a fruit."}
    assert column(result, "channel.prompt_edit") == {"a2": 1.0, "a4": None}


def test_who_scored_decides_what_a_score_is(tmp_path):
    rows = [asked("Name a fruit.", 1), answered("Fig.", 2), score(1, 3, "a2", source="reviewer")]
    rows += [score(0, 4, "a2"), score(0.5, 5, "a2", "accuracy", "ai"), score(1, 6, "a2", source="")]
    rows += [score(1, 7, "a2", "x", "robot")]
    result = imported(tmp_path, *rows)
    (row,) = result.log.iter_rows(named=True)
    assert (row["feedback"], row["gold"], row["judge"]) == (1.0, 1.0, 0.5)  # the later thumb
    assert "should be one of user, reviewer, ai" in result.tables.rejected["reason"][0]


def test_scores_of_sessions_and_of_traces_and_of_other_files(tmp_path):
    rows = [asked("Name a fruit.", 1), answered("Fig.", 2, **{"Trace ID": "t1"})]
    rows += [asked("More.", 3), answered("Plum.", 4, **{"Trace ID": "t2"})]
    stray = score(1, 5, "a2")
    del stray["event_properties"]["[Agent] Session ID"]
    rows += [stray, score(0, 6, **{"Trace ID": "t2", "Target Type": None})]
    assert column(imported(tmp_path, *rows), "feedback") == {"a2": 1.0, "a4": 0.0}
    rows[-1] = score(0, 6, "s")  # a session without its target type
    assert column(imported(tmp_path, *rows), "feedback") == {"a2": 1.0, "a4": 0.0}
    rows = [*rows[:4], score(0, 3, "s", **{"Target Type": "session"})]  # before the last answer
    assert column(imported(tmp_path, *rows), "feedback") == {"a2": 0.0, "a4": None}


def test_events_of_the_application_count_once_their_name_is_mapped(tmp_path):
    click = event("Thumbs Down Clicked", 3, **{"Message ID": "a2"})
    rate = event("Answer Rated", 4) | {"event_properties": {"message_id": "a2", "value": "up"}}
    rows = [asked("Name a fruit.", 1), answered("Fig.", 2), click, rate, event("Page Viewed", 5)]
    with pytest.raises(TruewardError, match="--map 'thumbs=Thumbs Down Clicked'"):
        imported(tmp_path, *rows)
    result = imported(tmp_path, *rows, mapping=[("thumbs_down", "Thumbs Down Clicked")])
    assert column(result, "feedback") == {"a2": 0.0}
    result = imported(tmp_path, *rows, mapping=[("thumbs", "Answer Rated")])
    assert column(result, "feedback") == {"a2": 1.0}
    result = imported(tmp_path, *rows, mapping=[("thumbs", "Thumbs Down Clicked")])
    assert "map it as thumbs_up or thumbs_down" in result.tables.rejected["reason"][0]


def test_texts_at_another_place_and_a_path_that_never_occurs(tmp_path):
    place = {"Message ID": "a2", "reply": "Fig.", "chat": [{"role": "user", "content": "Fruit?"}]}
    rows = [asked(None, 1), event("[Agent] AI Response", 2, None, **place), score(1, 3, "a2")]
    with pytest.raises(TruewardError, match="with content mode full"):
        imported(tmp_path, *rows)
    paths = [("response", "event_properties.reply"), ("prompt", "event_properties.chat")]
    result = imported(tmp_path, *rows, mapping=paths)
    assert column(result, "prompt") == {"a2": "Fruit?"}
    assert column(result, "feedback") == {"a2": 1.0}
    with pytest.raises(TruewardError, match=r"which are event_properties.reply, ") as error:
        imported(tmp_path, *rows, mapping=[("response", "event_properties.replay")])
    assert "event_properties.chat[0].content" in str(error.value)


def test_an_answer_without_the_text_of_its_prompt_is_skipped(tmp_path):
    rows = [asked(None, 1), answered("Fig.", 2), asked("More.", 3), answered("Plum.", 4)]
    rows += [event("[Agent] AI Response", 5, "Alone.", None, **{"Message ID": "x"})]
    result = imported(tmp_path, *rows)
    assert column(result, "response") == {"a4": "Plum."}
    assert sorted(result.summary["skipped"].values()) == [1, 1]
    assert any("without a Session ID" in reason for reason in result.summary["skipped"])
    assert not result.tables.rejected.height


def test_old_versions_cut_texts_into_parts_and_warehouses_write_capitals(tmp_path):
    row = answered(None, 2)
    row["event_properties"]["$llm_message"] = {"n": 2, "c0": "Fi", "c1": "g."}
    rows = [{k.upper(): v for k, v in r.items()} for r in (asked("Fruit?", 1), row)]
    for r in rows:
        r["EVENT_PROPERTIES"] = json.dumps(r["EVENT_PROPERTIES"])
    result = import_log("auto", lines(tmp_path / "warehouse.jsonl", [*rows, *rows]))
    assert column(result, "response") == {"a2": "Fig."}
    assert result.summary["skipped"] == {"a copy of an event": 2}


def test_two_texts_of_one_message_are_both_rejected(tmp_path):
    rows = [
        asked("Fruit?", 1),
        answered("Fig.", 2, "a"),
        answered("Plum.", 3, "a"),
        score(1, 4, "a"),
    ]
    with pytest.raises(TruewardError, match="two events of one message with different texts"):
        imported(tmp_path, *rows)
    result = imported(tmp_path, *rows, asked("More?", 5), answered("Pear.", 6))
    assert column(result, "response") == {"a6": "Pear."}
    assert result.tables.rejected["line"].to_list() == [2, 3, 4]


def test_a_file_cut_off_gives_what_is_before_the_cut(tmp_path):
    path = tmp_path / "100_2026-03-02_9#1.json.gz"
    text = "".join(json.dumps(e) + "\n" for e in EVENTS)
    path.write_bytes(gzip.compress(text[:-300].encode()))
    result = import_log("auto", path)
    assert column(result, "feedback")["a1"] == 0.0
    assert result.tables.rejected.height == 1


def test_numbers_of_turns_are_text_in_some_warehouses(tmp_path):
    rows = [asked("a", 1, **{"Turn ID": "9"}), answered("b", 1, **{"Turn ID": "10"})]
    rows += [asked("c", 2, "c", **{"Turn ID": "11"}), answered("d", 1, "d", **{"Turn ID": "12"})]
    rows.append(answered("e", 3, "e", **{"Turn ID": "last"}))
    result = imported(tmp_path, *rows)
    assert column(result, "prompt")["d"] == "user: a\nassistant: b\nuser: c"
    assert result.tables.rejected["line"].to_list() == [5]


def test_a_wrong_time_rejects_its_event_only(tmp_path):
    rows = [asked("Fruit?", 1), answered("Fig.", 2), answered("Plum.", 3) | {"event_time": "soon"}]
    result = imported(tmp_path, *rows)
    assert column(result, "response") == {"a2": "Fig."}
    assert result.tables.rejected["line"].to_list() == [3]


def test_records_of_another_product_are_named():
    with pytest.raises(TruewardError, match="but of langfuse"):
        fixture("langfuse_observations.jsonl", source="amplitude")


def test_a_long_session_is_read_in_linear_time():
    from trueward.importers.products._amplitude_sessions import Step, read_session

    steps = [
        Step("user" if i % 2 else "assistant", f"m{i}", f"text {i}", {}, ("f", i), None, float(i))
        for i in range(20_000)
    ]
    session = read_session(steps, ())
    node = session.tree.nodes["m19998"]
    assert len(session.tree.nodes) == 20_000
    assert len(session.tree.prompt(node)[0]) == 50
