"""Logs with few ratings are fitted, or refused with the reason and the numbers that are true."""

from dataclasses import replace

import pytest
import torch

from trueward.core.errors import TruewardError
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.requirements import lacking
from trueward.estimators._registry import make, methods
from trueward.fitting.fit import fit

SHORT = {"epochs": 2, "nuisance_epochs": 1, "seed": 0}
CLICKS = {"bpr", "counterif", "nnpu", "recrec", "rmf", "ubpr", "uprl", "upu"}
OTHERS = {
    "oracle",
    "implicitrm",
    "bradley_terry",
    "joint",
}  # true labels; a needed option; comparisons


def log(rows, rated, bad, gold=30):
    """``rated`` ratings of which ``bad`` are bad, gold labels of both kinds, two answers a prompt."""
    g = torch.Generator().manual_seed(rows + bad)
    chosen, labelled = (torch.randperm(rows, generator=g) for _ in range(2))
    o, y, labels = torch.zeros(rows), torch.zeros(rows), torch.full((rows,), torch.nan)
    o[chosen[:rated]] = 1
    y[chosen[bad:rated]] = 1
    labels[labelled[:gold]] = (torch.arange(gold) % 2).float()
    return Feedback(
        torch.randn(rows, 4, generator=g),
        y,
        o,
        z=torch.randn(rows, 2, generator=g),
        channels=Columns({k: (torch.rand(rows, generator=g) < 0.4).float() for k in "ab"}),
        gold=labels,
        group=torch.arange(rows) // 2,
    )


@pytest.mark.parametrize("name", sorted({*methods()} - CLICKS - OTHERS))
def test_every_method_for_ratings_fits_30_of_them_of_which_3_are_bad(name):
    assert fit(name, *log(90, 30, 3).split(0.2, 0), **SHORT).report["rows"]["train"] == 72


@pytest.mark.parametrize("seed", range(3))
def test_auto_steps_back_to_naive_at_12_ratings_of_2400_and_says_why(seed):
    rare = replace(log(2400, 12, 4), gold=None, channels=Columns())
    train, val = rare.split(0.2, seed)
    assert {0.0, 1.0} <= set(val.y[val.o > 0].tolist())
    model = fit("auto", train, val, **SHORT)
    assert model.method == "naive"
    reasons = " ".join(model.report["reasons"])
    assert f"{int(train.o.sum())} of {len(train)} rows have feedback" in reasons
    assert "Fewer than 10 ratings do not show who reacts" in reasons
    assert "Every row" not in reasons


def test_a_validation_part_with_rated_rows_only_does_not_stop_a_method_that_weights_ratings():
    """A prompt with 80 answers of which 40 are rated, and 10 prompts with 2 answers, all rated."""
    b = log(100, 40, 20)
    o = torch.cat([(torch.arange(80) % 2).float(), torch.ones(20)])
    group = torch.cat([torch.zeros(80), torch.arange(20) // 2 + 1]).long()
    b = replace(b, o=o, y=o * (torch.arange(100) % 3 > 0), group=group)
    giant, rest, last = b[torch.arange(80)], b[torch.arange(80, 100)], b[torch.arange(90, 100)]
    model = fit("ips", b[torch.arange(90)], last, **SHORT)
    assert model.report["rows"] == {"train": 90, "validation": 10}
    with pytest.raises(TruewardError, match=r"the training rows: ips needs .* every row here has"):
        fit("ips", rest, giant, **SHORT)


@pytest.mark.parametrize(
    ("rated", "bad", "said"),
    [
        (0, 0, "at least 2 responses with feedback, and found 0"),
        (1, 0, "at least 2 responses with feedback, and found 1"),
        (12, 1, "at least 2 responses rated bad, and found 1"),
        (12, 11, "at least 2 responses rated good, and found 1"),
        (12, 2, None),
    ],
)
def test_a_refusal_says_the_number_found_and_the_number_needed(rated, bad, said):
    capabilities = LogCapabilities.from_feedback(log(100, rated, bad))
    assert lacking(make("naive", {}), capabilities) == said
