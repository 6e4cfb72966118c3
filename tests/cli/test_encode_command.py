"""Features made ahead, in parts, by several processes, in spite of interruptions: always the same bits."""

import json

import polars as pl
import pytest
import torch

import trueward as tw
from trueward.cli.app import main
from trueward.core.errors import TruewardError
from trueward.features import backbone
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
    told = capsys.readouterr()
    assert (stop.value.code or 0) == fails, told.err
    return told.err if fails else told.out


def files():
    return {p.name: p.read_bytes() for p in default_cache_folder().rglob("*.safetensors")}


def never(monkeypatch):
    """Make every further look at a text a failure."""

    def refuse(*_):
        raise AssertionError("a text was encoded again")

    monkeypatch.setattr("trueward.features.transformers.transformer.Transformer.encode", refuse)


def test_the_parts_of_several_processes_are_the_whole_and_fit_finds_them(
    bert, log, capsys, monkeypatch, tmp_path
):
    wanted = tw.encode(tw.read_log(log), backbone=f"{bert},dtype=float32", cache=False).x
    for i in (3, 1, 2):
        told = run(
            capsys, "encode", log, "--backbone", f"{bert},dtype=float32", "--shard", f"{i}/3"
        )
        assert f"(part {i} of 3)" in told
    assert len(files()) == 12
    kept = files()
    told = run(capsys, "encode", log, "--backbone", f"{bert},dtype=float32")
    assert "94 of 94 rows in 12 blocks: 0 encoded now, 12 already in the cache" in told
    never(monkeypatch)
    assert torch.equal(tw.encode(tw.read_log(log), backbone=f"{bert},dtype=float32").x, wanted)
    run(
        capsys, "fit", "naive", log, "--backbone", f"{bert},dtype=float32", "--out", tmp_path / "rm"
    )
    assert files() == kept


def test_an_interrupted_run_keeps_what_is_done_and_goes_on(bert, log, capsys, monkeypatch):
    whole = backbone(f"{bert},dtype=float32")
    encode, calls = type(whole).encode, []

    def stopped(self, prompts, responses):
        calls.append(len(prompts))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return encode(self, prompts, responses)

    with monkeypatch.context() as patch:
        patch.setattr(type(whole), "encode", stopped)
        run(capsys, "encode", log, "--backbone", f"{bert},dtype=float32", fails=130)
    assert len(files()) == 3
    told = run(capsys, "encode", log, "--backbone", f"{bert},dtype=float32", "--json")
    assert {k: json.loads(told)[k] for k in ("made", "there", "rows")} == {
        "made": 9,
        "there": 3,
        "rows": N,
    }
    table = tw.read_log(log)
    there = tw.encode(table, backbone=whole).x
    assert torch.equal(there, tw.encode(table, backbone=whole, cache=False).x)


def test_a_process_of_several_takes_its_own_part(bert, log, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        told = run(capsys, "encode", log, "--backbone", bert)
        assert f"(part {int(rank) + 1} of 2)" in told
    assert len(files()) == 12


def test_a_part_that_cannot_be_kept_is_an_error(bert, log, capsys, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRUEWARD_CACHE", str(tmp_path / "file"))
    told = run(capsys, "encode", log, "--backbone", bert, fails=1)
    assert "TRUEWARD_CACHE" in told


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/0"])
def test_a_part_that_cannot_be_is_a_usage_error(log, capsys, shard):
    assert "--shard should be i/N" in run(capsys, "encode", log, "--shard", shard, fails=2)


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("Qwen/Qwen3-Embedding-0.6B", 1, "not on this machine, and HF_HUB_OFFLINE forbids"),
        ("wordlama", 2, "choose one of wordllama"),
        ("./nowhere", 2, "no model folder ./nowhere"),
        ("precomputed:x.npy", 2, "holds features, not text"),
    ],
)
def test_a_backbone_that_is_not_to_be_had_is_one_sentence(log, capsys, name, code, says):
    told = run(capsys, "encode", log, "--backbone", name, fails=code)
    assert says in told
    assert told.count("\n") == 1


def test_a_model_on_such_features_scores_and_is_evaluated_on_text(bert, log, capsys, tmp_path):
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
    found = json.loads(run(capsys, "evaluate", rm, tmp_path / "test.parquet", "--json"))
    assert found["auroc"]["value"] > 0.5


def test_a_test_encoded_from_a_copy_of_the_folder_is_taken_and_another_layer_is_not(
    bert, log, tmp_path
):
    import shutil

    train, held = tw.encode(tw.read_log(log), backbone=str(bert)).split(0.3, 0)
    model = tw.fit("naive", train, held, epochs=1)
    table = tw.read_test(pl.read_parquet(log).select("prompt", "response", label=pl.lit(1.0)))
    copy = shutil.copytree(bert, tmp_path / "copy")
    again = tw.encode(table, backbone=str(copy))
    assert torch.equal(again.x, tw.encode(table, backbone=str(bert)).x)
    tw.evaluate(model, again)
    with pytest.raises(TruewardError, match="encode the test with the model's backbone"):
        tw.evaluate(model, tw.encode(table, backbone=f"{bert},layer=1"))
