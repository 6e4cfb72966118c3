"""One small log with texts and gold labels, and a model of it, for all tests of notebooks."""

import polars as pl
import pytest
import torch

import trueward as tw
from trueward.core.wording import flags_in_messages


@pytest.fixture(autouse=True)
def arguments_in_errors(flags_in_errors):
    """Read messages as Python prints them."""
    with flags_in_messages(flags=False):
        yield


def table(prompts=40):
    """Four responses to each prompt: good ones state steps; two of three have feedback, the others gold."""
    n = 4 * prompts
    good = [k % 4 < 2 for k in range(n)]
    return pl.DataFrame(
        {
            "prompt": [f"How do I do task {k // 4}?" for k in range(n)],
            "response": [
                f"Step {k % 7}: press the button {k}." if g else f"No idea {k}."
                for k, g in enumerate(good)
            ],
            "feedback": [
                float(g if k % 11 else not g) if k % 3 else None for k, g in enumerate(good)
            ],
            "gold": [float(g) if k % 3 == 0 else None for k, g in enumerate(good)],
            "label": [float(g) for g in good],
        }
    )


@pytest.fixture(scope="session")
def frame():
    return table()


@pytest.fixture(scope="session")
def log(frame):
    return tw.read_log(frame.drop("label"))


@pytest.fixture(scope="session")
def test(frame):
    return tw.read_test(frame.select("prompt", "response", "label"))


@pytest.fixture(scope="session")
def feedback(log, tmp_path_factory):
    return tw.encode(log, cache=tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="session")
def model(feedback):
    return tw.fit("naive", *feedback.split(0.25), epochs=2, hidden=(4,), seed=0)


@pytest.fixture(scope="session")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "rm"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def small():
    """90 responses to 30 prompts with three features; two of three rated, the others with gold labels."""
    x = torch.randn(90, 3, generator=torch.Generator().manual_seed(0))
    r, rated = (x[:, 0] + x[:, 1] / 2 > 0).float(), (torch.arange(90) % 3 > 0).float()
    gold = torch.where(rated > 0, torch.nan, r)
    return tw.Feedback(x, r * rated, rated, gold=gold, group=torch.arange(90) // 3)


@pytest.fixture(scope="session")
def narrow(small):
    """A model of the three features."""
    return tw.fit("naive", *small.split(0.25), epochs=2, hidden=(4,), seed=0)
