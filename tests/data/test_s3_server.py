"""Tables in a bucket of a server that speaks the protocol of S3, which the test starts."""

import polars as pl
import pytest
from helpers.commands import ROWS, run, table
from helpers.loopback import loopback_only  # noqa: F401 - the server is on this machine

import trueward as tw
from trueward.core.errors import TruewardError

moto = pytest.importorskip(
    "moto.server", reason="needs moto[server], which the extra dev leaves out"
)
s3fs = pytest.importorskip("s3fs", reason="needs the extra trueward[cloud], which dev leaves out")
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def bucket(monkeypatch):
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    store = s3fs.S3FileSystem()
    if not store.exists("bucket"):  # moto keeps its buckets when a server stops
        store.mkdir("bucket")
    yield store
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_a_log_is_read_fitted_scored_and_written_in_a_bucket(bucket, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bucket.put_file(table(tmp_path / "log.parquet"), "bucket/logs/log.parquet")
    log, out = "s3://bucket/logs/log.parquet", "s3://bucket/out/scored.parquet"
    assert len(tw.read_log("s3://bucket/logs")) == len(ROWS["prompt"])
    code, _, said = run(["fit", "naive", log, "--epochs", "1", "--out", "rm"], capsys)
    assert code == 0, said
    code, said, _ = run(["score", "rm", log, "--out", out], capsys)
    assert (code, said) == (0, f"{out}: {len(ROWS['prompt'])} rows scored\n")
    bucket.get_file("bucket/out/scored.parquet", "scored.parquet")
    assert pl.read_parquet("scored.parquet")["reward"].is_finite().all()
    code, _, said = run(["score", "rm", log, "--out", "s3://none/scored.parquet"], capsys)
    assert (code, "there is no such bucket" in said) == (1, True)


def test_without_credentials_the_variables_are_named(bucket, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(TruewardError, match=r"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"):
        tw.read_log("s3://bucket/logs/log.parquet")
