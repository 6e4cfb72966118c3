"""The outcome of a lottery of asks, as scores and attributes of traces, gives the columns of asking."""

from __future__ import annotations

import pytest
from helpers.product_exports import column, lines

import trueward as tw
from trueward.core.errors import TruewardError, UsageError
from trueward.importers import import_log

KEY, P = "k1", 0.5
IDS = [f"o{i}" for i in range(12)]
ASKS = {i: tw.ask(i, P, KEY) for i in IDS}


def langfuse(tmp_path):
    records = []
    for n, i in enumerate(IDS):
        at = f"2026-03-02T09:{n:02}:00Z"
        call = {"id": i, "trace_id": f"t{n}", "type": "GENERATION", "project_id": "p"}
        records.append(
            {**call, "name": "answer", "input": "Why?", "output": f"A{n}", "start_time": at}
        )
        outcome = {"asked": int(ASKS[i].asked), "p_ask": P}
        if ASKS[i].asked:
            outcome["seen"] = n % 2
        for name, value in outcome.items():
            score = {
                "id": f"{name}-{i}",
                "name": f"trueward.{name}",
                "value": value,
                "source": "API",
            }
            score |= {"trace_id": f"t{n}", "observation_id": i, "project_id": "p"}
            kind = "NUMERIC" if name == "p_ask" else "BOOLEAN"
            records.append({**score, "data_type": kind, "timestamp": at, "comment": None})
        if ASKS[i].asked and n % 2:
            score = {"id": f"v{i}", "name": "user-feedback", "value": 1, "source": "API"}
            score |= {"trace_id": f"t{n}", "observation_id": i, "project_id": "p", "comment": None}
            records.append({**score, "data_type": "BOOLEAN", "timestamp": at})
    return lines(tmp_path / "l.jsonl", records)


def span(n, i, attributes):
    parts = {"input": ("user", "Why?"), "output": ("assistant", f"A{n}")}
    said = {
        f"gen_ai.{side}.messages": [{"role": role, "parts": [{"type": "text", "content": text}]}]
        for side, (role, text) in parts.items()
    }
    base = {"trace_id": f"t{n}", "span_id": i, "parent_span_id": None, "name": "chat"}
    attributes = {"gen_ai.operation.name": "chat", **said, **attributes}
    return {**base, "start": f"2026-03-02T09:{n:02}:00Z", "attributes": attributes}


def otel(tmp_path):
    records = []
    for n, i in enumerate(IDS):
        outcome = {"trueward.asked": ASKS[i].asked, "trueward.p_ask": P}
        if ASKS[i].asked:
            outcome["trueward.seen"] = bool(n % 2)
        records.append(span(n, i, outcome))
    vote = {"gen_ai.evaluation.name": "user_thumbs", "gen_ai.evaluation.score.label": "up"}
    for n, i in enumerate(IDS):
        if ASKS[i].asked and n % 2:
            event = {"trace_id": f"t{n}", "time": "2026-03-02T10:00:00Z", "attributes": vote}
            records.append({**event, "eventName": "gen_ai.evaluation.result"})
    return lines(tmp_path / "o.jsonl", records)


def generic(tmp_path):
    lottery = []
    for n, i in enumerate(IDS):
        lottery.append({"response_id": i, "channel": "asked", "value": int(ASKS[i].asked)})
        lottery.append({"response_id": i, "channel": "p_ask", "value": P})
        if ASKS[i].asked:
            lottery.append({"response_id": i, "channel": "seen", "value": n % 2})
            if n % 2:
                lottery.append({"response_id": i, "channel": "thumbs_up", "value": 1})
    rows = [{"response_id": i, "prompt": "Why?", "response": f"A{n}"} for n, i in enumerate(IDS)]
    at = {"at": "2026-03-02T10:00:00Z", "source": "user"}
    return lines(tmp_path / "g.jsonl", [*rows, *({**e, **at} for e in lottery)])


def posthog(tmp_path):
    """Calls with the outcome as properties, and what is known of a survey about them."""
    records = []
    for n, i in enumerate(IDS):
        own = {"$ai_trace_id": f"t{n}", "$ai_span_id": i, "$ai_model": "m"}
        said = {"$ai_input": [{"role": "user", "content": "Why?"}]}
        said["$ai_output_choices"] = [{"role": "assistant", "content": f"A{n}"}]
        lottery = {"trueward.asked": int(ASKS[i].asked), "trueward.p_ask": P}
        if ASKS[i].asked:
            lottery["trueward.seen"] = n % 2
        at = {"timestamp": f"2026-03-02T09:{n:02}:00Z", "distinct_id": f"u{n}"}
        properties = {**own, **said, **lottery}
        records.append({"uuid": f"e{n}", "event": "$ai_generation", "properties": properties, **at})
        if ASKS[i].asked and n % 2:
            vote = {"$ai_trace_id": f"t{n}", "$ai_metric_name": "thumbs_up", "$ai_metric_value": 1}
            records.append({"uuid": f"v{n}", "event": "$ai_metric", "properties": vote, **at})
    return lines(tmp_path / "p.jsonl", records)


def phoenix(tmp_path):
    records = []
    for n, i in enumerate(IDS):
        given = {"input.value": "Why?", "output.value": f"A{n}"}
        given |= {"trueward.asked": int(ASKS[i].asked), "trueward.p_ask": P}
        if ASKS[i].asked:
            given["trueward.seen"] = n % 2
        record = {"name": "chat", "context": {"trace_id": f"t{n}", "span_id": i}, "parent_id": None}
        record |= {"span_kind": "LLM", "attributes": given}
        records.append({**record, "start_time": f"2026-04-01T08:{n:02}:00Z"})
        if ASKS[i].asked and n % 2:
            note = {
                "id": f"a{n}",
                "name": "user_feedback",
                "annotator_kind": "HUMAN",
                "source": "API",
            }
            note |= {"identifier": "", "span_id": i, "result": {"label": "thumbs-up", "score": 1}}
            records.append({**note, "created_at": "2026-04-01T09:00:00Z", "updated_at": None})
    return lines(tmp_path / "x.jsonl", records)


@pytest.mark.parametrize("product", [posthog, phoenix, langfuse, otel, generic])
def test_the_log_has_the_lottery_and_its_check_draws_it_again(product, tmp_path):
    named = [("thumbs", "thumbs_up")] if product is posthog else []
    result = import_log(product.__name__, product(tmp_path), mapping=named)
    asked = {i: float(ASKS[i].asked) for i in IDS}
    assert column(result, "asked") == asked
    assert set(column(result, "p_ask").values()) == {P}
    seen = {i: float(n % 2) if ASKS[i].asked else None for n, i in enumerate(IDS)}
    assert column(result, "seen") == seen
    log = tw.read_log(result.log)
    assert {"asked", "p_ask", "seen", "response_id"} <= log.columns
    assert tw.check_asks(log, KEY).mismatched == 0
    assert not any(name.startswith("channel.") and "ask" in name for name in log.columns)


def test_a_response_of_the_lottery_without_an_event_was_not_asked(tmp_path):
    rows = [
        {"response_id": i, "prompt": "Why?", "response": f"A{n}", "p_ask": 0.5 if n < 2 else None}
        for n, i in enumerate(IDS[:3])
    ]
    event = {"response_id": IDS[0], "channel": "seen", "value": 1, "source": "user"}
    vote = {"response_id": IDS[0], "channel": "thumbs_up", "value": 1, "source": "user"}
    at = {"at": "2026-03-02T10:00:00Z"}
    result = import_log("generic", lines(tmp_path / "g.jsonl", [*rows, event | at, vote | at]))
    assert column(result, "asked") == {IDS[0]: 1.0, IDS[1]: 0.0, IDS[2]: None}


@pytest.mark.parametrize("product", [langfuse, otel])
def test_an_import_with_the_key_draws_the_lottery_again(product, tmp_path):
    exported = product(tmp_path)
    result = import_log(product.__name__, exported, tmp_path / "log", ask_key=KEY)
    assert column(result, "asked") == {i: float(ASKS[i].asked) for i in IDS}


def test_an_import_whose_asks_are_not_of_the_key_is_refused_and_writes_nothing(tmp_path):
    exported = langfuse(tmp_path)
    differ = sum(tw.ask(i, P, "another").asked != ASKS[i].asked for i in IDS)
    with pytest.raises(TruewardError, match=rf"in {differ} of 12 responses.*Give the key"):
        import_log("langfuse", exported, tmp_path / "log", ask_key="another")
    assert not (tmp_path / "log").exists()


def test_a_key_for_an_export_without_a_lottery_is_refused(tmp_path):
    rows = [{"response_id": "a", "prompt": "Why?", "response": "So."}]
    with pytest.raises(UsageError, match="tells of none"):
        import_log("generic", lines(tmp_path / "g.jsonl", rows), ask_key=KEY)


def test_asks_that_contradict_their_chance_are_refused(tmp_path):
    rows = [{"response_id": i, "prompt": "Why?", "response": "So.", "p_ask": 1} for i in IDS]
    lost = [{"response_id": IDS[0], "channel": "asked", "value": 0, "source": "user"}]
    at = {"at": "2026-03-02T10:00:00Z"}
    others = [{"response_id": i, "channel": "asked", "value": 1, "source": "user"} for i in IDS[1:]]
    with pytest.raises(TruewardError, match="asked is 0 where p_ask is 1, in 1 responses"):
        import_log(
            "generic",
            lines(tmp_path / "g.jsonl", [*rows, *({**e, **at} for e in [*lost, *others])]),
            ask_key=KEY,
        )
