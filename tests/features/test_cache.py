"""The cache of features: bit-identical, and computed again when damaged."""

import logging
import threading

import pytest
import torch
from helpers.forks import Fork
from helpers.text_logs import text_log

from trueward.features import encode
from trueward.features.cache import Cache, block_key
from trueward.features.encoding import BLOCK, features

PROMPTS, RESPONSES = (
    ["How do I undo a commit?", "", "Hi"],
    ["Run `git reset`.", "Something", "東京です。"],
)


class Counting:
    """A backbone of two columns that counts the texts it encodes."""

    width = 2

    def __init__(self):
        self.encoded = 0

    def spec(self):
        return '{"name": "counting"}'

    def collect_warnings(self):
        return []

    def encode(self, prompts, responses):
        self.encoded += len(prompts)
        lengths = [[len(p), len(r)] for p, r in zip(prompts, responses, strict=True)]
        return torch.tensor(lengths, dtype=torch.float16)


def log():
    return text_log(PROMPTS, RESPONSES)


def test_cached_features_are_bit_identical(tmp_path):
    miss = encode(log(), cache=tmp_path).x
    (file,) = tmp_path.rglob("*.safetensors")
    assert file.parent.name == file.name[:2]
    before = file.stat().st_mtime_ns
    hit = encode(log(), cache=tmp_path).x
    assert torch.equal(hit, miss)
    assert torch.equal(hit, encode(log(), cache=False).x)
    assert file.stat().st_mtime_ns == before


def test_only_new_blocks_are_encoded(tmp_path):
    model, store = Counting(), Cache(tmp_path)
    texts = [str(i) for i in range(BLOCK + 10)]
    x = features(model, texts, texts, store)
    assert model.encoded == BLOCK + 10
    assert torch.equal(features(model, texts, texts, store), x)
    assert model.encoded == BLOCK + 10
    features(model, [*texts, "new"], [*texts, "new"], store)
    assert model.encoded == BLOCK + 10 + 11  # the full block is cached, the last one has changed


def test_the_environment_variable_sets_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TRUEWARD_CACHE", str(tmp_path))
    encode(log())
    assert list((tmp_path / "features").rglob("*.safetensors"))


def test_cache_false_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TRUEWARD_CACHE", str(tmp_path))
    encode(log(), cache=False)
    assert not list(tmp_path.iterdir())


def test_texts_with_equal_concatenation_have_different_keys():
    keys = {block_key("s", p, r) for p, r in [(["ab"], ["c"]), (["a"], ["bc"]), (["\ud800"], [""])]}
    assert len(keys) == 3
    assert block_key("s", ["a"], ["b"]) != block_key("t", ["a"], ["b"])


@pytest.mark.parametrize("damage", ["truncated", "empty", "one bit", "another shape", "a folder"])
def test_a_damaged_block_is_computed_again(tmp_path, damage, caplog):
    good = encode(log(), cache=tmp_path).x
    (file,) = tmp_path.rglob("*.safetensors")
    raw = file.read_bytes()
    if damage == "truncated":
        file.write_bytes(raw[: len(raw) // 2])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "one bit":
        file.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    elif damage == "another shape":
        Cache(tmp_path).write(file.stem, good[:2])
    else:
        file.unlink()
        file.mkdir()
        (file / "x").touch()
    with caplog.at_level(logging.WARNING, "trueward"):
        assert torch.equal(encode(log(), cache=tmp_path).x, good)
    if damage != "a folder":
        assert "damaged" in caplog.text
    assert file.read_bytes() == raw


def test_two_processes_share_one_cache(tmp_path):
    script, cache = tmp_path / "encode.py", tmp_path / "cache"
    script.write_text(
        "import sys, hashlib, torch; from pathlib import Path; "
        "from trueward.features.cache import Cache; from trueward.features.encoding import features; "
        "from trueward.features import backbone; "
        "t = [f'text {i}' for i in range(1200)]; "
        "x = features(backbone('wordllama'), t, t, Cache(Path(sys.argv[1]))); "
        "print(hashlib.sha256(x.numpy().tobytes()).hexdigest())"
    )
    running = [Fork(script, [cache], tmp_path / name) for name in ("one", "two")]
    ends = [process.end() for process in running]
    assert [code for code, _, _ in ends] == [0, 0]
    assert len({out for _, out, _ in ends}) == 1
    assert len(list(cache.rglob("*.safetensors"))) == 2
    assert sum(p.is_file() for p in cache.rglob("*")) == 2  # nothing half-written is left


def test_threads_share_one_cache(tmp_path):
    results = []
    work = [
        threading.Thread(target=lambda: results.append(encode(log(), cache=tmp_path).x))
        for _ in range(4)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len(results) == 4
    assert all(torch.equal(x, results[0]) for x in results)


def test_an_unwritable_cache_is_reported_once(tmp_path, caplog):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "trueward"):
        for _ in range(2):
            x = encode(log(), cache=tmp_path / "file" / "cache").x
    assert torch.equal(x, encode(log(), cache=False).x)
    assert len(caplog.records) == 1
    assert "TRUEWARD_CACHE" in caplog.text
