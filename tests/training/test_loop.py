"""The one training loop: what it may not change, and what it must not see."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pytest
import torch
from helpers.forks import Fork
from helpers.logs import log
from helpers.toy import every_variant, ready, toy
from safetensors.torch import load_file

from trueward.core.errors import TruewardError, UsageError
from trueward.core.options import Opt
from trueward.core.random import torch_stream
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, masked_mean
from trueward.estimation.method import Method
from trueward.estimation.samplers import every, shuffle
from trueward.estimators._registry import make
from trueward.fitting.fit import fit
from trueward.model.reward_model import load
from trueward.training.checkpoints import Checkpoints
from trueward.training.config import Train
from trueward.training.loop import train_net
from trueward.training.microbatch import MicroBatches
from trueward.training.networks import Net, Shape
from trueward.training.preprocessing import InputTransform, Standardizer
from trueward.training.problem import Batch, TrainingProblem, make_batch
from trueward.training.row_sources import FeatureRows
from trueward.training.step import backward, forward, predict

VARIANTS = every_variant()


def problem(method, train, val=None, fold=None, dtype=torch.float32):
    transform = InputTransform.fit(train, dtype)
    return TrainingProblem.on_features(
        "reward", method, train, train if val is None else val, transform, fold
    )


def net_for(method, b, members=2):
    inputs = InputTransform.fit(b, torch.float32)
    return Net(
        Shape(inputs.widths(), method.heads, (8, 4), method.shared, members, exposed=method.hidden),
        0,
    ).double()


def whole_batch(b, members):
    return Batch(torch.arange(len(b)), b, [Columns()] * members)


@pytest.mark.parametrize("method", [m for _, m in VARIANTS], ids=[i for i, _ in VARIANTS])
def test_micro_batches_give_the_gradient_of_the_whole_batch(method):
    b = toy(24, seed=2)
    b = replace(
        b,
        x=b.x.double(),
        y=b.y.double(),
        o=b.o.double(),
        z=b.z.double(),
        gold=b.gold.double(),
        eta=Columns({k: v.double() for k, v in b.eta.items()}),
        channels=Columns({k: v.double() for k, v in b.channels.items()}),
    )
    b = ready(method, b)
    net, grads = net_for(method, b), []
    for micro in (None, 5):
        net.zero_grad()
        step = MicroBatches(micro).backward if micro else backward
        step(problem(method, b, dtype=torch.float64), net, whole_batch(b, 2))
        grads.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    assert grads[0]
    assert all(torch.allclose(a, c, atol=1e-12) for a, c in zip(*grads, strict=True))


def test_plain_accumulation_would_be_wrong_for_a_self_normalised_loss():
    b, m = toy(24, seed=2), make("snips")
    net = net_for(m, b, 1).float()
    p = problem(m, b)
    backward(p, net, whole_batch(b, 1))
    whole = [q.grad.clone() for q in net.parameters()]
    net.zero_grad()
    for part in torch.arange(24).split(5):
        backward(p, net, Batch(part, b[part], [Columns()]))
    apart = [q.grad / 5 for q in net.parameters()]
    assert not all(torch.allclose(a, c, rtol=1e-2) for a, c in zip(whole, apart, strict=True))


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    models = [fit("dr", log(), log(300, 1), seed=s, epochs=3) for s in (5, 5, 6)]
    scores = [m.score_features(log(50, 2).x).reward for m in models]
    assert torch.equal(scores[0], scores[1])
    assert not torch.equal(scores[0], scores[2])


def test_rows_come_in_a_new_order_every_epoch_and_each_once():
    orders = [
        torch.cat(list(shuffle(torch.arange(50), 8, torch_stream(0, "b", e)))) for e in (0, 1)
    ]
    assert not torch.equal(*orders)
    assert all(torch.equal(o.sort().values, torch.arange(50)) for o in orders)


def test_weights_draw_rows_in_proportion():
    weight = torch.tensor([1.0, 3.0]).repeat(100)
    drawn = torch.cat(list(shuffle(torch.arange(200), 64, torch_stream(0, "w"), weight)))
    assert len(drawn) == 200
    # 3/4 of 200; independent draws would have a standard deviation of 6
    assert int((drawn % 2 == 1).sum()) == pytest.approx(150, abs=12)


def test_a_batch_of_one_row_trains():
    assert fit("naive", log(40), log(40, 1), batch_size=1, epochs=1)


def test_members_are_independent_and_report_their_spread():
    train, val = log(), log(300, 1)
    alone = fit("naive", train, val, epochs=3, precision="fp32")
    three = fit("naive", train, val, epochs=3, members=3, precision="fp32")
    x = log(50, 2).x
    first = torch.sigmoid(three.net({"x": three.standardizer(x, torch.float32)}).reward[0])
    assert torch.allclose(first, alone.score_features(x).preferred, atol=1e-5)
    assert (three.score_features(x).spread > 0).all()
    assert (alone.score_features(x).spread == 0).all()
    assert three.report["spread"]["members"] == 3


def test_each_fold_is_predicted_by_a_network_that_has_not_seen_it():
    """A label that only memory can predict is not predicted out of fold."""
    g = torch.Generator().manual_seed(0)
    b = Feedback(torch.randn(400, 64, generator=g), (torch.rand(400, generator=g) > 0.5).float())
    b = replace(b, o=torch.ones(400), group=torch.arange(400))
    fold = torch.arange(400) % 4
    cfg = Train(epochs=60, patience=60, batch_size=64, precision="fp32")
    p = problem(make("naive"), b, fold=fold)
    net = train_net(p, cfg).net
    out = predict(p, net, p.train_source).reward
    right = ((out > 0).float() == b.y).float()
    held = right.gather(0, fold[None]).mean()
    seen = right[torch.arange(4)[:, None] != fold].mean()
    assert seen > 0.95
    assert held < 0.6


@pytest.mark.parametrize("name", ["naive", "ips", "snips"])
def test_rated_row_methods_never_read_the_features_of_unrated_rows(name):
    b, val = (replace(d, eta=Columns(propensity=0.3 + d.o / 2)) for d in (log(), log(300, 1)))
    poisoned = replace(b, x=torch.where(b.o[:, None] > 0, b.x, torch.nan))
    inputs = InputTransform.fit(b, torch.float32)
    clean, got = (
        train_net(
            TrainingProblem.on_features("reward", make(name), d, val, inputs), Train(epochs=2)
        ).net.state_dict()
        for d in (b, poisoned)
    )
    assert all(torch.equal(got[k], clean[k]) for k in clean)


def test_features_are_standardised_and_constant_columns_vanish():
    x = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    assert torch.equal(
        Standardizer.fit(x)(x, torch.float32), torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    )


def test_stopping_restores_the_best_epoch_even_when_all_epochs_were_used():
    train, val = log(200), log(200, 1)
    model = fit("naive", train, val, epochs=40, patience=40, lr=0.01)
    p = problem(make("naive"), train, val, dtype=Train().dtype())
    out = predict(p, model.net, p.val_source, make("naive").rows(val))
    held = val[make("naive").rows(val)]
    now = float(make("naive").loss(Columns(reward=out.reward[0]), held))
    assert now == pytest.approx(model.report["training"]["validation_loss"][0], abs=1e-6)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"epochs": 0}, "epochs takes"),
        ({"members": 100}, "[1, 64]"),
        ({"device": "tpu"}, "cpu or cuda"),
        ({"lr": -1.0}, "(0"),
        ({"epoch": 3}, "did you mean epochs"),
        ({"hidden": "wide"}, "hidden takes"),
        ({"hidden": (0,)}, "at least 1"),
        ({"device": "cpu:x"}, "cpu or cuda"),
    ],
)
def test_training_options_out_of_range_are_refused(bad, words):
    with pytest.raises(UsageError) as e:
        fit("naive", log(60), log(60, 1), **bad)
    assert words in str(e.value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda b: replace(b, o=torch.ones(len(b))), "the responses nobody rated"),
        (lambda b: replace(b, y=b.o.clone()), "rated bad, and found 0"),
        (lambda b: replace(b, y=torch.zeros(len(b))), "rated good, and found 0"),
        (lambda b: replace(b, group=torch.zeros(len(b)).long()), "at least 2 prompts"),
        (lambda b: replace(b, o=None), "clicks only"),
        (lambda b: replace(b, x=b.x.index_fill(0, torch.tensor([7]), torch.nan)), "row 8 has nan"),
        (lambda b: replace(b, x=b.x.index_fill(0, torch.tensor([7]), torch.inf)), "row 8 has inf"),
    ],
)
def test_a_log_that_cannot_support_the_method_is_refused(spoil, words):
    with pytest.raises(TruewardError, match="training") as e:
        fit("ips", spoil(log(60)), log(60, 1))
    assert words in str(e.value)


def test_a_logged_propensity_is_used_and_not_estimated():
    b, val = log(), log(300, 1)
    known = [replace(d, eta=Columns(propensity=torch.sigmoid(d.x[:, 1]))) for d in (b, val)]
    model = fit("ips", *known, epochs=2, clip=0.2)
    about = model.report["nuisances"]["propensity"]
    assert about["logged"]
    assert about["clipped"] == int((known[0].eta.propensity < 0.2).sum())
    w = 1 / known[0].eta.propensity.clamp(min=0.2)[b.o > 0].double()
    assert about["effective_sample_size"] == pytest.approx(
        float(w.sum() ** 2 / (w**2).sum()), abs=0.1
    )


RUN = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from helpers.logs import log
from trueward.fitting.fit import fit
import trueward.training.checkpoints as c
c.Checkpoints.__init__.__defaults__ = (0.0,)
def slow(*a):
    print("epoch", flush=True)
m = fit("causalrm", log(1500), log(300, 1), epochs=12, patience=2, members=2,
        checkpoint=sys.argv[2], progress=slow)
m.save(sys.argv[3])
"""


def begun(folder, name):
    """Start the fit of `RUN` with a checkpoint of its own."""
    script = folder / "fit.py"
    script.write_text(RUN)
    arguments = [Path(__file__).parents[1], folder / name, folder / f"{name}-rm"]
    return Fork(script, arguments, folder / f"{name}-output")


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory):
    """The model of a fit that nothing interrupts."""
    folder = tmp_path_factory.mktemp("left_alone")
    code, _, errors = begun(folder, "whole").end()
    assert code == 0, errors
    return load_file(folder / "whole-rm" / "model.safetensors")


@pytest.mark.parametrize("kill_after", [1, 7, 13])
def test_a_fit_killed_at_any_moment_resumes_to_the_same_model(tmp_path, kill_after, left_alone):
    fit_to_kill = begun(tmp_path, "killed")
    fit_to_kill.wait_for_lines(kill_after)
    time.sleep(0.001 * kill_after)
    fit_to_kill.kill()
    assert not (tmp_path / "killed-rm").exists()
    code, _, errors = begun(tmp_path, "killed").end()
    assert code == 0, errors
    resumed = load_file(tmp_path / "killed-rm" / "model.safetensors")
    assert all(torch.equal(left_alone[k], resumed[k]) for k in left_alone)
    load(tmp_path / "killed-rm")


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    fit("naive", log(100), log(60, 1), epochs=2, checkpoint=tmp_path)
    with pytest.raises(TruewardError, match="other data or settings"):
        fit("naive", log(100), log(60, 1), epochs=3, checkpoint=tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path):
    fit("naive", log(100), log(60, 1), epochs=2, checkpoint=tmp_path)
    file = tmp_path / "reward.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(TruewardError, match="is damaged"):
        fit("naive", log(100), log(60, 1), epochs=2, checkpoint=tmp_path)


def test_every_row_is_a_candidate_by_default():
    assert every(log(5)).tolist() == [0, 1, 2, 3, 4]


def test_hidden_layers_can_be_written_as_text():
    assert fit("naive", log(60), log(60, 1), epochs=1, hidden="16,8").net.shape.hidden == (16, 8)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda b: replace(b, x=b.x[:, :5]), "same columns"),
        (lambda b: replace(b, z=torch.zeros(len(b), 1)), "same columns"),
        (lambda b: replace(b, eta=Columns(propensity=b.o + 0.1)), "same columns"),
    ],
)
def test_logs_with_other_columns_than_the_training_rows_are_refused(spoil, words):
    with pytest.raises(TruewardError, match=words):
        fit("ips", log(200), spoil(log(200, 1)), epochs=1)


def test_columns_that_are_not_aligned_are_refused():
    with pytest.raises(TruewardError, match="y has 3"):
        Feedback(torch.zeros(4, 2), torch.zeros(3))


def test_a_method_can_be_given_as_an_object():
    assert fit(make("ips", {"clip": 0.3}), log(200), log(200, 1), epochs=1).method == "ips"


class Remembering(Method):
    """L = mean of l(s, y) over rated rows; counts the epochs and keeps each row's last logit."""

    paper = "none"
    warm_up: Annotated[float, Opt("share that is not kept", 0, 1, open_high=True)] = 0.0

    @property
    def warm_up_fraction(self):
        return self.warm_up

    def init_memory(self, data):
        return Columns(last=torch.zeros(len(data)), epochs=torch.zeros(len(data)))

    def update_memory(self, out, b):
        return Columns(last=out.reward.detach(), epochs=b.eta.epochs + 1)

    def loss(self, out, b):
        return masked_mean(bce(out.reward, b.y), b.seen)


def started(method, b, **settings):
    cfg = Train(**{"members": 2, "epochs": 3, **settings})
    return train_net(
        problem(method, b),
        cfg,
    )


def test_what_a_method_remembers_is_renewed_after_every_epoch_for_every_member():
    b = log(120)
    state = started(Remembering(), b)
    assert [m.epochs.unique().tolist() for m in state.memory] == [[3.0], [3.0]]
    assert not torch.equal(state.memory[0].last, state.memory[1].last)


def test_memory_survives_a_kill(tmp_path):
    b = log(120)
    p = problem(Remembering(), b)
    whole = train_net(p, Train(epochs=4))
    store = Checkpoints.at(tmp_path, "key")
    stopped = []

    def stop(_stage, epoch, _of, _value):
        if epoch == 3 and not stopped:
            stopped.append(epoch)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_net(p, Train(epochs=4), replace(store, every=0.0), stop)
    again = train_net(p, Train(epochs=4), store)
    assert torch.equal(again.memory[0].last, whole.memory[0].last)
    assert again.memory[0].epochs.unique().tolist() == [4.0]


def test_no_epoch_of_the_warm_up_is_kept_and_all_of_it_is_refused():
    b, val, kept = log(120), log(60, seed=9), []
    for warm_up in (0.0, 0.9):
        p = problem(Remembering(warm_up=warm_up), b, val)
        kept.append(train_net(p, Train(epochs=10, lr=0.1, patience=99)).waited[0])
    assert kept[0] > 0  # so large a step memorises: the best epoch came early
    assert kept[1] == 0  # only the last one counts
    with pytest.raises(UsageError, match="give more epochs or a shorter warm-up"):
        started(Remembering(warm_up=0.9), b, epochs=5)


class Mixing(Method):
    """L = mean of (s - share s_1 - (1 - share) s_2)^2; a linear network makes it 0."""

    paper = "none"

    def mixing(self, b, g):
        return torch.randperm(len(b), generator=g), torch.rand(len(b), generator=g)

    def loss(self, out, b):
        return (out.reward * b.eta.share).sum() + (out.reward * b.eta.partner).mean()


def test_mixed_rows_are_seen_as_mixed_and_micro_batches_agree():
    b = log(24)
    method, inputs = Mixing(), InputTransform.fit(b, torch.float64)
    p = TrainingProblem.on_features("reward", method, b, b, inputs)
    net = Net(Shape(inputs.widths(), method.heads, (), False, 1), 0).double()
    g = torch.Generator().manual_seed(0)
    batch = make_batch(p, torch.arange(24), 0.0, [Columns()], g)
    partner, share = batch.mixing
    x = inputs.x(b.x, torch.float64)
    by_hand = share[:, None] * x + (1 - share[:, None]) * x[partner]
    expected = net({"x": by_hand}).reward
    whole = forward(net, p.train_source, *batch.part(torch.arange(24))).reward
    assert torch.allclose(whole, expected)
    grads = []
    for micro in (None, 7):
        net.zero_grad()
        (MicroBatches(micro).backward if micro else backward)(p, net, batch)
        grads.append([q.grad.clone() for q in net.parameters()])
    assert all(torch.allclose(a, c, atol=1e-6) for a, c in zip(*grads, strict=True))


class Watching(Method):
    """L = mean of l(s, y); stops on a count over the training rows."""

    paper = "none"

    @property
    def monitor_split(self):
        return "training"

    def loss(self, out, b):
        return bce(out.reward, b.y).mean()

    def monitor(self, out, b):
        return torch.tensor(float(len(b)))


def test_a_method_may_be_stopped_on_what_it_shows_on_the_training_rows():
    b = log(120)
    p = problem(Watching(), b, b[torch.arange(30)])
    assert train_net(p, Train(epochs=2)).best_loss == [120.0]


class Constant(Method):
    """L = mean of l(v, y) with one learned number v for all rows."""

    paper = "none"

    @property
    def heads(self):
        return {"reward": "x", "level": "one"}

    @property
    def hidden(self):
        return True

    def loss(self, out, b):
        assert out.hidden.shape == (len(b), 64)
        return bce(out.level, b.y).mean() + 0 * out.hidden.sum() + 0 * out.reward.sum()


def test_a_head_on_nothing_learns_one_number_for_all_rows():
    b = log(400)
    state = started(Constant(), b, epochs=20)
    level = torch.sigmoid(30 * state.net.numbers["level"].detach())
    assert level.flatten().tolist() == pytest.approx([float(b.y.mean())] * 2, abs=0.03)


def test_inputs_that_are_standardised_once_are_those_of_every_batch():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(400, 6, generator=g).bfloat16()
    b = Feedback(x, torch.zeros(400), z=torch.randn(400, 2, generator=g))
    source = FeatureRows(b, InputTransform.fit(b, torch.bfloat16))
    few = torch.tensor([7, 3, 399, 7, 20])
    kept = source.keeping(few, {"x"})
    assert kept.kept["x"].shape == (4, 6)
    for rows in (few, few[:1], torch.tensor([3, 5])):  # row 5 is not kept
        assert torch.equal(kept(rows, {"x"})["x"], source(rows, {"x"})["x"])
    assert torch.equal(kept(few, {"xz"})["xz"], source(few, {"xz"})["xz"])
    # a quarter of the memory of the features is the most that is kept
    assert source.keeping(torch.arange(100), {"x"}) is not source
    assert source.keeping(torch.arange(101), {"x"}) is source
