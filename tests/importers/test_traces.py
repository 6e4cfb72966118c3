"""What users saw of a trace is a response; feedback on a trace or a span goes to the answer below it."""

from __future__ import annotations

import itertools
import json

import polars as pl
import pytest
from helpers.product_exports import FIXTURES, column, lines, signals

from trueward.core.errors import TruewardError, UsageError
from trueward.importers import import_log

CASES = FIXTURES.parent / "cases"
OTHER_TEXT = "a model call that users were not shown: its trace put out another text"
UNSEEN = "a thumbs_down without its response: {} is a call or a span without an answer that users were shown"
RESET, VALVE = "Hold the red button for five seconds.", "Turn it left."
# per turn: question, calls by name, and what users saw
TURNS = [
    ("How do I reset the pump?", {"rewrite": "reset pump", "answer": RESET, "title": "Pump reset"}),
    ("And the valve?", {"rewrite": "valve position", "answer": VALVE, "title": "Valve"}),
]


def case(name, **options):
    return import_log("auto", CASES / name, **options)


def rejections(result):
    return result.tables.rejected.select("line", "reason").rows()


# Langfuse


def test_langfuse_a_generation_counts_if_it_is_what_the_trace_put_out():
    result = case("langfuse_internal_calls.jsonl")
    assert column(result, "response") == {"g2": RESET, "g5": VALVE}
    assert column(result, "prompt")["g2"] == (
        "system: You are a helper.\nuser: How do I reset the pump?"
    )
    assert column(result, "feedback") == {"g2": 0.0, "g5": None}
    assert result.summary["skipped"] == {
        OTHER_TEXT: 4,
        "a trace, read for its user, session and output": 2,
    }
    assert rejections(result) == []


def test_langfuse_traces_with_observations_and_scores_inside():
    result = case("langfuse_trace_get.json")
    assert column(result, "response") == {f"o{i}": f"Answer {i}." for i in range(4)}
    assert column(result, "feedback") == {"o0": 1.0, "o1": 0.0, "o2": None, "o3": 1.0}
    assert result.log["session_id"].null_count() == 0  # that of the trace


def test_langfuse_the_download_of_one_trace_and_the_traces_of_a_session(tmp_path):
    (trace, *others) = json.loads((CASES / "langfuse_trace_get.json").read_text())
    apart = {"trace": {k: v for k, v in trace.items() if k != "observations"}}
    apart["observations"] = trace["observations"]
    session = {"id": "s1", "createdAt": "2026-03-02T09:00:00Z", "projectId": "p", "traces": others}
    for records, expected in (
        ([apart], {"o0": 1.0}),
        ([session], {"o1": 0.0, "o2": None, "o3": 1.0}),
    ):
        path = lines(tmp_path / "download.jsonl", records)
        assert column(import_log("auto", path), "feedback") == expected


def test_langfuse_traces_that_only_name_their_scores_say_so(tmp_path):
    trace, *_ = json.loads((CASES / "langfuse_trace_get.json").read_text())
    trace |= {"observations": ["o0"], "scores": ["sc0"]}
    result = import_log("langfuse", lines(tmp_path / "t.jsonl", [trace]))
    assert column(result, "response") == {"t0": "Answer 0."}
    assert result.summary["skipped"] == {
        "a record names its observations by id only: export the observations too": 1,
        "a record names its scores by id only: export the scores too": 1,
    }


def test_langfuse_one_spoilt_score_inside_a_trace_is_rejected_alone(tmp_path):
    trace, *_ = json.loads((CASES / "langfuse_trace_get.json").read_text())
    trace["scores"].append({**trace["scores"][0], "id": "x", "source": "ROBOT"})
    result = import_log("langfuse", lines(tmp_path / "t.jsonl", [trace]))
    assert column(result, "feedback") == {"o0": 1.0}
    assert rejections(result) == [
        (1, "the source of a score should be API, ANNOTATION or EVAL, and is 'ROBOT'")
    ]


def test_langfuse_columns_of_scores_in_the_csv_of_the_pages(tmp_path):
    path = tmp_path / "traces.csv"
    cells = (
        ("a", "Q?", "A.", '"[1]"', "[0.5]", ""),
        ("b", "R?", "B.", '"[1,0]"', "", '"[""1""]"'),
        ("c", "S?", "C.", "", "", ""),
    )
    head = "id,timestamp,userId,sessionId,tags,input,output,user-feedback,tone,user_feedback-API-BOOLEAN"
    rows = [f"{n},2026-03-02T09:00:00Z,u,s,[],{q},{a},{f},{t},{g}" for n, q, a, f, t, g in cells]
    path.write_text("\n".join([head, *rows]) + "\n")
    result = import_log("auto", path)
    # b: two values of one name without times have no last word, and the long column has one
    assert column(result, "feedback") == {"a": 1.0, "b": 1.0, "c": None}
    assert result.summary["skipped"] == {
        "the column 'tone' looks like scores and is not mapped": 1,
        "the column 'user-feedback' holds different values without times: the last is unknown": 1,
    }


def test_langfuse_a_score_on_a_span_goes_to_the_generation_below():
    result = case("langfuse_score_on_span.jsonl")
    assert column(result, "feedback") == {"g1": 1.0, "g2": None}
    assert signals(result) == [("g1", "thumbs_up", 1.0, "user")]


def langfuse_trace(i, question, calls, **more):
    """A trace whose root span runs calls: records of its observations."""
    base = {"trace_id": f"t{i}", "project_id": "p"}
    root = {
        **base,
        "id": f"root{i}",
        "type": "SPAN",
        "name": "chat",
        "input": {"question": question},
    }
    root |= {"start_time": f"2026-03-02T09:0{i}:00Z", **more}
    generations = [
        {
            **base,
            "id": f"{name}{i}",
            "type": "GENERATION",
            "name": name,
            "input": f"{name}: {question}",
        }
        | {"output": text, "parent_observation_id": f"root{i}"}
        | {"start_time": f"2026-03-02T09:0{i}:1{k}Z"}
        for k, (name, text) in enumerate(calls.items())
    ]
    return [root, *generations]


def thumb(i, target=None, value=1, **more):
    score = {"id": f"sc{i}{target}", "name": "user-feedback", "value": value, "source": "API"}
    score |= {"data_type": "BOOLEAN", "trace_id": f"t{i}", "observation_id": target}
    return {**score, "timestamp": "2026-03-02T10:00:00Z", **more}


def test_observations_alone_have_the_output_of_their_root_span(tmp_path):
    records = [
        r for i, (q, c) in enumerate(TURNS) for r in langfuse_trace(i, q, c, output=c["answer"])
    ]
    path = lines(tmp_path / "o.jsonl", [*records, thumb(0), thumb(1, "root1", 0)])
    result = import_log("langfuse", path)
    assert column(result, "response") == {"answer0": RESET, "answer1": VALVE}
    assert column(result, "feedback") == {"answer0": 1.0, "answer1": 0.0}


def test_the_root_itself_is_the_response_if_no_call_has_its_text(tmp_path):
    changed = f"{RESET} Source: manual."
    records = langfuse_trace(0, *TURNS[0], output=changed)
    path = lines(tmp_path / "o.jsonl", [*records, thumb(0, "answer0"), thumb(0, "title0", 0)])
    result = import_log("langfuse", path)
    assert result.log.select("prompt", "response", "feedback").rows() == [
        ("How do I reset the pump?", changed, 1.0)  # of the call that it holds, not of the title
    ]
    assert [reason for _, reason in rejections(result)] == [UNSEEN.format("langfuse:title0")]


def test_without_the_output_of_a_trace_no_call_is_guessed_and_the_names_are_listed(tmp_path):
    records = [r for i, turn in enumerate(TURNS) for r in langfuse_trace(i, *turn)]
    single = langfuse_trace(2, "And the lamp?", {"answer": "Pull it."})
    path = lines(tmp_path / "o.jsonl", [*records, *single, thumb(0, "answer0"), thumb(1)])
    result = import_log("langfuse", path)
    # a thumb does not make its call a response: responses without a thumb would be left out
    assert column(result, "feedback") == {"answer2": None}
    assert any("rewrite (2)" in note and "--shown NAME" in note for note in result.notes)
    assert result.tables.events_without_response == 2
    with pytest.raises(TruewardError, match=r"--shown NAME; the names are answer \(2\), rewrite"):
        import_log("langfuse", lines(tmp_path / "none.jsonl", records))
    named = import_log("langfuse", path, shown=["answer"])
    assert column(named, "feedback") == {"answer0": 1.0, "answer1": 1.0, "answer2": None}
    with pytest.raises(UsageError, match="its names are answer, chat, rewrite, title"):
        import_log("langfuse", path, shown=["reply"])


def test_a_span_may_be_named_and_stands_for_the_last_call_below_it(tmp_path):
    step = {"id": "step0", "trace_id": "t0", "type": "SPAN", "name": "reply", "project_id": "p"}
    step |= {"start_time": "2026-03-02T09:00:01Z", "parent_observation_id": "root0"}
    root, rewrite, answer, title = langfuse_trace(0, *TURNS[0])
    answer["parent_observation_id"] = "step0"
    path = lines(tmp_path / "o.jsonl", [root, step, rewrite, answer, title, thumb(0, "step0")])
    assert column(import_log("langfuse", path, shown=["reply"]), "feedback") == {"answer0": 1.0}


def test_judgements_of_steps_are_skipped_and_those_of_the_trace_kept(tmp_path):
    records = langfuse_trace(0, *TURNS[0], output=RESET)
    judge = {"source": "EVAL", "name": "relevance", "data_type": "NUMERIC", "value": 0.5}
    path = lines(tmp_path / "o.jsonl", [*records, thumb(0, "rewrite0", **judge), thumb(0, **judge)])
    result = import_log("langfuse", path)
    assert signals(result) == [("answer0", "rating", 0.5, "judge")]
    assert (
        result.summary["skipped"]["a judgement of a model about a step that users were not shown"]
        == 1
    )
    assert rejections(result) == []


def test_the_choice_does_not_depend_on_the_order_of_records(tmp_path):
    records = [
        r for i, (q, c) in enumerate(TURNS) for r in langfuse_trace(i, q, c, output=c["answer"])
    ]
    records += [thumb(0, "root0"), thumb(1, "root1", 0)]
    there, back = (
        import_log("langfuse", lines(tmp_path / f"{k}.jsonl", records[::k])).log for k in (1, -1)
    )
    assert there.equals(back)


def test_spans_in_a_circle_end(tmp_path):
    root, rewrite, answer, title = langfuse_trace(0, *TURNS[0], output=RESET)
    root["parent_observation_id"] = "title0"
    path = lines(tmp_path / "o.jsonl", [root, rewrite, answer, title, thumb(0, "root0")])
    assert column(import_log("langfuse", path), "feedback") == {"answer0": 1.0}


# Phoenix


def phoenix_span(name, parent, kind, asked, answered, trace="tr", **attributes):
    given = {"input.value": asked, "output.value": answered, **attributes}
    span = {"name": name, "context": {"trace_id": trace, "span_id": f"{trace}-{name}"}}
    span |= {"parent_id": parent and f"{trace}-{parent}", "span_kind": kind, "attributes": given}
    return {**span, "start_time": "2026-04-01T08:01:00Z"}


def phoenix_trace(question, calls, trace="tr", **attributes):
    root = phoenix_span("chat", None, "CHAIN", question, calls["answer"], trace, **attributes)
    return [root, *(phoenix_span(n, "chat", "LLM", question, t, trace) for n, t in calls.items())]


def phoenix_note(**more):
    note = {"id": "a", "name": "user_feedback", "annotator_kind": "HUMAN", "identifier": ""}
    note |= {"source": "API", "result": {"label": "thumbs-down", "score": 0, "explanation": None}}
    return {**note, "created_at": "2026-04-01T09:00:00Z", "updated_at": None, **more}


def test_phoenix_annotations_on_root_and_trace_are_one_thumb_of_a_user_on_the_answer():
    result = case("phoenix_root_annotation.jsonl")
    assert column(result, "feedback") == {"l1": 0.0, "l2": None}
    assert signals(result) == [("l1", "thumbs_down", 1.0, "user")]
    assert result.summary["gold"] == 0


def test_phoenix_internal_calls_are_no_responses(tmp_path):
    records = phoenix_trace(*TURNS[0]) + phoenix_trace(*TURNS[1], trace="tq")
    path = lines(tmp_path / "p.jsonl", [*records, phoenix_note(trace_id="tr")])
    result = import_log("phoenix", path)
    assert column(result, "response") == {"tr-answer": RESET, "tq-answer": VALVE}
    assert column(result, "feedback") == {"tr-answer": 0.0, "tq-answer": None}
    assert result.summary["skipped"][OTHER_TEXT] == 4


def test_phoenix_a_judge_of_the_span_and_a_user_of_the_trace_both_count(tmp_path):
    user = phoenix_note(trace_id="tr")
    judge = phoenix_note(span_id="tr-answer", annotator_kind="LLM", result={"score": 1})
    result = import_log(
        "phoenix", lines(tmp_path / "p.jsonl", [*phoenix_trace(*TURNS[0]), user, judge])
    )
    assert [s[1:] for s in signals(result)] == [
        ("thumbs_down", 1.0, "user"),
        ("thumbs_up", 1.0, "judge"),
    ]
    assert result.log["feedback"].to_list() == [0.0]


@pytest.mark.parametrize("source", ["API", None])
def test_phoenix_votes_are_gold_only_if_a_reviewer_gave_them_in_its_pages(source, tmp_path):
    records = phoenix_trace(*TURNS[0])
    user, reviewer = (
        phoenix_note(trace_id="tr", source=source),
        phoenix_note(trace_id="tr", source="APP"),
    )
    result = import_log("phoenix", lines(tmp_path / "u.jsonl", [*records, user]))
    assert result.log.select("feedback", "gold").rows() == [(0.0, None)]
    result = import_log("phoenix", lines(tmp_path / "r.jsonl", [*records, reviewer]))
    assert result.log.select("feedback", "gold").rows() == [(None, 0.0)]


def as_attributes(prefix, one, label, **more):
    note = {"name": "user_feedback", "label": label, "annotator_kind": "HUMAN", **more}
    return {f"{prefix}.0.{one}.{key}": value for key, value in note.items()}


@pytest.mark.parametrize(
    ("prefix", "one"),
    [
        ("annotations", "annotation"),
        ("evaluations", "evaluation"),
        ("trace_annotations", "annotation"),
    ],
)
def test_phoenix_downloads_hold_annotations_as_attributes(prefix, one, tmp_path):
    records = phoenix_trace(*TURNS[0], **as_attributes(prefix, one, "thumbs-up", score=1))
    result = import_log("auto", lines(tmp_path / "spans.jsonl", records))
    assert signals(result) == [("tr-answer", "thumbs_up", 1.0, "user")]


@pytest.mark.parametrize(
    "attributes",
    [
        {"annotations": {"user_feedback": {"label": "thumbs-down", "score": 0}}},
        {"annotations": {"user_feedback": [{"label": "thumbs-down", "annotator_kind": "HUMAN"}]}},
        {"annotations": [{"annotation": {"name": "user_feedback", "label": "thumbs-down"}}]},
        {"annotations.user_feedback.label": "thumbs-down"},
    ],
)
def test_phoenix_annotations_under_their_names_or_as_lists(attributes, tmp_path):
    records = phoenix_trace(*TURNS[0], **attributes)
    result = import_log("auto", lines(tmp_path / "spans.jsonl", records))
    assert signals(result) == [("tr-answer", "thumbs_down", 1.0, "user")]


def test_phoenix_annotations_in_a_list_beside_the_attributes(tmp_path):
    records = phoenix_trace(*TURNS[0])
    records[0]["annotations"] = [phoenix_note(), phoenix_note(name="tone")]
    records[0]["eval.toxicity.label"] = "non-toxic"
    result = import_log("auto", lines(tmp_path / "spans.jsonl", records))
    assert signals(result) == [("tr-answer", "thumbs_down", 1.0, "user")]
    assert result.summary["skipped"] == {
        OTHER_TEXT: 2,
        "a span of kind CHAIN is no answer": 1,
        "the annotation name 'tone' is not mapped": 1,
        "the column 'eval.toxicity.label' is not read: export the annotations": 1,
    }


def otlp_value(value, style):
    names = {"camel": ("stringValue", "doubleValue"), "snake": ("string_value", "double_value")}
    return {names[style][isinstance(value, float)]: value}


def otlp_span(span, style="camel"):
    """A span of Phoenix in OTLP JSON, as its downloads and a collector write it."""
    flat = {"openinference.span.kind": span["span_kind"], **span["attributes"]}
    pairs = [{"key": key, "value": otlp_value(value, style)} for key, value in flat.items()]
    names = {"trace_id": span["context"]["trace_id"], "span_id": span["context"]["span_id"]}
    names |= {"parent_span_id": span["parent_id"], "start_time_unix_nano": "1772000000000000000"}
    if style == "camel":
        words = {k: k.split("_") for k in names}
        names = {w[0] + "".join(map(str.title, w[1:])): names[k] for k, w in words.items()}
    return {"name": span["name"], "attributes": pairs, **names}


@pytest.mark.parametrize("style", ["camel", "snake"])
@pytest.mark.parametrize("form", ["envelope", "page", "lines"])
def test_phoenix_downloads_as_otlp_json_are_phoenix_and_not_otel(form, style, tmp_path):
    notes = as_attributes("annotations", "annotation", "thumbs-down", score=0.0)
    spans = [otlp_span(span, style) for span in phoenix_trace(*TURNS[0], **notes)]
    path = tmp_path / ("spans.jsonl" if form == "lines" else "spans.json")
    outer = (
        ("resourceSpans", "scopeSpans") if style == "camel" else ("resource_spans", "scope_spans")
    )
    if form == "envelope":
        path.write_text(json.dumps({outer[0]: [{outer[1]: [{"spans": spans}]}]}))
    elif form == "page":
        path.write_text(json.dumps({"data": spans, "next_cursor": None}))
    else:
        lines(path, spans)
    result = import_log("auto", path)
    assert result.source.name == "phoenix"
    assert column(result, "feedback") == {"tr-answer": 0.0}
    with pytest.raises(TruewardError, match="is not a record of otel, but of phoenix"):
        import_log("otel", path)


# OpenTelemetry


def otel_span(name, parent, operation=None, asked=None, answered=None, **more):
    attributes = {"gen_ai.operation.name": operation} if operation else {}
    messages = (("input", "user", asked), ("output", "assistant", answered))
    for side, role, text in messages:
        if text:
            parts = [{"type": "text", "content": text}]
            attributes[f"gen_ai.{side}.messages"] = [{"role": role, "parts": parts}]
    span = {"trace_id": "aa", "span_id": name, "parent_span_id": parent, "name": name}
    return {**span, "start": "2026-07-01T07:00:00Z", "attributes": {**attributes, **more}}


def otel_thumb(label="up", **more):
    attributes = {"gen_ai.evaluation.name": "user_thumbs", "gen_ai.evaluation.score.label": label}
    event = {
        "trace_id": "aa",
        "time": "2026-07-01T07:01:00Z",
        "eventName": "gen_ai.evaluation.result",
    }
    return {**event, "attributes": attributes, **more}


def test_otel_texts_that_stand_on_an_event_beside_the_span():
    result = case("otel_details_event.json")
    assert result.log.select("prompt", "response", "feedback", "model").rows() == [
        ("Name a fish.", "Trout.", 1.0, "m")
    ]
    assert rejections(result) == []


def test_otel_events_of_a_span_and_lines_of_their_own_hold_the_same_texts(tmp_path):
    envelope = json.loads((CASES / "otel_details_event.json").read_text())
    (span,) = envelope["resourceSpans"][0]["scopeSpans"][0]["spans"]
    details, vote = envelope["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    inside = {**span, "events": [{**details, "name": details["eventName"]}]}
    expected = [("Name a fish.", "Trout.", 1.0)]
    forms = {"lines": [span, details, vote], "inside": [inside, vote], "logs": [details, vote]}
    for name, records in forms.items():
        result = import_log("auto", lines(tmp_path / f"{name}.jsonl", records))
        assert result.log.select("prompt", "response", "feedback").rows() == expected
        assert result.info.export_scope.level == "full"


def test_otel_internal_calls_and_a_thumb_on_the_root(tmp_path):
    question, calls = TURNS[0]
    root = otel_span("http", None)
    agent = otel_span("agent", "http", "invoke_agent", question, calls["answer"])
    chats = [otel_span(name, "agent", "chat", question, text) for name, text in calls.items()]
    path = lines(tmp_path / "o.jsonl", [root, agent, *chats, otel_thumb(parent_span_id="http")])
    result = import_log("otel", path)
    assert column(result, "feedback") == {"answer": 1.0}
    assert result.summary["skipped"] == {
        OTHER_TEXT: 2,
        "a span of the operation None is no answer": 1,
        "a span of the operation invoke_agent is no answer": 1,
    }


def test_otel_a_thumb_in_another_trace_is_joined_by_the_id_of_the_response(tmp_path):
    call = otel_span("c", None, "chat", "Q?", "A.", **{"gen_ai.response.id": "r1"})
    vote = otel_thumb(trace_id="bb", parent_span_id="elsewhere")
    vote["attributes"]["gen_ai.response.id"] = "r1"
    result = import_log("otel", lines(tmp_path / "o.jsonl", [call, vote]))
    assert column(result, "feedback") == {"c": 1.0}


def test_otel_workflows_of_openllmetry_hold_arguments_and_messages_after_a_tool_call(tmp_path):
    workflow = otel_span("ask", None)
    workflow["attributes"] = {
        "traceloop.entity.input": json.dumps({"args": ["Weather?"], "kwargs": {}}),
        "traceloop.entity.output": json.dumps("It rains."),
    }
    numbered = {
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "Weather?",
        "gen_ai.prompt.1.role": "assistant",
        "gen_ai.prompt.1.tool_calls.0.name": "weather",
        "gen_ai.prompt.2.role": "tool",
        "gen_ai.prompt.2.content": "rain",
        "gen_ai.completion.0.content": "It rains.",
    }
    planned = otel_span("plan", "ask", **numbered | {"gen_ai.completion.0.content": "Use a tool."})
    records = [workflow, planned, otel_span("say", "ask", **numbered)]
    result = import_log("otel", lines(tmp_path / "o.jsonl", records))
    assert result.log.select("prompt", "response").rows() == [
        ("user: Weather?\nassistant: \ntool: rain", "It rains.")
    ]


def test_otel_older_events_of_a_span_hold_its_messages(tmp_path):
    span = otel_span("c", None, "chat")
    content = json.dumps({"content": "Name a fish."})
    span["events"] = [
        {"name": "gen_ai.user.message", "attributes": {"gen_ai.event.content": content}},
        {"name": "gen_ai.choice", "attributes": {"message": json.dumps({"content": "Trout."})}},
    ]
    result = import_log("otel", lines(tmp_path / "o.jsonl", [span]))
    assert result.log.select("prompt", "response").rows() == [("Name a fish.", "Trout.")]


def test_otel_texts_in_files_of_their_own_are_named(tmp_path):
    span = otel_span("c", None, "chat", **{"gen_ai.input.messages_ref": "s3://bucket/in.json"})
    with pytest.raises(TruewardError, match=r"in the files that gen_ai\.input\.messages_ref names"):
        import_log("otel", lines(tmp_path / "o.jsonl", [span]))


# Helicone


def helicone_request(name, path=None, session="s", text="A.", score=None, **more):
    properties = {"Helicone-Session-Id": session} if session else {}
    properties |= {"Helicone-Session-Path": path} if path else {}
    request = {"request_id": name, "response_id": f"r{name}", "request_properties": properties}
    request |= {"request_body": {"messages": [{"role": "user", "content": f"Q {name}?"}]}}
    request |= {"response_body": {"choices": [{"message": {"role": "assistant", "content": text}}]}}
    scores = {} if score is None else {"helicone-score-feedback": score}
    return {**request, "response_status": 200, "scores": scores, **more}


def test_helicone_requests_below_another_of_their_session_were_not_shown(tmp_path):
    records = [
        helicone_request("a", "/chat", score=1),
        helicone_request("b", "/chat/rewrite"),
        helicone_request("c", "/chat/title", score=0),
        helicone_request("d", "/chat"),  # the next turn
        helicone_request("e", None, session="t", score=0),  # turns without paths
        helicone_request("f", None, session="t"),
    ]
    result = import_log("helicone", lines(tmp_path / "h.jsonl", records))
    assert column(result, "feedback") == {"a": 1.0, "d": None, "e": 0.0, "f": None}
    assert result.summary["skipped"] == {
        "a request below another of its session, which users were not shown": 2
    }
    assert rejections(result) == [(3, UNSEEN.format("helicone:c"))]


def test_helicone_requests_side_by_side_are_chosen_by_name(tmp_path):
    records = [helicone_request(n, f"/chat/{n}", text=t) for n, t in TURNS[0][1].items()]
    path = lines(tmp_path / "h.jsonl", records)
    with pytest.raises(TruewardError, match="--shown NAME; the names are"):
        import_log("helicone", path)
    for name in ("answer", "/chat/answer"):
        assert column(import_log("helicone", path, shown=[name]), "response") == {"answer": RESET}


def test_helicone_older_rows_have_the_thumb_in_a_column(tmp_path):
    records = [
        helicone_request("a", feedback_rating=False),
        helicone_request("b", feedback_rating=None),
        helicone_request("c", feedback={"rating": True}),
    ]
    result = import_log("helicone", lines(tmp_path / "h.jsonl", records))
    assert column(result, "feedback") == {"a": 0.0, "b": None, "c": 1.0}


# LangSmith


def langsmith_run(name, parent=None, kind="chain", inputs=None, outputs=None, **more):
    run = {"id": name, "name": name, "run_type": kind, "parent_run_id": parent, "trace_id": "root"}
    run |= {
        "inputs": inputs or {"input": "Q?"},
        "outputs": outputs or {"output": "A."},
        "error": None,
    }
    return {**run, "session_id": "p", "start_time": "2026-02-11T10:00:00", **more}


def langsmith_feedback(run, score=0, **more):
    feedback = {"id": f"f-{run}", "run_id": run, "trace_id": "root", "key": "user_score"}
    feedback |= {"score": score, "value": None, "comment": None, "correction": None}
    return {
        **feedback,
        "created_at": "2026-02-11T11:00:00",
        "feedback_source": {"type": "api"},
        **more,
    }


@pytest.mark.parametrize("target", ["root", "middle", "model", "not exported"])
def test_langsmith_feedback_on_any_run_with_the_text_of_the_root_goes_to_the_root(target, tmp_path):
    runs = [
        langsmith_run("root"),
        langsmith_run("middle", "root"),
        langsmith_run("model", "middle", "llm"),
        langsmith_run("title", "root", "llm", outputs={"output": "Title"}),
    ]
    result = import_log(
        "langsmith", lines(tmp_path / "r.jsonl", [*runs, langsmith_feedback(target)])
    )
    assert column(result, "feedback") == {"root": 0.0}
    assert result.summary["skipped"] == {
        "a chain run below the root is no answer": 1,
        "a model run below the root, which no feedback names": 2,
    }


def test_langsmith_feedback_without_a_source_is_of_users_and_sums_are_not_read(tmp_path):
    stats = {"user_score": {"n": 1, "avg": 0.0}}
    runs = [langsmith_run("root", feedback_stats=stats)]
    given = langsmith_feedback("root", feedback_source=None)
    result = import_log("langsmith", lines(tmp_path / "r.jsonl", [*runs, given]))
    assert signals(result) == [("root", "thumbs_down", 1.0, "user")]
    assert result.summary["skipped"] == {
        "feedback_stats of 'user_score' is a sum without sources: export the feedback too": 1
    }


def test_langsmith_runs_and_feedback_inside_a_run(tmp_path):
    inner = {"key": "user_score", "score": 1, "id": "f", "created_at": None}
    root = langsmith_run("root", feedback=[inner], child_runs=[langsmith_run("m", "root", "llm")])
    result = import_log("langsmith", lines(tmp_path / "r.jsonl", [root]))
    assert column(result, "feedback") == {"root": 1.0}


def test_langsmith_the_history_of_a_graph_is_in_its_outputs(tmp_path):
    chat = [("human", "Eggs?"), ("ai", "Nine minutes."), ("human", "And soft?"), ("ai", "Six.")]
    messages = [{"type": kind, "content": text} for kind, text in chat]
    run = langsmith_run("root", inputs={"messages": messages[2:3]}, outputs={"messages": messages})
    result = import_log("langsmith", lines(tmp_path / "r.jsonl", [run]))
    assert result.log.select("prompt", "response").rows() == [
        ("user: Eggs?\nassistant: Nine minutes.\nuser: And soft?", "Six.")
    ]


def test_langsmith_model_runs_without_their_roots_are_calls_whether_rated_or_not(tmp_path):
    runs = [langsmith_run(f"m{i}", "gone", "llm", trace_id=f"t{i}") for i in range(3)]
    path = lines(tmp_path / "r.jsonl", [*runs, langsmith_feedback("m1", trace_id="t1")])
    assert column(import_log("langsmith", path), "feedback") == {"m0": None, "m1": 0.0, "m2": None}


def test_langsmith_a_named_run_below_the_root_is_what_users_saw(tmp_path):
    runs = [langsmith_run("root", outputs={"output": "raw"}), langsmith_run("say", "root", "llm")]
    path = lines(tmp_path / "r.jsonl", [*runs, langsmith_feedback("root")])
    assert column(import_log("langsmith", path, shown=["say"]), "feedback") == {"say": 0.0}


# Every source


def test_a_switched_thumb_counts_and_not_its_stale_score(tmp_path):
    note = phoenix_note(trace_id="tr", result={"label": "thumbs-down", "score": 1})
    result = import_log("phoenix", lines(tmp_path / "p.jsonl", [*phoenix_trace(*TURNS[0]), note]))
    assert result.log["feedback"].to_list() == [0.0]
    vote = otel_thumb("down", parent_span_id="c")
    vote["attributes"]["gen_ai.evaluation.score.value"] = 1.0
    result = import_log(
        "otel", lines(tmp_path / "o.jsonl", [otel_span("c", None, "chat", "Q", "A"), vote])
    )
    assert result.log["feedback"].to_list() == [0.0]


def test_a_thumb_is_the_last_word_on_a_rating_of_the_same_moment(tmp_path):
    def event(channel, value, at):
        return {"response_id": "a", "channel": channel, "value": value, "source": "user", "at": at}

    row = {"response_id": "a", "prompt": "p", "response": "r"}
    moment, later = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"
    stale = [event("thumbs_down", 1, moment), event("rating", 9, moment)]
    newer = [event("thumbs_down", 1, moment), event("rating", 9, later)]
    for events, expected in ((stale, 0.0), (newer, 1.0)):
        path = lines(tmp_path / "log.jsonl", [row, *events])
        assert import_log("generic", path, scale=(1, 10)).log["feedback"].to_list() == [expected]


def test_copies_that_are_logged_for_every_response_are_0_where_they_are_missing(tmp_path):
    records = [r for i in range(3) for r in langfuse_trace(i, "Q?", {"answer": f"A {i}."})]
    path = lines(tmp_path / "o.jsonl", [*records, thumb(1, name="copied")])
    result = import_log("langfuse", path, mapping=[("copy", "copied")], logged=["copy"])
    expected = {"answer0": 0.0, "answer1": 1.0, "answer2": 0.0}
    assert column(result, "channel.copy") == expected
    out = tmp_path / "log"
    result.write(out)
    again = import_log("generic", out)  # dataset.json says it, too
    assert column(again, "channel.copy") == expected
    with pytest.raises(UsageError, match="not for what they state"):
        import_log("langfuse", path, logged=["thumbs_up"])
    with pytest.raises(UsageError, match="--map share=NAME"):
        import_log("langfuse", path, mapping=[("copy", "copied")], logged=["share"])


def test_no_more_rows_than_records_and_none_uncounted(tmp_path):
    records = [
        r for i, (q, c) in enumerate(TURNS) for r in langfuse_trace(i, q, c, output=c["answer"])
    ]
    records += [records[0], thumb(0), thumb(1, "gone"), thumb(7)]
    result = import_log("langfuse", lines(tmp_path / "o.jsonl", records))
    account = result.summary
    counted = sum(account["kept"].values()) + sum(account["skipped"].values())
    counted += sum(account["duplicates"].values()) + account["rejected"]["rows"]
    assert counted == len(records) == sum(account["read"].values())
    assert result.tables.rejected["reason"].to_list() == [
        "a thumbs_up without its response: t7 is not among the responses"
    ]
    assert result.log.filter(pl.col("feedback").is_not_null()).height == 2


def test_feedback_that_an_application_wrote_beside_a_call_is_read_or_named(tmp_path):
    langfuse = langfuse_trace(0, "Q?", {"answer": "A."})
    langfuse[1]["metadata"] = json.dumps({"user-feedback": 0, "star_rating": 4, "k": 3})
    beside = {"app.user_thumbs": "down", "app.rating": 4}
    otel = [otel_span("answer", None, "chat", "Q?", "A.", **beside)]
    phoenix = [phoenix_span("answer", None, "LLM", "Q?", "A.", user_feedback="down", vote="no")]
    properties = {"helicone-score-feedback": "down", "Thumb": "down"}
    helicone = [helicone_request("answer", request_properties=properties)]
    extra = {"metadata": {"user_score": 0, "votes": 3}}
    langsmith = [langsmith_run("root", extra=extra)]
    named = {
        "langfuse": (langfuse, "the key of metadata 'star_rating'"),
        "otel": (otel, "the attribute 'app.rating'"),
        "phoenix": (phoenix, "the attribute 'vote'"),
        "helicone": (helicone, "the property 'Thumb'"),
        "langsmith": (langsmith, "the key of metadata 'votes'"),
    }
    for source, (records, name) in named.items():
        result = import_log(source, lines(tmp_path / f"{source}.jsonl", records))
        assert result.log["feedback"].to_list() == [0.0], source
        assert result.summary["skipped"][f"{name} looks like feedback and is not mapped"] == 1


def test_otel_evaluations_that_stand_on_the_span_itself(tmp_path):
    label = {"gen_ai.evaluation.name": "user_thumbs", "gen_ai.evaluation.score.label": "up"}
    span = otel_span("c", None, "chat", "Q?", "A.", **label)
    assert column(import_log("otel", lines(tmp_path / "o.jsonl", [span])), "feedback") == {"c": 1.0}


def test_phoenix_instructions_beside_the_messages_and_evaluations_among_the_events(tmp_path):
    messages = [{"message": {"role": "user", "content": "Hello?"}}]
    request = json.dumps({"instructions": "Answer like a pirate.", "input": "Hello?"})
    span = phoenix_span("c", None, "LLM", request, "Arr!", **{"llm.input_messages": messages})
    vote = {"gen_ai.evaluation.name": "user_feedback", "gen_ai.evaluation.score.label": "up"}
    span["events"] = [{"name": "gen_ai.evaluation.result", "attributes": vote}]
    result = import_log("phoenix", lines(tmp_path / "p.jsonl", [span]))
    assert result.log.select("prompt", "feedback").rows() == [
        ("system: Answer like a pirate.\nuser: Hello?", 1.0)
    ]


def test_a_step_beside_the_answer_is_about_the_answer_of_its_span(tmp_path):
    root, *calls = langfuse_trace(0, *TURNS[0], output=RESET)
    tool = {**root, "id": "tool0", "type": "TOOL", "parent_observation_id": "root0"}
    judge = {"source": "EVAL", "name": "relevance", "data_type": "NUMERIC", "value": 0.5}
    votes = [
        thumb(0, "tool0"),
        thumb(0, "tool0", id="judge", **{k: v for k, v in judge.items() if k != "id"}),
    ]
    result = import_log("langfuse", lines(tmp_path / "o.jsonl", [root, tool, *calls, *votes]))
    assert signals(result) == [("answer0", "thumbs_up", 1.0, "user")]


def test_a_stream_that_was_recorded_as_an_object_is_no_output(tmp_path):
    stream = "<generator object chat at 0x7f3a5c1d2e40>"
    records = langfuse_trace(0, *TURNS[0], output=stream)
    with pytest.raises(TruewardError, match="--shown NAME"):
        import_log("langfuse", lines(tmp_path / "o.jsonl", records))


def test_a_path_that_leads_nowhere_is_refused(tmp_path):
    path = lines(tmp_path / "o.jsonl", langfuse_trace(0, "Q?", {"answer": "A."}))
    with pytest.raises(TruewardError, match=r"--map prompt=input\.asked: no record of the export"):
        import_log("langfuse", path, mapping=[("prompt", "input.asked")])


def test_langfuse_sums_of_scores_by_name_inside_a_trace(tmp_path):
    trace, *_ = json.loads((CASES / "langfuse_trace_get.json").read_text())
    trace["scores"] = {"user_feedback-API-BOOLEAN": {"type": "NUMERIC", "values": [0]}}
    result = import_log("langfuse", lines(tmp_path / "t.jsonl", [trace]))
    assert column(result, "feedback") == {"o0": 0.0}


# Bad input

OF_SOURCES = {
    "langfuse": (langfuse_trace(0, "Q?", {"answer": "A."}), thumb(0), thumb(8)),
    "phoenix": (
        phoenix_trace("Q?", {"answer": "A."}),
        phoenix_note(trace_id="tr"),
        phoenix_note(trace_id="x"),
    ),
    "otel": (
        [otel_span("answer", None, "chat", "Q?", "A.")],
        otel_thumb(parent_span_id="answer"),
        otel_thumb(parent_span_id="x", trace_id="x"),
    ),
    "langsmith": (
        [langsmith_run("root")],
        langsmith_feedback("root"),
        langsmith_feedback("x", trace_id="x"),
    ),
}


@pytest.mark.parametrize("source", list(OF_SOURCES))
def test_copies_cut_off_files_other_products_and_lost_feedback(source, tmp_path):
    records, given, lost = OF_SOURCES[source]
    stranger = {"hello": 1}
    other = helicone_request("h")
    path = lines(
        tmp_path / "log.jsonl",
        [*records, *records, given, given, lost, stranger, other, json.dumps(records[0])[:-20]],
    )
    result = import_log(source, path)
    assert result.log.height == 1
    assert result.log["feedback"].null_count() == 0
    n = 2 * len(records)
    (missing, unknown, strange, cut) = rejections(result)
    assert (missing[0], unknown[0], strange[0], cut[0]) == tuple(range(n + 3, n + 7))
    assert "without its response" in missing[1]
    assert unknown[1] == f"is not a record of {source}: its keys are hello"
    assert strange[1] == f"is not a record of {source}, but of helicone"
    assert cut[1].startswith("invalid JSON")
    assert result.summary["duplicates"] == {"responses": len(records), "events": 1}


@pytest.mark.parametrize("source", list(OF_SOURCES))
def test_exports_without_any_text_are_refused_with_a_reason(source, tmp_path):
    records, given, _ = json.loads(json.dumps(OF_SOURCES[source]))
    for record in records:
        for key in ("input", "output", "inputs", "outputs"):
            record.pop(key, None)
        if "attributes" in record:
            record["attributes"] = {"gen_ai.operation.name": "chat"}
    with pytest.raises(TruewardError, match="an import needs responses"):
        import_log(source, lines(tmp_path / "log.jsonl", [*records, given]))


def test_a_trace_of_thousands_of_calls_one_below_another(tmp_path):
    calls = {f"{'answer' if i % 2 else 'plan'}-{i}": f"Text {i}." for i in range(2_000)}
    _, *records = langfuse_trace(0, "Q?", calls)
    for above, below in itertools.pairwise(records):
        below["parent_observation_id"] = above["id"]
    for record in records:
        record["name"] = record["name"].partition("-")[0]
        record["start_time"] = "2026-03-02T09:00:00Z"
    path = lines(tmp_path / "o.jsonl", [*records, thumb(0, records[-1]["id"])])
    result = import_log("langfuse", path, shown=["answer"])
    assert result.log.height == 1_000
    assert signals(result) == [("answer-19990", "thumbs_up", 1.0, "user")]
