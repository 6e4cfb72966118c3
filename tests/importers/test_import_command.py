"""The command `trueward import`: its folder, output and exit codes, and the commands that read the folder."""

from __future__ import annotations

import json
import random

import polars as pl
import pyarrow.parquet as pq
import pytest
from helpers.commands import run
from helpers.product_exports import FIXTURES, fixture_records, lines

from trueward.core.errors import TruewardError
from trueward.data.export_scope import ExportScope, narrowest
from trueward.data.log_reading import read_log
from trueward.importers import import_log, sources

GENERIC = [FIXTURES / "generic_responses.jsonl", FIXTURES / "generic_events.jsonl"]


def export(path, n=240, *, every=3, users=5):
    """A generic export of n answers on n / 3 prompts, those on each third prompt rated."""
    rows = []
    for i in range(n):
        rows.append(
            {
                "response_id": f"x:{i:04d}",
                "prompt": f"How do I undo step {i // 3}?",
                "response": f"Press {i}.",
            }
            | {"user_id": f"person-{i % users}@example.org", "session_id": f"chat-{i // 3}"}
            | {"shown_at": f"2026-01-{1 + i % 28:02d}T10:00:00Z"}
        )
        if i // 3 % every == 0:
            value = {"channel": ["thumbs_up", "thumbs_down"][i % 2], "value": 1, "source": "user"}
            rows.append({"response_id": f"x:{i:04d}", "at": "2026-02-01T10:00:00Z"} | value)
    return lines(path, rows)


@pytest.fixture
def command(capsys):
    def run_it(*words):
        return run(list(map(str, words)), capsys)

    return run_it


def test_an_import_writes_a_folder_that_inspect_and_fit_read(tmp_path, command):
    code, out, err = command(
        "import", "auto", export(tmp_path / "e.jsonl"), "--out", tmp_path / "log"
    )
    assert code == 0, err
    assert "generic: the generic responses and events tables (detected by auto)" in out
    assert "coverage   full: every response that was shown, rated or not" in out
    assert out.splitlines()[-1] == f"next: trueward inspect {tmp_path / 'log'}"
    assert {p.name for p in (tmp_path / "log").iterdir()} == {
        *("responses.parquet", "events.parquet", "log.parquet", "rejected.parquet"),
        *("dataset.json", "summary.json"),
    }
    log = read_log(tmp_path / "log" / "log.parquet")
    assert log.export_scope == ExportScope("full", "generic", sources()["generic"].wider)
    assert log.feedback_rate == pytest.approx(81 / 240)
    code, out, _ = command("inspect", tmp_path / "log" / "log.parquet")
    assert code == 0
    assert "this export of generic is full" in out
    code, _, err = command(
        "fit", "naive", tmp_path / "log" / "log.parquet", "--out", tmp_path / "rm", "--epochs", 1
    )
    assert code == 0, err
    for path in (tmp_path / "rm").rglob("*"):  # ids of people stay in the log
        text = path.read_bytes()
        assert b"example.org" not in text
        assert not [u for u in log.frame["user_id"].unique() if u.encode() in text]


def test_the_responses_hold_messages_and_the_log_their_text(tmp_path, command):
    command("import", "generic", *GENERIC, "--out", tmp_path / "log", "--scale", "1:5")
    responses = pl.read_parquet(tmp_path / "log" / "responses.parquet").sort("response_id")
    assert responses["prompt"].to_list()[2] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Say hello."},
    ]
    assert pl.read_parquet(tmp_path / "log" / "pairs.parquet").height == 1
    log = read_log(tmp_path / "log" / "log.parquet").frame.sort("response")
    table = read_log(responses.with_columns(pl.lit(1).alias("feedback"))).frame.sort("response")
    assert log["prompt"].to_list() == table["prompt"].to_list()


def test_an_import_of_what_an_import_wrote_gives_the_same_log(tmp_path):
    window = {"copy": {"available": [["2026-08-01", None]], "where": {"context.device": "web"}}}
    (tmp_path / "in").mkdir()
    document = {"schema": "trueward/feedback/1", "coverage": "full", "channels": window}
    document["channels"] |= {"rating": {"min": 1, "max": 5}}
    (tmp_path / "in" / "dataset.json").write_text(json.dumps(document))
    result = import_log("generic", [*GENERIC, tmp_path / "in" / "dataset.json"])
    by_id = dict(result.log.select("response_id", "channel.copy").iter_rows())
    assert by_id == {"x:1": 1.0, "x:2": 0.0, "x:3": None}  # no copy button in the app
    assert result.log["gold"].drop_nulls().to_list() == [0.75]
    result.write(tmp_path / "one")
    import_log("generic", [tmp_path / "one"], tmp_path / "two")
    for name in ("responses", "events", "log", "pairs"):
        one, two = (tmp_path / d / f"{name}.parquet" for d in ("one", "two"))
        assert pl.read_parquet(one).equals(pl.read_parquet(two)), name


def test_tables_in_parquet_give_what_the_same_lines_give(tmp_path):
    tricky = 'a "quote"\\ \n\t\x01 \x7f ä € 😀 \u2028 </'
    records = [
        {"response_id": "a", "prompt": tricky, "response": "x", "shown_at": "2026-01-01T00:00:00Z"},
        {
            "response_id": "b",
            "prompt": tricky,
            "response": "",
            "context": {"device": "web", "n": 2},
        },
        {"response_id": "c", "prompt": "", "response": "x"},
        {"response_id": "d", "prompt": '[{"role": "user", "content": "p"}]', "response": "{}"},
        {"response_id": None, "prompt": "p", "response": "x"},
    ]
    events = [
        {"response_id": "a", "channel": "thumbs_up", "value": 1.0, "source": "user", "at": None},
        {"response_id": "z", "channel": "thumbs_up", "value": 1.0, "source": "user", "at": None},
        {"response_id": "b", "channel": "nothing", "value": 1.0, "source": "user", "at": None},
        {"response_id": "b", "channel": "copy", "value": 1.0, "source": None, "at": None},
    ]
    one = import_log("generic", [lines(tmp_path / "l.jsonl", [*records, *events])])
    frame = pl.DataFrame(records, infer_schema_length=None)
    frame = frame.with_columns(pl.col("shown_at").str.to_datetime(time_zone="UTC"))
    frame.write_parquet(tmp_path / "responses.parquet")
    pl.DataFrame(events).write_parquet(tmp_path / "events.parquet")
    two = import_log("generic", [tmp_path / "responses.parquet", tmp_path / "events.parquet"])
    assert two.log.equals(one.log)
    assert two.tables.responses.equals(one.tables.responses)
    assert (one.tables.rejected.height, two.tables.rejected.height) == (5, 5)
    assert two.tables.rejected["line"].to_list() == [2, 3, 4, 3, 5]
    assert one.summary["read"] == two.summary["read"]


@pytest.mark.parametrize(
    "name",
    [
        "langfuse_observations.jsonl langfuse_scores.jsonl",
        "openwebui_chats.jsonl openwebui_feedback.json",
        "librechat_messages.jsonl",
        "fastchat.jsonl",
        "langsmith.jsonl",
        "phoenix_spans_and_annotations.jsonl",
        "otel.jsonl",
        "generic_responses.jsonl generic_events.jsonl",
    ],
)
def test_ordered_and_shuffled_exports_give_the_same_bytes(name, tmp_path):
    records = [r for file in name.split() for r in fixture_records(file)]
    records += records[::2]  # copies
    for i in range(3):
        random.Random(i).shuffle(records)
        result = import_log("auto", [lines(tmp_path / f"{i}.jsonl", records)])
        result.write(tmp_path / f"log{i}")
    for table in ("responses", "events", "log"):
        files = {(tmp_path / f"log{i}" / f"{table}.parquet").read_bytes() for i in range(3)}
        assert len(files) == 1, table


def test_a_log_of_signals_alone_takes_one_as_its_feedback(tmp_path, command):
    path = export(tmp_path / "e.jsonl")
    path.write_text(path.read_text().replace("thumbs_up", "copy").replace("thumbs_down", "copy"))
    code, out, _ = command("import", "auto", path, "--out", tmp_path / "log")
    assert (code, "no response has feedback" in out) == (0, True)
    assert command("inspect", tmp_path / "log" / "log.parquet")[0] == 1
    assert command("import", "auto", path, "--out", tmp_path / "log", "--positive", "copy")[0] == 0
    log = read_log(tmp_path / "log" / "log.parquet")
    assert log.regime == "implicit"
    assert log.frame["feedback"].count() == 81


def test_rejected_rows_are_written_counted_and_told_by_the_exit_code(tmp_path, command):
    path = tmp_path / "e.jsonl"
    export(path)
    path.write_text(path.read_text() + '{"response_id": "x')
    code, out, _ = command("import", "auto", path, "--out", tmp_path / "log")
    assert code == 3
    assert "rejected   1: invalid JSON" in out
    (row,) = pl.read_parquet(tmp_path / "log" / "rejected.parquet").to_dicts()
    assert (row["file"], row["line"]) == (str(path), 322)
    code, out, _ = command("import", "auto", path, "--out", tmp_path / "log", "--json")
    assert (code, json.loads(out)["rejected"]["rows"]) == (3, 1)
    code, _, err = command("import", "auto", path, "--out", tmp_path / "strict", "--strict")
    assert code == 1
    assert "line 322" in err
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nothing"], 2, "there is no source 'nothing'"),
        (["auto", "--map", "thumbs"], 2, "--map takes OURS=THEIRS"),
        (["auto", "--map", "applause=x"], 2, "nothing called 'applause'"),
        (["auto", "--scale", "5"], 2, "--scale takes LEAST:MOST"),
        (["auto", "--scale", "5:1"], 2, "--scale takes LEAST:MOST"),
        (["auto", "--scale", "1:inf"], 2, "--scale takes LEAST:MOST"),
        (["auto", "--scale=-inf:1"], 2, "--scale takes LEAST:MOST"),
        (["auto", "--scale", "1:1e400"], 2, "--scale takes LEAST:MOST"),
        (["auto", "--positive", "love"], 2, "a label comes from a channel"),
        (["auto", "--hash-users", "no-such-file"], 1, "openssl rand -hex 32"),
        (["langfuse"], 1, "an import needs responses"),
    ],
)
def test_a_wrong_request_is_one_sentence(words, code, message, tmp_path, command):
    source, *more = words
    found, _, err = command("import", source, *GENERIC, "--out", tmp_path / "log", *more)
    assert (found, err.count("\n")) == (code, 1)
    assert message in err
    assert not (tmp_path / "log").exists()


def test_only_an_import_is_replaced(tmp_path, command):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "thesis.txt").write_text("mine")
    code, _, err = command("import", "auto", *GENERIC, "--out", tmp_path / "log")
    assert (code, "other files than an import" in err) == (2, True)
    (tmp_path / "file").write_text("x")
    assert command("import", "auto", *GENERIC, "--out", tmp_path / "file")[0] == 2
    for _ in range(2):
        assert command("import", "auto", *GENERIC, "--out", tmp_path / "new")[0] == 0


def test_ids_of_people_are_hashed_with_the_key_of_the_user(tmp_path, command):
    path = export(tmp_path / "e.jsonl")
    (tmp_path / "key").write_text("3f" * 32)
    (tmp_path / "short").write_text("123")
    ids = []
    for out, more in (("open", ()), ("hidden", ("--hash-users", tmp_path / "key"))):
        assert command("import", "generic", path, "--out", tmp_path / out, *more)[0] == 0
        ids.append(set(read_log(tmp_path / out / "log.parquet").frame["user_id"]))
    assert len(ids[1]) == len(ids[0]) == 5
    assert all(len(i) == 16 for i in ids[1])
    assert not ids[0] & ids[1]
    code, _, err = command(
        "import", "generic", path, "--out", tmp_path / "x", "--hash-users", tmp_path / "short"
    )
    assert (code, "at least 16 bytes" in err) == (1, True)
    for name in ("log", "responses", "events"):
        assert b"example.org" not in (tmp_path / "hidden" / f"{name}.parquet").read_bytes()


def test_an_inspection_calls_users_by_a_row_of_theirs(tmp_path, command):
    result = import_log("generic", [export(tmp_path / "e.jsonl", users=3)])
    result.write(tmp_path / "log")
    _, out, _ = command("inspect", tmp_path / "log" / "log.parquet", "--json")
    names = {f["name"] for f in json.loads(out)["findings"]}
    assert {"raters", "selection_by_user"} <= names
    assert "example.org" not in out


@pytest.mark.parametrize(
    "name", sorted(p.name for p in FIXTURES.glob("*") if "generic" not in p.name)
)
def test_no_id_of_a_person_is_left_in_plain_text(name, tmp_path, command):
    secrets = [
        b"u-17",
        b'u-1"',
        b"usr-3",
        b"eu-1",
        b"198.51.100",
        b"an-1",
        b"a@example.org",
        b"Sam",
        b"rev-1",
    ]
    if command("import", "auto", FIXTURES / name, "--out", tmp_path / "log")[0] == 0:
        tables = [pl.read_parquet(p) for p in (tmp_path / "log").glob("*.parquet")]
        text = str([t.to_dicts() for t in tables]).encode()
        assert not [secret for secret in secrets if secret in text]


def test_the_python_function_writes_what_the_command_writes(tmp_path, command):
    (tmp_path / "key").write_text("3f" * 32)
    words = ["--scale", "1:5", "--hash-users", tmp_path / "key"]
    assert command("import", "generic", *GENERIC, "--out", tmp_path / "one", *words)[0] == 0
    result = import_log(
        "generic", GENERIC, tmp_path / "two", scale=(1, 5), hash_users=tmp_path / "key"
    )
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
    assert result.log.equals(pl.read_parquet(tmp_path / "two" / "log.parquet"))
    key = (tmp_path / "key").read_bytes()
    again = import_log("generic", GENERIC, scale=(1, 5), hash_users=key)
    assert again.log.equals(result.log)


def test_a_strict_import_of_python_raises_and_writes_nothing(tmp_path):
    path = export(tmp_path / "e.jsonl")
    path.write_text(path.read_text() + '{"response_id": "x')
    with pytest.raises(TruewardError, match=r"line 322 of .*e\.jsonl"):
        import_log("auto", str(path), tmp_path / "log", strict=True)
    assert not (tmp_path / "log").exists()
    assert import_log("auto", path).tables.rejected.height == 1


# coverage


def covered(tmp_path, level, *, all_rated=False):
    """A log of 240 rows that says it is of a level."""
    n = 240
    frame = pl.DataFrame(
        {
            "prompt": [f"p{i // 3}" for i in range(n)],
            "response": [f"Press {i}." for i in range(n)],
            "feedback": [float(i // 3 % 2) if i % 2 or all_rated else None for i in range(n)],
        }
    )
    kind = ExportScope(level, "dify", "add the pages of GET /v1/messages")
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).replace_schema_metadata(
        kind.metadata()
    )
    pq.write_table(table, tmp_path / f"{level}.parquet")
    return tmp_path / f"{level}.parquet"


@pytest.mark.parametrize("level", ["rated_only", "annotation"])
@pytest.mark.parametrize("method", ["ips", "dr", "three_outcome", "causalrm"])
def test_fit_refuses_what_needs_unrated_rows_and_names_the_export_that_has_them(
    level, method, tmp_path, command
):
    path = covered(tmp_path, level)
    code, _, err = command("fit", method, path, "--out", tmp_path / "rm")
    assert code == 1
    assert f"{level}:" in err
    assert "add the pages of GET /v1/messages" in err
    _, out, _ = command("inspect", path, "--json")
    found = json.loads(out)
    assert found["covers"] == level
    # of causalrm one estimator needs no propensity; the default one does
    choices = {c["option"]: c["missing"] for c in found["options"].get(method, ())}
    assert "GET /v1/messages" in found["unsupported"].get(method, choices.get("estimator=dr", ""))
    assert {"naive", "f_correction"} <= set(found["supported"])
    assert [f["severity"] for f in found["findings"] if f["name"] == "export"] == ["error"]


def test_what_is_known_of_rated_chats_only_is_fitted_with_a_warning(tmp_path, command):
    path = covered(tmp_path, "rated_chats_only")
    code, _, err = command("fit", "ips", path, "--out", tmp_path / "rm", "--epochs", 1)
    assert code == 0, err
    assert "other chats are missing" in err
    _, out, _ = command("inspect", path, "--json")
    assert [f["severity"] for f in json.loads(out)["findings"] if f["name"] == "export"] == [
        "warning"
    ]


def test_a_log_that_says_nothing_of_its_export_is_not_refused(tmp_path):
    frame = pl.read_parquet(covered(tmp_path, "full"))
    frame.write_parquet(tmp_path / "plain.parquet")
    assert read_log(tmp_path / "plain.parquet").export_scope is None


def test_of_merged_shards_the_narrowest_level_holds(tmp_path):
    paths = [covered(tmp_path, level) for level in ("full", "rated_only")]
    folder = tmp_path / "shards"
    folder.mkdir()
    for i, path in enumerate(paths):
        path.rename(folder / f"log-{i:05d}-of-00002.parquet")
    assert read_log(folder).export_scope.level == "rated_only"
    assert narrowest([None]) is None


def test_an_export_in_which_every_chat_is_rated_is_of_rated_chats_only(tmp_path):
    chats = fixture_records("librechat_messages.jsonl")
    many = [
        {**m, "conversationId": f"cv-{i}", "messageId": f"{m['messageId']}-{i}"}
        | {"parentMessageId": m["parentMessageId"] if m["isCreatedByUser"] else f"u1-{i}"}
        for i in range(80)
        for m in chats
    ]
    result = import_log("librechat", [lines(tmp_path / "m.jsonl", many)])
    assert result.info.export_scope.level == "rated_chats_only"
    assert any("every chat of this export has a rated response" in note for note in result.notes)
    assert set(result.log["source_coverage"]) == {"rated_chats_only"}


def test_an_export_of_rated_responses_alone_is_rated_only(tmp_path):
    result = import_log("generic", [export(tmp_path / "e.jsonl", every=1)])
    assert result.info.export_scope.level == "rated_only"
    assert (
        import_log("generic", [export(tmp_path / "f.jsonl", every=3)]).info.export_scope.level
        != "rated_only"
    )


@pytest.mark.parametrize("scale", ["1:inf", "-inf:5", "nan:5", "5:1", "1"])
def test_a_scale_is_two_finite_numbers_in_order(tmp_path, capsys, scale):
    file = str(FIXTURES / "generic_responses.jsonl")
    code, _, err = run(
        ["import", "generic", file, "--out", str(tmp_path / "out"), "--scale", scale], capsys
    )
    assert code == 2
    assert "--scale takes LEAST:MOST" in err
    assert not (tmp_path / "out").exists()


def test_an_import_of_labels_is_joined_to_a_log_next(tmp_path, command):
    command_line = ("import", "labelstudio", FIXTURES / "labelstudio.json", "--scale", "1:5")
    code, out, err = command(*command_line, "--map", "rating=quality", "--out", tmp_path / "audit")
    assert code in (0, 3), err
    assert out.splitlines()[-1] == f"next: trueward inspect LOG --gold {tmp_path / 'audit'}"
