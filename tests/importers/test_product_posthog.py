"""PostHog: model calls, and who was asked about them, saw the question, answered or stayed silent."""

from __future__ import annotations

import json

import polars as pl
import pytest
from helpers.product_exports import FIXTURES, column, fixture, fixture_records, lines, signals

from trueward.core.errors import TruewardError, UsageError
from trueward.data.log_reading import read_log
from trueward.importers import import_log

FILE = "posthog.jsonl"


def events(*names):
    return [e for e in fixture_records(FILE) if not names or e["event"] in names]


def survey(answers, **more):
    """Calls of one trace each, with an answer to a survey about each."""
    calls = events("$ai_generation")[2:4]
    sent = events("survey sent")[0]
    for i, answer in enumerate(answers):
        properties = sent["properties"] | {"$ai_trace_id": "t2", "$survey_submission_id": f"u{i}"}
        own = {"$survey_response": answer, "$survey_name": "Stars", "$survey_id": "stars"}
        properties = {k: v for k, v in properties.items() if "response_" not in k} | own | more
        calls.append(sent | {"uuid": f"s{i}", "properties": properties})
    return calls


def rejected(result):
    return result.tables.rejected.select("line", "reason").rows()


def test_a_batch_export_of_all_events():
    result = fixture(FILE)
    assert (result.source.name, result.info.export_scope.level) == ("posthog", "full")
    assert column(result, "response") == {
        "g2": "Trout.",
        "g3": "Wren.",
        "g4": "Oak.",
        "g5": "Vega.",
        "g6": "Io.",
    }
    assert column(result, "prompt")["g2"] == "system: Be brief.\nuser: Name a fish."
    # a survey of thumbs answers 1 for up and 2 for down, the last event of a submission counts
    assert column(result, "feedback") == {"g2": 0.0, "g3": 1.0, "g4": None, "g5": None, "g6": None}
    assert column(result, "gold") == dict.fromkeys(["g2", "g3", "g4", "g5", "g6"])
    assert column(result, "judge")["g6"] == 1.0
    assert ("g2", "comment", 1.0, "user") in signals(result)
    assert any("answers (3) are 1 or 2" in note for note in result.notes)
    # the SDK gives the trace as the user where it knows none
    assert [column(result, "user_id")[g] is None for g in ("g2", "g4")] == [False, True]
    assert result.summary["skipped"] == {
        "a model call that users were not shown: its trace put out another text": 1,
        "a trace, read for its user, session and output": 1,
        "an event that is neither of a model nor of a survey": 1,
        "the metric 'copied' is not mapped": 1,
    }


def test_events_that_the_sdk_of_posthog_wrote():
    result = import_log("auto", FIXTURES.parent / "cases" / "posthog_sdk.jsonl")
    prompts = dict(zip(result.log["response"], result.log["prompt"], strict=True))
    assert prompts == {
        "Trout.": "What is it?\n[image]",
        "Aye, Lima.": "system: Answer like a pirate.\nuser: Capital of Peru?",
        "Oak.": "system: Be kind.\nuser: Name a tree.",
    }
    assert result.log["feedback"].to_list() == [1.0, None, None, None]
    assert result.log["user_id"].null_count() == 1  # the SDK gives the trace in place of a user
    assert result.summary["skipped"] == {
        "a span around its answer": 1,
        "a trace, read for its user, session and output": 1,
    }


def test_who_was_asked_and_stayed_silent(tmp_path):
    result = fixture(FILE, mapping=[("copy", "copied")])
    for name in ("asked", "seen"):  # g4 was dismissed, g5 stayed silent, of g6 nothing is known
        assert column(result, name) == {"g2": 1.0, "g3": 1.0, "g4": 1.0, "g5": 1.0, "g6": None}
    assert column(result, "channel.copy")["g6"] == 1.0
    logged = fixture(FILE, logged=["seen"])
    assert column(logged, "asked")["g6"] == column(logged, "seen")["g6"] == 0.0
    import_log("posthog", FIXTURES / FILE, tmp_path / "log")
    again = import_log("generic", tmp_path / "log")
    assert column(again, "asked") == column(result, "asked")
    log = read_log(tmp_path / "log" / "log.parquet")
    assert not {"asked", "seen"} & {*log.context_candidates}
    with pytest.raises(UsageError, match="has no seen at all"):
        import_log("posthog", lines(tmp_path / "e.jsonl", survey(["up"])[:2]), logged=["seen"])


def test_a_lottery_that_the_product_logs_beside_its_calls(tmp_path):
    calls = events("$ai_generation")[2:]
    for call, outcome in zip(
        calls, [(1, 0.5, 2), (1, 0.5, 1), (0, 0.5, 0), (0, 0, 0)], strict=True
    ):
        call["properties"] |= dict(zip(("asked", "p_ask", "ask_level"), outcome, strict=True))
    records = [*calls, *events("survey sent")[2:]]
    out = tmp_path / "log"
    path = lines(tmp_path / "e.jsonl", records)
    result = import_log("posthog", path, out, logged=["seen"])
    assert column(result, "asked") == {"g3": 1.0, "g4": 1.0, "g5": 0.0, "g6": 0.0}
    assert column(result, "p_ask") == {"g3": 0.5, "g4": 0.5, "g5": 0.5, "g6": 0.0}
    assert column(result, "seen") == {"g3": 1.0, "g4": 0.0, "g5": 0.0, "g6": 0.0}
    assert column(result, "ask_level") == {"g3": 2.0, "g4": 1.0, "g5": 0.0, "g6": 0.0}
    log = read_log(out / "log.parquet")
    assert {"asked", "p_ask", "seen", "ask_level"} <= {*log.frame.columns}
    calls[0]["properties"]["p_ask"] = 7
    wrong = import_log("posthog", lines(tmp_path / "w.jsonl", records))
    assert (1, "p_ask should be a probability, and is 7.0") in rejected(wrong)


@pytest.mark.parametrize("form", ["parquet", "csv", "api", "query"])
def test_all_forms_give_the_same_log(form, tmp_path):
    rows = events()
    path = tmp_path / f"e.{'json' if form in {'api', 'query'} else form}"
    packed = [{**e, "properties": json.dumps(e["properties"])} for e in rows]
    if form == "parquet":
        pl.DataFrame(
            [{k: v for k, v in e.items() if k != "person_properties"} for e in packed]
        ).write_parquet(path)
    elif form == "csv":
        names = sorted({key for e in rows for key in e["properties"]})
        wide = [
            {k: e[k] for k in ("uuid", "event", "timestamp", "distinct_id")}
            | {f"properties.{k}": _cell(e["properties"].get(k)) for k in names}
            for e in rows
        ]
        pl.DataFrame(wide).write_csv(path)
    elif form == "api":
        path.write_text(json.dumps({"next": None, "results": rows}))
    else:
        columns = ["uuid", "event", "timestamp", "distinct_id", "properties"]
        found = [[e[c] for c in columns] for e in packed]
        path.write_text(json.dumps({"columns": columns, "results": found, "types": []}))
    result = import_log("auto", path)
    assert result.log.equals(fixture(FILE).log)


def _cell(value):
    return json.dumps(value) if isinstance(value, dict | list | bool) else value


def test_a_rating_is_not_taken_for_a_thumb(tmp_path):
    path = lines(tmp_path / "e.jsonl", survey([1, 2, 5]))
    with pytest.raises(TruewardError, match="--map rating=Stars --scale 1:5"):
        import_log("auto", path)
    rated = import_log("auto", path, mapping=[("rating", "Stars")], scale=(1, 5))
    assert column(rated, "rating")["g3"] == 5.0
    by_id = import_log("auto", path, mapping=[("rating", "stars")], scale=(1, 5))
    assert by_id.log.equals(rated.log)
    few = lines(tmp_path / "f.jsonl", survey([2]))  # two would be up and down
    assert column(import_log("auto", few), "feedback")["g3"] == 0.0
    assert (
        column(import_log("auto", few, mapping=[("rating", "Stars")], scale=(1, 5)), "feedback")[
            "g3"
        ]
        == 0.0
    )


def test_words_of_a_survey_and_of_feedback(tmp_path):
    calls = survey([["up"], "Meh, it is fine."])
    calls[3]["properties"]["$ai_trace_id"] = "t3"
    feedback = events("$ai_feedback")[0]
    thumb = feedback | {
        "uuid": "f9",
        "properties": {"$ai_trace_id": "t3", "$ai_feedback_text": "thumbs_down"},
    }
    result = import_log("auto", lines(tmp_path / "e.jsonl", [*calls, thumb]))
    assert column(result, "feedback") == {"g3": 1.0, "g4": 0.0}
    assert ("g4", "comment", 1.0, "user") in signals(result)


def test_a_survey_about_one_call_of_a_conversation_names_its_span(tmp_path):
    first, second = events("$ai_generation")[2:4]
    second["properties"]["$ai_trace_id"] = "t2"
    asked = survey(["down"], **{"$ai_span_id": "g3"})[-1]
    path = lines(tmp_path / "e.jsonl", [first, second, asked])
    with pytest.raises(TruewardError, match="--shown NAME; the names are answer"):
        import_log("auto", path)
    result = import_log("auto", path, shown=["answer"])
    assert column(result, "feedback") == {"g3": 0.0, "g4": None}


def test_a_conversation_as_one_trace_gives_each_answer_its_own_feedback(tmp_path):
    calls = events("$ai_generation")[2:]
    asked = events("survey shown")[2:] + events("survey sent")[2:]
    for call in [*calls, *asked]:
        call["properties"] |= {"$ai_trace_id": "chat"}
        call["properties"].pop("$ai_span_name", None)
    path = lines(tmp_path / "e.jsonl", [*calls, *asked])
    with pytest.raises(TruewardError, match=r"--shown NAME; the names are gpt-5-mini \(4\)"):
        import_log("auto", path)
    result = import_log("auto", path, shown=["gpt-5-mini"])
    assert column(result, "feedback") == {"g3": 1.0, "g4": None, "g5": None, "g6": None}
    assert column(result, "asked") == {"g3": 1.0, "g4": 1.0, "g5": 1.0, "g6": None}


def test_thousands_of_answers_in_one_conversation_keep_their_own_feedback(tmp_path):
    call, sent = events("$ai_generation")[2], events("survey sent")[0]
    rows = []
    for i in range(3000):
        at = f"2026-03-02T{10 + i // 3600}:{i // 60 % 60:02}:{i % 60:02}"
        answer = {"$ai_trace_id": "chat", "$ai_span_id": f"g{i}", "$ai_output_choices": f"a{i}"}
        rows.append(
            call
            | {"uuid": f"c{i}", "timestamp": f"{at}Z", "properties": call["properties"] | answer}
        )
        thumb = {
            "$ai_trace_id": "chat",
            "$survey_submission_id": f"s{i}",
            "$survey_response": 1 + i % 2,
        }
        if i % 3 == 0:
            own = {k: v for k, v in sent["properties"].items() if "response_" not in k} | thumb
            rows.append(sent | {"uuid": f"s{i}", "timestamp": f"{at}.5Z", "properties": own})
    log = import_log("posthog", lines(tmp_path / "e.jsonl", rows), shown=["answer"]).log
    number = pl.col("response_id").str.extract(r"g(\d+)").cast(pl.Int64)
    right = pl.when(number % 3 == 0).then((1 - number % 2).cast(pl.Float64))
    assert log.height == 3000
    assert log.filter(pl.col("feedback").ne_missing(right)).is_empty()


def test_what_is_wrong_is_rejected_or_counted(tmp_path):
    calls = survey(["up", "up", 1])
    calls[3]["properties"]["$ai_trace_id"] = "lost"
    del calls[4]["properties"]["$ai_trace_id"]
    private, failed = events("$ai_generation")[:2]
    private["properties"] |= {"$ai_input": None, "$ai_output_choices": None, "$ai_trace_id": "x"}
    failed["properties"] |= {"$ai_is_error": True}
    old = calls[1]["properties"]  # of early versions
    old["$ai_output"] = {"choices": old.pop("$ai_output_choices")}
    nameless = {**failed, "properties": {"$ai_input": "a", "$ai_output_choices": "b"}, "uuid": None}
    records = [
        *calls,
        private,
        failed,
        calls[0],
        nameless,
        {"traceId": "t"},
        json.dumps(failed)[:-5],
    ]
    result = import_log("posthog", lines(tmp_path / "e.jsonl", records))
    assert column(result, "feedback") == {"g3": 1.0, "g4": None}
    assert column(result, "response") == {"g3": "Wren.", "g4": "Oak."}
    # the lost answer says two things: seen and up
    assert [line for line, _ in rejected(result)] == [4, 4, 9, 10, 11]
    assert rejected(result)[0][1].startswith("a question to a user without its response: lost")
    assert result.summary["skipped"] == {
        "a generation that ended in an error": 1,
        "a generation without texts: privacy mode, or an export without them": 1,
        "an event of a survey without $ai_trace_id is about no response": 1,
    }
    assert result.summary["duplicates"]["responses"] == 1
    assert import_log("posthog", lines(tmp_path / "o.jsonl", [events()[0]]), strict=True).log.height
    with pytest.raises(TruewardError, match=r"export the events \$ai_generation"):
        import_log("auto", lines(tmp_path / "s.jsonl", events("survey sent")))
