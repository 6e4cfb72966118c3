"""Bradley and Terry's model recovers a score from comparisons, with ties, noise, positions and margins."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import trueward as tw
from trueward.data.comparisons import Pairs
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.pair_losses import log_outcomes, with_noise
from trueward.estimators._registry import make
from trueward.training.networks import SCALAR_RATE

SHORT = {"hidden": (), "lr": 0.02, "epochs": 30, "seed": 0}


def battles(n=1200, seed=0, position=0.0, tie=None, length=0.0):
    """One battle a prompt of two answers with 4 features; the score is 2 x_0 - x_1."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(2 * n, 4, generator=g)
    s = 2 * x[:, 0] - x[:, 1]
    first = 2 * torch.arange(n) + (torch.rand(n, generator=g) < 0.5).long()
    second = first ^ 1
    style = torch.randn(n, 1, generator=g)
    d = s[first] - s[second] + position + length * style[:, 0]
    kind = "none" if tie is None else "davidson"
    chances = torch.stack([v.exp() for v in log_outcomes(d, kind, tie or 0.0)], 1)
    chances[:, 2] *= tie is not None
    out = torch.multinomial(chances, 1, generator=g)[:, 0]
    won = out != 1
    pairs = Pairs.of(
        torch.where(won, first, second),
        torch.where(won, second, first),
        tie=(out == 2).float(),
        position=torch.where(won, 1.0, -1.0),
        styles=("length",),
        style=torch.where(won[:, None], style, -style),
    )
    return Feedback(
        x, torch.zeros(2 * n), torch.zeros(2 * n), group=torch.arange(2 * n) // 2, pairs=pairs
    ), s


def agreement(model, data, s):
    return float(
        torch.corrcoef(torch.stack([model.score_features(data.x).reward.float(), s]))[0, 1]
    )


def learned(model):
    """The learned numbers of a model by name."""
    return {k: SCALAR_RATE * v.item() for k, v in model.net.numbers.items()}


@pytest.mark.parametrize("ties", ["davidson", "rao_kupper", "half", "none"])
def test_the_chances_of_all_outcomes_add_up_to_one_and_are_finite(ties):
    d = torch.tensor([-80.0, -1.0, 0.0, 2.0, 80.0]).double().requires_grad_()
    first, second, tied = log_outcomes(d, ties, 0.4)
    if ties in ("davidson", "rao_kupper"):
        total = first.exp() + second.exp() + tied.exp()
        assert torch.allclose(total, torch.ones_like(total))
    (first + second + tied).sum().backward()
    assert d.grad.isfinite().all()


def test_ties_by_hand():
    """At d = 0: Davidson nu / (2 + nu); Rao and Kupper (theta - 1) / (theta + 1)."""
    zero = torch.zeros(1)
    assert float(log_outcomes(zero, "davidson", math.log(2.0))[2].exp()) == pytest.approx(0.5)
    assert float(log_outcomes(zero, "rao_kupper", math.log(2.0))[2].exp()) == pytest.approx(0.5)


def test_noise_moves_the_chance_towards_one_half_by_its_rate():
    first, second, _ = log_outcomes(torch.tensor([2.0]), "none")
    p = float(with_noise(first, second, torch.tensor([0.2]))[0].exp())
    assert p == pytest.approx(0.8 * 0.880797 + 0.2 * 0.119203, abs=1e-6)


def test_the_loss_is_the_mean_of_minus_log_sigmoid_of_the_difference_less_the_margin():
    """Two pairs by hand, of weights 1 and 3."""
    pairs = Pairs.of(
        torch.tensor([0, 2]),
        torch.tensor([1, 3]),
        margin=torch.tensor([0.5, 0.0]),
        weight=torch.tensor([1.0, 3.0]),
    )
    b = Feedback(torch.zeros(4, 1), torch.zeros(4), pairs=pairs)
    out = Columns(reward=torch.tensor([2.0, 1.0, 0.0, 1.0]))
    loss = make("bradley_terry", {"ties": "none", "position": False}).loss(out, b)
    expected = (math.log1p(math.exp(-0.5)) + 3 * math.log1p(math.exp(1.0))) / 4
    assert float(loss) == pytest.approx(expected, rel=1e-6)


@pytest.mark.battery
@pytest.mark.parametrize("margin", [False, True])
def test_the_loss_is_that_of_the_reward_trainer_of_trl(margin):
    trainer = pytest.importorskip("trl.trainer.reward_trainer").RewardTrainer
    g = torch.Generator().manual_seed(3)
    chosen, rejected, lead = (torch.randn(64, generator=g) for _ in range(3))
    args = SimpleNamespace(center_rewards_coefficient=None)
    own = SimpleNamespace(
        model=SimpleNamespace(training=False),
        args=args,
        _metrics={
            "eval": {
                k: [] for k in ("min_reward", "mean_reward", "max_reward", "accuracy", "margin")
            }
        },
        _total_train_tokens=0,
        accelerator=SimpleNamespace(gather=lambda v: v, gather_for_metrics=lambda v: v),
    )
    own._metrics["eval"]["num_tokens"] = []
    logits = torch.cat([chosen, rejected])[:, None]
    inputs = {"margin": lead} if margin else {}
    theirs = trainer.compute_loss(own, lambda **_: SimpleNamespace(logits=logits), dict(inputs))
    pairs = Pairs.of(
        torch.arange(64), 64 + torch.arange(64), **({"margin": lead} if margin else {})
    )
    b = Feedback(torch.zeros(128, 1), torch.zeros(128), pairs=pairs)
    method = make("bradley_terry", {"ties": "none", "position": False})
    assert float(method.loss(Columns(reward=logits[:, 0]), b)) == pytest.approx(
        float(theirs), abs=1e-6
    )


def test_a_score_is_recovered_and_position_and_style_are_no_part_of_it():
    data, s = battles(position=1.5, length=1.0, tie=0.0)
    train, val = data.split(0.2)
    model = tw.fit("bradley_terry", train, val, control=("length",), **SHORT)
    assert agreement(model, data, s) > 0.98
    numbers = learned(model)  # early stopping leaves them a little small
    assert numbers["position"] == pytest.approx(1.5, abs=0.5)
    assert numbers["style_length"] == pytest.approx(1.0, abs=0.5)
    assert numbers["tie"] == pytest.approx(0.0, abs=0.4)


def test_a_source_of_coin_flips_gets_a_small_scale():
    data, s = battles(400)
    g = torch.Generator().manual_seed(5)
    p = data.pairs
    flip = torch.rand(len(p), generator=g) < 0.5
    both = [
        torch.cat([a, torch.where(flip, a, b)])
        for a, b in ((p.winner, p.loser), (p.loser, p.winner))
    ]
    source = torch.arange(2 * len(p)) // len(p)
    mixed = Feedback(
        data.x, data.y, data.o, group=data.group,
        pairs=Pairs.of(*both, source=source, sources=("battle", "judge")),
    )  # fmt: skip
    model = tw.fit("bradley_terry", *mixed.split(0.2), **SHORT)
    assert model.estimator.sources == ("judge",)
    assert math.exp(learned(model)["scale_judge"]) < 0.3
    assert agreement(model, data, s) > 0.95


def test_fits_do_not_depend_on_the_order_of_rows_and_pairs_or_on_micro_batches():
    data, _ = battles(60)
    order = torch.randperm(120, generator=torch.Generator().manual_seed(1))
    fits = [
        tw.fit("bradley_terry", *d.split(0.25), epochs=3, **more)
        for d, more in ((data, {}), (data[order], {}), (data, {"micro_batch": 7}))
    ]
    scores = [m.score_features(data.x).reward for m in fits]
    assert torch.equal(scores[0], scores[1])
    assert torch.allclose(scores[0], scores[2], atol=0.01), "up to rounding in 9 steps"


def test_what_a_log_lacks_is_told():
    data, _ = battles(20)
    with pytest.raises(tw.TruewardError, match="needs comparisons of two responses"):
        tw.fit("bradley_terry", *replace(data, pairs=None).split(0.2))
    ties = replace(data, pairs=replace(data.pairs, tie=torch.ones(20)))
    with pytest.raises(tw.TruewardError, match="comparisons that a response won, and found 0"):
        tw.fit("bradley_terry", *ties.split(0.2))
    with pytest.raises(
        tw.TruewardError, match="comparisons of human, and the log has those of pairs"
    ):
        tw.fit("bradley_terry", *data.split(0.2), noise_of=("human:0.1",))
    for wrong in ({"control": ("wit",)}, {"noise_of": ("judge",)}, {"noise_of": ("judge:0.7",)}):
        with pytest.raises(tw.UsageError):
            make("bradley_terry", wrong)


def test_pairs_weighted_by_their_propensity_stand_for_all_pairs():
    """Three responses whose preferences no score fits, and unequal chances of being compared, enumerated.

    Every pair (i, j) is compared with e_ij, and i then wins with P_ij. The expected loss of the pairs that
    are compared, weighted 1 / e_ij, is that of all pairs; without weights it is another one.
    """
    i, j = torch.tensor([0, 1, 0, 2, 1, 2]), torch.tensor([1, 0, 2, 0, 2, 1])
    wins = torch.tensor([0.9, 0.1, 0.6, 0.4, 0.2, 0.8])
    e = torch.tensor([0.8, 0.8, 0.1, 0.1, 0.4, 0.4])
    everything = Pairs.of(i, j, weight=wins)
    compared = Pairs.of(i, j, weight=e * wins, propensity=e)
    rows = Feedback(torch.zeros(3, 1), torch.zeros(3), torch.zeros(3), group=torch.zeros(3).long())
    method = make("bradley_terry", {"ties": "none", "position": False})
    ignoring = replace(compared, propensity=torch.ones(6))
    for reward in torch.tensor([[0.3, -1.0, 0.5], [2.0, 0.1, -0.7]]):
        out = Columns(reward=reward)

        def loss(of, pairs, out=out):
            return float(of.loss(out, replace(rows, pairs=pairs)))

        assert loss(method, compared) == pytest.approx(loss(method, everything), rel=1e-6)
        assert abs(loss(method, ignoring) - loss(method, everything)) > 0.01


def test_a_propensity_out_of_range_is_refused_and_a_tiny_one_raised():
    i, j = torch.tensor([0]), torch.tensor([1])
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(tw.TruewardError, match="propensities of pairs must be above 0"):
            Pairs.of(i, j, propensity=torch.tensor([wrong]))
    assert Pairs.of(i, j, propensity=torch.tensor([1e-4])).importance.item() == pytest.approx(100)
