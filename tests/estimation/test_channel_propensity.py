"""Activity of the satisfied: who counts, a line where it is one, the network's bend where it is not."""

from dataclasses import replace

import pytest
import torch

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.channel_propensity import MOST_ROWS, activity, activity_column
from trueward.estimators._registry import make

NAN = float("nan")
BOTH = ("copy", "like")
COPY, NETWORK = activity_column("copy"), "network.copy"


def liked(x, chance, *, network=None):
    """Rows with a like each, whose copies fire with these chances; the network says these or a half."""
    n, g = len(x), torch.Generator().manual_seed(0)
    fired = (torch.rand(n, generator=g) < chance).float()
    said = torch.full((n,), 0.5) if network is None else network
    channels = Columns(copy=fired, like=torch.ones(n))
    return Feedback(x, torch.zeros(n), channels=channels, eta=Columns({NETWORK: said}))


def regressed(train):
    """(activity of copies in the training rows, report)."""
    _, step = activity("copy", BOTH)
    at, about = step.fit(train, train[torch.arange(0)], 0)
    return step.apply(at, train)[COPY], about


def test_it_is_read_off_those_who_did_something_else():
    """Copy is logged in three of four rows with a like, and fired in two; one with no like does not count.

    With no features there is the intercept alone, hardly held by its prior.
    """
    columns = {"copy": [1.0, 1.0, 0.0, NAN, 1.0], "like": [1.0, 1.0, 1.0, 1.0, 0.0]}
    channels = Columns({k: torch.tensor(v) for k, v in columns.items()})
    eta = Columns({NETWORK: torch.full((5,), 0.5)})
    b = Feedback(torch.zeros(5, 1), torch.zeros(5), channels=channels, eta=eta)
    network, _ = activity("copy", BOTH)
    assert network.where(b).tolist() == [0, 1, 2]
    assert network.target(b)[network.where(b)].tolist() == [1, 1, 0]
    found, about = regressed(b)
    assert (about["rows"], about["fires"]) == (3, 2)
    assert found.tolist() == pytest.approx([2 / 3] * 5, abs=0.01)


def test_where_it_is_a_line_the_line_is_found_though_the_network_says_nothing():
    x = torch.randn(4000, 8, generator=torch.Generator().manual_seed(1))
    truth = torch.sigmoid(x[:, 0] - 0.5)
    found, about = regressed(liked(x, truth))
    # 4,000 rows give each of 9 coefficients an error of about 2 / sqrt(4000) = .03
    assert float((torch.logit(found) - torch.logit(truth)).std()) < 0.2
    assert "0" not in about["share_of_width"]


def test_where_it_bends_the_network_is_believed():
    x = torch.randn(4000, 8, generator=torch.Generator().manual_seed(1))
    truth = torch.sigmoid(1.5 * x[:, 0] * x[:, 1])
    found, about = regressed(liked(x, truth, network=truth))
    assert about["network"] == pytest.approx(1, abs=0.1)
    assert float((torch.logit(found) - torch.logit(truth)).std()) < 0.2
    alone, _ = regressed(liked(x, truth))
    assert float((torch.logit(alone) - torch.logit(truth)).std()) > 1


def test_rows_count_by_their_weight():
    """Fifty rows with a copy stand for three each, fifty without for one each: 3/4."""
    fired = torch.arange(100) < 50
    b = liked(torch.zeros(100, 2), fired.float())
    found, _ = regressed(replace(b, weight=1.0 + 2 * fired))
    assert found.tolist() == pytest.approx([0.75] * 100, abs=0.005)


def test_the_rows_it_is_trained_on_say_the_same_of_the_reward_whatever_it_is():
    """Who did anything is satisfied: log g, and a term of activity alone. So it needs no folds."""
    y = Columns({k: torch.tensor([float(v)]) for k, v in zip(BOTH, (1, 0), strict=True)})
    b = Feedback(torch.zeros(1, 1), torch.zeros(1), channels=y)
    method, slopes = make("channels", {"channels": BOTH}), []
    for a in (0.1, 0.9):
        s = torch.zeros(1, requires_grad=True)
        eta = Columns({activity_column(k): torch.tensor([a]) for k in BOTH})
        method.loss(Columns(reward=s, level=torch.zeros(1)), replace(b, eta=eta)).backward()
        slopes.append(float(s.grad))
    assert slopes == pytest.approx([-0.5, -0.5], abs=1e-5)


def test_those_who_always_do_both_have_an_activity_below_one():
    """The prior of the intercept keeps it finite."""
    found, _ = regressed(liked(torch.zeros(100, 2), torch.ones(100)))
    assert 0.95 < float(found.min()) <= float(found.max()) < 1


def test_a_rare_channel_is_clipped_and_the_report_counts_the_rows():
    found, about = regressed(liked(torch.zeros(3000, 1), torch.zeros(3000)))
    assert about["clipped"] == 3000
    assert found.tolist() == pytest.approx([about["low"]] * 3000)


def test_more_than_enough_rows_are_sampled():
    n = MOST_ROWS + 2000
    _, about = regressed(liked(torch.zeros(n, 1), torch.full((n,), 0.5)))
    assert about["rows"] == MOST_ROWS
