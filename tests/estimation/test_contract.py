"""Every method that is found keeps the contract; nobody lists them by hand."""

import copy
import dataclasses
import inspect
import itertools
import json
from pathlib import Path

import pytest
import torch
from helpers.toy import every_variant, logits, ready, toy

from trueward.core.errors import UsageError
from trueward.core.options import options
from trueward.data.feedback import Columns
from trueward.estimation.method import Method, settings
from trueward.estimators._card import card
from trueward.estimators._registry import make, methods
from trueward.training.config import Train

VARIANTS = every_variant()
all_variants = pytest.mark.parametrize(
    "method", [m for _, m in VARIANTS], ids=[i for i, _ in VARIANTS]
)
all_names = pytest.mark.parametrize("name", sorted(methods()))


@pytest.fixture(autouse=True)
def double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def test_the_methods_of_this_version_are_found_by_their_files():
    assert {"oracle", "naive", "ips", "snips", "dr", "causalrm", "implicitrm"} <= set(methods())


@all_names
def test_a_method_is_a_documented_frozen_dataclass_in_a_file_of_its_name(name):
    cls = methods()[name]
    assert cls.__dataclass_params__.frozen
    assert inspect.getdoc(cls).startswith("L = "), "the docstring starts with the formula"
    assert cls.paper
    assert Path(inspect.getfile(cls)).stem == name


@all_names
def test_every_option_says_what_it_means_and_none_is_an_option_of_training(name):
    mine = options(methods()[name])
    assert all(o.opt.help for o in mine.values())
    assert not set(mine) & set(options(Train))


@all_names
def test_a_card_is_generated_with_formula_assumption_and_source(name):
    text = card(name)
    assert text.startswith(f"# {name}\n")
    assert "L = " in text
    assert "**Assumptions**" in text
    assert methods()[name].paper in text


@all_names
def test_methods_are_final(name):
    with pytest.raises(TypeError, match="final"):
        type("Sub", (methods()[name],), {})


@all_variants
def test_fields_survive_json_and_pickle(method):
    import pickle

    assert pickle.loads(pickle.dumps(method)) == method
    assert make(method.name, json.loads(json.dumps(settings(method)))) == method
    assert copy.deepcopy(method) == method


@all_variants
def test_options_can_be_written_as_text(method):
    words = {
        k: ",".join(map(str, v))
        if isinstance(v, tuple)
        else str(v).lower()
        if isinstance(v, bool)
        else str(v)
        for k, v in settings(method).items()
    }
    assert make(method.name, words) == method


EDGES = {
    "random": {},
    "none seen": {"y": torch.zeros(6), "o": torch.zeros(6)},
    "all seen": {"o": torch.ones(6)},
    "all good": {"y": torch.ones(6), "o": torch.ones(6)},
    "all bad": {"y": torch.zeros(6), "o": torch.ones(6)},
    "one row": {"n": 1},
}


@all_variants
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("scale", [1.0, 60.0])
@pytest.mark.parametrize("t", [0.0, 1.0])
def test_loss_and_gradient_are_finite(method, edge, scale, t):
    kind = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in EDGES[edge].items()}
    b = ready(method, dataclasses.replace(toy(**kind), t=t))
    out = logits(method, len(b), scale=scale)
    loss = method.loss(out, b)
    assert loss.dim() == 0
    assert torch.isfinite(loss)
    loss.backward()
    assert all(v.grad is None or v.grad.isfinite().all() for v in out.values())
    assert torch.isfinite(method.monitor(out, b))


@all_variants
def test_the_order_of_rows_is_irrelevant(method):
    b, i = toy(), torch.tensor([3, 1, 5, 0, 4, 2])
    out = logits(method, 6)
    b, other = ready(method, b), ready(method, b[i])
    assert torch.allclose(method.loss(out, b), method.loss(out[i], other))


@all_variants
def test_rows_that_are_left_out_could_not_have_changed_the_gradient(method):
    b = toy()
    rows = method.rows(b)
    full = logits(method, 6)
    method.loss(full, ready(method, b)).backward()
    gradient = full.reward.grad
    left = torch.ones(6, dtype=bool)
    left[rows] = False
    assert (gradient[left] == 0).all()
    part = Columns({k: v.detach()[rows].requires_grad_() for k, v in full.items()})
    method.loss(part, ready(method, b[rows])).backward()
    ours, theirs = part.reward.grad, gradient[rows]
    assert torch.allclose(ours * theirs.norm(), theirs * ours.norm(), atol=1e-12), "same direction"


def test_a_batch_without_a_rated_row_teaches_rated_row_methods_nothing():
    b = toy(o=torch.zeros(6))
    for name in ("naive", "ips", "snips"):
        m = make(name)
        out = logits(m, 6)
        loss = m.loss(out, b)
        loss.backward()
        assert loss == 0
        assert (out.reward.grad == 0).all()


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("nave", {}, "did you mean naive"),
        ("ips", {"clp": 0.1}, "did you mean clip"),
        ("ips", {"clip": 0}, "(0, 1]"),
        ("ips", {"clip": "much"}, "a number"),
        ("ips", {"clip": float("nan")}, "not nan"),
        ("ips", {"clip": True}, "a number"),
        ("naive", {"preset": "paper"}, "has no preset"),
        ("causalrm", {"estimator": "drr"}, "none, ips, snips or dr"),
        ("causalrm", {"rho_01": 0.6, "rho_10": 0.5}, "below 1"),
        ("causalrm", {"rho_01": 1.0}, "[0, 1)"),
        ("causalrm", {"correction": "none", "rho_01": 0.1}, "would ignore"),
        ("causalrm", {"risk": "capped"}, "leave risk=plain"),
        ("implicitrm", {}, "needs the option identify"),
        ("implicitrm", {"identify": "none"}, "allow_unidentified"),
        ("implicitrm", {"identify": "scar", "prior": 1.0}, "(0, 1)"),
        ("implicitrm", {"identify": "scar", "form": "em", "false_click": 0.1}, "form=direct"),
    ],
)
def test_a_wrong_option_is_refused_with_what_would_be_right(name, given, words):
    with pytest.raises(UsageError) as e:
        make(name, given)
    assert words in str(e.value)
    assert "\n" not in str(e.value)


def test_the_paper_preset_of_causalrm_is_the_published_form():
    m = make("causalrm", {"preset": "paper"})
    assert (m.estimator, m.correction, m.risk) == ("dr", "backward", "plain")
    assert (m.clip, m.quantile, m.rates, m.impute) == (0.1, 0.97, "batch", "noisy")
    assert (m.batch_rows, m.nuisance_fit) == ("all", "in_sample")
    assert (m.propensity_loss, m.proxy_loss, m.stop_on) == ("squared", "log", "validation")
    assert make("causalrm", {"preset": "paper", "clip": 0.2}).clip == 0.2


def test_a_method_from_another_package_is_a_plain_subclass():
    class Mine(Method):
        """L = nothing."""

        def loss(self, out, b):
            return out.reward.sum() * 0

    assert Mine().rows(toy()).tolist() == list(range(6))
    assert list(itertools.chain(Mine().heads)) == ["reward"]
