"""Learning from clicks: values by hand, expectations over every act, and the mechanisms that are claimed."""

import itertools
import math

import pytest
import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.click_strata import strata
from trueward.estimation.losses import bce, log_mixture, wasserstein
from trueward.estimation.nuisances import activity_rate
from trueward.estimators._registry import make
from trueward.estimators.recrec import popularity
from trueward.fitting.fit import fit

LN2, LN3 = math.log(2), math.log(3)


@pytest.fixture(autouse=True)
def double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def clicks(y, group=None, t=1.0, gold=None, **eta):
    y = torch.tensor(y, dtype=torch.float64)
    columns = {k: torch.as_tensor(v, dtype=torch.float64).expand(len(y)) for k, v in eta.items()}
    group = None if group is None else torch.tensor(group)
    gold = None if gold is None else torch.tensor(gold)
    return Feedback(torch.zeros(len(y), 1), y, group=group, gold=gold, eta=Columns(columns), t=t)


def leaf(*values):
    return torch.tensor(values, dtype=torch.float64).requires_grad_()


# --- upu, nnpu ---


def test_upu_by_hand():
    """One click in two rows, c = 1/2, so prior 1: -1 * mean_P s + mean softplus(s), s = ln 3 and 0.

    softplus(ln 3) = ln 4 = 2 ln 2 and softplus(0) = ln 2: -ln 3 + 3/2 ln 2.
    """
    b = clicks([1.0, 0.0], activity_rate=0.5)
    assert make("upu").loss(Columns(reward=leaf(LN3, 0.0)), b).item() == pytest.approx(
        -LN3 + 1.5 * LN2
    )


def test_nnpu_is_upu_where_the_risk_of_the_bad_is_not_negative():
    b, s = clicks([1.0, 0.0, 0.0], activity_rate=0.8), leaf(LN3, 0.0, 0.0)
    losses = [make(name).loss(Columns(reward=s), b) for name in ("upu", "nnpu")]
    slopes = [torch.autograd.grad(loss, s, retain_graph=True)[0] for loss in losses]
    assert losses[0].item() == pytest.approx(losses[1].item())
    assert torch.allclose(*slopes)


def test_nnpu_steps_back_where_it_is_negative():
    """Two clicks in two rows and c = 1/2: w = 2, R_n = -mean l(s, 0) = -(ln 4 + ln 2)/2 at s = (ln 3, 0).

    R_p = mean 2 l(s, 1) = (ln 4 - ln 3) + ln 2. The step raises R_n: d(-R_n)/ds = sigmoid(s)/2, which is
    3/8 and 1/4, and R_p does not enter. zeta scales the step, beta moves the value.
    """
    b = clicks([1.0, 1.0], activity_rate=0.5)
    for zeta, beta in ((1.0, 0.0), (0.5, 0.25)):
        s = leaf(LN3, 0.0)
        loss = make("nnpu", {"zeta": zeta, "beta": beta}).loss(Columns(reward=s), b)
        loss.backward()
        assert loss.item() == pytest.approx(3 * LN2 - LN3 - beta)
        assert s.grad.tolist() == pytest.approx([zeta * 3 / 8, zeta / 4])


def test_nnpu_leaves_a_risk_within_beta_alone():
    """R_n = -3/2 ln 2 = -1.04 lies above -2: the value is R_p + R_n."""
    b = clicks([1.0, 1.0], activity_rate=0.5)
    loss = make("nnpu", {"beta": 2.0}).loss(Columns(reward=leaf(LN3, 0.0)), b)
    assert loss.item() == pytest.approx(3 * LN2 - LN3 - 1.5 * LN2)


def test_nnpu_deals_clicks_evenly_to_the_batches():
    y = torch.zeros(103)
    y[:13] = 1
    data, g = Feedback(torch.zeros(103, 1), y), torch.Generator().manual_seed(3)
    parts = list(make("nnpu").batches(data, torch.arange(103), 25, g))
    assert sorted(torch.cat(parts).tolist()) == list(range(103))
    assert {len(part) for part in parts} == {20, 21}
    assert {int(y[part].sum()) for part in parts} == {2, 3}
    other = list(make("nnpu").batches(data, torch.arange(103), 25, g))
    assert any(a.tolist() != c.tolist() for a, c in zip(parts, other, strict=True))


def test_the_prior_is_given_or_the_share_of_good_gold_labels_or_the_anchor():
    """Three clicks in ten rows: a prior of .6, or gold labels of which 3 in 4 are good, or eta up to .5."""
    nan = float("nan")
    gold = [1.0, 0.0, 1.0, 1.0, *[nan] * 6]
    b = clicks([1.0] * 3 + [0.0] * 7, gold=gold, noisy=[0.5] * 9 + [0.1])
    for rate, c in (
        (activity_rate(0.6, 0.9), 0.5),
        (activity_rate(None, 0.9, gold=True), 0.4),
        (activity_rate(None, 0.5), 0.5),
    ):
        values, report = rate.compute(b, 0)
        assert values["activity_rate"] == pytest.approx(c)
        assert report["implied_prior"] == pytest.approx(0.3 / c)


@pytest.mark.parametrize("name", ["upu", "nnpu"])
def test_a_known_prior_needs_no_nuisance_network(name):
    kinds = {
        k: [n.name for n in make(name, o).nuisances]
        for k, o in {"given": {"prior": 0.5}, "gold": {"prior_from": "gold"}, "none": {}}.items()
    }
    assert kinds == {
        "given": ["activity_rate"],
        "gold": ["activity_rate"],
        "none": ["noisy", "activity_rate"],
    }
    assert "gold" in make(name, {"prior_from": "gold"}).needs


def test_a_share_of_good_gold_labels_below_that_of_clicks_is_refused():
    b = clicks([1.0, 1.0, 0.0, 0.0], gold=[0.0, 0.0, 1.0, 0.0])
    with pytest.raises(TruewardError, match=r"share of good gold labels .*0\.25"):
        activity_rate(None, 0.9, gold=True).compute(b, 0)


@pytest.mark.parametrize(
    ("name", "given"),
    [(m, {"prior": 0.5, "prior_from": "gold"}) for m in ("upu", "nnpu")]
    + [(m, {"prior": 0.5}) for m in ("rmf", "ubpr", "uprl")],
)
def test_a_prior_that_would_be_ignored_is_refused(name, given):
    with pytest.raises(UsageError, match="would ignore the given prior"):
        make(name, given)


@pytest.mark.parametrize("name", ["upu", "nnpu", "bpr", "ubpr", "uprl", "recrec", "counterif"])
def test_a_log_with_negative_ratings_is_refused(name):
    from trueward.data.capabilities import LogCapabilities
    from trueward.estimation.requirements import lacking

    b = clicks([1.0] * 10 + [0.0] * 10, list(range(20)), propensity=0.5)
    rated = Feedback(b.x, b.y, torch.ones(20), group=b.group, eta=b.eta)
    assert lacking(make(name), LogCapabilities.from_feedback(b)) is None
    assert "clicks" in lacking(make(name), LogCapabilities.from_feedback(rated))


# --- rmf ---


def test_rmf_by_hand():
    """theta = 1/2 and s = ln 3, 0: sigmoid = 3/4, 1/2. The click: 2 (1/4)^2 - (3/4)^2 = -7/16; then 1/4."""
    b = clicks([1.0, 0.0], propensity=0.5)
    out = Columns(reward=leaf(LN3, 0.0))
    assert make("rmf").loss(out, b).item() == pytest.approx((-7 / 16 + 1 / 4) / 2)
    log = make("rmf", {"cost": "log"}).loss(out, b).item()
    assert log == pytest.approx((2 * LN2 - 2 * LN3 + LN2) / 2)


def test_rmf_floors_theta():
    b = clicks([1.0, 0.0], propensity=0.05)
    out = Columns(reward=leaf(0.0, 0.0))
    # 1/theta = 5: 5/4 - 4/4, and 1/4
    assert make("rmf", {"clip": 0.2}).loss(out, b).item() == pytest.approx((1 / 4 + 1 / 4) / 2)


def test_one_theta_with_the_cost_of_upu_is_upu():
    b, out = clicks([1.0, 0.0, 1.0], activity_rate=0.7), Columns(reward=leaf(0.3, -1.0, 2.0))
    rmf = make("rmf", {"theta": "scar", "cost": "log"}).loss(out, b)
    assert rmf.item() == pytest.approx(make("upu").loss(out, b).item())


# --- bpr, ubpr, uprl ---


def test_bpr_by_hand():
    """Prompt 0: the click at ln 3 over 0 and over ln 3; prompt 1 has no click. softplus(-ln 3) = ln(4/3)."""
    b = clicks([1.0, 0.0, 0.0, 0.0, 0.0], [0, 0, 0, 1, 1])
    s = leaf(LN3, 0.0, LN3, 5.0, -5.0)
    loss = make("bpr").loss(Columns(reward=s), b)
    assert loss.item() == pytest.approx((math.log(4 / 3) + LN2) / 2)
    loss.backward()
    assert s.grad.tolist() == pytest.approx([-(1 / 4 + 1 / 2) / 2, 1 / 8, 1 / 4, 0, 0])


def test_bpr_ignores_what_a_prompt_adds_to_all_its_answers():
    b = clicks([1.0, 0.0, 1.0, 0.0], [0, 0, 1, 1])
    s = leaf(0.3, -1.0, 2.0, 0.5)
    moved = s + torch.tensor([7.0, 7.0, -3.0, -3.0])
    losses = [make("bpr").loss(Columns(reward=v), b).item() for v in (s, moved)]
    assert losses[0] == pytest.approx(losses[1])


@pytest.mark.parametrize("name", ["bpr", "ubpr", "uprl"])
def test_pairs_are_drawn_anew_and_prompts_stay_whole(name):
    group = torch.arange(40) // 4
    data = Feedback(torch.zeros(40, 1), torch.zeros(40), group=group)
    g = torch.Generator().manual_seed(0)
    first, second = (list(make(name).batches(data, torch.arange(40), 12, g)) for _ in range(2))
    assert [p.tolist() for p in first] != [p.tolist() for p in second]
    for part in first:
        assert all((group[part] == k).sum() in (0, 4) for k in range(10))


def test_ubpr_by_hand():
    """Two rows, clicks in both, theta 1/2: y/theta = 2, so every pair weighs 2 (1 - 2) = -2.

    softplus(-ln 3) + softplus(ln 3) = ln(4/3) + ln 4 = 4 ln 2 - ln 3, over the two pairs.
    """
    b, out = clicks([1.0, 1.0], [0, 0], propensity=0.5), Columns(reward=leaf(LN3, 0.0))
    assert make("ubpr", {"beta": None}).loss(out, b).item() == pytest.approx(LN3 - 4 * LN2)
    # -2 ln(4/3) = -.575 stays above -1, -2 ln 4 does not
    bound = make("ubpr", {"beta": 1.0}).loss(out, b).item()
    assert bound == pytest.approx((-2 * math.log(4 / 3) - 1) / 2)
    assert make("ubpr").loss(out, b).item() == 0


def test_ubpr_weighs_a_rarely_acted_on_click_up():
    """Only pairs with a click first count: 1/theta_i softplus(0) = 4 ln 2 and 2 ln 2, of 2 + 2 pairs."""
    b = clicks([1.0, 0.0, 1.0, 0.0], [0, 0, 1, 1], propensity=[0.25, 0.9, 0.5, 0.9])
    loss = make("ubpr").loss(Columns(reward=torch.zeros(4)), b)
    assert loss.item() == pytest.approx(6 * LN2 / 4)


def test_uprl_by_hand():
    """theta = q = 1/2: u of the row without a click is (1/2)/(3/4) = 2/3; pair 2 * 2/3 ln 2, of two pairs.

    The point: t = 2 and 0 at v = 0: -(2 ln 1/2 - ln 1/2) = ln 2, and ln 2.
    """
    out = Columns(reward=leaf(0.0, 0.0), point=leaf(0.0, 0.0))
    loss = make("uprl").loss(out, clicks([1.0, 0.0], [0, 0], propensity=0.5))
    assert loss.item() == pytest.approx(2 / 3 * LN2 + LN2, rel=1e-4)
    loss.backward()
    assert out.reward.grad.tolist() == pytest.approx([-1 / 3, 1 / 3], rel=1e-4)
    # q is held fixed in u: the point learns (sigmoid(v) - t) / 2 alone
    assert out.point.grad.tolist() == pytest.approx([-3 / 4, 1 / 4], rel=1e-4)


def test_uprl_gives_the_chosen_head():
    out = Columns(reward=leaf(1.0), point=leaf(2.0))
    assert make("uprl").reward(out).item() == 1
    assert make("uprl", {"score": "point"}).reward(out).item() == 2


def test_uprl_is_unbiased_for_pairs_when_theta_and_the_head_are_right():
    """E over r* ~ gamma and A ~ theta, all 2^6 cases, of the pair loss: gamma_i (1 - gamma_j) softplus."""
    gamma, theta = torch.tensor([0.2, 0.5, 0.8]), torch.tensor([0.9, 0.4, 0.6])
    s, m = torch.tensor([0.3, -1.1, 1.0]), make("uprl")
    ideal = sum(
        gamma[i] * (1 - gamma[j]) * torch.nn.functional.softplus(s[j] - s[i]) / 6
        for i, j in itertools.permutations(range(3), 2)
    )

    def expected(v):
        total = torch.zeros(())
        for good in itertools.product((0.0, 1.0), repeat=3):
            for act in itertools.product((0.0, 1.0), repeat=3):
                r, a = torch.tensor(good), torch.tensor(act)
                chance = torch.where(r > 0, gamma, 1 - gamma) * torch.where(a > 0, theta, 1 - theta)
                b = clicks((r * a).tolist(), [0, 0, 0], propensity=theta)
                t = b.y / theta
                point = -(
                    t * log_mixture(v, 1e-5, 1 + 1e-5) + (1 - t) * log_mixture(v, 1 + 1e-5, 1e-5)
                ).mean()
                pair = m.loss(Columns(reward=s, point=v), b) - point
                total = total + chance.prod() * pair
        return total

    assert expected(torch.logit(gamma)).item() == pytest.approx(ideal.item(), rel=1e-4)
    assert expected(torch.zeros(3)).item() != pytest.approx(ideal.item(), rel=0.02)


# --- recrec ---


def test_recrec_by_hand():
    """g = mu = 1/2: without a click both posteriors are (1/4)/(3/4) = 1/3, at s = v = 0 l = ln 2 for any.

    Click: ln 2 + ln 2 - ln 1/4; without: ln 2 + ln 2 - ln 3/4. Slopes in v: (1/2 - 1)/2, (1/2 - 1/3)/2; in s
    the product term doubles them: -(1 - g) and mu g (1 - g)/(1 - mu g) = 1/6 once more.
    """
    s, v = leaf(0.0, 0.0), leaf(0.0, 0.0)
    loss = make("recrec").loss(Columns(reward=s, exposure=v), clicks([1.0, 0.0]))
    assert loss.item() == pytest.approx((4 * LN2 + 2 * LN2 + 2 * LN2 - LN3) / 2)
    loss.backward()
    assert v.grad.tolist() == pytest.approx([-1 / 4, 1 / 12])
    assert s.grad.tolist() == pytest.approx([-1 / 2, 1 / 6])


def test_recrec_climbs_the_likelihood_of_implicitrm():
    """Without popularity its slope in the exposure is that of CE(g mu, y), and in s it is twice that."""
    g = torch.Generator().manual_seed(0)
    b = clicks([1.0, 0.0, 0.0, 1.0, 0.0])
    s, v = (torch.randn(5, generator=g).requires_grad_() for _ in range(2))
    make("recrec").loss(Columns(reward=s, exposure=v), b).backward()
    p, q = (t.detach().clone().requires_grad_() for t in (s, v))
    make("implicitrm", {"identify": "scar"}).direct(p, q, b.y).backward()
    assert torch.allclose(s.grad, 2 * p.grad)
    assert torch.allclose(v.grad, q.grad)


def test_recrec_uses_popularity_only_in_form_f():
    b = clicks([1.0, 0.0], popularity=[1.0, 0.0])
    out = Columns(reward=leaf(0.0, 0.0), exposure=leaf(0.0, 0.0))
    plain, pinned = (
        make("recrec", {"form": "F", "w_popularity": w}).loss(out, b).item() for w in (0.0, 2.0)
    )
    assert pinned - plain == pytest.approx(2 * (1 / 2) ** 2)
    assert make("recrec").loss(out, b).item() == pytest.approx(plain)
    assert make("recrec", {"form": "F", "w_popularity": 0.0}).nuisances == ()
    assert make("recrec", {"form": "I"}).heads["exposure"] == "one"


def test_the_popularity_of_a_prompt_follows_its_clicks():
    """Four clicks, one, none: sqrt(4/4), sqrt(1/4), 0; a validation prompt with more counts as the most."""
    b = clicks([1.0] * 4 + [1.0, 0.0] + [0.0], [5] * 4 + [2, 2] + [9])
    at, report = popularity().fit(b, b, 0)
    assert report == {"most_clicks": 4}
    assert popularity().apply(at, b)["popularity"].tolist() == [1, 1, 1, 1, 0.5, 0.5, 0]
    more = clicks([1.0] * 6, [1] * 6)
    assert popularity().apply(at, more)["popularity"].tolist() == [1] * 6


def test_the_published_sampler_takes_all_clicks_and_four_times_as_many_others():
    y = torch.zeros(200)
    y[::20] = 1  # ten clicks
    data, g = Feedback(torch.zeros(200, 1), y), torch.Generator().manual_seed(0)
    m = make("recrec", {"sampler": "published"})
    first, second = (torch.cat(list(m.batches(data, torch.arange(200), 16, g))) for _ in range(2))
    assert len(first) == len(set(first.tolist())) == 50
    assert y[first].sum() == 10
    assert set(first.tolist()) != set(second.tolist())
    rows = torch.cat(list(make("recrec").batches(data, torch.arange(200), 16, g)))
    assert sorted(rows.tolist()) == list(range(200))


# --- counterif ---


def test_counterif_by_hand():
    """Rows DP, HE, UN, HU at s = ln 3, 0, 0, 0; weights of one term at a time.

    point: l(ln 3, 1) + l(0, 0) = ln(4/3) + ln 2. pair: (DP,HE) ln(4/3), (UN,HE) and (HU,UN) ln 2 each.
    balance: UN at 2 against 2, 1, 4: (0 + 1 + 2) / 3; HU at 4 against 2 and 1: (2 + 3) / 2.
    """
    b = clicks([1.0, 0.0, 0.0, 0.0], stratum=[2.0, 1.0, 0.0, 2.0])
    h = torch.tensor([[2.0], [1.0], [2.0], [4.0]])
    out = Columns(reward=leaf(LN3, 0.0, 0.0, 0.0), hidden=h)

    def only(**w):
        zero = {"w_point": 0.0, "w_pair": 0.0, "w_balance": 0.0}
        return make("counterif", zero | w).loss(out, b).item()

    assert only(w_point=1.0) == pytest.approx(math.log(4 / 3) + LN2)
    assert only(w_pair=1.0) == pytest.approx(math.log(4 / 3) + 2 * LN2)
    assert only(w_balance=1.0) == pytest.approx(1 + 2.5, rel=1e-6)


def test_the_entropic_distance_is_near_the_exact_one_and_converged_not_below_it():
    """In one dimension the exact transport of equal masses goes in order: |0-1| + |1-3| + |2-5| = 6, / 3."""
    a, b = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[5.0], [1.0], [3.0]])
    exact = 2.0
    assert wasserstein(a, b, sharpness=200, steps=200).item() == pytest.approx(exact, rel=1e-3)
    converged = wasserstein(a, b, steps=500).item()
    assert exact <= converged < 1.3 * exact
    assert wasserstein(a, b).item() == pytest.approx(converged, rel=0.05)
    assert wasserstein(a, a[:0]).item() == 0


def test_the_distance_has_finite_gradients_where_rows_coincide():
    a = torch.ones(40, 3).requires_grad_()
    value = wasserstein(a, torch.ones(30, 3))
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert a.grad.isfinite().all()


def test_gradient_steps_reduce_the_distance():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(20, 3, generator=g).requires_grad_(), torch.randn(30, 3, generator=g) + 3
    before = wasserstein(a, b)
    (slope,) = torch.autograd.grad(before, a)
    assert wasserstein(a - slope, b) < before


def test_strata_are_those_of_the_support_vector_machine():
    """Scores recomputed in blocks are those of scikit-learn, and a tenth of the unclicked is farthest."""
    from sklearn.svm import OneClassSVM

    g = torch.Generator().manual_seed(0)
    x = torch.randn(600, 4, generator=g)
    y = (torch.rand(600, generator=g) < torch.sigmoid(4 * x[:, 0])).double()
    b = Feedback(x, y)
    where = strata(0.1, 0.1)
    at, report = where.fit(b, b, 0)
    k = where.apply(at, b)["stratum"]
    z = ((x - x.mean(0)) / x.std(0)).float()
    svm = OneClassSVM(nu=0.1).fit(z[y > 0].numpy())
    d = torch.from_numpy(svm.decision_function(z.numpy()))
    sure = d.abs() > 1e-3
    assert ((d >= 0) == (k == 1))[sure].all()
    without = y == 0
    assert (k[without] == 2).sum() == round(0.1 * int(without.sum())) == report["farthest"]
    assert d[without & (k == 2)].max() <= d[without & (k == 0)].min() + 1e-6
    assert x[k == 1, 0].mean() > x[k == 0, 0].mean() > x[k == 2, 0].mean()


def test_counterif_bounds_the_pairs_of_a_large_set():
    """100,000 rows would be 10^10 pairs; 256 of each stratum are compared."""
    n = 100_000
    g = torch.Generator().manual_seed(0)
    y = (torch.rand(n, generator=g) < 0.3).double()
    b = Feedback(torch.zeros(n, 0), y, eta=Columns(stratum=torch.arange(n) % 3.0))
    out = Columns(reward=torch.randn(n, generator=g), hidden=torch.randn(n, 4, generator=g))
    assert make("counterif").loss(out, b).isfinite()


# --- a fit, end to end ---


def plain_clicks():
    """One feature makes an answer good; 60 % of satisfied users act."""
    torch.set_default_dtype(torch.float32)
    g = torch.Generator().manual_seed(0)
    x = torch.randn(1200, 4, generator=g)
    r = (x[:, 0] > 0).float()
    y = r * (torch.rand(1200, generator=g) < 0.6).float()
    theta = Columns(propensity=torch.full((1200,), 0.6))
    b = Feedback(x, y, group=torch.arange(1200) // 4, eta=theta)
    return b[torch.arange(900)], b[torch.arange(900, 1200)], x, r


@pytest.mark.parametrize("name", ["upu", "nnpu", "rmf", "bpr", "ubpr", "uprl", "recrec"])
def test_a_fit_learns_which_answers_are_good(name):
    train, val, x, r = plain_clicks()
    p = fit(name, train, val).score_features(x).preferred
    assert p[r > 0].mean() > p[r == 0].mean() + 0.2


def test_counterif_is_backwards_where_features_encode_quality():
    """As its card says: what looks clicked and was not is taken for disliked, the farthest for unseen."""
    train, val, x, r = plain_clicks()
    model = fit("counterif", train, val)
    p = model.score_features(x).preferred
    assert p[r > 0].mean() < p[r == 0].mean()
    counts = model.report["nuisances"]["strata"]
    assert sum(counts.values()) == int((train.y == 0).sum())
    pointwise = fit("counterif", train, val, w_pair=0.0, w_balance=0.0).score_features(x).preferred
    assert pointwise[r > 0].mean() > pointwise[r == 0].mean()


def test_bce_of_the_weighted_click_is_the_textbook_form():
    """l(s, y/c) is prior mean_P [l(s,1) - l(s,0)] + mean l(s,0) with prior = mean(y)/c."""
    g = torch.Generator().manual_seed(0)
    s, y = torch.randn(50, generator=g), (torch.rand(50, generator=g) < 0.3).double()
    prior = y.mean() / 0.6
    one, zero = bce(s, torch.ones(50)), bce(s, torch.zeros(50))
    textbook = prior * (one - zero)[y > 0].mean() + zero.mean()
    assert make("upu").loss(
        Columns(reward=s),
        Feedback(torch.zeros(50, 0), y, eta=Columns(activity_rate=torch.full((50,), 0.6))),
    ).item() == pytest.approx(textbook.item())
