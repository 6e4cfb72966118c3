"""Imports of the fixtures of every product, and their output as plain data."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
from golden.world import HERE, command

FIXTURES = HERE.parent / "fixtures" / "sources"
SECRET = "a secret of sixteen bytes"
# name -> words of `trueward import`: source, files, options
CASES = {
    "langfuse": "auto langfuse_observations.jsonl langfuse_scores.jsonl",
    "langfuse mapped": "langfuse langfuse_observations.jsonl langfuse_scores.jsonl --map copy=copied",
    "langfuse pages": "auto langfuse_observations.jsonl langfuse_scores_api_v3.json",
    "langfuse observations": "auto langfuse_observations.jsonl",
    "langfuse scores alone": "auto langfuse_scores.jsonl",
    "phoenix": "auto phoenix_spans_and_annotations.jsonl",
    "phoenix as langfuse": "langfuse phoenix_spans_and_annotations.jsonl",
    "langsmith": "auto langsmith.jsonl",
    "helicone": "auto helicone.jsonl",
    "openwebui feedback": "auto openwebui_feedback.json",
    "openwebui rating": "auto openwebui_feedback.json --positive rating>=6 --negative rating<=3",
    "openwebui chats": "auto openwebui_chats.jsonl",
    "openwebui both": "openwebui openwebui_chats.jsonl openwebui_feedback.json",
    "openwebui repaired": "auto repaired_chat.jsonl",
    "librechat": "auto librechat_messages.jsonl",
    "fastchat": "auto fastchat.jsonl",
    "fastchat hashed": "auto fastchat.jsonl --hash-users key",
    "fastchat redacted": "auto fastchat.jsonl --redact",
    "dify": "auto dify_feedback.csv",
    "argilla": "auto argilla.json",
    "argilla scaled": "auto argilla.json --map rating=helpfulness --scale 1:5",
    "labelstudio": "auto labelstudio.json",
    "labelstudio mapped": "auto labelstudio.json --map rating=quality --map preferred=pw --map thumbs=ok "
    "--scale 1:5",
    "otel": "auto otel.jsonl",
    "opik": "auto opik.jsonl",
    "weave": "auto weave.jsonl --map rating=quality --scale 1:5",
    "posthog": "auto posthog.jsonl --map copy=copied --logged seen",
    "generic": "auto generic_responses.jsonl generic_events.jsonl --scale 1:5",
    "generic without scale": "generic generic_responses.jsonl generic_events.jsonl",
    "generic positive": "generic generic_responses.jsonl generic_events.jsonl --scale 1:5 "
    "--positive copy --negative thumbs_down",
    "generic responses": "auto generic_responses.jsonl",
    "generic events alone": "auto generic_events.jsonl",
    "two products": "auto fastchat.jsonl helicone.jsonl",
    "generic spoilt": "generic spoilt.jsonl",
    "generic spoilt strict": "generic spoilt.jsonl --strict",
}


def spoilt(path):
    """A generic export with rows that cannot be read."""
    rows = [
        {"response_id": "a", "prompt": "p", "response": "r", "feedback": 1},
        {"response_id": "b", "prompt": "p", "response": "other"},
        {"response_id": "c", "prompt": 7},
        {"response_id": "a", "channel": "thumbs_up", "value": 1, "source": "user"},
        {"response_id": "a", "channel": "thumbs_up", "value": "much", "source": "user"},
        {"response_id": "zz", "channel": "copy", "value": 1, "source": "user"},
    ]
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join([*lines, "{not json"]) + "\n", "utf-8")


def imported(line, folder):
    """What a line of `CASES` comes to: its exit code, its counts and every table it writes."""
    (folder / "key").write_text(SECRET, "utf-8")
    spoilt(folder / "spoilt.jsonl")
    words = [
        FIXTURES / w if (FIXTURES / w).is_file() else folder / w if (folder / w).is_file() else w
        for w in line.split()
    ]
    out = folder / "out"
    code, said, _ = command("import", *words, "--out", out, "--json")
    found = {"code": code, "files": sorted(p.name for p in out.iterdir()) if out.exists() else []}
    found["counts"] = counts(json.loads(said)) if said else None
    for path in sorted(out.glob("*.parquet")):
        found[path.stem] = table(pl.read_parquet(path))
    if (out / "dataset.json").exists():
        found["dataset"] = json.loads((out / "dataset.json").read_text("utf-8"))
    return found


def counts(summary):
    """The account of an import without its sentences: of those, how often each was said."""
    kept = dict(summary)
    kept["skipped"] = sorted(kept["skipped"].values())
    kept["rejected"] = {
        "rows": kept["rejected"]["rows"],
        "reasons": sorted(kept["rejected"]["reasons"].values()),
    }
    kept["notes"] = len(kept["notes"])
    kept.pop("wider")
    return kept


def table(frame):
    """The types of the columns, and every row as JSON; of a rejected one the sentence is left out."""
    given = frame.drop("reason", strict=False).to_dicts()
    for row in given:
        if "file" in row:
            row["file"] = Path(row["file"]).name
    rows = [json.dumps(row, default=_plain, ensure_ascii=False) for row in given]
    return {"types": {k: str(v) for k, v in frame.schema.items()}, "rows": rows}


def _plain(value):
    assert isinstance(value, dt.datetime | dt.date), value
    return value.isoformat()
