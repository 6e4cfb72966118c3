"""The generic tables under names of one's own: fields by their paths, signals by their names."""

from __future__ import annotations

import polars as pl
import pytest
from helpers.product_exports import column, lines

from trueward.core.errors import TruewardError, UsageError
from trueward.importers import import_log

FIELDS = [("response_id", "id"), ("prompt", "request.texts[-1]"), ("response", "answer.text")]


def answer(i, **more):
    text = f"q{i}" if i != 2 else [{"role": "user", "content": "q2"}]
    return {"id": i, "request": {"texts": ["other", text]}, "answer": {"text": f"a{i}"}} | more


def signal(i, name, value):
    return {"id": i, "event": {"name": name}, "value": value, "source": "user"}


EVENTS = [*FIELDS, ("channel", "event.name"), ("thumbs", "vote"), ("copy", "copied")]


def test_fields_and_signals_are_read_where_the_user_says(tmp_path):
    rows = [answer(i, device={"kind": "tv"}) for i in range(4)]
    rows += [signal(0, "vote", "like"), signal(1, "vote", "dislike"), signal(2, "copied", 1)]
    path = lines(tmp_path / "log.jsonl", rows)
    names = [*EVENTS, ("context.device", "device.kind")]
    result = import_log("generic", path, mapping=names)
    assert column(result, "feedback") == {"0": 1.0, "1": 0.0, "2": None, "3": None}
    assert column(result, "prompt")["2"] == "q2"
    assert column(result, "context.device")["3"] == "tv"
    assert result.tables.channels == {"copy": 1, "thumbs_down": 1, "thumbs_up": 1}
    assert not result.tables.rejected.height


def test_a_path_without_a_value_rejects_its_row_and_one_without_any_is_refused(tmp_path):
    rows = [answer(0), answer(1) | {"answer": {}}, {"id": 5}]
    path = lines(tmp_path / "log.jsonl", rows)
    result = import_log("generic", path, mapping=FIELDS)
    assert list(column(result, "response")) == ["0"]
    reasons = dict(result.tables.rejected.select("line", "reason").iter_rows())
    assert "one of them is empty" in reasons[2]
    assert "not a record of generic" in reasons[3]
    with pytest.raises(TruewardError, match=r"--map model=llm\[0\]: no record of the export"):
        import_log("generic", path, mapping=[*FIELDS, ("model", "llm[0]")])
    lines(path, [*rows, signal(0, "copied", 1)])
    names = [*FIELDS, ("channel", "event.name"), ("copy", "copid")]
    with pytest.raises(TruewardError, match=r"--map copy=copid: no signal .* 'copied'"):
        import_log("generic", path, mapping=names)
    with pytest.raises(UsageError, match="nothing called 'promt'"):
        import_log("generic", path, mapping=[("promt", "id")])


def test_names_of_tables_with_types_are_mapped_too(tmp_path):
    rows = [{"id": f"r{i}", "q": "p", "answer": {"text": f"a{i}"}} for i in range(3)]
    pl.DataFrame(rows).write_parquet(tmp_path / "log.parquet")
    names = [("response_id", "id"), ("prompt", "q"), ("response", "answer.text")]
    result = import_log("generic", tmp_path / "log.parquet", mapping=names)
    assert sorted(column(result, "response").values()) == ["a0", "a1", "a2"]
