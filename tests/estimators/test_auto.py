"""What a log offers decides what is taken, and three sentences say why."""

import pytest
import torch

from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback
from trueward.estimators._registry import make
from trueward.fitting.fit import fit

N = 200
HALF = torch.arange(N) % 2.0
PART = (torch.arange(N) % 3 == 0).float()


def log(seed=0, **columns):
    g = torch.Generator().manual_seed(seed)
    y = columns.pop("y", HALF)
    return Feedback(torch.randn(N, 4, generator=g), y, group=torch.arange(N), **columns)


def channels(*names):
    g = torch.Generator().manual_seed(1)
    return Columns({k: (torch.rand(N, generator=g) > 0.5).float() for k in names})


GOLD = torch.where(torch.arange(N) < 40, (torch.arange(N) // 2) % 2.0, torch.nan)

LOGS = {
    "gold labels": ({"o": PART, "gold": GOLD}, "anchored", "40 gold labels"),
    "too few gold labels": (
        {"o": PART, "y": HALF * PART, "gold": torch.where(torch.arange(N) < 20, HALF, torch.nan)},
        "three_outcome",
        "too few gold labels",
    ),
    "two channels": (
        {"channels": channels("copy", "like"), "y": 0 * HALF},
        "channels",
        "several channels",
    ),
    "ratings": ({"o": PART, "y": HALF * PART}, "three_outcome", "67 of 200 rows have feedback"),
    "every row rated": ({"o": torch.ones(N)}, "naive", "Every row"),
    "clicks and context": ({"z": torch.randn(N, 2)}, "implicitrm", "clicks and context"),
    "clicks and activity": ({"channels": channels("active")}, "implicitrm", "logged activity"),
    "clicks": ({}, "implicitrm", "nothing that tells"),
}


@pytest.mark.parametrize("name", LOGS)
def test_the_first_method_that_the_log_supports_is_selected(name):
    columns, method, words = LOGS[name]
    made, sentences = make("auto").resolve(LogCapabilities.from_feedback(log(**columns)))
    assert made.name == method
    assert len(sentences) == 3
    assert words in sentences[0]
    assert method in sentences[1]
    assert all(s.endswith(".") and s.count(". ") <= 1 for s in sentences)


def test_clicks_alone_give_an_interval():
    made, _ = make("auto").resolve(LogCapabilities.from_feedback(log()))
    assert made.interval_only


@pytest.mark.parametrize("name", LOGS)
def test_the_selected_method_can_be_fitted(name):
    columns, method, _ = LOGS[name]
    train = log(**columns)
    model = fit("auto", train, train, epochs=2)
    assert model.method == method
    assert len(model.report["reasons"]) == 3
