"""Training data of a large log is made bucket by bucket: the rows of the whole log, after a stop, too."""

import polars as pl
import pytest
from helpers.commands import ROWS, run

import trueward as tw
from trueward.core.errors import TruewardError
from trueward.data import pair_table, sampled_parquet
from trueward.data.pair_table import PairTable
from trueward.rlhf import data_file


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, and a log whose prompts have three responses each, one of them twice."""
    place = tmp_path_factory.mktemp("large")
    pl.concat(
        [pl.DataFrame(ROWS, strict=False), pl.DataFrame(ROWS, strict=False)[:2]]
    ).write_parquet(place / "log.parquet", row_group_size=50)
    data = tw.encode(tw.read_log(place / "log.parquet"), cache=False)
    tw.fit("naive", *data.split(0.3), epochs=2).save(place / "rm")
    return place


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(sampled_parquet, "LARGE", 100)
    monkeypatch.setattr(pair_table, "ROWS", 40)
    monkeypatch.setattr(data_file, "ROWS", 48)


def sorted_rows(rows):
    return sorted(str({k: v for k, v in row.items() if k != "extra_info"}) for row in rows)


@pytest.mark.parametrize("kind", ["trl-pairs", "trl-kto", "nemo", "verl"])
def test_the_rows_are_those_of_the_whole_log(place, tmp_path, capsys, kind):
    out = tmp_path / "rows.parquet"
    words = [
        "training-data",
        kind,
        str(place / "rm"),
        str(place / "log.parquet"),
        "--out",
        str(out),
    ]
    code, said, _ = run([*words, *(["--least", "0.001"] if kind != "verl" else [])], capsys)
    wanted = tw.training_data(kind, place / "rm", place / "log.parquet", least=0.001)
    assert (code, said) == (0, f"{out}: {len(wanted)} rows of {kind} from 182 logged responses\n")
    found = pl.read_parquet(out).to_dicts()
    rounded = [
        {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
        for row in [*found, *wanted]
    ]
    assert sorted_rows(rounded[: len(found)]) == sorted_rows(rounded[len(found) :])
    if kind == "verl":
        assert [row["extra_info"]["index"] for row in found] == list(range(len(found)))
    assert not (tmp_path / "rows.parquet.parts").exists()


def test_a_stopped_command_continues_after_the_last_bucket(place, tmp_path, monkeypatch):
    table = PairTable.open(place / "log.parquet", None, None)

    def write(name, progress=None):
        path = tmp_path / f"{name}.jsonl"
        data_file.training_file("trl-kto", place / "rm", table, path, progress=progress)
        return path.read_bytes()

    whole = write("whole")

    def stop(done, _of):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write("stopped", stop)
    scored = []
    rows_of = data_file.rows_of
    monkeypatch.setattr(data_file, "rows_of", lambda *a: scored.append(len(a[2])) or rows_of(*a))
    assert write("stopped") == whole
    assert len(scored) == 2  # of four buckets
    assert sum(scored) < 182


def test_a_log_that_gives_no_row_leaves_no_file(place, tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    words = ["training-data", "trl-pairs", str(place / "rm"), str(place / "log.parquet")]
    code, _, said = run([*words, "--out", str(out), "--least", "99"], capsys)
    assert code == 1
    assert "gives no row of trl-pairs" in said
    assert not list(tmp_path.iterdir())


def test_parts_with_another_option_are_refused(place, tmp_path):
    table = PairTable.open(place / "log.parquet", None, None)
    out = tmp_path / "rows.jsonl"

    def stop(_done, _of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data_file.training_file("trl-kto", place / "rm", table, out, progress=stop)
    with pytest.raises(TruewardError, match=r"holds parts of other work \(another kind"):
        data_file.training_file("nemo", place / "rm", table, out)
