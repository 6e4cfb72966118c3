"""Tables of people's own, in every format, become logs under the columns and values that they name."""

from __future__ import annotations

import gc
import gzip
import json
import sqlite3
import tracemalloc
import zipfile
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pytest
from helpers.commands import run
from helpers.product_exports import FIXTURES, lines

from trueward.core.errors import TruewardError, UsageError
from trueward.data.log_reading import read_log
from trueward.data.readers import sheets, text_files
from trueward.data.readers.delimited import Reading, find_dialect
from trueward.importers import import_log, record_groups, records, staging
from trueward.importers.contract import Record

CASES = FIXTURES.parent / "cases"
ROWS = [("Café?", "Ja; nein", "up", "31.12.2025 08:00"), ("Tea?", "No", "down", "01.01.2026 09:30")]
ROWS += [("Milk?", "Yes", "", "02.01.2026 10:00")]
HEADER = ("question", "answer", "vote", "sent")


def text(separator=",", rows=ROWS):
    def quoted(cell):
        return f'"{cell}"' if separator in cell or ";" in cell else cell

    return "".join(separator.join(map(quoted, row)) + "\n" for row in (HEADER, *rows))


def feedback(result):
    return result.log.sort("time")["feedback"].to_list()


MAP = [("time", "sent")]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_separators_encodings_and_dates_are_found_and_told(tmp_path, separator, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes(text(separator).encode(encoding))
    result = import_log("table", path, mapping=MAP)
    log = result.log.sort("time")
    assert log["prompt"].to_list() == ["Café?", "Tea?", "Milk?"]
    assert log["response"].to_list()[0] == "Ja; nein"
    assert feedback(result) == [1.0, 0.0, None]
    assert log["time"].to_list()[0] == datetime(2025, 12, 31, 8, tzinfo=UTC)
    told = " ".join(result.notes)
    assert "dates: %d.%m.%Y %H:%M" in told
    assert ("encoding cp1252 (a guess" in told) == (encoding == "cp1252")
    assert ("separator semicolon" in told) == (separator == ";")


def test_what_is_given_is_not_guessed(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(text("^").encode("cp1251", "replace"))
    reading = Reading(separator="^", encoding="cp1251", dates="%d.%m.%Y %H:%M")
    assert len(import_log("table", path, mapping=MAP, reading=reading).log) == 3
    path.write_bytes(text().encode("cp1252"))
    with pytest.raises(TruewardError, match="utf-8, but has other bytes"):
        import_log("table", path, reading=Reading(encoding="utf-8"))
    for wrong in ({"separator": "ab"}, {"encoding": "no-such"}):
        with pytest.raises(UsageError):
            Reading(**wrong)
    assert Reading(separator="tab").delimiter == "\t"


def test_days_and_months_that_may_be_swapped_are_asked_about(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text(rows=[("a", "b", "up", "03/04/2026"), ("c", "d", "", "05/06/2026")]))
    with pytest.raises(TruewardError, match=r"--dates '%d/%m/%Y' or --dates '%m/%d/%Y'"):
        import_log("table", path, mapping=MAP)
    log = import_log("table", path, mapping=MAP, reading=Reading(dates="%m/%d/%Y")).log
    assert log["time"].to_list()[0] == datetime(2026, 3, 4, tzinfo=UTC)
    path.write_text(text(rows=[("a", "b", "up", "soon"), ("c", "d", "", "later")]))
    with pytest.raises(TruewardError, match="such as 'soon', have no known format"):
        import_log("table", path, mapping=MAP)


def plain_rows():
    return [dict(zip(HEADER, row, strict=True)) for row in ROWS]


def test_json_lines_parquet_sqlite_tsv_and_packed_files_give_the_same(tmp_path):
    lines(tmp_path / "t.jsonl", plain_rows())
    (tmp_path / "t.json").write_text(json.dumps(plain_rows()))
    pl.DataFrame(plain_rows()).write_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.tsv").write_text(text("\t"))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text().encode()))
    with sqlite3.connect(tmp_path / "t.db") as database:
        pl.DataFrame(plain_rows()).write_csv(tmp_path / "ignored.txt")
        database.execute("CREATE TABLE chats (question, answer, vote, sent)")
        database.executemany("INSERT INTO chats VALUES (?, ?, ?, ?)", ROWS)
    database.close()
    for name in ("t.jsonl", "t.json", "t.parquet", "t.tsv", "t.csv.gz", "t.db"):
        result = import_log("table", tmp_path / name, mapping=MAP)
        assert feedback(result) == [1.0, 0.0, None], name
        if name != "t.json":
            log = read_log(tmp_path / name, prompt="question", response="answer", feedback="vote")
            assert log.frame["feedback"].to_list() == [1.0, 0.0, None], name


def test_a_database_of_several_tables_needs_a_name(tmp_path):
    path = tmp_path / "t.sqlite"
    with sqlite3.connect(path) as database:
        for name in ("chats", "users"):
            database.execute(f"CREATE TABLE {name} (question, answer, vote, sent)")
        database.executemany("INSERT INTO chats VALUES (?, ?, ?, ?)", ROWS)
    database.close()
    with pytest.raises(UsageError, match=r"'chats', 'users'.*--table chats"):
        import_log("table", path)
    assert len(import_log("table", path, mapping=MAP, reading=Reading(table="chats")).log) == 3
    (tmp_path / "no.db").write_text("x" * 5000)
    with pytest.raises(TruewardError, match="SQLite"):
        import_log("table", tmp_path / "no.db")


def workbook(path, rows):
    """Write a minimal Excel file with inline strings."""

    def cell(value):
        return f"<c t='inlineStr'><is><t>{value}</t></is></c>"

    body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    types = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f"<Types xmlns='{package}/content-types'>"
        "<Default Extension='rels' "
        "ContentType='application/vnd.openxmlformats-package.relationships+xml'/>"
        f"<Override PartName='/xl/workbook.xml' ContentType='{types}.sheet.main+xml'/>"
        f"<Override PartName='/xl/worksheets/s.xml' ContentType='{types}.worksheet+xml'/></Types>",
        "_rels/.rels": f"<Relationships xmlns='{package}/relationships'><Relationship Id='r1' "
        f"Type='{rel}/officeDocument' Target='xl/workbook.xml'/></Relationships>",
        "xl/workbook.xml": f"<workbook xmlns='{main}' xmlns:r='{rel}'><sheets>"
        "<sheet name='Chats' sheetId='1' r:id='r1'/></sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f"<Relationships xmlns='{package}/relationships'>"
        f"<Relationship Id='r1' Type='{rel}/worksheet' Target='worksheets/s.xml'/></Relationships>",
        "xl/worksheets/s.xml": f"<worksheet xmlns='{main}'><sheetData>{body}</sheetData></worksheet>",
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)


def test_a_workbook_is_read_by_the_extra_excel(tmp_path):
    path = tmp_path / "t.xlsx"
    workbook(path, [HEADER, *ROWS])
    try:
        import fastexcel  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(TruewardError, match=r"trueward\[excel\]"):
            import_log("table", path)
        return
    result = import_log("table", path, mapping=MAP)
    assert feedback(result) == [1.0, 0.0, None]
    assert result.tables.responses["response_id"].to_list()[0] == "table:t.xlsx/1"
    with pytest.raises(UsageError, match="'Chats'"):
        import_log("table", path, reading=Reading(table="Users"))


def test_like_and_dislike_in_json_lines():
    for source in ("table", "auto"):
        result = import_log(source, CASES / "jsonl_like_dislike.jsonl")
        assert result.source.name == "table"
        assert result.log["feedback"].to_list() == [1.0, 0.0, None] * 3
        assert result.summary["mapping"]["paths"]["prompt"] == ["user_message"]


def test_columns_values_and_signals_are_mapped(tmp_path):
    rows = [
        {
            "q": {"text": "a"},
            "a": "b",
            "v": "wow",
            "copied": "yes",
            "dev": "tv",
            "stars": 5,
            "n": "hi",
        },
        {
            "q": {"text": "c"},
            "a": "d",
            "v": "nah",
            "copied": "no",
            "dev": "pc",
            "stars": 1,
            "n": None,
        },
        {
            "q": {"text": "e"},
            "a": "f",
            "v": "hm",
            "copied": None,
            "dev": "pc",
            "stars": None,
            "n": "",
        },
    ]
    path = lines(tmp_path / "t.jsonl", rows)
    names = [("prompt", "q.text"), ("response", "a"), ("feedback", "v"), ("copy", "copied")]
    names += [("context.device", "dev"), ("comment", "n")]
    words = {"positive": ["wow"], "negative": ["nah"], "unrated": ["hm"]}
    log = import_log("table", path, mapping=names, **words).log.sort("prompt")
    assert log["feedback"].to_list() == [1.0, 0.0, None]
    assert log["channel.copy"].to_list() == [1.0, 0.0, None]
    assert log["context.device"].to_list() == ["tv", "pc", "pc"]
    with pytest.raises(TruewardError, match=r"'hm' \(1\), 'nah' \(1\), 'wow' \(1\)"):
        import_log("table", path, mapping=names)
    stars = [*names[:2], ("feedback", "stars")]
    assert import_log("table", path, mapping=stars).log["feedback"].to_list().count(0.0) == 1
    rating = [*names[:2], ("rating", "stars")]
    log = import_log("table", path, mapping=rating, scale=(1, 5)).log.sort("prompt")
    assert log["rating"].to_list() == [5.0, 1.0, None]
    assert log["feedback"].to_list() == [1.0, 0.0, None]


def test_zeros_that_may_mean_no_reaction_are_asked_about(tmp_path):
    rows = [{"prompt": f"p{i}", "response": "r", "liked": i % 2} for i in range(4)]
    path = lines(tmp_path / "t.jsonl", rows)
    with pytest.raises(TruewardError, match=r"--negative 0.*--unrated 0"):
        import_log("table", path)
    assert import_log("table", path, unrated=["0"]).log["feedback"].drop_nulls().to_list() == [1, 1]
    assert import_log("table", path, negative=["0"]).log["feedback"].null_count() == 0


def test_the_outcome_of_a_lottery_in_a_table_is_no_feedback(tmp_path):
    rows = [{"prompt": f"p{i}", "response": "r", "trueward.asked": i % 2} for i in range(4)]
    rows[1]["vote"] = "up"
    log = import_log("table", lines(tmp_path / "t.jsonl", rows)).log.sort("prompt")
    assert log["feedback"].to_list() == [None, 1.0, None, None]
    assert log["asked"].to_list() == [0.0, 1.0, 0.0, 1.0]


def test_a_column_for_each_thumb(tmp_path):
    rows = [{"prompt": f"p{i}", "response": "r"} for i in range(3)]
    rows[0] |= {"thumbs_up": 1, "thumbs_down": 0}
    rows[1] |= {"thumbs_up": 0, "thumbs_down": True}
    rows[2] |= {"thumbs_up": 0, "thumbs_down": 0}
    log = import_log("table", lines(tmp_path / "t.jsonl", rows)).log.sort("prompt")
    assert log["feedback"].to_list() == [1.0, 0.0, None]


def test_columns_that_are_missing_or_may_be_several_are_named(tmp_path, capsys):
    path = lines(tmp_path / "t.jsonl", [{"x": "a", "answer": "b", "rating": 5, "vote": "up"}])
    with pytest.raises(TruewardError, match="--map feedback=vote or --map feedback=rating"):
        import_log("table", path)
    with pytest.raises(
        TruewardError, match=r"known as the prompt; it has 'x', .*--map prompt=NAME"
    ):
        import_log("table", path, mapping=[("feedback", "vote")])
    with pytest.raises(UsageError, match="no column 'y' to read prompt from"):
        import_log("table", path, mapping=[("prompt", "y")])
    words = ["import", "table", str(path), "--out", str(tmp_path / "log"), "--map", "prompt=x"]
    code, out, err = run([*words, "--map", "feedback=vote"], capsys)
    assert code == 0, err
    assert "1 with feedback" in out


def test_damaged_rows_are_rejected_with_their_lines(tmp_path):
    path = tmp_path / "t.csv"
    rows = ["question,answer,vote,id", "a,b,up,1", ",b,up,2", "c,,down,3", "d,e", "f,g,down,4"]
    path.write_text("\n".join([*rows, "h,i,up,1"]))
    result = import_log("table", path)
    assert len(result.log) == 1  # two rows of id 1 have different texts
    found = [(line, reason) for _, line, reason in result.tables.rejected.rows()]
    assert [line for line, _ in found] == [2, 2, 3, 4, 5, 7]
    assert "the prompt is empty" in found[2][1]
    assert "has 2 cells where the header has 4" in found[4][1]


def test_the_export_of_a_product_is_named(tmp_path):
    for source in ("table",):
        with pytest.raises(UsageError, match="trueward import librechat"):
            import_log(source, FIXTURES / "librechat_messages.jsonl")
    empty = lines(tmp_path / "e.jsonl", [{"prompt": "", "response": "", "feedback": "up"}])
    with pytest.raises(TruewardError, match="an import needs responses"):
        import_log("table", empty)


def test_the_separator_of_a_file_whose_texts_hold_others(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a;b\n"x, y; z";1\n"1,5";2\n')
    assert find_dialect(path).separator == ";"
    path.write_text("one column\nx\n")
    assert find_dialect(path).separator == ","


def test_a_damaged_byte_in_utf_8_loses_its_row_and_changes_no_other(tmp_path):
    path = tmp_path / "t.csv"
    rows = text(rows=ROWS * 3).encode().replace(b"Tea?", b"Te\xff?", 1)
    path.write_bytes(rows)
    result = import_log("table", path, mapping=MAP)
    assert [reason for *_, reason in result.tables.rejected.rows()] == ["invalid UTF-8"]
    assert "Café?" in result.log["prompt"].to_list()


def test_responses_with_their_feedback_beside_them_are_a_table(tmp_path):
    rows = [{"response_id": f"r{i}", "prompt": "p", "response": f"a{i}"} for i in range(3)]
    for row, vote in zip(rows, ["up", "down", None], strict=True):
        row["feedback"] = vote
    result = import_log("auto", lines(tmp_path / "t.jsonl", rows))
    assert result.source.name == "table"
    assert result.log["feedback"].to_list().count(1.0) == 1
    events = [{"response_id": "r0", "channel": "copy", "value": 1, "source": "user"}]
    both = [tmp_path / "t.jsonl", lines(tmp_path / "events.jsonl", events)]
    assert import_log("auto", both).source.name == "generic"


def test_a_value_may_be_given_as_text_in_python(tmp_path):
    rows = [{"prompt": "p", "response": f"a{i}", "vote": v} for i, v in enumerate(["wow", "nah"])]
    path = lines(tmp_path / "t.jsonl", rows)
    log = import_log("table", path, positive="wow", negative="nah").log
    assert sorted(log["feedback"].to_list()) == [0.0, 1.0]


def test_read_log_reads_dates_of_one_format(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text(";"))
    log = read_log(path, prompt="question", response="answer", feedback="vote", time="sent")
    assert log.frame["time"].to_list()[1] == datetime(2026, 1, 1, 9, 30)  # noqa: DTZ001 - UTC
    path.write_text(text(rows=[("a", "b", "up", "03/04/2026"), ("c", "d", "", "05/06/2026")]))
    with pytest.raises(TruewardError, match="may have the day or the month first"):
        read_log(path, prompt="question", response="answer", feedback="vote", time="sent")


def test_gold_labels_may_be_the_folder_of_an_import(tmp_path):
    rows = [{"prompt": f"p{i}", "response": "r", "feedback": ["up", None][i % 2]} for i in range(4)]
    import_log("table", lines(tmp_path / "t.jsonl", rows), tmp_path / "log")
    labels = [{"prompt": "p1", "response": "r", "gold": "good", "vote": None}]
    gold = lines(tmp_path / "g.jsonl", labels)
    import_log("table", gold, tmp_path / "audit", mapping=[("gold", "gold")])
    log = read_log(tmp_path / "log").with_gold(tmp_path / "audit")
    assert log.frame["gold"].drop_nulls().to_list() == [1.0]


def test_the_last_message_of_a_whole_chat_is_the_response(tmp_path):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tea?"}]
    rows = [{"messages": [*chat, {"role": "assistant", "content": "Yes."}], "rating": "up"}]
    rows.append({"messages": chat, "rating": "down"})
    result = import_log("auto", lines(tmp_path / "t.jsonl", rows))
    assert result.log["prompt"].to_list() == ["system: Be brief.\nuser: Tea?"]
    assert result.log["response"].to_list() == ["Yes."]
    assert result.log["feedback"].to_list() == [1.0]
    assert [line for _, line, _ in result.tables.rejected.rows()] == [2]


def test_days_of_typed_tables_are_times(tmp_path):
    rows = pl.DataFrame({"prompt": ["p", "q"], "response": ["r", "s"], "vote": ["up", None]})
    days = pl.Series("date", [datetime(2026, 1, 2), None]).cast(pl.Date)  # noqa: DTZ001 - a day
    rows.with_columns(days).write_parquet(tmp_path / "t.parquet")
    log = import_log("table", tmp_path / "t.parquet").log
    assert log["time"].drop_nulls().to_list() == [datetime(2026, 1, 2, tzinfo=UTC)]


def test_words_of_thumbs_in_the_generic_events(tmp_path):
    rows = [{"response_id": f"r{i}", "prompt": "p", "response": f"a{i}"} for i in range(3)]
    for i, word in enumerate(["\U0001f44d", "not helpful"]):
        event = {"response_id": f"r{i}", "channel": "thumbs", "value": word, "source": "user"}
        rows.append(event)
    result = import_log("generic", lines(tmp_path / "g.jsonl", rows))
    assert dict(result.log.select("response_id", "feedback").iter_rows()) == {
        "r0": 1.0,
        "r1": 0.0,
        "r2": None,
    }


TEXTS = ["NaN", "NA", "null", "None", "n/a", "0", "false"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet", "db", "xlsx"])
def test_words_that_may_mean_nothing_are_texts_and_empty_cells_are_missing(tmp_path, ending):
    """Only a column of feedback gives such words a meaning."""
    rows = [(text, text, "up" if text == "NA" else None, text) for text in TEXTS] + [
        ("p", None, "up", None),
        (None, "r", "up", "u"),
    ]
    header = ("prompt", "response", "vote", "user")
    path = tmp_path / f"t.{ending}"
    plain = [dict(zip(header, row, strict=True)) for row in rows]
    filled = [["" if cell is None else cell for cell in row] for row in rows]
    if ending in {"csv", "tsv"}:
        mark = "," if ending == "csv" else "\t"
        path.write_text("\n".join(mark.join(row) for row in [header, *filled]))
    elif ending == "jsonl":
        lines(path, plain)
    elif ending == "json":
        path.write_text(json.dumps(plain))
    elif ending == "parquet":
        pl.DataFrame(plain).write_parquet(path)
    elif ending == "db":
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE chats (prompt, response, vote, user)")
            database.executemany("INSERT INTO chats VALUES (?, ?, ?, ?)", rows)
        database.close()
    else:
        pytest.importorskip("fastexcel")
        workbook(path, [header, *filled])
    vote = [("feedback", "vote")]
    result = import_log("table", path, mapping=[*vote, ("context.user", "user")], positive=["up"])
    assert sorted(result.log["prompt"].to_list()) == sorted(TEXTS)
    assert sorted(result.log["response"].to_list()) == sorted(TEXTS)
    assert sorted(result.log["context.user"].to_list()) == sorted(TEXTS)
    assert result.log["feedback"].null_count() == len(TEXTS) - 1
    empty = [reason for *_, reason in result.tables.rejected.rows() if "is empty" in reason]
    assert len(empty) == 2
    log = read_log(path, feedback="vote") if ending in {"db", "xlsx"} else None
    assert log is None or (log.frame["prompt"].to_list() == TEXTS and log.without_text == 2)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "db", "xlsx", "parquet"])
def test_a_folder_holds_the_parts_of_one_table(tmp_path, ending):
    folder = tmp_path / "parts"
    (folder / "may").mkdir(parents=True)
    for i, row in enumerate(ROWS):
        path = (folder / "may" if i == 2 else folder) / f"{'a' if i == 2 else 'abc'[i]}.{ending}"
        if ending in {"csv", "tsv"}:
            path.write_text(text("," if ending == "csv" else "\t", [row]))
        elif ending == "jsonl":
            lines(path, [dict(zip(HEADER, row, strict=True))])
        elif ending == "parquet":
            pl.DataFrame([dict(zip(HEADER, row, strict=True))]).write_parquet(path)
        elif ending == "db":
            with sqlite3.connect(path) as database:
                database.execute("CREATE TABLE chats (question, answer, vote, sent)")
                database.execute("INSERT INTO chats VALUES (?, ?, ?, ?)", row)
            database.close()
        else:
            pytest.importorskip("fastexcel")
            workbook(path, [HEADER, row])
    (folder / "~$a.xlsx").write_bytes(b"open in Excel")
    result = import_log("table", folder, mapping=MAP)
    assert feedback(result) == [1.0, 0.0, None]
    assert sorted(result.tables.responses["response_id"].to_list()) == [
        f"table:a.{ending}/1",
        f"table:b.{ending}/1",
        f"table:may/a.{ending}/1",
    ]
    (folder / "notes.json").write_text("[]")
    kind = "sqlite" if ending == "db" else ending
    with pytest.raises(UsageError, match=rf"in one format, but it has .*3 \.{kind}"):
        import_log("table", folder, mapping=MAP)


def test_the_parts_of_a_table_share_the_meaning_of_values_and_may_name_columns_differently(
    tmp_path,
):
    """0 beside -1 of another part is neutral; the day of another part tells the order of a date."""
    one = [{"prompt": "p", "response": "a", "vote": 0, "sent": "03/04/2026"}]
    two = [
        {"question": "q", "answer": "b", "vote": -1, "sent": "31/12/2025"},
        {"question": "r", "answer": "c", "vote": 1, "sent": None},
    ]
    paths = [lines(tmp_path / f"{i}.jsonl", rows) for i, rows in enumerate((one, two))]
    result = import_log("table", tmp_path, mapping=MAP)
    log = dict(result.log.select("response", "feedback").iter_rows())
    assert log == {"a": None, "b": 0.0, "c": 1.0}
    times = dict(result.log.select("response", "time").iter_rows())
    assert times["a"] == datetime(2026, 4, 3, tzinfo=UTC)
    assert result.summary["mapping"]["paths"]["prompt"] == ["prompt", "question"]
    assert "values of vote: -1 (1) is bad, 0 (1) is none, 1 (1) is good" in result.notes
    lines(paths[1], [{"text": "q", "vote": 1}])
    with pytest.raises(TruewardError, match=r"1\.jsonl has no column that is known as the prompt"):
        import_log("table", tmp_path)


def test_damaged_parts_lose_what_is_damaged_only(tmp_path):
    lines(tmp_path / "a.jsonl", [{"prompt": "p", "response": "r", "vote": {"a": 1}}])
    rows = [{"prompt": f"p{i}", "response": str(i) * 50, "vote": "up"} for i in range(500)]
    packed = gzip.compress(lines(tmp_path / "b.jsonl", rows).read_bytes())
    (tmp_path / "b.jsonl").unlink()
    (tmp_path / "b.jsonl.gz").write_bytes(packed[: len(packed) * 3 // 4])
    result = import_log("table", tmp_path)
    assert 100 < len(result.log) < 500
    first, second = result.tables.rejected["reason"]
    assert "its vote should be a word or number, and is {'a': 1}" in first
    assert "cut off" in second
    with pytest.raises(TruewardError, match="an import needs responses"):
        import_log("table", lines(tmp_path / "c.jsonl", [{"prompt": "p", "response": "", "v": 1}]))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "db", "parquet"])
def test_the_rows_of_one_long_conversation_are_streamed(tmp_path, monkeypatch, ending):
    """In both readings, the rows before are gone."""
    monkeypatch.setattr(records, "BATCH", 100)
    monkeypatch.setattr(sheets, "BATCH", 100)
    size = 2_000
    frame = pl.int_range(size, eager=True).alias("i").to_frame()
    frame = frame.select(
        pl.lit("one chat").alias("session"),
        pl.format("q{}", "i").alias("prompt"),
        pl.format("a{}", "i").alias("response"),
        pl.when(pl.col("i") % 4 == 0).then(pl.lit("up")).alias("vote"),
    )
    path = tmp_path / f"t.{ending}"
    if ending == "db":
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE chats (session, prompt, response, vote)")
            database.executemany("INSERT INTO chats VALUES (?, ?, ?, ?)", frame.rows())
        database.close()
    else:
        {"jsonl": frame.write_ndjson, "csv": frame.write_csv, "parquet": frame.write_parquet}[
            ending
        ](path)
    alive = []
    with_kind = record_groups.with_kind

    def watched(source, record):
        if record.line % 1_900 == 0:
            alive.append(sum(type(found) is Record for found in gc.get_objects()))
        return with_kind(source, record)

    monkeypatch.setattr(record_groups, "with_kind", watched)
    monkeypatch.setattr(staging, "with_kind", watched)
    result = import_log("table", path)
    assert len(result.log) == size
    assert result.log["feedback"].count() == size // 4
    assert len(alive) == 2
    assert max(alive) < 20


BOMBS = {
    "a line": b"x" * 1_200_000,
    "lines": b'{"prompt": "p", "response": "r", "feedback": 1}\n' * 25_000,
    "blank lines": b"\n" * 1_200_000,
}


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("ending", ["jsonl.gz", "jsonl.zst", "csv.gz", "json.gz"])
def test_a_small_file_that_unpacks_to_far_more_is_refused(tmp_path, monkeypatch, kind, ending):
    monkeypatch.setattr(text_files, "MOST_UNPACKED", 1_000_000)
    path = tmp_path / f"t.{ending}"
    if ending.endswith("zst"):
        with pa.output_stream(str(path), compression="zstd") as file:
            file.write(BOMBS[kind])
    else:
        path.write_bytes(gzip.compress(BOMBS[kind]))
    for read in (read_log, lambda path: import_log("table", path)):
        with pytest.raises(TruewardError, match="unpack it and give the file inside"):
            read(path)


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "LONGEST_LINE", 100_000)
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"prompt": "p", "response": "r", "feedback": 1}\n' + b"x" * 5_000_000)
    tracemalloc.start()
    with pytest.raises(TruewardError, match=r"at most 100,000 bytes, but line 2 is longer"):
        read_log(path)
    assert tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()


def test_a_workbook_that_unpacks_to_far_more_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("fastexcel")
    monkeypatch.setattr(text_files, "MOST_UNPACKED", 1_000)
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/sharedStrings.xml", "x" * 10_000_000)
    with pytest.raises(TruewardError, match="unpack"):
        read_log(path)


def test_text_after_an_array_is_no_silent_loss(tmp_path):
    path = tmp_path / "t.json"
    rows = [{"prompt": "p", "response": "r", "feedback": 1}]
    path.write_text(json.dumps(rows) + "\n" + json.dumps(rows))
    with pytest.raises(TruewardError, match="line 2: text after the end of the array"):
        read_log(path)
    (reason,) = import_log("table", path).tables.rejected["reason"]
    assert "text after the end of the array" in reason
