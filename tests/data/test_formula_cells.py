"""CSV for people runs no formula in a spreadsheet, and our readers give the texts back."""

import csv
import random

import polars as pl
import pytest

from trueward.core.errors import UsageError
from trueward.data.formula_cells import COLUMN, write_csv
from trueward.data.readers.csv_files import read_csv
from trueward.importers.records import read_records

FORMULAS = (
    *(
        "=1+1",
        "=cmd|' /C calc'!A0",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\uff1d1",
        "  =1",
    ),
    *("'=1", "''=1", "-", "=", "- a list\n- of two", '="a","b"', "=1;=2"),
)
PLAIN = ("", "'", "'tis", "a = b", "1-1", "ä", "(=1)", '"=1"', "1")


def cells(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def read(path):
    """Return the columns of a file as `trueward score` and others read them."""
    return {k: list(column) for k, column in read_csv(path, lambda _name: True).columns.items()}


def imported(path):
    """Return the columns of a file as `trueward import` reads them."""
    rows = [record.value for record in read_records(path)]
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_no_cell_begins_as_a_formula(tmp_path):
    path = tmp_path / "a.csv"
    write_csv(pl.DataFrame({"prompt": FORMULAS, "reward": [-1.0] * len(FORMULAS)}), path)
    header, *rows = cells(path)
    assert header == ["prompt", "reward", COLUMN]
    assert [row[0] for row in rows] == [f"'{text}" for text in FORMULAS]
    assert {(row[1], row[2]) for row in rows} == {("-1.0", "1")}


def test_other_texts_and_files_without_formulas_are_as_they_were(tmp_path):
    frame = pl.DataFrame({"prompt": PLAIN, "reward": [-1.0] * len(PLAIN)})
    write_csv(frame, tmp_path / "a.csv")
    frame.write_csv(tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_marks_can_be_left_out(tmp_path):
    write_csv(pl.DataFrame({"a": ["=1"]}), tmp_path / "a.csv", safe=False)
    assert (tmp_path / "a.csv").read_text() == "a\n=1\n"


def test_names_of_columns_are_marked_too(tmp_path):
    write_csv(pl.DataFrame({"=a": ["x"], "'=b": ["y"], "c": ["z"]}), tmp_path / "a.csv")
    assert cells(tmp_path / "a.csv")[0] == ["'=a", "''=b", "c", COLUMN]


def test_what_csv_cannot_hold_is_one_sentence(tmp_path):
    for frame in (pl.DataFrame({"chat": [[{"role": "user"}]]}), pl.DataFrame({"a": [b"x"]})):
        with pytest.raises(UsageError, match=r"write \.parquet or \.jsonl"):
            write_csv(frame, tmp_path / "a.csv")
    with pytest.raises(UsageError, match="rename it, or add --no-safe-csv"):
        write_csv(pl.DataFrame({COLUMN: [1], "a": ["=1"]}), tmp_path / "a.csv")


@pytest.mark.parametrize("texts", [FORMULAS, PLAIN, FORMULAS + PLAIN])
def test_our_readers_give_the_texts_back(tmp_path, texts):
    path = tmp_path / "a.csv"
    write_csv(pl.DataFrame({"=p": texts, "response": [f"'{t}" for t in texts]}), path)
    original = {"=p": list(texts), "response": [f"'{t}" for t in texts]}
    assert read(path) == original
    assert imported(path) == original


def test_any_text_comes_back(tmp_path):
    draw = random.Random(7)
    texts = ["".join(draw.choices("'=+-@ \t\r\na\"ä,", k=draw.randrange(6))) for _ in range(3000)]
    write_csv(pl.DataFrame({"a": texts, "b": ["x"] * len(texts)}), tmp_path / "a.csv")
    assert read(tmp_path / "a.csv")["a"] == texts


def test_files_of_others_keep_their_apostrophes(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"{COLUMN},a\n1,'=1\n")
    assert read(path) == {COLUMN: ["1"], "a": ["'=1"]}
    path.write_text("a,b\n'=1,'-2\n")
    assert read(path) == {"a": ["'=1"], "b": ["'-2"]}
