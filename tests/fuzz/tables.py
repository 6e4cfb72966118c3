"""Logs, dataset folders, queries and feature files: good ones, with some things wrong."""

from __future__ import annotations

import csv
import gzip
import io
import struct
import zipfile

import numpy as np
import polars as pl
import pyarrow as pa
from fuzz import values
from fuzz.command import Case
from hypothesis import strategies as st

OPTIONAL = (
    "prompt_id",
    "user_id",
    "shown_at",
    "split",
    "p_ask",
    "weight",
    "gold",
    "label",
    "rating",
    "truth",
    "context.place",
    "z.place",
    "channel.copy",
    "channel.like",
    "score",
    "response_id",
    "messages",
    "chosen",
    "rejected",
)
SIZES = (0, 1, 2, 30, 30, 60, 60)
MODEL = "model"  # a good reward model, put into the folder of a case that names it


def good(n):
    """A log of n rows that can be fitted from 30 rows on."""
    return {
        "prompt": [f"How do I undo step {i // 3}?" for i in range(n)],
        "response": [f"Press undo {i} times." for i in range(n)],
        "feedback": [(1.0, 0.0, None, 0.0, 1.0, None)[i % 6] for i in range(n)],
    }


@st.composite
def columns(draw):
    """Columns by name: the good ones, with cells and whole columns replaced, added and left out."""
    n = draw(st.sampled_from(SIZES))
    table = good(n)
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from((*table, *OPTIONAL)))
        match draw(st.sampled_from(("cell", "cell", "column", "plain", "typed", "drop"))):
            case "cell" if n:
                cells = list(table.get(name, [None] * n))
                cells[draw(st.integers(0, n - 1))] = draw(values.trees)
                table[name] = cells
            case "column":
                few = draw(st.lists(values.trees, min_size=1, max_size=3))
                table[name] = [few[i % len(few)] for i in range(n)]
            case "plain":
                few = draw(
                    st.sampled_from(((0, 1), (1, 2, 3, 4, 5), (0.1, 0.9), ("u1", "u2", "u3")))
                )
                table[name] = [few[i % len(few)] for i in range(n)]
            case "drop":
                table.pop(name, None)
            case _:
                table[name] = [draw(values.texts)] * n
    return table


def as_csv(table, separator=","):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator)
    writer.writerow(table)
    for row in zip(*table.values(), strict=True):
        writer.writerow("" if v is None else v for v in row)
    return text.getvalue().encode("utf-8", "surrogatepass")


def as_rows(table):
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def _shallow(value):
    """A value whose lists hold no lists: polars takes minutes for the types of others."""
    if isinstance(value, list | dict):
        parts = value.values() if isinstance(value, dict) else value
        if any(isinstance(v, list | dict) for v in parts):
            return str(value)
    return value


TYPES = (
    pl.Int8,
    pl.UInt64,
    pl.Float32,
    pl.Boolean,
    pl.String,
    pl.Categorical,
    pl.Binary,
    pl.Date,
    pl.Datetime("ms"),
    pl.Datetime("ns", "Asia/Kathmandu"),
    pl.Duration("us"),
    pl.Time,
    pl.Decimal(20, 3),
    pl.List(pl.Float64),
    pl.Array(pl.Int16, 2),
    pl.Struct({"a": pl.Int64, "b": pl.String}),
    pl.Null,
)


@st.composite
def frames(draw, table):
    """A frame of the columns, some of them with a type of their own."""
    series = []
    for name, given in table.items():
        cells = [_shallow(v) for v in given]
        try:
            one = pl.Series(name, cells, strict=False)
            if draw(st.integers(0, 4)) == 0:
                one = one.cast(draw(st.sampled_from(TYPES)), strict=False)
        except Exception:  # noqa: BLE001 - what no table can hold is written as text
            text = [str(v).encode("utf-8", "replace").decode() for v in cells]
            one = pl.Series(name, text)
        series.append(one)
    return pl.DataFrame(series)


def as_parquet(frame):
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@st.composite
def log_files(draw):
    """Name and content of a log."""
    table = draw(columns())
    kind = draw(
        st.sampled_from(
            ("csv", "csv", "tsv", "jsonl", "jsonl", "json", "jsonl.gz", "parquet", "arrow")
        )
    )
    match kind:
        case "csv" | "tsv":
            content = as_csv(table, draw(st.sampled_from((",", ";", "\t"))))
        case "jsonl":
            content = values.dumped_lines(as_rows(table))
        case "json":
            content = values.dumped(as_rows(table))
        case "jsonl.gz":
            content = gzip.compress(values.dumped_lines(as_rows(table)), 1)
        case "parquet":
            content = as_parquet(draw(frames(table)))
        case _:
            buffer = io.BytesIO()
            try:
                draw(frames(table)).write_ipc(buffer)
            except Exception:  # noqa: BLE001 - a type that Arrow has not
                pl.DataFrame(good(3)).write_ipc(buffer)
            content = buffer.getvalue()
    if draw(st.integers(0, 3)) == 0:
        content = draw(values.damaged(content))
    return f"log.{kind}", content


WORDS_OF_FEEDBACK = (
    (),
    (),
    ("--positive", "1", "--negative", "0"),
    ("--positive", ">=4"),
    ("--unrated", "0"),
    ("--positive", "nan"),
    ("--positive", ">=x"),
)


@st.composite
def logs(draw):
    name, content = draw(log_files())
    log, words = "{d}/" + name, list(draw(st.sampled_from(WORDS_OF_FEEDBACK)))
    if draw(st.integers(0, 4)) == 0:
        ours = draw(st.sampled_from(("prompt", "response", "feedback", "user_id", "gold", "z.a")))
        theirs = draw(st.sampled_from(("prompt", "response", "feedback", "rating", "nowhere", "")))
        words += ["--map", f"{ours}={theirs}"]
    files = {name: content}
    which = draw(
        st.sampled_from(
            ("inspect",) * 5
            + ("encode", "simulate", "fit", "score", "evaluate")
            + ("calibrate", "bounds", "training-data", "gold")
        )
    )
    mapping = words[words.index("--map") :] if "--map" in words else []
    as_json = draw(st.sampled_from(((), ("--json",))))
    match which:
        case "inspect":
            return Case(("inspect", log, *words, *as_json), files)
        case "encode":
            return Case(("encode", log, *mapping, *as_json), files)
        case "simulate":
            more = draw(
                st.sampled_from(((), ("--gold", "3"), ("--rate", "0.5"), ("--threshold", "0")))
            )
            return Case(("simulate", log, "{d}/world", *mapping, *more), files, ("world",))
        case "fit":
            method = draw(st.sampled_from(("naive", "ips", "auto", "anchored", "channels", "ubpr")))
            fit = ("fit", method, log, "--out", "{d}/rm", "--epochs", "1", *words, *as_json)
            return Case((*fit, "-o", "nuisance_epochs=1"), files, ("rm",))
        case "gold":
            with_log = {"good.csv": as_csv(good(30)), **files}
            return Case(("inspect", "{d}/good.csv", "--gold", log), with_log)
        case "score":
            out = draw(st.sampled_from(("out.csv", "out.parquet", "out.jsonl")))
            words = ("score", "{d}/model", log, "--out", "{d}/" + out, *mapping)
            return Case(words, {MODEL: b"", **files}, (out,))
        case "evaluate":
            return Case(("evaluate", "{d}/model", log, *as_json), {MODEL: b"", **files})
        case "calibrate":
            how = draw(st.sampled_from(("--feedback", "--chosen")))
            words = ("calibrate", "{d}/model", log, "--out", "{d}/rm", how)
            return Case(words, {MODEL: b"", **files}, ("rm",))
        case "bounds":
            return Case(("bounds", "{d}/model", log, *as_json), {MODEL: b"", **files})
        case _:
            kind = draw(st.sampled_from(("trl-pairs", "trl-kto", "nemo", "verl")))
            words = ("training-data", kind, "{d}/model", log, "--out", "{d}/out.jsonl")
            return Case(words, {MODEL: b"", **files}, ("out.jsonl",))


def _arrow(frame):
    buffer = io.BytesIO()
    table = frame.to_arrow()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


@st.composite
def dataset_folders(draw):
    """Folders of `datasets` and of Parquet shards."""
    try:
        frame = draw(frames(draw(columns())))
        content = _arrow(frame)
    except Exception:  # noqa: BLE001 - a type that Arrow has not
        frame = pl.DataFrame(good(6))
        content = _arrow(frame)
    arrow = "data-00000-of-00001.arrow"
    state = {"_data_files": [{"filename": arrow}], "_fingerprint": "a", "_split": "train"}
    info = {"features": {"prompt": {"dtype": "string", "_type": "Value"}}, "splits": None}
    if draw(st.booleans()):
        state = draw(values.mutated(state))
    if draw(st.integers(0, 3)) == 0:
        content = draw(values.damaged(content))
    saved = {
        "dataset_info.json": values.dumped(info),
        "state.json": values.dumped(state),
        arrow: content,
    }
    match draw(st.sampled_from(("saved", "dict", "shards", "import"))):
        case "saved":
            files = saved
        case "dict":
            splits = {"splits": ["train"]}
            splits = draw(values.mutated(splits)) if draw(st.booleans()) else splits
            files = {"dataset_dict.json": values.dumped(splits)}
            files |= {f"train/{k}": v for k, v in saved.items()}
        case "shards":
            names = ("train-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002")
            names += ("test-00000-of-00001", "part-00000-a", "log", "train-00000-of-99999")
            chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
            inside = draw(st.sampled_from(("", "data/")))
            parquet = as_parquet(frame)
            if draw(st.integers(0, 3)) == 0:
                parquet = draw(values.damaged(parquet))
            files = {f"{inside}{name}.parquet": parquet for name in chosen}
        case _:
            scope = draw(values.mutated({"level": "all", "remedy": "", "source": "generic"}))
            files = {"log.parquet": as_parquet(frame), "summary.json": b"{}"}
            files["dataset.json"] = values.dumped({"export_scope": scope, "logged": scope})
    if draw(st.integers(0, 5)) == 0:
        gone = draw(st.sampled_from(sorted(files)))
        files.pop(gone)
    more = draw(
        st.sampled_from(((), (), ("--split", "train"), ("--split", "nowhere"), ("--split", "../x")))
    )
    files = {f"set/{k}": v for k, v in files.items()} or {"set/empty": b""}
    which = draw(st.sampled_from(("inspect", "inspect", "encode")))
    return Case((which, "{d}/set", *more), files)


SELECTED = (
    "'p' as prompt, 'r' as response, 1.0 as feedback",
    "prompt, response, feedback",
    "*",
    "prompt, response, 'infinity'::timestamp as shown_at",
    "prompt, response, 'infinity'::date as shown_at, 1 as feedback",
    "prompt, response, 'nan'::double as feedback",
    "prompt, response, 1e308::double * 10 as feedback",
    "prompt, response, 123456789012345678901234567890::hugeint as feedback",
    "prompt, response, interval '1' year as feedback",
    "prompt, response, [1, 2] as feedback",
    "prompt, response, {'a': 1} as feedback",
    "map([1],[2]) as prompt, response",
    "'x'::blob as prompt, response, 1 as feedback",
    "uuid() as prompt, response, true as feedback",
    "prompt, response, 1.5::decimal(38,10) as feedback",
    "prompt, response, date '290000-01-01' as shown_at, 1 as feedback",
    "prompt, response, time '24:00:00' as shown_at, 1 as feedback",
    "prompt, response, '101'::bit as feedback",
    "1 as prompt, 2 as prompt, 3 as response",
    "null as prompt, null as response, null as feedback",
    "chr(0) as prompt, chr(27) as response, 1 as feedback",
    "error('stop') as prompt",
    "repeat('x', 100000) as prompt, response, feedback",
    "prompt, response, 'good'::enum('good', 'bad') as feedback",
)
SOURCES = (
    "read_csv('{d}/log.csv')",
    "read_parquet('{d}/log.parquet')",
    "'{d}/log.csv'",
    "read_json('{d}/log.jsonl')",
    "read_csv('/etc/hostname')",
    "read_csv('{d}/*')",
    "read_csv('http://127.0.0.1:9/x.csv')",
    "(values ('a', 'b', 1)) as t(prompt, response, feedback)",
    "(select 'a' as prompt, 'b' as response, 1 as feedback from range(40))",
    "nowhere",
    "sqlite_scan('{d}/log.csv', 'x')",
    "read_text('{d}/log.csv')",
    "duckdb_settings()",
)
STATEMENTS = (
    "copy (select 1) to '{d}/evil.csv'",
    "attach '{d}/evil.db' as evil",
    "install httpfs",
    "load httpfs",
    "pragma database_list",
    "set threads=1; select 1",
    "select 1; drop table x",
    "with x as (insert into y values (1)) select * from x",
    "from read_csv('{d}/log.csv') limit 3",
    "select getenv('HOME') as prompt",
    "values (1)",
    "-- nothing\n",
    "select 'a' as prompt /* ; */, 'b' as response, '--;' as feedback",
    "select $$a;b$$ as prompt, 'b' as response",
    "table nowhere",
    "export database '{d}/evil'",
)
TAILS = (
    "",
    "",
    "",
    " where 1",
    " order by 1",
    " limit 0",
    " union all select 1",
    " group by",
    ";",
    ";;",
)


@st.composite
def queries(draw):
    query = draw(
        st.one_of(
            st.builds(
                "select {} from {}{}".format,
                st.sampled_from(SELECTED),
                st.sampled_from(SOURCES),
                st.sampled_from(TAILS),
            ),
            st.builds(
                "select {} from {}{}".format,
                st.sampled_from(SELECTED),
                st.sampled_from(SOURCES[:4]),
                st.just(""),
            ),
            st.sampled_from(STATEMENTS),
        )
    ).encode()
    if draw(st.integers(0, 7)) == 0:
        query = draw(values.damaged(query))
    files = {
        "query.sql": query,
        "log.csv": as_csv(good(30)),
        "log.parquet": as_parquet(pl.DataFrame(good(30))),
        "log.jsonl": values.dumped_lines(as_rows(good(30))),
    }
    if draw(st.integers(0, 2)) == 0:
        words = ("import", "generic", "{d}/query.sql", "--out", "{d}/out")
        return Case(words, files, ("out",))
    which = draw(st.sampled_from(("inspect", "inspect", "encode")))
    return Case((which, "{d}/query.sql"), files)


ROWS = 30
DESCR = (
    "<f4",
    "<f8",
    ">f4",
    "<f2",
    "<i8",
    "|b1",
    "|O",
    "<U3",
    "<c8",
    "<M8[s]",
    "|V4",
    "f",
    "<f16",
    "x",
)


@st.composite
def _npy(draw):
    width = draw(st.sampled_from((0, 1, 3, 3, 3)))
    x = np.sin(np.arange(ROWS * max(width, 1), dtype="<f4")).reshape(ROWS, max(width, 1))[:, :width]
    if draw(st.integers(0, 3)) == 0 and x.size:
        x = x.copy()
        x[draw(st.integers(0, ROWS - 1)), 0] = draw(st.sampled_from((np.nan, np.inf, 3e38, 1e-45)))
    if draw(st.booleans()):
        buffer = io.BytesIO()
        np.save(buffer, x)
        return buffer.getvalue()
    shapes = (
        f"({ROWS}, 3)",
        "(1000000000000, 3)",
        "(-1, 3)",
        "()",
        f"({ROWS},)",
        f"({ROWS}, 3, 1)",
    )
    shapes += (str((2**62, 2**62)), "(True, 3)", f"({ROWS}.0, 3)", "(" * 300, "'a'", f"[{ROWS}, 3]")
    shape = draw(st.sampled_from((shapes[0], *shapes)))
    descr = repr(draw(st.sampled_from(("<f4", *DESCR))))
    descr = draw(st.sampled_from((descr,) * 5 + ("[('a', '<f4')]", "{}", "None", "9" * 5000)))
    header = f"{{'descr': {descr}, 'fortran_order': {draw(st.booleans())}, 'shape': {shape}, }}\n".encode()
    version = draw(
        st.sampled_from((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
    )
    size = struct.pack("<H" if version[0] == 1 else "<I", len(header) % 65536)
    return b"\x93NUMPY" + version + size + header + x.tobytes()


@st.composite
def _safetensors(draw):
    x = np.ones((ROWS, 3), "<f4")
    header = {"x": {"dtype": "F32", "shape": [ROWS, 3], "data_offsets": [0, x.nbytes]}}
    if draw(st.integers(0, 2)):
        header = draw(values.mutated(header))
    text = values.dumped(header)
    size = draw(st.sampled_from((len(text),) * 4 + (0, 2**62, 2**64 - 1)))
    return struct.pack("<Q", size) + text + x.tobytes()


@st.composite
def _feature_parquet(draw):
    rows = [[0.5, 1.0, -1.0] for _ in range(draw(st.sampled_from((ROWS, ROWS, ROWS, ROWS + 1, 0))))]
    match draw(st.sampled_from(("good", "cell", "ragged", "columns", "text", "null"))):
        case "cell" if rows:
            rows[0] = [draw(st.sampled_from((None, float("nan"), 1e308))), 0.0, 0.0]
        case "ragged" if rows:
            rows[-1] = [1.0]
        case "columns":
            names = draw(st.sampled_from((["a", "b", "c"], ["prompt", "x", "y"])))
            return as_parquet(pl.DataFrame(rows, schema=names, orient="row"))
        case "text":
            return as_parquet(pl.DataFrame({"vector": ["a"] * len(rows)}))
        case "null" if rows:
            rows[3 % len(rows)] = None
    return as_parquet(pl.DataFrame({"vector": rows}))


@st.composite
def feature_files(draw):
    kind = draw(st.sampled_from(("npy", "npy", "safetensors", "parquet", "npz")))
    match kind:
        case "npy":
            content = draw(_npy())
        case "safetensors":
            content = draw(_safetensors())
        case "parquet":
            content = draw(_feature_parquet())
        case _:
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w", draw(st.sampled_from((0, 8)))) as file:
                for name in draw(
                    st.sampled_from((("x.npy",), ("features.npy", "y.npy"), ("a.txt",), ()))
                ):
                    file.writestr(name, draw(_npy()))
            content = buffer.getvalue()
    if draw(st.integers(0, 5)) == 0:
        content = draw(values.damaged(content))
    files = {"log.csv": as_csv(good(ROWS)), f"x.{kind}": content}
    words = ("fit", "naive", "{d}/log.csv", "--out", "{d}/rm", "--epochs", "1")
    return Case((*words, "--backbone", "{d}".join(("precomputed:", f"/x.{kind}"))), files, ("rm",))
