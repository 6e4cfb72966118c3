"""The default backbone: fixed functions of one prompt and one response."""

import hashlib
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

from trueward.features.builtin import surface
from trueward.features.builtin.hashing import mix, normal
from trueward.features.builtin.tokens import Tokens
from trueward.features.builtin.wordllama import load
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


def test_the_features_of_any_text_are_finite():
    odd = ["", " ", "\0", "\ud800", "a" * 1_000_000, "字" * 100_000, "<s></s>", "\u202e\u0301" * 50]
    x = load().encode([*odd, *PROMPTS], [*reversed(odd), *RESPONSES])
    assert x.isfinite().all()
    assert x.dtype == torch.float16
    assert x.shape == (len(odd) + len(PROMPTS), load().width)


def test_features_do_not_depend_on_the_other_rows():
    together = load().encode(PROMPTS * 100, RESPONSES * 100)
    for i, (p, r) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        alone = load().encode([p], [r])
        assert torch.equal(alone[0], together[i])
        assert torch.equal(alone[0], together[i - len(PROMPTS)])


def test_another_process_computes_the_same_bits():
    code = (
        "import hashlib, sys; from trueward.features import backbone; "
        "x = backbone('wordllama').encode(['Say hi'], ['Hello there, hello.']); "
        "print(hashlib.sha256(x.numpy().tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    x = load().encode(["Say hi"], ["Hello there, hello."])
    assert other.stdout.strip() == hashlib.sha256(x.numpy().tobytes()).hexdigest()


def test_the_vectors_are_means_over_tokens_and_zero_for_an_empty_text():
    model = load()
    ids = model.tokenizer.encode("Hello world", add_special_tokens=False).ids
    mean = torch.from_numpy(model.vectors[ids].mean(0)).half()
    x = model.encode(["Hello world", ""], ["", "Hello world"])
    assert torch.allclose(x[0, :256], mean, atol=1e-3)
    assert torch.allclose(x[1, 256:512], mean, atol=1e-3)
    assert not x[1, :256].any()
    assert not x[0, -2560:].any()  # no response, no n-grams


def test_the_ngrams_of_a_response_have_unit_length_and_depend_on_the_order():
    x = load().encode([""] * 3, ["one two three four"] * 2 + ["four three two one"])[:, -2560:]
    assert torch.allclose(x.float().norm(dim=1), torch.ones(3), atol=0.1)
    assert torch.equal(x[0], x[1])
    assert not torch.equal(x[0], x[2])


def test_the_default_backbone_opens_no_connection(monkeypatch):
    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    load.cache_clear()
    assert load().encode(["a"], ["b"]).isfinite().all()


def test_loading_does_not_configure_logging():
    code = (
        "import logging, sys; from trueward.features import backbone; "
        "backbone('wordllama').encode(['a'], ['b']); "
        "assert not logging.getLogger().handlers; assert 'wordllama' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_middle_of_a_long_text_is_cut():
    text = "a" * HEAD + "b" * 1_000_000 + "c" * TAIL
    assert truncate_middle(text) == "a" * HEAD + "\n" + "c" * TAIL
    x = load().encode(["p"] * 2, [text, text.replace("b", "d")])
    assert torch.equal(x[0], x[1])


def test_slices_cover_every_row_once_within_the_limits():
    texts = ["x" * 16_000] * 200 + [""] * 2_000
    parts = list(row_slices([2 * len(text) for text in texts]))
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(2_200))
    assert max(32_000 * min(part.stop, 200) - 32_000 * part.start for part in parts) <= 1_000_000
    assert max(part.stop - part.start for part in parts) == 512


def test_surface_features_by_name():
    model = load()
    r = ["- one\n- two\n\n```\nx = 1\n```", "I'm sorry, I cannot help with THAT."]
    ids = [np.array(code.ids) for code in model.tokenizer.encode_batch(r, add_special_tokens=False)]
    tokens = Tokens(np.concatenate(ids), np.cumsum([0, *map(len, ids)]))
    counts = [tokens.counts(len(model.vectors))] * 2
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


def test_hashed_numbers_match_splitmix64_and_are_normal():
    # first output of SplitMix64 with seed 0 is the mix of its increment
    assert int(mix(torch.tensor([0x1E3779B97F4A7C15]).numpy())[0]) == _splitmix(0x1E3779B97F4A7C15)
    z = normal(1, 200, 500)
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01


def _splitmix(h):
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) % 2**64
    return h ^ (h >> 31)
