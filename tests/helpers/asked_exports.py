"""Exports of products whose users were asked by the lottery of docs/identify.md: key autumn, p .1."""

import json
import random

import trueward as tw

KEY, P, N = "autumn", 0.1, 160


def rows():
    """Every response: id, number, outcome of the lottery, and the thumb (1, 0 or None)."""
    rng = random.Random(0)
    for n in range(N):
        i = f"{n:016x}"
        outcome = tw.ask(i, P, KEY)
        reacts = rng.random() < (0.8 if outcome.asked else 0.2)
        yield i, n, outcome, int(rng.random() < 0.6) if reacts else None


def at(n):
    return f"2026-03-{2 + n // 60:02}T09:{n % 60:02}:00Z"


def answer(n):
    return f"Step {n}: open the menu {'and press undo ' * (n % 5)}{n}."


def write(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")


def langfuse(path):
    records = []
    for i, n, outcome, thumb in rows():
        call = {"id": i, "trace_id": f"t{n}", "type": "GENERATION", "project_id": "p"}
        texts = {"input": f"How do I undo {n // 2}?", "output": answer(n)}
        records.append({**call, "name": "answer", **texts, "start_time": at(n)})
        scores = {f"trueward.{k}": v for k, v in outcome.columns().items()}
        scores |= {"trueward.seen": 1} if outcome.asked else {}
        scores |= {} if thumb is None else {"user-feedback": thumb}
        for name, value in scores.items():
            place = {"trace_id": f"t{n}", "observation_id": i, "project_id": "p"}
            kind = "BOOLEAN" if name == "user-feedback" else "NUMERIC"
            score = {"id": f"{name}-{i}", "name": name, "value": value, "source": "API"}
            records.append(
                {**score, **place, "data_type": kind, "timestamp": at(n), "comment": None}
            )
    write(path, records)


def otel(path):
    records = []
    for i, n, outcome, thumb in rows():
        texts = {"input": ("user", f"How do I undo {n // 2}?"), "output": ("assistant", answer(n))}
        said = {
            f"gen_ai.{side}.messages": [
                {"role": role, "parts": [{"type": "text", "content": text}]}
            ]
            for side, (role, text) in texts.items()
        }
        lottery = {f"trueward.{k}": v for k, v in outcome.columns().items()}
        lottery |= {"trueward.seen": 1} if outcome.asked else {}
        span = {"trace_id": f"t{n}", "span_id": i, "parent_span_id": None, "name": "chat"}
        attributes = {"gen_ai.operation.name": "chat", **said, **lottery}
        records.append({**span, "start": at(n), "attributes": attributes})
        if thumb is not None:
            label = {"gen_ai.evaluation.score.label": "up" if thumb else "down"}
            vote = {"gen_ai.evaluation.name": "user_thumbs", **label}
            event = {"trace_id": f"t{n}", "time": at(n), "attributes": vote}
            records.append({**event, "eventName": "gen_ai.evaluation.result"})
    write(path, records)


def posthog(path):
    records = []
    for i, n, outcome, thumb in rows():
        own = {"$ai_trace_id": f"t{n}", "$ai_span_id": i, "$ai_model": "m"}
        own["$ai_input"] = [{"role": "user", "content": f"How do I undo {n // 2}?"}]
        own["$ai_output_choices"] = [{"role": "assistant", "content": answer(n)}]
        own |= {f"trueward.{k}": v for k, v in outcome.columns().items()}
        own |= {"trueward.seen": 1} if outcome.asked else {}
        about = {"timestamp": at(n), "distinct_id": f"u{n}"}
        records.append({"uuid": f"e{n}", "event": "$ai_generation", "properties": own, **about})
        if thumb is not None:
            vote = {
                "$ai_trace_id": f"t{n}",
                "$ai_metric_name": "thumbs_up",
                "$ai_metric_value": thumb,
            }
            records.append({"uuid": f"v{n}", "event": "$ai_metric", "properties": vote, **about})
    write(path, records)
