"""A text has one vector: the same in any company, from any cache, on any day, with no network."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import subprocess
import sys
import threading

import polars as pl
import pytest
import torch
from trueward.features.limits import MAX_CATEGORIES

from trueward.core.errors import TruewardError, UsageError
from trueward.data.log import Log, Test
from trueward.features import backbone, encode
from trueward.features.builtin import surface
from trueward.features.builtin.hashing import mix, normal
from trueward.features.builtin.wordllama import load
from trueward.features.cache import Cache, block_key
from trueward.features.columns import encode_context, group_codes
from trueward.features.encoding import BLOCK, features
from trueward.features.texts import HEAD, TAIL, row_slices, truncate_middle

PROMPTS = [
    "How do I undo a commit?",
    "Write a haiku about rain.",
    "",
    "2 + 2 = ?",
    "Hi",
    "日本の首都は?",
]
RESPONSES = [
    "Run `git reset --soft HEAD~1`.\n\n- it keeps your changes\n- it moves the branch",
    "I'm sorry, but I cannot help with that.",
    "Something",
    "",
    "\n \t",
    "東京です。\ud83d\ude00 \ud800",
]


class Counting:
    """A backbone of two columns that counts the texts it reads."""

    width = 2

    def __init__(self):
        self.read = 0

    def spec(self):
        return '{"name": "counting"}'

    def collect_warnings(self):
        return []

    def encode(self, prompts, responses):
        self.read += len(prompts)
        lengths = [[len(p), len(r)] for p, r in zip(prompts, responses, strict=True)]
        return torch.tensor(lengths, dtype=torch.float16)


def log(prompts=PROMPTS, responses=RESPONSES, **columns):
    n = len(prompts)
    given = {
        "prompt": prompts,
        "response": responses,
        "feedback": ([1.0, 0.0, None] * n)[:n],
        "prompt_id": [str(i % 3) for i in range(n)],
        **columns,
    }
    # A frame holds no lone surrogates, a Python string may.
    given["response"] = [r.encode(errors="replace").decode() for r in given["response"]]
    return Log(pl.DataFrame(given, strict=False), "made")


# --- one text, one vector ---------------------------------------------------------------------


def test_every_vector_is_finite_whatever_the_text():
    odd = ["", " ", "\0", "\ud800", "a" * 1_000_000, "字" * 100_000, "<s></s>", "\u202e\u0301" * 50]
    x = load().encode([*odd, *PROMPTS], [*reversed(odd), *RESPONSES])
    assert x.isfinite().all()
    assert x.dtype == torch.float16
    assert x.shape == (len(odd) + len(PROMPTS), load().width)


def test_a_vector_does_not_depend_on_its_neighbours():
    together = load().encode(PROMPTS * 100, RESPONSES * 100)
    for i, (p, r) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        alone = load().encode([p], [r])
        assert torch.equal(alone[0], together[i])
        assert torch.equal(alone[0], together[i - len(PROMPTS)])


def test_another_process_makes_the_same_bits():
    code = (
        "import hashlib, sys; from trueward.features import backbone; "
        "x = backbone('wordllama').encode(['Say hi'], ['Hello there, hello.']); "
        "print(hashlib.sha256(x.numpy().tobytes()).hexdigest())"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = load().encode(["Say hi"], ["Hello there, hello."])
    assert made.stdout.strip() == hashlib.sha256(here.numpy().tobytes()).hexdigest()


def test_wordllama_gives_the_mean_of_the_token_vectors_and_zero_for_an_empty_text():
    model = load()
    ids = model.tokenizer.encode("Hello world", add_special_tokens=False).ids
    mean = torch.from_numpy(model.vectors[ids].mean(0)).half()
    x = model.encode(["Hello world", ""], ["", "Hello world"])
    assert torch.allclose(x[0, :256], mean, atol=1e-3)
    assert torch.allclose(x[1, 256:512], mean, atol=1e-3)
    assert not x[1, :256].any()
    assert not x[0, -2560:].any()  # no response, no n-grams


def test_the_ngrams_of_a_response_have_about_unit_length_and_know_their_order():
    x = load().encode([""] * 3, ["one two three four"] * 2 + ["four three two one"])[:, -2560:]
    assert torch.allclose(x.float().norm(dim=1), torch.ones(3), atol=0.1)
    assert torch.equal(x[0], x[1])
    assert not torch.equal(x[0], x[2])


def test_nothing_reaches_for_the_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    load.cache_clear()
    assert load().encode(["a"], ["b"]).isfinite().all()


def test_loading_leaves_the_logging_of_the_process_alone():
    code = (
        "import logging, sys; from trueward.features import backbone; "
        "backbone('wordllama').encode(['a'], ['b']); "
        "assert not logging.getLogger().handlers; assert 'wordllama' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_long_text_keeps_head_and_tail():
    text = "a" * HEAD + "b" * 1_000_000 + "c" * TAIL
    assert truncate_middle(text) == "a" * HEAD + "\n" + "c" * TAIL
    x = load().encode(["p"] * 2, [text, text.replace("b", "d")])
    assert torch.equal(x[0], x[1])


def test_slices_cover_every_row_once_and_bound_their_characters():
    texts = ["x" * 16_000] * 200 + [""] * 2_000
    parts = list(row_slices(texts, texts))
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(2_200))
    assert max(32_000 * min(part.stop, 200) - 32_000 * part.start for part in parts) <= 1_000_000
    assert max(part.stop - part.start for part in parts) == 512


def test_surface_features_read_what_their_names_say():
    model = load()
    r = ["- one\n- two\n\n```\nx = 1\n```", "I'm sorry, I cannot help with THAT."]
    counts = [model._tokenize(r).counts(len(model.vectors))] * 2
    size = torch.tensor([[len(t), len(t)] for t in r], dtype=torch.float64).numpy()
    u = surface.surface_statistics(r, r, size, *counts)
    assert list(u) == list(surface.SCALES)
    log1p = torch.tensor([1.0, 2.0, 3.0]).log1p().double().numpy()
    assert u["log_items"].tolist() == pytest.approx([log1p[1], 0])
    assert u["log_fences"].tolist() == pytest.approx([log1p[1], 0])
    assert u["log_apologies"].tolist() == pytest.approx([0, log1p[0]])
    assert u["log_caps"].tolist() == pytest.approx([0, log1p[0]])
    assert u["opens_refusing"].tolist() == [0, 1]
    assert u["ended"].tolist() == [1, 1]
    assert u["overlap_prompt"].tolist() == [1, 1]  # the prompt is the response here


def test_hashed_numbers_are_the_published_generator_and_look_normal():
    # first output of SplitMix64 with seed 0 is the mix of its increment
    assert int(mix(torch.tensor([0x1E3779B97F4A7C15]).numpy())[0]) == _splitmix(0x1E3779B97F4A7C15)
    z = normal(1, 200, 500)
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01


def _splitmix(h):
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) % 2**64
    return h ^ (h >> 31)


# --- the cache --------------------------------------------------------------------------------


def test_a_hit_is_the_miss_bit_for_bit(tmp_path):
    miss = encode(log(), cache=tmp_path).x
    (file,) = tmp_path.rglob("*.safetensors")
    assert file.parent.name == file.name[:2]
    before = file.stat().st_mtime_ns
    hit = encode(log(), cache=tmp_path).x
    assert torch.equal(hit, miss)
    assert torch.equal(hit, encode(log(), cache=False).x)
    assert file.stat().st_mtime_ns == before


def test_only_the_blocks_that_are_new_are_made(tmp_path):
    model, store = Counting(), Cache(tmp_path)
    texts = [str(i) for i in range(BLOCK + 10)]
    whole = features(model, texts, texts, store)
    assert model.read == BLOCK + 10
    assert torch.equal(features(model, texts, texts, store), whole)
    assert model.read == BLOCK + 10
    features(model, [*texts, "new"], [*texts, "new"], store)
    assert model.read == BLOCK + 10 + 11  # the full block is there, the last one is another


def test_the_default_folder_is_the_users_choice(tmp_path, monkeypatch):
    monkeypatch.setenv("TRUEWARD_CACHE", str(tmp_path))
    encode(log())
    assert list((tmp_path / "features").rglob("*.safetensors"))


def test_no_cache_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TRUEWARD_CACHE", str(tmp_path))
    encode(log(), cache=False)
    assert not list(tmp_path.iterdir())


def test_texts_that_join_alike_have_different_keys():
    keys = {block_key("s", p, r) for p, r in [(["ab"], ["c"]), (["a"], ["bc"]), (["\ud800"], [""])]}
    assert len(keys) == 3
    assert block_key("s", ["a"], ["b"]) != block_key("t", ["a"], ["b"])


@pytest.mark.parametrize("harm", ["truncated", "empty", "one bit", "another shape", "a folder"])
def test_a_damaged_file_is_made_again(tmp_path, harm, caplog):
    good = encode(log(), cache=tmp_path).x
    (file,) = tmp_path.rglob("*.safetensors")
    raw = file.read_bytes()
    if harm == "truncated":
        file.write_bytes(raw[: len(raw) // 2])
    elif harm == "empty":
        file.write_bytes(b"")
    elif harm == "one bit":
        file.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    elif harm == "another shape":
        Cache(tmp_path).write(file.stem, good[:2])
    else:
        file.unlink()
        file.mkdir()
        (file / "x").touch()
    with caplog.at_level(logging.WARNING, "trueward"):
        assert torch.equal(encode(log(), cache=tmp_path).x, good)
    if harm != "a folder":
        assert "damaged" in caplog.text
    assert file.read_bytes() == raw


def test_two_processes_fill_one_cache_at_once(tmp_path):
    code = (
        "import sys, hashlib, torch; from pathlib import Path; "
        "from trueward.features.cache import Cache; from trueward.features.encoding import features; "
        "from trueward.features import backbone; "
        "t = [f'text {i}' for i in range(1200)]; "
        "x = features(backbone('wordllama'), t, t, Cache(Path(sys.argv[1]))); "
        "print(hashlib.sha256(x.numpy().tobytes()).hexdigest())"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(outputs) == 1
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    assert sum(p.is_file() for p in tmp_path.rglob("*")) == 2  # nothing half-written is left


def test_many_threads_share_one_cache(tmp_path):
    found = []
    work = [
        threading.Thread(target=lambda: found.append(encode(log(), cache=tmp_path).x))
        for _ in range(4)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len(found) == 4
    assert all(torch.equal(x, found[0]) for x in found)


def test_a_cache_that_cannot_be_written_is_reported_once(tmp_path, caplog):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "trueward"):
        for _ in range(2):
            x = encode(log(), cache=tmp_path / "file" / "cache").x
    assert torch.equal(x, encode(log(), cache=False).x)
    assert len(caplog.records) == 1
    assert "TRUEWARD_CACHE" in caplog.text


# --- what a learner sees ----------------------------------------------------------------------


def test_a_log_becomes_feedback():
    table = log(
        ["p"] * 4,
        ["a", "b", "c", "d"],
        feedback=[1.0, 0.0, None, 1.0],
        prompt_id=["b", "a", "b", "c"],
        user_id=["u", None, "v", "u"],
        gold=[None, 1.0, None, 0.0],
        weight=[1.0, 2.0, None, 3.0],
        propensity=[0.1, 0.2, 0.3, 0.4],
        **{"channel.copy": [1.0, None, 0.0, None]},
    )
    data = encode(table)
    assert data.y.tolist() == [1, 0, 0, 1]
    assert data.o.tolist() == [1, 1, 0, 1]
    assert data.group.tolist() == [0, 1, 0, 2]
    assert data.user.tolist() == [0, -1, 1, 0]
    assert data.weight.tolist() == [1, 2, 1, 3]
    assert data.eta.propensity.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert data.gold.isnan().tolist() == [True, False, True, False]
    assert data.channels["copy"].isnan().tolist() == [False, True, False, True]
    assert data.z is None
    assert json.loads(data.backbone)["name"] == "wordllama"


def test_clicks_say_nothing_about_who_saw():
    data = encode(log(["p"] * 2, ["a", "b"], feedback=[1.0, None], prompt_id=["a", "b"]))
    assert data.o is None
    assert data.y.tolist() == [1, 0]


def test_a_test_becomes_labelled():
    frame = pl.DataFrame(
        {
            "prompt": ["p", "q"],
            "response": ["a", "b"],
            "prompt_id": ["1", "2"],
            "label": [1.0, 0.0],
            "rating": [5.0, 2.0],
        }
    )
    truth = encode(Test(frame, "made"))
    assert truth.r.tolist() == [1, 0]
    assert truth.rating.tolist() == [5, 2]
    assert truth.group.tolist() == [0, 1]


def test_context_numbers_are_standardised_and_categories_one_hot():
    frame = pl.DataFrame(
        {
            "context.position": [1.0, 3.0, None],
            "context.device": ["phone", "desk", "phone"],
            "context.same": [2.0, 2.0, 2.0],
        }
    )
    z = encode_context(frame)
    # position: mean 2, standard deviation 1; missing is at the mean and says so
    assert z.tolist() == [[-1, 0, 1, 0, 0], [1, 0, 0, 1, 0], [0, 1, 1, 0, 0]]


def test_rare_categories_share_a_column():
    names = [str(i) for i in range(MAX_CATEGORIES)] * 2 + ["rare", "rarer", None]
    z = encode_context(pl.DataFrame({"context.city": names}))
    assert z.shape == (len(names), MAX_CATEGORIES + 2)
    assert z.sum(1).tolist() == [1] * len(names)
    assert z[-3:, -2].tolist() == [1, 1, 0]
    assert z[-3:, -1].tolist() == [0, 0, 1]


def test_codes_number_names_by_first_appearance():
    assert group_codes(pl.Series(["b", None, "a", "b", None])).tolist() == [0, -1, 1, 0, -2]


# --- backbones by name ------------------------------------------------------------------------


def test_a_spec_gives_the_same_backbone_again():
    made = backbone("wordllama")
    assert backbone(made.spec()).spec() == made.spec()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wordlama", "choose one of wordllama"),
        ("precomputed:x.npy", "one log"),
        ("{broken", "neither"),
        ('{"name": "other"}', "choose one of wordllama"),
        ("./nowhere", "check the path"),
    ],
)
def test_an_unknown_backbone_is_a_usage_error_that_says_what_there_is(name, says):
    with pytest.raises(UsageError, match=says):
        backbone(name)


def test_features_of_another_version_are_refused():
    spec = json.dumps({"name": "wordllama", "version": 0, "weights": "0"})
    with pytest.raises(TruewardError, match="installed version"):
        backbone(spec)


def test_encode_takes_a_log_or_a_test_only():
    with pytest.raises(UsageError, match="read_log"):
        encode("log.parquet")


def test_texts_that_are_not_pairs_of_strings_are_refused():
    with pytest.raises(TruewardError, match="2 prompts and 1 responses"):
        load().encode(["a", "b"], ["c"])
    with pytest.raises(TruewardError, match="row 2 is NoneType"):
        load().encode(["a", None], ["b", "c"])
    with pytest.raises(TruewardError, match="one text"):
        load().encode("a", "b")
    assert load().encode([], []).shape == (0, load().width)
