"""Files of SQL stand for the rows of their query: of files by DuckDB, of SQLite and of a server."""

from __future__ import annotations

import importlib
import os
import sqlite3

import polars as pl
import pytest
from helpers import postgres
from helpers.commands import run

from trueward.core.errors import NotWrittenError, TruewardError, UsageError
from trueward.data.log_reading import read_log
from trueward.data.readers import databases
from trueward.importers import import_log as gather

pytest.importorskip("duckdb", reason="queries need the extra `sql`")
pytest.importorskip("adbc_driver_sqlite", reason="queries need the extra `sql`")

RESPONSES = [
    {"response_id": f"x:{i}", "prompt": f"What is {i % 4}?", "response": f"It is {i}; so be it."}
    | {"user_id": f"u{i % 3}", "shown_at": f"2026-01-0{1 + i % 5}T10:00:00Z"}
    for i in range(12)
]
EVENTS = [
    {"response_id": f"x:{i}", "channel": ["thumbs_up", "thumbs_down"][i % 2], "value": 1.0}
    | {"source": "user", "at": "2026-02-01T10:00:00Z"}
    for i in range(0, 12, 3)
]


@pytest.fixture(autouse=True)
def no_database(monkeypatch):
    monkeypatch.delenv("TRUEWARD_DATABASE", raising=False)


@pytest.fixture
def sql(tmp_path):
    """Write a query into a file."""

    def written(text, name="query.sql"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return written


@pytest.fixture
def tables(tmp_path):
    """The two tables as Parquet files, in the types that they should have."""
    for name, rows, time in (("responses", RESPONSES, "shown_at"), ("events", EVENTS, "at")):
        frame = pl.DataFrame(rows).with_columns(pl.col(time).str.to_datetime(time_zone="UTC"))
        frame.write_parquet(tmp_path / f"{name}.parquet")
    return tmp_path / "responses.parquet", tmp_path / "events.parquet"


ONE = "select 'a' as response_id, 'p' as prompt, 'r' as response"


# files


def test_queries_of_files_give_what_the_files_give(sql, tables):
    plain = gather("generic", tables)
    asked = [sql(f"select * from read_parquet('{path}')", f"{path.stem}.sql") for path in tables]
    for source in ("generic", "auto"):
        made = gather(source, asked)
        assert made.log.equals(plain.log)
        assert made.summary == plain.summary
    mixed = gather("generic", [tables[0], asked[1]])
    assert mixed.log.equals(plain.log)


def test_json_and_csv_files_are_read_where_they_are(sql, tables, tmp_path):
    pl.DataFrame(RESPONSES).write_csv(tmp_path / "r.csv")
    pl.DataFrame(EVENTS).write_ndjson(tmp_path / "e.jsonl")
    asked = [
        sql(f"from read_csv('{tmp_path}/r.csv')", "r.sql"),
        sql(f"from '{tmp_path}/e.jsonl'", "e.sql"),
    ]
    assert gather("generic", asked).log.equals(gather("generic", tables).log)


def test_a_query_that_gives_a_log_is_a_log(sql, tables):
    path = sql(
        f"select prompt, response, channel = 'thumbs_up' as feedback, user_id, 0.5::decimal(3,2) as weight "
        f"from '{tables[0]}' left join '{tables[1]}' using (response_id) order by response_id"
    )
    log = read_log(path)
    assert len(log) == 12
    assert log.feedback_rate == pytest.approx(4 / 12)
    assert set(log.frame["weight"]) == {0.5}
    with pytest.raises(TruewardError, match="has no rows"):
        read_log(sql("select 'p' as prompt, 'r' as response, 1 as feedback where false"))


def test_a_rejected_row_names_the_query_and_its_row(sql):
    path = sql(f"{ONE} union all select 'b', null, 'r' order by 1")
    made = gather("generic", [path])
    assert made.tables.rejected.select("file", "line").rows() == [(str(path), 2)]


def test_many_rows_pass_in_batches_that_keep_their_numbers(sql):
    path = sql(
        "select 'x:' || i as response_id, 'p' as prompt, case when i <> 119999 then 'r' end as response "
        "from range(120000) as t(i)"
    )
    made = gather("generic", [path])
    assert made.log.height == 119_999
    assert made.tables.rejected["line"].to_list() == [120_000]


TYPES = {  # expression of DuckDB -> column, and what the log holds
    "12345678901234567890123::decimal(38,0)": ("user_id", "12345678901234567890123"),
    "'550e8400-e29b-41d4-a716-446655440000'::uuid": (
        "session_id",
        "550e8400-e29b-41d4-a716-446655440000",
    ),
    "7::bigint": ("user_id", "7"),
    "1.25::decimal(5,2)": ("context.n", 1.25),
    "'b'::enum('a', 'b')": ("context.size", "b"),
    "true": ("context.first", True),
    "date '2026-01-02'": ("shown_at", "2026-01-02T00:00:00+00:00"),
    "timestamp '2026-01-02 03:04:05.25'": ("shown_at", "2026-01-02T03:04:05.250000+00:00"),
    "timestamptz '2026-01-02 03:04:05+02'": ("shown_at", "2026-01-02T01:04:05+00:00"),
    "timestamp_ns '2026-01-02 03:04:05'": ("shown_at", "2026-01-02T03:04:05+00:00"),
    "'2026-01-02 03:04:05'": ("shown_at", "2026-01-02T03:04:05+00:00"),
    "'2026-01-02'": ("shown_at", "2026-01-02T00:00:00+00:00"),
    "'2026-01-02T03:04:05+02:00'": ("shown_at", "2026-01-02T01:04:05+00:00"),
    "1767323045": ("shown_at", "2026-01-02T03:04:05+00:00"),
    "1767323045250": ("shown_at", "2026-01-02T03:04:05.250000+00:00"),
    "null": ("shown_at", None),
    "'0.25'": ("p_ask", 0.25),
    "{'device': 'web'}": ("context", "web"),
    "'\"gpt\"'::json": ("model", "gpt"),
}


@pytest.mark.parametrize("expression", TYPES)
def test_a_type_of_a_database_becomes_what_a_log_holds(expression, sql):
    name, wanted = TYPES[expression]
    made = gather("generic", [sql(f'{ONE}, {expression} as "{name}"')])
    found = made.tables.responses["context.device" if name == "context" else name][0]
    assert (found.isoformat() if name == "shown_at" and found else found) == wanted


CHATS = {
    '[{"role": "user", "content": "Hi"}]': [("user", "Hi")],
    '[{"role": "system", "content": "Be brief.", "n": 1}, {"role": "user", "content": "Hi ä 😀"}]': [
        ("system", "Be brief."),
        ("user", "Hi ä 😀"),
    ],
    '[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]': [("user", "Hi")],
    '[{"role": "assistant", "content": null}, {"role": "user", "content": "Hi"}]': [
        ("assistant", ""),
        ("user", "Hi"),
    ],
    '"Hi"': [("user", "Hi")],
}


@pytest.mark.parametrize("prompt", CHATS)
def test_a_prompt_of_type_json_is_a_chat_and_one_of_type_text_is_text(prompt, sql):
    for kind, wanted in (("json", CHATS[prompt]), ("varchar", [("user", prompt)])):
        text = prompt.replace("'", "''")
        path = sql(f"select 'a' as response_id, '{text}'::{kind} as prompt, 'r' as response")
        (messages,) = gather("generic", [path]).tables.responses["prompt"].to_list()
        assert [(m["role"], m["content"]) for m in messages] == wanted


def test_a_list_of_records_is_a_chat(sql):
    path = sql(
        "select 'a' as response_id, [{'role': 'user', 'content': 'Hi', 'n': 1}] as prompt, 'r' as response"
    )
    assert gather("generic", [path]).log["prompt"].to_list() == ["Hi"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "should hold a query, but is empty"),
        ("-- nothing; yet\n/* ; */", "should hold a query, but is empty"),
        ("select 1; select 2", "has several"),
        ("delete from responses", "starts with 'delete'"),
        ("copy (select 1) to 'x.csv'", "starts with 'copy'"),
        ("/* a */ pragma version", "starts with 'pragma'"),
        (
            "select * from nope",
            r"files, as no TRUEWARD_DATABASE is set (Table with name nope does not",
        ),
        ("selekt 1", "starts with 'selekt'"),
        ("select from where", "syntax error"),
        ("select * from 'no.parquet'", "No files found that match"),
        (f"{ONE}, error('late') as model", "(late): correct the query"),
        ("select 1 as a, 2 as b", "events (response_id, channel, value), and gives a, b: name the"),
        (f"{ONE} where false", "should give rows, and gives none"),
        (f"{ONE}, 1 as user_id, 2 as user_id", "returns the column 'user_id' twice"),
        (f"{ONE}, 1.5::double as user_id", "'user_id' as Float64, where text should be"),
        (
            f'{ONE}, interval 1 hour as "context.gap"',
            "'context.gap' as month_day_nano_interval, which",
        ),
        (f"{ONE}, ['a'] as user_id", "'user_id' as list<l: string>, which a log cannot hold"),
        (f"{ONE}, 'x'::blob as model", "'model' as binary, which a log cannot hold"),
        (f"{ONE}, 170141183460469231731687303715884105727 as turn", "'turn' as hugeint, which"),
        (f"{ONE}, '{{}}' as context", "'context' as String, where fields should be"),
        (f"{ONE}, 'soon' as shown_at", "row 1 of"),
        (
            f"{ONE}, 'infinity'::timestamp as shown_at",
            "has a time after the year 9999 where 'shown_at'",
        ),
        (f"{ONE}, '-infinity'::timestamptz as shown_at", "has a time before the year 1 where"),
        (f"{ONE}, 'infinity'::date as shown_at", "has a time after the year 9999 where"),
        (f"{ONE}, '-infinity'::timestamp_s as shown_at", "has a time before the year 1 where"),
        (f"{ONE}, timestamp '12026-01-01' as shown_at", "after the year 9999 where"),
        (f"{ONE}, date '0044-03-15 (BC)' as shown_at", "has a time before the year 1 where"),
        (
            f"({ONE}, null::timestamp as shown_at) union all ({ONE}, 'infinity'::timestamp)",
            "row 2 of",
        ),
        (f"{ONE}, 'much' as p_ask", "has 'much', where 'p_ask' should be a number"),
        (
            "select 'a' as response_id, '{\"a\": 1}'::json as prompt, 'r' as response",
            'has {"a": 1} where',
        ),
        (
            "select 'a' as response_id, '[1]'::json as prompt, 'r' as response",
            "has message 1 = 1 where",
        ),
    ],
)
def test_a_query_that_cannot_be_read_is_one_sentence(
    text, said, sql, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    words = ["import", "generic", str(sql(text)), "--out", str(tmp_path / "log")]
    code, _, err = run(words, capsys)
    assert (code, err.count("\n")) == (1, 1), err
    assert said in err
    assert not (tmp_path / "log").exists()
    assert not (tmp_path / "x.csv").exists()


def test_semicolons_in_texts_names_and_comments_end_nothing(sql):
    path = sql(
        "-- one; comment\nselect 'a;b' as response_id, /* ; */ $$p;q$$ as prompt, 'it''s; r' as response, "
        '1 as "context.a;b" ; -- the end;\n'
    )
    (row,) = gather("generic", [path]).tables.responses.to_dicts()
    assert (row["response_id"], row["response"], row["context.a;b"]) == ("a;b", "it's; r", 1)


def test_a_missing_file_and_a_file_that_is_no_text_are_named(tmp_path):
    with pytest.raises(TruewardError, match="there is no file"):
        gather("generic", [tmp_path / "none.sql"])
    (tmp_path / "q.sql").write_bytes(b"select '\xff'")
    with pytest.raises(TruewardError, match="should be UTF-8 text"):
        gather("generic", [tmp_path / "q.sql"])


def test_a_full_disk_says_how_to_name_another(sql, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trueward.importers.queries.pq.ParquetWriter", full)
    with pytest.raises(NotWrittenError, match=r"No space left on device.* by TMPDIR"):
        gather("generic", [sql(ONE)])


def test_a_query_is_no_export_of_a_product(sql):
    with pytest.raises(UsageError, match="the generic tables and no export of langfuse"):
        gather("langfuse", [sql(ONE)])


def test_a_folder_is_read_without_its_queries(sql, tables, tmp_path):
    sql("drop table responses")
    assert gather("generic", [tmp_path]).log.height == 12


# databases in a file


@pytest.fixture
def lite(tmp_path, monkeypatch):
    """A SQLite database with the two tables, named by the environment."""
    with sqlite3.connect(tmp_path / "my chats.db") as db:
        for name, rows in (("responses", RESPONSES), ("events", EVENTS)):
            names = list(rows[0])
            db.execute(f"create table {name} ({', '.join(names)})")
            marks = ", ".join("?" * len(names))
            db.executemany(
                f"insert into {name} values ({marks})", [tuple(r.values()) for r in rows]
            )
    db.close()
    monkeypatch.setenv("TRUEWARD_DATABASE", f"sqlite:{tmp_path}/my%20chats.db")
    return tmp_path / "my chats.db"


def test_sqlite_gives_what_files_give(lite, sql, tables):
    asked = [sql(f"select * from {name}", f"{name}.sql") for name in ("responses", "events")]
    assert gather("generic", asked).log.equals(gather("generic", tables).log)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select * from nope", "sqlite (TRUEWARD_DATABASE) (no such table: nope)"),
        ("with x as (select 1) delete from events", "attempt to write a readonly database"),
        ("select *, 1; delete from events", "has several"),
    ],
)
def test_a_database_is_never_written(text, said, lite, sql):
    before = lite.read_bytes()
    with pytest.raises(TruewardError) as e:
        gather("generic", [sql(text)])
    assert said in str(e.value)
    assert lite.read_bytes() == before


def test_sqlite_whose_column_changes_its_type_says_how_to_give_it_one(lite, sql):
    text = (
        "with recursive n(i) as (select 0 union all select i + 1 from n where i < 70000) select i || '' as "
        "response_id, 'p' as prompt, 'r' as response, {} as user_id from n"
    )
    late = "case when i >= 69000 then 'late' end"
    with pytest.raises(TruewardError, match=r"Type mismatch.*as by COALESCE"):
        gather("generic", [sql(text.format(late))])
    made = gather("generic", [sql(text.format(f"coalesce({late}, '')"))])
    assert made.log["user_id"].drop_nulls().to_list() == ["late"] * 1001


def test_a_database_file_that_is_not_there_is_not_made(tmp_path, sql, monkeypatch):
    for scheme in ("sqlite", "duckdb"):
        monkeypatch.setenv("TRUEWARD_DATABASE", f"{scheme}:///{tmp_path}/none.db")
        with pytest.raises(
            TruewardError, match=r"no database file .*none.db, as set in TRUEWARD_DATABASE"
        ):
            gather("generic", [sql(ONE)])
    (tmp_path / "text.db").write_text("no database" * 100)
    for scheme in ("sqlite", "duckdb"):
        monkeypatch.setenv("TRUEWARD_DATABASE", f"{scheme}:{tmp_path}/text.db")
        with pytest.raises(TruewardError, match=r"not a (valid DuckDB )?database"):
            gather("generic", [sql("select * from responses")])
    assert sorted(p.name for p in tmp_path.glob("*.db")) == ["text.db"]


def test_a_duckdb_database_is_read_and_never_written(tmp_path, sql, tables, monkeypatch):
    duckdb = importlib.import_module("duckdb")
    with duckdb.connect(tmp_path / "d.duckdb") as db:
        for path in tables:
            db.execute(f"create table {path.stem} as from '{path}'")
    monkeypatch.setenv("TRUEWARD_DATABASE", f"duckdb:///{tmp_path}/d.duckdb")
    asked = [sql(f"from {name}", f"{name}.sql") for name in ("responses", "events")]
    assert gather("generic", asked).log.equals(gather("generic", tables).log)
    with pytest.raises(TruewardError, match="read-only mode"):
        gather("generic", [sql("with x as (select 1) delete from events")])


def test_a_view_of_a_duckdb_database_reads_no_file(tmp_path, sql, tables, monkeypatch):
    duckdb = importlib.import_module("duckdb")
    with duckdb.connect(tmp_path / "d.duckdb") as db:
        db.execute(f"create view responses as from '{tables[0]}'")
    monkeypatch.setenv("TRUEWARD_DATABASE", f"duckdb:{tmp_path}/d.duckdb")
    for query in ("from responses", f"from '{tables[0]}'", f"from read_text('{tables[0]}')"):
        with pytest.raises(TruewardError, match="reads its tables and no other files: unset"):
            gather("generic", [sql(query)])


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/a.parquet", "s3://bucket/a.parquet"])
def test_a_query_reaches_no_network(address, sql):
    with pytest.raises(TruewardError, match="no extension is loaded: download the file first"):
        gather("generic", [sql(f"from '{address}'")])


@pytest.mark.parametrize("uri", ["", "duckdb:{}/d.duckdb"])
def test_duckdb_loads_no_extension_and_its_options_are_locked(uri, tmp_path, monkeypatch):
    importlib.import_module("duckdb").connect(tmp_path / "d.duckdb").close()
    monkeypatch.setenv("TRUEWARD_DATABASE", uri.format(tmp_path))
    off = [
        "allow_community_extensions",
        "allow_unsigned_extensions",
        "autoinstall_known_extensions",
        "autoload_known_extensions",
    ]
    off += ["enable_external_access"] if uri else []
    with databases.connected() as cursor:
        for name in off:
            cursor.execute(f"select current_setting('{name}')::varchar")
            assert cursor.fetchone() == ("false",), name
            with pytest.raises(databases.driver_errors(), match="configuration has been locked"):
                cursor.execute(f"set {name} = true")
            cursor.execute("select 1")


# what is secret

SECRET = "p-w0rd"
UNCLEAR = ["p/w0rd", "p@w0rd", "p?w0rd", "p#w0rd", "p:w0rd@x:y"]


@pytest.mark.parametrize("command", ["import generic", "inspect", "fit naive"])
def test_a_database_on_the_command_line_is_refused_without_its_password(command, tmp_path, capsys):
    words = [*command.split(), f"postgresql://ann:{SECRET}@db.example.org/x"]
    words += [] if command == "inspect" else ["--out", str(tmp_path / "out")]
    code, _, err = run(words, capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "environment variable TRUEWARD_DATABASE" in err
    assert SECRET not in err


@pytest.mark.parametrize("password", UNCLEAR)
def test_a_password_that_a_driver_would_take_for_an_address_is_refused(password, sql, monkeypatch):
    monkeypatch.setenv("TRUEWARD_DATABASE", f"postgresql://ann:{password}@127.0.0.1:1/x")
    with pytest.raises(TruewardError, match="should be a URI such as") as e:
        gather("generic", [sql(ONE)])
    assert "w0rd" not in str(e.value)


@pytest.mark.parametrize(
    "uri",
    [
        f"postgresql://ann:{SECRET}@127.0.0.1:1/x",
        f"postgres://ann@127.0.0.1:1/x?password={SECRET}&connect_timeout=1",
        f"postgresql://ann:{SECRET}%zz@127.0.0.1:1/x",
        f"nothing://ann:{SECRET}@127.0.0.1/x",
        f"{SECRET}",
    ],
)
def test_no_error_of_a_connection_holds_the_password(uri, sql, monkeypatch, tmp_path, capsys):
    pytest.importorskip("adbc_driver_postgresql", reason="queries need the extra `sql`")
    monkeypatch.setenv("TRUEWARD_DATABASE", uri)
    words = ["import", "generic", str(sql(ONE)), "--out", str(tmp_path / "log")]
    code, out, err = run(words, capsys)
    assert (code, err.count("\n")) == (1, 1)
    assert SECRET not in out + err
    code, out, err = run(["--debug", *words], capsys)
    assert (code, "Traceback" in err) == (1, True)
    assert SECRET not in out + err


def test_a_message_is_shown_without_any_spelling_of_the_password(monkeypatch):
    monkeypatch.setenv("TRUEWARD_DATABASE", "postgresql://ann:a%20b+c@h/x?sslpassword=k3y")
    said = databases.error_text(
        OSError("IO: [libpq] Failed to connect: bad a%20b+c, a b+c and k3y\nmore")
    )
    assert said == "bad ***, *** and ***"


@pytest.mark.parametrize(
    ("uri", "missing", "extra"),
    [
        ("", "adbc_driver_manager", "adbc-driver-manager"),
        ("", "adbc_driver_duckdb", "duckdb"),
        ("postgresql://h/x", "adbc_driver_postgresql.dbapi", "adbc-driver-postgresql"),
    ],
)
def test_a_driver_that_is_not_installed_is_named_with_the_extra(
    uri, missing, extra, sql, monkeypatch
):
    monkeypatch.setenv("TRUEWARD_DATABASE", uri)
    monkeypatch.setitem(importlib.sys.modules, missing, None)
    with pytest.raises(TruewardError, match=rf"needs {extra}, .*pip install 'trueward\[sql\]'"):
        gather("generic", [sql(ONE)])


# a server


@pytest.fixture(scope="module")
def address():
    if postgres.programs() is None:
        pytest.skip("no PostgreSQL here: Debian has it as the package postgresql")
    pytest.importorskip("adbc_driver_postgresql", reason="queries need the extra `sql`")
    with postgres.server() as address:
        dbapi = importlib.import_module("adbc_driver_postgresql.dbapi")
        uri = f"postgresql://boss:{postgres.SPELLED}@{address}/postgres"
        with dbapi.connect(uri, autocommit=True) as db, db.cursor() as cursor:
            for name, rows, time in (
                ("responses", RESPONSES, "shown_at"),
                ("events", EVENTS, "at"),
            ):
                columns = ", ".join(
                    f"{n} {'timestamptz' if n == time else 'numeric' if n == 'value' else 'text'}"
                    for n in rows[0]
                )
                cursor.execute(f"create table {name} ({columns})")
                for row in rows:
                    said = ", ".join(f"'{v}'" for v in row.values())
                    cursor.execute(f"insert into {name} values ({said})")
        yield address


@pytest.fixture
def server(address, monkeypatch):
    uri = f"postgresql://boss:{postgres.SPELLED}@{address}/postgres"
    monkeypatch.setenv("TRUEWARD_DATABASE", uri)
    return address


def test_postgresql_gives_what_files_give(server, sql, tables, tmp_path):
    asked = [sql(f"select * from {name}", f"{name}.sql") for name in ("responses", "events")]
    made = gather("generic", asked)
    assert made.log.equals(gather("generic", tables).log)
    made.write(tmp_path / "log")
    for path in (tmp_path / "log").iterdir():
        assert not [
            s
            for s in (postgres.PASSWORD, postgres.SPELLED, server)
            if s.encode() in path.read_bytes()
        ]


def test_columns_of_postgresql_are_read_by_their_type(server, sql):
    path = sql(
        'select \'a\' as response_id, \'[{"role": "user", "content": "Hi"}]\'::jsonb as prompt, '
        "'r'::varchar(9) as response, 12345678901234567890::numeric as user_id, "
        "'550e8400-e29b-41d4-a716-446655440000'::uuid as session_id, '\"gpt\"'::json as model, "
        "timestamptz '2026-01-02 03:04:05+02' as shown_at, 2::smallint as position, 0.25::numeric as p_ask, "
        '1.5::real as "context.speed", true as "context.first", date \'2026-01-02\' as "context.day"'
    )
    (row,) = gather("generic", [path]).tables.responses.to_dicts()
    assert row["prompt"] == [{"role": "user", "content": "Hi"}]
    assert (row["user_id"], row["model"]) == ("12345678901234567890", "gpt")
    assert row["session_id"] == "550e8400-e29b-41d4-a716-446655440000"
    assert row["shown_at"].isoformat() == "2026-01-02T01:04:05+00:00"
    assert (row["position"], row["p_ask"], row["context.speed"], row["context.first"]) == (
        2,
        0.25,
        1.5,
        True,
    )
    assert row["context.day"].isoformat() == "2026-01-02T00:00:00"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select * from nope", 'postgresql (TRUEWARD_DATABASE) (relation "nope" does not exist)'),
        ("select 1; select 2", "has several"),
        ("with x as (delete from events returning *) select * from x", "read-only transaction"),
        ("select * into copied from events", "read-only transaction"),
        (
            f"{ONE}, set_config('transaction_read_only', 'off', false) as model",
            "must be set before any query",
        ),
        ("select *, 1 / (response_id = 'x')::int as turn from responses", "division by zero"),
        (
            f"{ONE}, interval '1 hour' as \"context.gap\"",
            "month_day_nano_interval, which a log cannot",
        ),
        (f"{ONE}, array['a', 'b'] as user_id", "'user_id' as list<item: string>, which"),
        (f"{ONE}, inet '10.0.0.1' as user_id", "'user_id' as inet, which a log cannot hold"),
        (f"{ONE} where false", "should give rows, and gives none"),
    ],
)
def test_what_a_server_refuses_is_one_sentence_and_changes_nothing(
    text, said, server, sql, tmp_path, capsys
):
    words = ["import", "generic", str(sql(text)), "--out", str(tmp_path / "log")]
    code, _, err = run(words, capsys)
    assert (code, err.count("\n")) == (1, 1), err
    assert said in err
    assert (
        gather(
            "generic", [sql("select * from responses"), sql("select * from events", "e.sql")]
        ).pairs.height
        == 0
    )


def test_a_server_that_is_down_or_takes_no_such_password_says_so(server, sql, monkeypatch):
    wrong = f"postgresql://boss:{SECRET}@{server}/postgres"
    down = f"postgresql://boss:{SECRET}@127.0.0.1:1/postgres"
    for uri, said in (
        (wrong, "password authentication failed for user"),
        (down, "Connection refused"),
    ):
        monkeypatch.setenv("TRUEWARD_DATABASE", uri)
        with pytest.raises(
            TruewardError, match="check the variable, and that the database is running"
        ) as e:
            gather("generic", [sql(ONE)])
        assert said in str(e.value)
        assert SECRET not in str(e.value)


def test_the_environment_of_libpq_completes_the_uri(server, sql, monkeypatch):
    monkeypatch.setenv("TRUEWARD_DATABASE", f"postgresql://{server}/postgres")
    monkeypatch.setenv("PGUSER", "boss")
    monkeypatch.setenv("PGPASSWORD", postgres.PASSWORD)
    assert gather("generic", [sql("select * from responses")]).log.height == 12
    assert os.environ["PGPASSWORD"] not in databases.description()
