"""The documented queries read the tables of Chainlit's data layers."""

import re
import sqlite3

import pytest
from helpers.product_exports import FIXTURES, column, signals

from trueward.importers import import_log

PAGE = (FIXTURES.parents[2] / "docs" / "import.md").read_text("utf-8")
SECTION = PAGE.partition("### Chainlit")[2].partition("\n## ")[0]
RESPONSES, EVENTS, OFFICIAL = re.findall(r"```sql\n(.*?)```", SECTION, re.DOTALL)

LAYER = {  # columns as the SQLAlchemy layer of chainlit 2.12 writes them
    "threads": "id, createdAt, name, userId, userIdentifier, tags, metadata",
    "steps": "id, name, type, threadId, parentId, streaming, waitForAnswer, isError, metadata, tags,"
    " input, output, createdAt, command, modes, start, end, generation, showInput, language",
    "feedbacks": "id, forId, threadId, value, comment",
}
OFFICIAL_LAYER = {  # ... and as its own data layer does
    "Thread": "id, createdAt, updatedAt, deletedAt, name, metadata, tags, userId",
    "Step": "id, createdAt, updatedAt, parentId, threadId, input, metadata, name, output, type,"
    " showInput, isError, startTime, endTime",
    "Feedback": "id, createdAt, updatedAt, stepId, name, value, comment",
}
# id, type, output, parent: a greeting, then a run with a step and two answers, then two plain runs
STEPS = [
    ("r0", "run", "", None),
    ("g", "assistant_message", "Hello, I answer.", "r0"),
    ("u1", "user_message", "When does the pool open?", None),
    ("r1", "run", "", "u1"),
    ("l1", "llm", "open pool hours", "r1"),
    ("a0", "assistant_message", "One moment.", "r1"),
    ("a1", "assistant_message", "At seven.", "r1"),
    ("u2", "user_message", "And the sauna?", None),
    ("r2", "run", "", "u2"),
    ("a2", "assistant_message", "At ten.", "r2"),
    ("u3", "user_message", "Thanks", None),
    ("r3", "run", "", "u3"),
    ("a3", "assistant_message", "You are welcome.", "r3"),
    ("u4", "user_message", "And now?", None),
    ("r4", "run", "", "u4"),
    ("e4", "assistant_message", "Error: no model", "r4"),
]
FEEDBACK = [("f1", "r1", 0, "It opens at eight."), ("f2", "a2", 1, None), ("f3", "gone", 1, None)]


def time(number):
    return f"2026-03-02T09:00:{number:02d}.000000Z"


def database(path, tables):
    db = sqlite3.connect(path)
    for name, columns in tables.items():
        quoted = ", ".join(f'"{column.strip()}"' for column in columns.split(","))
        db.execute(f'CREATE TABLE "{name}" ({quoted})')
    return db


def insert(db, table, **values):
    names, marks = ", ".join(f'"{name}"' for name in values), ", ".join("?" * len(values))
    db.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', tuple(values.values()))


def imported(tmp_path, monkeypatch, responses, events):
    monkeypatch.setenv("TRUEWARD_DATABASE", f"sqlite:{tmp_path}/chainlit.db")
    for name, query in (("responses.sql", responses), ("events.sql", events)):
        (tmp_path / name).write_text(query)
    return import_log("generic", [tmp_path / "responses.sql", tmp_path / "events.sql"])


@pytest.fixture
def sqlalchemy_layer(tmp_path):
    db = database(tmp_path / "chainlit.db", LAYER)
    insert(db, "threads", id="t", userId="ann", createdAt=time(0))
    for number, (name, kind, text, parent) in enumerate(STEPS):
        more = {
            "isError": name == "e4",
            "waitForAnswer": 0,
            "streaming": 0,
            "createdAt": time(number),
        }
        ids = {"id": name, "threadId": "t", "parentId": parent, "type": kind, "name": "n"}
        insert(db, "steps", output=text, **ids, **more)
    for name, about, value, comment in FEEDBACK:
        insert(db, "feedbacks", id=name, forId=about, threadId="t", value=value, comment=comment)
    db.commit()
    db.close()


@pytest.fixture
def official_layer(tmp_path):
    db = database(tmp_path / "chainlit.db", OFFICIAL_LAYER)
    insert(db, "Thread", id="t", userId="ann", metadata="{}")
    for number, (name, kind, text, parent) in enumerate(STEPS):
        times = {"startTime": time(number), "endTime": time(number), "createdAt": time(50)}
        ids = {"id": name, "threadId": "t", "parentId": parent, "type": kind, "name": "n"}
        insert(db, "Step", output=text, **ids, **times, isError=name == "e4", showInput="json")
    for name, about, value, comment in FEEDBACK:
        more = {"value": float(value), "comment": comment, "name": "user_feedback"}
        insert(db, "Feedback", id=name, stepId=about, **more)
    db.commit()
    db.close()


def check(result):
    assert column(result, "feedback") == {"a1": 0.0, "a2": 1.0, "a3": None}
    assert column(result, "response")["a1"] == "At seven."  # the last answer of the run
    assert column(result, "prompt")["a2"] == (
        "assistant: Hello, I answer.\nuser: When does the pool open?\nassistant: One moment.\n"
        "assistant: At seven.\nuser: And the sauna?"
    )
    assert signals(result) == [
        ("a1", "comment", 1.0, "user"),
        ("a1", "thumbs_down", 1.0, "user"),
        ("a2", "thumbs_up", 1.0, "user"),
    ]
    assert result.tables.rejected["reason"].to_list() == [
        "a thumbs_up without its response: chainlit:gone is not among the responses"
    ]
    assert f"{result.log['time'][0]:%H:%M:%S}" == "09:00:06"


def test_the_tables_of_the_sqlalchemy_layer(sqlalchemy_layer, tmp_path, monkeypatch):
    check(imported(tmp_path, monkeypatch, RESPONSES, EVENTS))


def test_the_tables_of_the_official_layer(official_layer, tmp_path, monkeypatch):
    events = EVENTS.replace("WITH rated", f"{OFFICIAL.rstrip()},\nrated")
    check(imported(tmp_path, monkeypatch, OFFICIAL + RESPONSES, events))
