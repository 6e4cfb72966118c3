"""A Parquet file that packs more rows than fit into memory is told as such, and no other is refused."""

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueward.core.errors import TruewardError
from trueward.data.log_reading import read_log
from trueward.data.readers import unpacked_size
from trueward.importers import import_log

N = 20_000


@pytest.fixture
def bomb(tmp_path):
    """20,000 rows of one text of a megabyte, in a few kilobytes."""
    text = pa.DictionaryArray.from_arrays(
        pa.array([0] * N, pa.int32()), pa.array(["x" * 1_000_000])
    )
    table = pa.table(
        {"prompt": text, "response": text, "feedback": pa.array([1.0, 0.0] * (N // 2))}
    )
    pq.write_table(table, tmp_path / "log.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "log.parquet").stat().st_size < 10_000
    return tmp_path / "log.parquet"


def test_a_dictionary_bomb_is_refused_with_its_size(bomb, monkeypatch):
    monkeypatch.setattr(unpacked_size, "free_memory", lambda: 8_000_000_000)
    with pytest.raises(
        TruewardError, match=r"unpacks to \d+\.\d GB or more, .* has 8\.0 GB of free memory"
    ):
        read_log(bomb)


def test_an_import_refuses_a_bomb_before_it_reads_it(bomb, monkeypatch, tmp_path):
    monkeypatch.setattr(unpacked_size, "free_memory", lambda: 8_000_000_000)
    for source in ("generic", "auto"):
        with pytest.raises(TruewardError, match=r"unpacks to \d+\.\d GB or more"):
            import_log(source, [bomb], tmp_path / "log")


def test_groups_of_rows_that_fit_one_by_one_are_read_one_by_one(tmp_path, monkeypatch):
    frame = pl.DataFrame({"a": ["x" * 1000] * 1000})
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=100, use_pyarrow=True)
    monkeypatch.setattr(unpacked_size, "free_memory", lambda: 200_000)
    unpacked_size.require_memory_by_groups(tmp_path / "a.parquet")
    monkeypatch.setattr(unpacked_size, "free_memory", lambda: 50_000)
    with pytest.raises(TruewardError, match="free memory"):
        unpacked_size.require_memory_by_groups(tmp_path / "a.parquet")


def test_rows_without_end_are_refused_before_they_are_counted(tmp_path, monkeypatch):
    pl.DataFrame({"prompt": ["a"] * N, "response": "b", "feedback": 1.0}).write_parquet(
        tmp_path / "log.parquet"
    )
    monkeypatch.setattr(unpacked_size, "free_memory", lambda: 100_000)
    with pytest.raises(TruewardError, match="free memory: give fewer rows"):
        read_log(tmp_path / "log.parquet")


def test_what_memory_refuses_is_not_called_damaged(bomb, monkeypatch):
    def refused(*_):
        raise pa.ArrowMemoryError("realloc of size 2048000000 failed")

    monkeypatch.setattr("trueward.data.readers.columnar.require_memory", refused)
    with pytest.raises(TruewardError, match="does not fit into the memory of this machine"):
        read_log(bomb)


@pytest.mark.parametrize("nested", [False, True])
def test_the_size_is_that_of_the_texts_written_out(tmp_path, nested):
    texts = [["ab", "abcd"][i % 2] for i in range(1000)]
    column = pl.Series([[{"content": t}] for t in texts]) if nested else pl.Series(texts)
    pl.DataFrame({"a": column}).write_parquet(tmp_path / "a.parquet", use_pyarrow=True)
    path = "a.list.element.content" if nested else "a"
    with pq.ParquetFile(tmp_path / "a.parquet", read_dictionary=[path]) as file:
        found = sum(unpacked_size._unpacked(c) for c in file.read().column("a").chunks)
    assert 3000 <= found <= 3000 + 4 * 8 * 1000


def test_this_machine_says_how_much_memory_is_free():
    free = unpacked_size.free_memory()
    assert free is None or free > 10_000_000
