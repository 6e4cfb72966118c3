"""Tables in stores: read and written by their addresses, with one sentence for what is wrong."""

import json
from pathlib import Path

import fsspec
import polars as pl
import pytest
from helpers.commands import ROWS, run, table

import trueward as tw
from trueward.core import remote_files
from trueward.core.errors import TruewardError, UsageError
from trueward.data import pair_table, sampled_parquet
from trueward.model.folder import _digest


@pytest.fixture
def store():
    """The store of fsspec in the memory of this process."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield memory
    memory.store.clear()


@pytest.fixture
def log(store, tmp_path):
    store.put_file(table(tmp_path / "log.parquet"), "/bucket/log.parquet")
    return "memory://bucket/log.parquet"


def test_a_log_at_an_address_is_the_log_of_its_file(store, log, tmp_path):
    found, wanted = tw.read_log(log), tw.read_log(tmp_path / "log.parquet")
    assert found.frame.equals(wanted.frame)
    table(tmp_path / "log.csv")
    store.put_file(str(tmp_path / "log.csv"), "/bucket/log.csv")
    assert len(tw.read_log("memory://bucket/log.csv")) == len(wanted)


def test_a_changed_file_is_read_again(store, log, tmp_path):
    assert len(tw.read_log(log)) == len(ROWS["prompt"])
    pl.DataFrame(ROWS)[:30].write_parquet(tmp_path / "short.parquet")
    store.put_file(str(tmp_path / "short.parquet"), "/bucket/log.parquet")
    assert len(tw.read_log(log)) == 30


def test_a_folder_of_parts_is_one_table(store, tmp_path):
    for k in range(2):
        pl.DataFrame(ROWS)[k * 90 : k * 90 + 90].write_parquet(tmp_path / "part.parquet")
        store.put_file(str(tmp_path / "part.parquet"), f"/bucket/logs/part-{k}.parquet")
    assert len(tw.read_log("memory://bucket/logs")) == len(ROWS["prompt"])


def test_large_logs_and_texts_are_read_in_parts(log, monkeypatch):
    monkeypatch.setattr(sampled_parquet, "LARGE", 10)
    monkeypatch.setattr(pair_table, "ROWS", 16)
    kept = sampled_parquet.read_sampled_log(log, 0.25)
    assert len(kept) < len(ROWS["prompt"])
    texts = pair_table.PairTable.open(log, None, None)
    assert (texts.rows, texts.whole) == (len(ROWS["prompt"]), None)


def test_scores_go_to_an_address(store, log, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["fit", "naive", log, "--epochs", "1", "--out", "rm"], capsys)[0] == 0
    assert json.loads(Path("rm/model.json").read_text())["report"]["log"]["path"] == log
    out = "memory://bucket/new/scored.parquet"
    code, said, _ = run(["score", "rm", log, "--out", out], capsys)
    assert (code, said) == (0, f"{out}: {len(ROWS['prompt'])} rows scored\n")
    store.get_file("/bucket/new/scored.parquet", "scored.parquet")
    assert "reward" in pl.read_parquet_schema("scored.parquet")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.parquet", "rm", "scored.parquet"]
    code, _, said = run(["--no-clobber", "score", "rm", log, "--out", out], capsys)
    assert code == 1
    assert f"--out {out} exists, and --no-clobber keeps it" in said
    code, _, said = run(["score", "rm", log, "--out", out, "--queue"], capsys)
    assert code == 2
    assert "share a folder" in said


def test_a_model_is_not_written_to_an_address(log, capsys):
    code, _, said = run(["fit", "naive", log, "--out", "memory://bucket/rm"], capsys)
    assert (code, "memory://bucket/rm is an address" in said) == (2, True)


def test_an_import_reads_an_address(store, tmp_path):
    rows = '{"response_id": "a", "prompt": "How?", "response": "So."}\n'
    store.pipe_file("/bucket/responses.jsonl", rows.encode())
    found = tw.import_log("auto", "memory://bucket/responses.jsonl")
    assert found.log.select("prompt", "response").rows() == [("How?", "So.")]


def test_an_address_in_a_model_folder_is_never_read(log, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["fit", "naive", log, "--epochs", "1", "--out", "rm"], capsys)[0] == 0

    def refuse(*_):
        raise AssertionError("an address was read")

    monkeypatch.setattr(remote_files, "_store", refuse)
    for path in (log, "memory:/bucket/log.parquet"):
        about = json.loads(Path("rm/model.json").read_text())
        about["report"]["log"]["path"] = path
        about["digest"] = _digest(about)
        Path("rm/model.json").write_text(json.dumps(about))
        code, _, said = run(["training-data", "trl-kto", "rm", "--out", "rows.parquet"], capsys)
        assert code == 1
        assert "an address was read" not in said
        assert "give the log" in said


@pytest.mark.parametrize("address", ["s3://", "s3:///"])
def test_an_address_of_nothing_is_refused(address):
    with pytest.raises(UsageError, match="an address should be like s3://bucket"):
        tw.read_log(address)


def test_an_address_with_credentials_is_refused_and_not_repeated():
    for address in ("s3://key:secret@bucket/log.parquet", "s3://bucket/log.parquet?token=secret"):
        with pytest.raises(UsageError, match="credentials come from the environment") as refused:
            tw.read_log(address)
        assert "secret" not in str(refused.value)


def test_what_is_not_there_is_one_sentence(store, log):
    with pytest.raises(
        TruewardError, match=r"^there is no file memory://bucket/none.parquet: check"
    ):
        tw.read_log("memory://bucket/none.parquet")
    store.pipe_file("/bucket/bad.parquet", b"no parquet")
    with pytest.raises(TruewardError, match=r"memory://bucket/bad.parquet"):
        tw.read_log("memory://bucket/bad.parquet")
    store.pipe_file("/bucket/q.sql", b"select 1")
    with pytest.raises(UsageError, match="from a file of this machine only"):
        tw.read_log("memory://bucket/q.sql")
    with pytest.raises(UsageError, match="this is a URI"):
        tw.read_log("https://host/log.parquet")


def test_a_store_whose_package_is_missing_names_the_extra(monkeypatch):
    def missing(_address):
        raise ImportError("s3fs")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(TruewardError, match=r"s3:// needs s3fs.*pip install 'trueward\[cloud\]'"):
        tw.read_log("s3://bucket/log.parquet")


def test_an_error_of_a_store_names_the_variables_of_its_credentials(monkeypatch):
    class Denied:
        def info(self, path):
            raise PermissionError("Access Denied")

    monkeypatch.setattr(remote_files, "_store", lambda address: (Denied(), "bucket/log.parquet"))
    with pytest.raises(
        TruewardError, match=r"could not be read \(Access Denied\).*AWS_ACCESS_KEY_ID"
    ):
        tw.read_log("s3://bucket/log.parquet")


def test_a_copy_that_does_not_fit_on_the_disk_is_refused(log, monkeypatch):
    usage = remote_files.shutil.disk_usage("/")
    monkeypatch.setattr(remote_files.shutil, "disk_usage", lambda _: usage._replace(free=10))
    monkeypatch.setattr(remote_files, "_copies", lambda: "/nowhere/new")
    with pytest.raises(TruewardError, match="set TMPDIR to a larger disk"):
        tw.read_log(log)
