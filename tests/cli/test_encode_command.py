"""`trueward encode` in shards, in several processes and after interruptions gives the same bits."""

import json
import threading

import polars as pl
import pytest
import torch

import trueward as tw
from trueward.cli.app import main
from trueward.core.errors import TruewardError
from trueward.features import backbone, cached_in, fill
from trueward.features.cache import default_cache_folder

pytest.importorskip("transformers", reason="needs the extra trueward[text]")
tiny = pytest.importorskip("helpers.tiny")

N = 94


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny.build("bert", tmp_path_factory.mktemp("bert"))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("trueward.features.encoding.BLOCK", 8)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.parquet"
    words = tiny.TEXT.split()
    rows = {
        "prompt": [f"what is {words[i % 31]}" for i in range(N)],
        "response": [" ".join(words[: i % 13]) for i in range(N)],
        "feedback": [None if i % 3 == 0 else float(i % 13 > 5) for i in range(N)],
    }
    pl.DataFrame(rows).write_parquet(path)
    return path


def run(capsys, *words, fails=0):
    with pytest.raises(SystemExit) as stop:
        main(list(map(str, words)))
    output = capsys.readouterr()
    assert (stop.value.code or 0) == fails, output.err
    return output.err if fails else output.out


def files():
    return {p.name: p.read_bytes() for p in default_cache_folder().rglob("*.safetensors")}


def forbid_encoding(monkeypatch):
    """Let every further call of encode fail."""

    def refuse(*_):
        raise AssertionError("a text was encoded again")

    monkeypatch.setattr("trueward.features.transformers.transformer.Transformer.encode", refuse)


def test_processes_of_a_queue_encode_every_block_once(bert, log, capsys, tmp_path, monkeypatch):
    name = f"{bert},dtype=float32"
    run(capsys, "encode", log, "--backbone", name)
    alone = files()
    monkeypatch.setenv("TRUEWARD_CACHE", str(tmp_path / "queue"))
    monkeypatch.setattr("trueward.core.work_parts.PAUSE", 0.01)
    frame, model = pl.read_parquet(log), backbone(name)
    texts = frame["prompt"].to_list(), frame["response"].to_list()
    found = []
    workers = [
        threading.Thread(target=lambda: found.append(fill(model, *texts, cached_in(), queue=True)))
        for _ in range(2)
    ]
    [w.start() for w in workers]
    [w.join() for w in workers]
    assert sum(f.encoded for f in found) == 12
    assert files() == alone
    output = run(capsys, "encode", log, "--backbone", name, "--queue", "--json")
    assert json.loads(output)["made"] == 0
    assert "give one of them" in run(capsys, "encode", log, "--queue", "--shard", "1/2", fails=2)


def test_the_shards_are_bit_identical_to_one_run_and_fit_reads_them(
    bert, log, capsys, monkeypatch, tmp_path
):
    wanted = tw.encode(tw.read_log(log), backbone=f"{bert},dtype=float32", cache=False).x
    for i in (3, 1, 2):
        output = run(
            capsys, "encode", log, "--backbone", f"{bert},dtype=float32", "--shard", f"{i}/3"
        )
        assert f"(part {i} of 3)" in output
    assert len(files()) == 12
    cached = files()
    output = run(capsys, "encode", log, "--backbone", f"{bert},dtype=float32")
    assert "94 of 94 rows in 12 blocks: 0 encoded now, 12 already in the cache" in output
    forbid_encoding(monkeypatch)
    assert torch.equal(tw.encode(tw.read_log(log), backbone=f"{bert},dtype=float32").x, wanted)
    run(
        capsys, "fit", "naive", log, "--backbone", f"{bert},dtype=float32", "--out", tmp_path / "rm"
    )
    assert files() == cached


def test_an_interrupted_run_keeps_its_blocks_and_continues(bert, log, capsys, monkeypatch):
    model = backbone(f"{bert},dtype=float32")
    encode, calls = type(model).encode, []

    def stopped(self, prompts, responses):
        calls.append(len(prompts))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return encode(self, prompts, responses)

    with monkeypatch.context() as patch:
        patch.setattr(type(model), "encode", stopped)
        run(capsys, "encode", log, "--backbone", f"{bert},dtype=float32", fails=130)
    assert len(files()) == 3
    output = run(capsys, "encode", log, "--backbone", f"{bert},dtype=float32", "--json")
    assert {k: json.loads(output)[k] for k in ("made", "there", "rows")} == {
        "made": 9,
        "there": 3,
        "rows": N,
    }
    table = tw.read_log(log)
    x = tw.encode(table, backbone=model).x
    assert torch.equal(x, tw.encode(table, backbone=model, cache=False).x)


def test_each_process_of_a_launcher_encodes_its_own_shard(bert, log, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        output = run(capsys, "encode", log, "--backbone", bert)
        assert f"(part {int(rank) + 1} of 2)" in output
    assert len(files()) == 12


def test_an_unwritable_cache_is_an_error(bert, log, capsys, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRUEWARD_CACHE", str(tmp_path / "file"))
    output = run(capsys, "encode", log, "--backbone", bert, fails=1)
    assert "TRUEWARD_CACHE" in output


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/0"])
def test_an_invalid_shard_is_a_usage_error(log, capsys, shard):
    assert "--shard should be i/N" in run(capsys, "encode", log, "--shard", shard, fails=2)


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("Qwen/Qwen3-Embedding-0.6B", 1, "not on this machine, and HF_HUB_OFFLINE forbids"),
        ("wordlama", 2, "choose one of wordllama"),
        ("./nowhere", 2, "no model folder ./nowhere"),
        ("precomputed:x.npy", 2, "holds features, not text"),
    ],
)
def test_an_unavailable_backbone_is_one_message(log, capsys, name, code, message):
    output = run(capsys, "encode", log, "--backbone", name, fails=code)
    assert message in output
    assert output.count("\n") == 1


def test_a_model_on_a_language_model_scores_and_is_evaluated_on_text(bert, log, capsys, tmp_path):
    rm = tmp_path / "rm"
    run(capsys, "fit", "naive", log, "--backbone", f"{bert},layer=1", "--out", rm)
    assert json.loads(tw.load(rm).backbone)["layer"] == 1
    run(capsys, "score", rm, log, "--out", tmp_path / "scored.parquet")
    scored = pl.read_parquet(tmp_path / "scored.parquet")
    own = tw.load(rm).score(["what is git"], ["reset soft head"])
    assert scored["reward"].is_finite().all()
    assert own.reward.isfinite().all()
    truth = pl.read_parquet(log).with_columns(label=(pl.arange(0, N) % 13 > 5).cast(pl.Float64))
    truth.write_parquet(tmp_path / "test.parquet")
    result = json.loads(run(capsys, "evaluate", rm, tmp_path / "test.parquet", "--json"))
    assert result["auroc"]["value"] > 0.5


def test_evaluate_accepts_a_copy_of_the_model_and_refuses_another_layer(bert, log, tmp_path):
    import shutil

    train, held = tw.encode(tw.read_log(log), backbone=str(bert)).split(0.3, 0)
    model = tw.fit("naive", train, held, epochs=1)
    table = tw.read_test(pl.read_parquet(log).select("prompt", "response", label=pl.lit(1.0)))
    copy = shutil.copytree(bert, tmp_path / "copy")
    data = tw.encode(table, backbone=str(copy))
    assert torch.equal(data.x, tw.encode(table, backbone=str(bert)).x)
    tw.evaluate(model, data)
    with pytest.raises(TruewardError, match="encode the test with the model's backbone"):
        tw.evaluate(model, tw.encode(table, backbone=f"{bert},layer=1"))
