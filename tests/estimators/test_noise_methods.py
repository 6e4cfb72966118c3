"""Wrong labels, one method after the other: values by hand, and what each claims to do."""

import math
from dataclasses import replace

import pytest
import torch
from helpers.toy import logits, ready, toy

from trueward.core.errors import UsageError
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, entropy, mean_logit, smallest
from trueward.estimators._registry import make
from trueward.fitting.fit import fit

LN2, LOG3 = math.log(2), math.log(3)  # sigmoid(log 3) = 3/4
H = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)  # entropy of 1/4, or 3/4
NAMES = [
    *("co_teaching", "codis", "dividemix", "eps_softmax", "f_correction"),
    *("ilde", "kmeidtm", "labelwave", "selectmix"),
]


@pytest.fixture(autouse=True)
def double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def rows(y, o=None, t=1.0, **eta):
    y = torch.tensor(y, dtype=torch.float64)
    columns = Columns({k: torch.tensor(v, dtype=torch.float64) for k, v in eta.items()})
    seen = torch.ones_like(y) if o is None else torch.tensor(o, dtype=torch.float64)
    return Feedback(torch.zeros(len(y), 1), y, seen, eta=columns, t=t)


def heads(**values):
    return Columns({k: torch.tensor(v, requires_grad=True) for k, v in values.items()})


def value(name, given, out, b):
    return make(name, given).loss(out, b).item()


@pytest.mark.parametrize("name", [n for n in NAMES if n != "labelwave"])
def test_it_is_no_other_name_for_naive(name):
    method = make(name, {"rho_01": 0.1, "rho_10": 0.2} if name == "f_correction" else {})
    b, out = toy(n=40), logits(method, 40)
    method.loss(out, ready(method, b)).backward()
    s = out.reward.detach().requires_grad_()
    make("naive").loss(Columns(reward=s), b).backward()
    assert not torch.allclose(out.reward.grad, s.grad, rtol=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_only_rated_rows_are_computed(name):
    b = toy(o=torch.tensor([1.0, 0, 0, 1, 0, 1]))
    assert make(name).rows(b).tolist() == [0, 3, 5]


# --- pieces


def test_entropy_and_mean_logit_by_hand():
    s = torch.tensor([LOG3, 0.0, -60.0])
    assert entropy(s).tolist() == pytest.approx([H, LN2, 0.0])
    # (3/4 + 1/2) / 2 = 5/8
    both = mean_logit(torch.tensor([LOG3]), torch.zeros(1))
    assert both.item() == pytest.approx(math.log(5 / 3))


@pytest.mark.parametrize(
    ("share", "kept"), [(1.0, [1, 1, 0, 1, 1]), (0.75, [1, 1, 0, 0, 1]), (0.5, [0, 1, 0, 0, 1])]
)
def test_the_smallest_are_counted_inside(share, kept):
    key, where = torch.tensor([3.0, 1.0, 0.0, 4.0, 2.0]), torch.tensor([1.0, 1, 0, 1, 1])
    assert smallest(key, where, share).tolist() == kept


def test_a_whole_number_of_rows_is_not_rounded_up():
    assert smallest(torch.arange(10.0), torch.ones(10), 1 - 0.7).sum() == 3  # 1 - .7 > .3 in floats


# --- eps_softmax


def test_eps_softmax_by_hand():
    """m = 1, P = 3/4 good: observed good (3/4 + 1) / 2 = 7/8, observed bad (1/4 + 0) / 2 = 1/8."""
    out, b = heads(reward=[LOG3, LOG3, 9.0]), rows([1.0, 0.0, 0.0], [1.0, 1.0, 0.0])
    good = 0.5 * math.log(8 / 7) + 3 * 2 / 4
    bad = 0.5 * math.log(8) + 3 * 2 * 3 / 4
    got = value("eps_softmax", {"m": 1, "alpha": 0.5, "beta": 3}, out, b)
    assert got == pytest.approx((good + bad) / 2)


def test_with_a_large_m_only_rows_the_model_disagrees_with_pull():
    out = heads(reward=[0.5, 0.5])
    make("eps_softmax", {"alpha": 1, "beta": 0}).loss(out, rows([1.0, 0.0])).backward()
    agreed, disagreed = out.reward.grad.tolist()
    assert abs(agreed) < 1e-4
    assert disagreed == pytest.approx(0.5 / (1 + math.exp(-0.5)))  # that of the cross-entropy


def test_the_absolute_error_is_symmetric():
    s = torch.linspace(-8, 8, 9)
    one, zero = (
        make("eps_softmax", {"alpha": 0}).loss(Columns(reward=s), rows([y] * 9)).item()
        for y in (1.0, 0.0)
    )
    assert one + zero == pytest.approx(2)


# --- f_correction


def test_f_correction_by_hand():
    """.2 + .7 * 3/4 = .725 of the answers are seen to be good."""
    b = rows([1.0, 0.0, 0.0], [1.0, 1.0, 0.0])
    given = {"rho_01": 0.1, "rho_10": 0.2}
    got = value("f_correction", given, heads(reward=[LOG3, LOG3, 9.0]), b)
    assert got == pytest.approx(-(math.log(0.725) + math.log(0.275)) / 2)


@pytest.mark.parametrize("given", [{}, {"rho_01": 0.1}, {"rho_01": 0.05, "rho_10": 0.3}])
def test_f_correction_is_causalrm_without_weights(given):
    ours = make("f_correction", given)
    theirs = make("causalrm", {"estimator": "none", "correction": "forward", **given})
    b = toy(n=50)
    for scale in (1.0, 20.0):
        a, c = (logits(ours, 50, scale=scale) for _ in range(2))
        one, two = ours.loss(a, b), theirs.loss(c, b)
        one.backward()
        two.backward()
        assert one.item() == pytest.approx(two.item())
        assert torch.allclose(a.reward.grad, c.reward.grad)
    assert [n.name for n in ours.nuisances] == [n.name for n in theirs.nuisances]


def test_f_correction_refuses_rates_without_signal():
    with pytest.raises(UsageError, match=r"below 1, not 1\.1"):
        make("f_correction", {"rho_01": 0.5, "rho_10": 0.6})


# --- co_teaching and codis


def test_co_teaching_keeps_of_the_rated_rows_what_the_other_network_finds_easy():
    """Five rated rows of ten, F = .4: ceil(.6 * 5) = 3 are kept, the other network's easiest."""
    y, o = [1.0] * 5 + [0.0] * 5, [1.0] * 5 + [0.0] * 5
    out = heads(reward=[0.0] * 10, peer=[3.0, 2.0, 1.0, 0.0, -1.0] + [9.0] * 5)
    make("co_teaching", {"forget": 0.4}).loss(out, rows(y, o)).backward()
    # at s = 0 the gradient of l(s, 1) is -1/2, over the three rows that are kept
    assert out.reward.grad.tolist() == pytest.approx([-1 / 6] * 3 + [0.0] * 7)
    # all of s = 0 are equally easy for the peer, so none can be dropped for it
    assert (out.peer.grad[:5] != 0).all()


def test_co_teaching_drops_rows_little_by_little():
    out = heads(reward=[0.0, 0.1, 0.2, 0.3], peer=[0.0, 0.1, 0.2, 0.3])
    easy = [math.log1p(math.exp(-v)) for v in (0.3, 0.2, 0.1, 0.0)]
    for t, kept in ((0.0, 4), (0.125, 3), (0.25, 2), (1.0, 2)):
        got = value("co_teaching", {"forget": 0.5, "ramp": 0.25}, out, rows([1.0] * 4, t=t))
        assert got == pytest.approx(2 * sum(easy[:kept]) / kept)


def test_codis_subtracts_the_divergence_by_hand():
    """p = 3/4, p' = 1/4: the mean is 1/2, JS = ln 2 - H(1/4); l(s, 1) = log 4/3, l(s', 1) = log 4."""
    out, js = heads(reward=[LOG3], peer=[-LOG3]), LN2 - H
    plain = math.log(4 / 3) + math.log(4)
    given = {"weight": 0.5}
    assert value("codis", given, out, rows([1.0])) == pytest.approx(plain - 2 * 0.5 * js)
    got = value("codis", {**given, "penalise": False}, out, rows([1.0]))
    assert got == pytest.approx(plain)


def test_codis_prefers_rows_on_which_the_networks_differ():
    """Both rows cost the peer l(0, 1) = ln 2; they are apart on the second only."""
    out = heads(reward=[0.0, 4.0], peer=[0.0, 0.0])
    make("codis", {"forget": 0.5, "penalise": False}).loss(out, rows([1.0, 1.0])).backward()
    assert out.reward.grad[0] == 0
    assert out.reward.grad[1] < 0


def test_codis_without_weight_is_co_teaching():
    b, out = toy(n=30), logits(make("codis"), 30)
    assert value("codis", {"weight": 0}, out, b) == pytest.approx(value("co_teaching", {}, out, b))


@pytest.mark.parametrize("name", ["co_teaching", "codis", "dividemix"])
def test_two_networks_answer_with_the_mean_of_their_probabilities(name):
    s = make(name).reward(heads(reward=[LOG3, 60.0], peer=[-LOG3, -60.0]))
    assert s.tolist() == pytest.approx([0.0, 0.0], abs=1e-9)


# --- cvib


def test_cvib_by_hand():
    """The rated row has 3/4, the other 1/4: mu_O = 3/4, mu_B = 1/2, their cross-entropy is ln 2."""
    out, b = heads(reward=[LOG3, -LOG3]), rows([1.0, 0.0], [1.0, 0.0])
    got = value("cvib", {"w_reg": 5, "w_info": 2, "w_ent": 3}, out, b)
    expected = 5 * math.log(4 / 3) / 2 + 2 * LN2 + 3 * 0.75 * math.log(0.75)
    assert got == pytest.approx(expected)


def test_cvib_moves_rows_that_nobody_rated_towards_the_rated():
    out = heads(reward=[LOG3, -LOG3])
    make("cvib").loss(out, rows([1.0, 0.0], [1.0, 0.0])).backward()
    assert out.reward.grad[1] < 0


def test_cvib_is_zero_without_a_rated_row():
    assert value("cvib", {}, heads(reward=[1.0, 2.0]), rows([0.0, 0.0], [0.0, 0.0])) == 0


# --- ilde


def test_ilde_remembers_by_hand():
    """P'P = [[10, 6], [6, 10]] / 16, M = [[5, 3], [3, 5]] / 8, P_1 M' = (14, 18) / 32, a gap of 1/8."""
    method, out = make("ilde"), heads(reward=[LOG3, -LOG3])
    b = ready(method, rows([1.0, 0.0]))
    memory = method.update_memory(out, b)
    up = 1 / (1 + math.exp(-1 / 24))  # tau = 3
    assert memory.was_good.tolist() == pytest.approx([0.3 * up, 0.3 * (1 - up)])
    assert memory.was_bad.tolist() == pytest.approx([0.3 * (1 - up), 0.3 * up])
    again = method.update_memory(out, replace(b, eta=memory))
    assert again.was_good[0].item() == pytest.approx(0.3 * up * 1.7)


def test_ilde_by_hand():
    """First without a memory, then with t = (0, 1/2): <t, P> = 3/8 and 1/8."""
    out, b = heads(reward=[LOG3, -LOG3]), rows([1.0, 0.0], was_bad=[0.0, 0.0], was_good=[0.0, 0.0])
    first = math.log(4 / 3) + 2 * (3 / 8) ** 2
    assert value("ilde", {}, out, b) == pytest.approx(first)
    assert make("ilde").monitor(out, b).item() == pytest.approx(first)
    b = rows([1.0, 0.0], was_bad=[0.0, 0.0], was_good=[0.5, 0.5])
    second = 3 * (math.log(5 / 8) + math.log(7 / 8)) / 2
    assert value("ilde", {}, out, b) == pytest.approx(first + second)


def test_the_memory_of_a_row_opposes_its_label():
    """A wrong label pulls down; a memory of good predictions pulls less of it through."""
    slopes = []
    for was_good in (0.0, 0.6):
        out = heads(reward=[1.0, -1.0])
        b = rows([0.0, 0.0], was_bad=[0.0, 0.0], was_good=[was_good, 0.0])
        make("ilde").loss(out, b).backward()
        slopes.append(out.reward.grad[0].item())
    assert slopes[1] < slopes[0]


# --- labelwave


def test_labelwave_counts_the_changes_of_the_rated_rows():
    """Four rated rows: 2, 1, 1 and 0 of them change; the fifth row is not rated and changes always."""
    method, b = make("labelwave"), rows([1.0, 1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0, 0.0])
    b, seen = ready(method, b), []
    for s in ("++++-", "+--++", "---+-", "+--++", "+--+-"):
        out = heads(reward=[1.0 if c == "+" else -1.0 for c in s])
        seen.append(method.monitor(out, b).item())
        b = replace(b, eta=method.update_memory(out, b))
    assert seen == pytest.approx([1, 1 / 2, (1 / 2 + 1 / 4) / 2, 1 / 3, (1 / 4 + 1 / 4) / 3])


def test_labelwave_stops_at_the_first_minimum_of_training_and_trains_as_naive_does():
    method = make("labelwave")
    assert method.monitor_split == "training"
    assert method.defaults["patience"] == 2
    b, out = toy(n=30), logits(method, 30)
    assert value("labelwave", {}, out, b) == pytest.approx(value("naive", {}, out, b))


def test_labelwave_never_looks_at_the_validation_labels():
    torch.set_default_dtype(torch.float32)
    g = torch.Generator().manual_seed(0)
    x = torch.randn(300, 8, generator=g)
    b = Feedback(x, (x[:, 0] + torch.randn(300, generator=g) > 0).float(), torch.ones(300))
    train, val = b[torch.arange(200)], b[torch.arange(200, 300)]
    one, two = (
        fit("labelwave", train, v, hidden=(16,)).score_features(x).preferred
        for v in (val, replace(val, y=1 - val.y))
    )
    assert torch.equal(one, two)


# --- selectmix

# (label, eta): rows 0 to 3 agree, of them 0, 1 and 3 are at or above the median of their class; row 4 is
# doubted, its class is good; row 5 is doubted, its class is bad; row 6 is not rated
MIX = {
    "y": [1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0],
    "o": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    "noisy": [0.9, 0.8, 0.6, 0.1, 0.7, 0.3, 0.9],
}


def test_selectmix_mixes_doubtful_rows_with_confident_ones_of_their_class():
    b, found = rows(MIX["y"], MIX["o"], noisy=MIX["noisy"]), set()
    for k in range(20):
        partner, share = make("selectmix").mixing(b, torch.Generator().manual_seed(k))
        assert partner[[0, 1, 2, 3, 6]].tolist() == [0, 1, 2, 3, 6]
        assert (share[[0, 1, 2, 3, 6]] == 1).all()
        assert partner[5] == 3
        assert ((share > 0) & (share <= 1)).all()
        found.add(int(partner[4]))
    assert found == {0, 1}


def test_selectmix_by_hand():
    """Row 4 keeps 1/4 of its half-half label and takes 3/4 of a good one: 1/8 + 3/4 = 7/8."""
    share = [1.0, 1.0, 1.0, 1.0, 0.25, 1.0, 1.0]
    b = rows(MIX["y"], MIX["o"], noisy=MIX["noisy"], share=share)
    b.eta["partner"] = torch.tensor([0, 1, 2, 3, 0, 5, 6])
    s = torch.tensor([0.3, -0.2, 1.0, 0.4, 2.0, -1.0, 5.0])
    target = torch.tensor([1.0, 1.0, 1.0, 0.0, 7 / 8, 1 / 2])
    expected = bce(s[:6], target).mean().item()
    assert value("selectmix", {}, Columns(reward=s), b) == pytest.approx(expected)
    target[4] = 1 / 2  # what a validation row is held to: nothing is mixed
    shown = make("selectmix").monitor(Columns(reward=s), b).item()
    assert shown == pytest.approx(bce(s[:6], target).mean().item())


# --- kmeidtm


def noise_free(s):
    return heads(
        reward=s, **{f"w_{i}{j}{c}": [0.0] * len(s) for i in (0, 1) for j in (0, 1) for c in (0, 1)}
    )


def test_the_noise_matrix_starts_at_one_in_twenty():
    t = make("kmeidtm").matrix(noise_free([-60.0, 0.0, 3.0]))
    assert torch.allclose(t, torch.tensor([[0.95, 0.05], [0.05, 0.95]]).expand(3, 2, 2))


def test_a_number_moves_one_entry_for_one_class():
    out = noise_free([60.0])
    out["w_101"] = torch.tensor([3.0])  # 3 / 30 = .1: (.15, .95) / 1.1 where the answer is good
    t = make("kmeidtm").matrix(out)[0].tolist()
    assert t[0] == pytest.approx([0.95, 0.05])
    assert t[1] == pytest.approx([0.15 / 1.1, 0.95 / 1.1])


def test_kmeidtm_by_hand():
    """(P T)_good = 1/4 * .05 + 3/4 * .95 = .725; T is the same everywhere, so nothing is rough."""
    b = rows([1.0, 0.0, 1.0], [1.0, 1.0, 0.0], kept=[1.0, 1.0, 1.0])
    got = value("kmeidtm", {}, noise_free([LOG3, LOG3, 0.0]), b)
    assert got == pytest.approx(-(math.log(0.725) + math.log(0.275)) / 2)
    b = rows([1.0, 0.0], kept=[1.0, 0.0])
    got = value("kmeidtm", {}, noise_free([LOG3, LOG3]), b)
    assert got == pytest.approx(-math.log(0.725))


def test_the_smoothness_of_the_noise_by_hand():
    """p = .9, .7, .2: nearest are .7, .9 and .7; the last is of another class, so apart is good there."""
    t = torch.zeros(3, 2, 2)
    t[0, 0, 0], t[1, 1, 1] = 0.5, 1.0  # |T_0 - T_1|^2 = 5/4, |T_2 - T_1|^2 = 1
    method = make("kmeidtm", {"neighbours": 1, "width": 1.0})
    expected = (2 * math.exp(-0.04) * 5 / 4 - math.exp(-0.25) * 1) / 3
    assert method.roughness(torch.tensor([0.9, 0.7, 0.2]), t).item() == pytest.approx(expected)


def test_the_warm_up_of_kmeidtm_penalises_confidence():
    b = rows([1.0], t=0.1, kept=[1.0])
    got = value("kmeidtm", {}, noise_free([LOG3]), b)
    assert got == pytest.approx(math.log(4 / 3) - H)


def test_kmeidtm_keeps_the_most_confident_rated_rows():
    method = make("kmeidtm")
    b = ready(method, rows([1.0] * 6, [1.0] * 5 + [0.0]))
    out = noise_free([3.0, -4.0, 0.1, 2.0, -0.5, 9.0])
    assert method.update_memory(out, replace(b, t=0.1)).kept.tolist() == [1] * 6
    assert method.update_memory(out, b).kept.tolist() == [1, 1, 0, 1, 1, 0]


# --- dividemix


def test_dividemix_by_hand():
    """Row 0 is clean, w = 3/4: t = 3/4 + 1/4 * 1/4 = 13/16. Row 1 is not, p = 3/4: t = 9 / (9 + 1).

    At s = 0 the mean prediction is the prior 1/2, so it costs nothing. u = 25 * (.35 - .2) / .3 = 12.5.
    """
    eta = {
        "clean": [0.75, 0.25],
        "clean_peer": [0.75, 0.25],
        "guess": [0.25, 0.75],
        "base": [0.5] * 2,
    }
    b = rows([1.0, 0.0], t=0.35, share=[1.0, 1.0], **eta)
    b.eta["partner"] = torch.tensor([0, 1])
    out = heads(reward=[0.0, 0.0], peer=[0.0, 0.0])
    got = make("dividemix").loss(out, b)
    assert got.item() == pytest.approx(2 * (LN2 + 12.5 * (0.5 - 0.9) ** 2))
    got.backward()
    # d l(s, t) / ds = 1/2 - 13/16; d 12.5 (q - t)^2 / ds = 25 (q - t) / 4
    assert out.reward.grad.tolist() == pytest.approx([-5 / 16, 25 * -0.4 / 4])


def test_a_head_learns_from_the_split_of_the_other():
    method = make("dividemix", {"weight": 0.0, "prior": 0.5})
    b = ready(method, rows([1.0, 1.0, 0.0, 0.0]))
    b.eta["clean"] = torch.tensor([1.0, 0.0, 1.0, 0.0])
    out = heads(reward=[0.0] * 4, peer=[0.0] * 4)
    method.loss(out, b).backward()
    assert (out.reward.grad != 0).all()  # the peer calls every row clean
    assert out.peer.grad.tolist() == pytest.approx([-1 / 4, 0, 1 / 4, 0])


def test_the_prior_costs_its_divergence():
    """Mean prediction 1/2, prior 3/4: KL = 3/4 log(3/2) + 1/4 log(1/2), for either head."""
    eta = {"clean": [1.0] * 4, "clean_peer": [1.0] * 4, "guess": [0.5] * 4, "base": [0.75] * 4}
    b = rows([1.0, 1.0, 1.0, 0.0], share=[1.0] * 4, **eta)
    b.eta["partner"] = torch.arange(4)
    out = heads(reward=[0.0] * 4, peer=[0.0] * 4)
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert value("dividemix", {}, out, b) == pytest.approx(2 * (LN2 + kl))
    assert value("dividemix", {"prior": 0.5}, out, b) == pytest.approx(2 * LN2)
    assert make("dividemix").init_memory(b).base.tolist() == [0.75] * 4


def separated():
    """Two rows in ten have a label that the network is sure is wrong."""
    g = torch.Generator().manual_seed(0)
    y = (torch.rand(200, generator=g) > 0.5).double()
    s = (2 * y - 1) * (2 + 0.3 * torch.randn(200, generator=g))
    s[:40] *= -1
    return Columns(reward=s, peer=s * 0), rows(y.tolist())


def test_dividemix_finds_the_rows_with_high_losses():
    method, (out, b) = make("dividemix"), separated()
    memory = method.update_memory(out, ready(method, b))
    assert (memory.clean[:40] < 0.1).all()
    assert (memory.clean[40:] > 0.9).all()
    assert (memory.clean_peer == 1).all(), "all its losses are ln 2: nothing to split"
    assert torch.allclose(memory.guess, (torch.sigmoid(out.reward) + 0.5) / 2)


@pytest.mark.filterwarnings("error")
def test_a_mixture_that_does_not_converge_leaves_the_split_as_it_was(monkeypatch):
    import sklearn.mixture

    class Hasty(sklearn.mixture.BayesianGaussianMixture):
        def __init__(self, **given):
            super().__init__(**{**given, "max_iter": 1, "tol": 0.0})

    monkeypatch.setattr(sklearn.mixture, "BayesianGaussianMixture", Hasty)
    method, (out, b) = make("dividemix"), separated()
    b = ready(method, b)
    b.eta["clean"] = torch.full((200,), 0.3)
    assert (method.update_memory(out, b).clean == 0.3).all()


@pytest.mark.parametrize(("t", "blamed"), [(0.2, True), (0.3, False), (1.0, False)])
def test_rows_that_are_fitted_too_well_count_as_noisy_at_first(t, blamed):
    """fade s > 1 turns the label of a good answer: at .2 beyond s = 5, at .1 beyond s = 10."""
    method, (out, b) = make("dividemix"), separated()
    out["reward"] = torch.where(torch.arange(200) == 100, (2 * b.y - 1) * 7, out.reward)
    memory = method.update_memory(out, replace(ready(method, b), t=t))
    assert bool(memory.clean[100] < 0.5) is blamed


def test_the_warm_up_of_dividemix_penalises_confidence_and_mixes_nothing():
    method, b = make("dividemix"), rows([1.0], t=0.1)
    assert method.mixing(b, torch.Generator()) is None
    assert method.warm_up_fraction == method.warm_up == 0.2
    got = method.loss(heads(reward=[LOG3], peer=[0.0]), b).item()
    assert got == pytest.approx(math.log(4 / 3) - H + LN2 - LN2)


def test_mixup_keeps_more_than_half_of_the_row():
    b = rows([1.0, 0.0, 1.0])
    shares = []
    for k in range(50):
        partner, share = make("dividemix").mixing(b, torch.Generator().manual_seed(k))
        assert sorted(partner.tolist()) == [0, 1, 2]
        assert len(set(share.tolist())) == 1
        shares.append(share[0].item())
    assert min(shares) >= 0.5
    assert 0.6 < sum(shares) / 50 < 0.7  # Beta(4, 4) has mean |B - 1/2| = .137
