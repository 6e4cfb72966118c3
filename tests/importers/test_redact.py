"""Redaction of e-mail addresses, phone numbers and secrets, and the ids of redacted rows."""

from __future__ import annotations

import builtins
import hashlib
import json
import re
import time

import polars as pl
import pytest
from helpers.commands import run
from helpers.product_exports import FIXTURES, lines
from helpers.sensitive_texts import HARMLESS, PEM, SENSITIVE

from trueward.core.errors import TruewardError, UsageError
from trueward.importers import Redactor, import_log

pytest.importorskip("phonenumbers", reason="redaction needs the extra `redact`")


@pytest.mark.parametrize(
    ("kind", "marked"), [(k, t) for k, texts in SENSITIVE.items() for t in texts]
)
def test_what_should_go_is_replaced_by_what_it_was_and_nothing_else_is(kind, marked):
    text, counts = Redactor().redact_text(marked.replace("«", "").replace("»", ""))
    assert text == re.sub("«[^»]*»", f"<{kind}>", marked)
    assert counts == {kind: marked.count("«")}


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_stays_as_it_is(text):
    assert Redactor(("US", "GB", "DE", "FR")).redact_text(text) == (text, {})


def every_text():
    return [t.replace("«", "").replace("»", "") for texts in SENSITIVE.values() for t in texts]


def test_a_redacted_text_has_nothing_more_to_redact():
    redactor = Redactor()
    for text in [*every_text(), " ".join(every_text())]:
        once = redactor.redact_text(text)[0]
        assert redactor.redact_text(once) == (once, {})


def test_the_first_look_misses_nothing_that_the_close_one_finds():
    texts = [*every_text(), *HARMLESS]
    redactor = Redactor()
    found = redactor.redact_rows(pl.DataFrame({"response": texts}), b"key")
    assert found["response"].to_list() == [redactor.redact_text(t)[0] for t in texts]


def test_numbers_as_they_are_dialled_in_a_country_are_found_there():
    text = "rufen Sie 030 901820 an"
    assert Redactor(("DE",)).redact_text(text) == ("rufen Sie <PHONE> an", {"PHONE": 1})
    assert Redactor().redact_text(text) == (text, {})
    with pytest.raises(UsageError, match="as US or DE, not 'XX'"):
        Redactor(("US", "XX"))


def test_numbers_beside_each_other_are_told_apart():
    text = "+1 415-555-2671 +44 20 7946 0958, 415-555-2671/415-555-2672; 12345678 2026-01-02 10:30"
    now = "<PHONE> <PHONE>, <PHONE>/<PHONE>; 12345678 2026-01-02 10:30"
    assert Redactor(("US", "DE")).redact_text(text) == (now, {"PHONE": 4})


@pytest.mark.parametrize(
    "unit", ["a.", "a'", "1 ", "a@b.", f"-----BEGIN {PEM}", "token: ", "(", "://a:"]
)
def test_a_long_text_takes_no_more_than_its_share_of_time(unit):
    text = unit * (200_000 // len(unit))
    start = time.perf_counter()
    Redactor().redact_text(text)
    assert time.perf_counter() - start < 5  # a quadratic pattern takes minutes


RECORDS = [
    {
        "response_id": "ann@example.org/1",
        "prompt": [
            {"role": "user", "content": "I am ann@example.org"},
            {"role": "assistant", "content": "And your number?"},
            {"role": "user", "content": "+1 415-555-2671"},
        ],
        "response": "I called +1 415-555-2671.",
        "user_id": "ann@example.org",
        "session_id": "ann@example.org-1",
        "context": {"page": "https://x.example/?u=ann%40example.org"},
    },
    {"response_id": "b", "prompt": "I am ann@example.org", "response": "Hello"},
    {"response_id": "c", "prompt": "I am bob@example.org", "response": "Hello"},
    {
        "response_id": "d",
        "prompt": "p",
        "response": "r",
        "shown_at": "at noon, ann@example.org, or",
    },
    {"response_id": "e", "prompt": "p", "response": "r", "prompt_id": "named"},
    {"channel": "thumbs_up", "value": 1, "source": "user", "actor_id": "ann@example.org"}
    | {"response_id": "ann@example.org/1", "text": "mail me: ann@example.org"}
    | {"raw": '{"by":"ann@example.org"}'},
    {"response_id": "of ann@example.org", "channel": "copy", "value": 1, "source": "user"},
    {"response_id": "b", "channel": "copy", "value": "ann@example.org " * 3, "source": "user"},
]


@pytest.fixture
def export(tmp_path):
    return lines(tmp_path / "export.jsonl", RECORDS)


def everything(folder):
    """All that a folder says, tables in plain text."""
    tables = [str(pl.read_parquet(p).to_dicts()) for p in sorted(folder.glob("*.parquet"))]
    return "\n".join([*tables, *(p.read_text() for p in sorted(folder.glob("*.json")))])


def test_no_table_of_an_import_holds_what_was_redacted(export, tmp_path, capsys):
    words = ["import", "generic", str(export), "--out", str(tmp_path / "log"), "--redact"]
    code, out, _ = run(words, capsys)
    assert code == 3
    assert "redacted   6 e-mail addresses, 2 phone numbers, 0 keys and secrets" in out
    text = everything(tmp_path / "log")
    assert not [left for left in ("ann@", "ann%40", "@", "example.org", "2671") if left in text]
    summary = json.loads((tmp_path / "log" / "summary.json").read_text())
    assert summary["redacted"] == {"EMAIL": 6, "PHONE": 2, "SECRET": 0}
    assert summary["rejected"]["rows"] == 3


def test_an_import_that_was_not_asked_to_redact_says_nothing_of_it(export):
    result = import_log("generic", [export])
    assert "redacted" not in result.summary
    assert "ann@example.org" in result.log["prompt"].str.join("")[0]


def test_prompts_that_are_the_same_now_have_one_id_and_named_ones_keep_theirs(export):
    result = import_log("generic", [export], redact=True)
    ids = dict(result.tables.responses.select("response_id", "prompt_id").iter_rows())
    now = hashlib.sha256(b'[{"content":"I am <EMAIL>","role":"user"}]').hexdigest()[:16]
    assert (ids["b"], ids["c"], ids["e"]) == (now, now, "named")


def test_signals_still_belong_to_their_responses(export):
    result = import_log("generic", [export], redact=True)
    (event,) = result.tables.events.to_dicts()
    (rated,) = result.log.filter(pl.col("feedback") == 1).to_dicts()
    assert event["response_id"] == rated["response_id"]
    assert event["text"] == "mail me: <EMAIL>"
    assert len(event["actor_id"]) == len(rated["user_id"]) == 16


def test_a_key_of_the_user_hashes_ids_with_it(export):
    ids = [
        import_log("generic", [export], redact=True, hash_users=key)
        .log["user_id"]
        .drop_nulls()
        .to_list()
        for key in (None, b"3f" * 16)
    ]
    assert len(ids[0]) == len(ids[1]) == 1
    assert ids[0] != ids[1]


@pytest.mark.parametrize("name", sorted(p.name for p in FIXTURES.glob("*")))
def test_redaction_leaves_the_account_of_an_export_as_it_is(name):
    try:
        plain = import_log("auto", [FIXTURES / name])
    except TruewardError:  # signals alone
        return
    result = import_log("auto", [FIXTURES / name], redact=True)
    for part in ("read", "kept", "rated", "channels", "rejected", "skipped"):
        assert result.summary[part] == plain.summary[part]


def test_an_import_of_a_redacted_import_changes_no_text(export, tmp_path):
    import_log("generic", [export], tmp_path / "one", redact=True)
    again = import_log("generic", [tmp_path / "one"], redact=True)
    first = pl.read_parquet(tmp_path / "one" / "log.parquet")
    for name in ("prompt", "response", "prompt_id", "response_id", "context.page"):
        assert again.log[name].to_list() == first[name].to_list()
    assert set(again.redacted.values()) == {0}


def test_a_text_that_is_said_often_is_read_once_and_counted_each_time(tmp_path, monkeypatch):
    rows = [
        {"response_id": str(i), "prompt": "ann@example.org?", "response": "bob@example.org!"}
        for i in range(50)
    ]
    read = []
    close = Redactor.redact_text
    monkeypatch.setattr(
        Redactor, "redact_text", lambda self, t, *a: read.append(t) or close(self, t, *a)
    )
    result = import_log("generic", [lines(tmp_path / "r.jsonl", rows)], redact=True)
    assert sorted(read) == ["ann@example.org?", "bob@example.org!"]
    assert result.redacted == {"EMAIL": 100, "PHONE": 0, "SECRET": 0}


def test_without_the_extra_the_error_names_it(export, tmp_path, capsys, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "phonenumbers":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    words = ["import", "generic", str(export), "--out", str(tmp_path / "log"), "--redact"]
    code, _, err = run(words, capsys)
    assert code == 1
    assert "pip install 'trueward[redact]'" in err
    assert not (tmp_path / "log").exists()
    with pytest.raises(TruewardError, match="phonenumbers, which is not installed"):
        Redactor()


def test_a_region_without_redaction_is_refused(export, tmp_path, capsys):
    words = ["import", "generic", str(export), "--out", str(tmp_path / "x"), "--phone-region", "DE"]
    code, _, err = run(words, capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "give both, or neither" in err
