"""The folder of an import stands for its log; columns are proposed as context by name and content."""

from __future__ import annotations

import polars as pl
import pytest
from helpers.commands import run
from helpers.product_exports import lines

from trueward.core.errors import TruewardError
from trueward.data.log_reading import read_log
from trueward.importers import import_log
from trueward.inspection import inspect


def export(path):
    rows = []
    for i in range(30):
        rows.append({"response_id": f"x:{i}", "prompt": f"p{i}", "response": f"r{i}"})
        if i % 2:
            thumb = {"channel": "thumbs_up" if i % 4 == 1 else "thumbs_down", "value": 1}
            rows.append({"response_id": f"x:{i}", "source": "user", **thumb})
    return lines(path, rows)


def finding(log, name):
    return next((f for f in inspect(log).findings if f.name == name), None)


def test_the_folder_of_an_import_is_its_log(tmp_path, capsys):
    out = tmp_path / "log"
    import_log("generic", export(tmp_path / "e.jsonl"), out)
    log = read_log(out)
    assert log.fingerprint == read_log(out / "log.parquet").fingerprint
    assert log.source == str(out / "log.parquet")
    assert log.export_scope.level == "full"
    code, said, err = run(["inspect", str(out)], capsys)
    assert code == 0, err
    assert "50% with feedback" in said
    assert "ignored" not in said  # the ids and counts of an import need no mapping
    assert len(
        read_log(pl.read_parquet(out / "log.parquet")).with_gold(
            pl.DataFrame({"prompt": ["p0"], "response": ["r0"], "gold": [1.0]})
        )
    )
    with pytest.raises(TruewardError, match="'events', 'log'"):
        read_log(out, split="no")


def frame(**columns):
    rows = {"prompt": [f"p{i}" for i in range(8)], "response": [f"r{i}" for i in range(8)]}
    return pl.DataFrame({**rows, "feedback": [1, 0, None, None] * 2} | columns)


def test_context_is_proposed_by_name_and_content():
    columns = {
        "gold_label": [1, 0] * 4,
        "created_at": [f"2026-01-0{i + 1}" for i in range(8)],
        "clicked_channel": [0, 1] * 4,
        "session_id": ["s", "t"] * 4,
        "platform": ["web"] * 8,  # constant
        "page_url": ["a", "b"] * 4,
        "deviceType": ["phone", "tv"] * 4,
    }
    log = read_log(frame(**columns))
    assert log.context_candidates == ("deviceType",)
    found = finding(log, "ignored")
    assert "--map context.devicetype=deviceType" in found.message
    assert "7 columns" in found.message


def test_no_context_is_proposed_where_nothing_looks_like_it():
    log = read_log(frame(gold_score=[0.5] * 8, time_ms=list(range(8))))
    assert finding(log, "ignored").message == "2 columns of the source went unused"


def test_a_missing_text_in_pandas_is_a_counted_row():
    pandas = pytest.importorskip("pandas")
    table = frame().to_pandas()
    table["response"] = table["response"].astype(object)
    table.loc[2, "response"] = float("nan")
    table.loc[5, "prompt"] = None
    log = read_log(table)
    assert len(log) == 6
    assert log.without_text == 2
    assert (
        "2 rows of the source without a prompt or a response (NaN)"
        in finding(log, "without_text").message
    )
    table.loc[6, "feedback"] = 7
    with pytest.raises(TruewardError, match="row 7 of the pandas DataFrame"):  # as in the table
        read_log(table)
    assert isinstance(table, pandas.DataFrame)
