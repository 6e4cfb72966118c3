"""Features on disk: the same fit, in less memory."""

import polars as pl
import pytest
import torch

import trueward as tw
from trueward.core.errors import TruewardError, UsageError
from trueward.features import feature_table
from trueward.features.feature_table import memory_size


def log():
    n = 150
    rows = {
        "prompt": [f"question {i // 2}" for i in range(n)],
        "response": [f"answer {i} {'good' if i % 3 else 'bad'}" for i in range(n)],
        "feedback": [float(i % 3 > 0) if i % 5 else None for i in range(n)],
        "context.length": [float(i % 7) for i in range(n)],
    }
    return tw.read_log(pl.DataFrame(rows).sample(fraction=1, shuffle=True, seed=4))


@pytest.mark.parametrize("method", ["naive", "causalrm"])
def test_a_fit_on_features_on_disk_is_the_fit_in_memory(method, tmp_path):
    options = {"epochs": 2} | ({"nuisance_epochs": 1} if method == "causalrm" else {})
    models = []
    for memory in ("1TB", "10kB"):
        data = tw.encode(log(), cache=tmp_path, memory=memory)
        parts = data.split(0.3)
        assert (data.x.untyped_storage().filename is None) == (memory == "1TB")
        models.append(tw.fit(method, *parts, **options))
    score = [m.score(["question 1"], ["answer 9"]).reward for m in models]
    assert torch.equal(*score)
    assert torch.equal(parts[1][torch.tensor([3, 1])].x, parts[1].x[torch.tensor([3, 1])])
    assert torch.equal(
        models[0].score_features(parts[1].x).reward, models[1].score_features(parts[1].x).reward
    )
    assert models[0].report["data"] == models[1].report["data"]
    assert not list(tmp_path.glob("trueward-features-*"))


def test_a_disk_that_is_too_small_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(feature_table.shutil, "disk_usage", lambda _: type("", (), {"free": 10}))
    with pytest.raises(
        TruewardError, match=r"features of 100 rows take 0.0 GB, and .* 0.0 GB free"
    ):
        feature_table.feature_table(100, 4, tmp_path, memory=100)


@pytest.mark.parametrize("wrong", ["", "lots", "-1GB", "0", "1e999", "8 elephants"])
def test_a_wrong_size_is_one_sentence(wrong):
    with pytest.raises(UsageError, match="like 8GB"):
        memory_size(wrong)
