"""What well-known libraries compute on the same inputs."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from trueward.data.feedback import Columns, Feedback
from trueward.estimators._registry import make


@pytest.fixture(autouse=True)
def double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def rows(n=400, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, generator=g)
    p, m = torch.sigmoid(x[:, 0]).clamp(0.05, 0.95), torch.sigmoid(x[:, 1])
    o = (torch.rand(n, generator=g) < p).double()
    y = (torch.rand(n, generator=g) < m).double()
    eta = Columns(propensity=p, imputation=m, noisy=m)
    return Feedback(x, y * o, o, eta=eta)


def minimised(method, b, logit, size):
    w = torch.zeros(size, requires_grad=True)
    opt = torch.optim.LBFGS(
        [w],
        max_iter=500,
        tolerance_grad=1e-10,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure():
        opt.zero_grad()
        loss = method.loss(Columns(reward=logit(w)), b)
        loss.backward()
        return loss

    opt.step(closure)
    return w.detach()


def imported(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


@pytest.mark.parametrize("name", ["naive", "ips", "snips"])
def test_a_linear_reward_is_the_weighted_logistic_regression_of_scikit_learn(name):
    b = rows()
    w = minimised(make(name), b, lambda w: b.x @ w[:2] + w[2], 3)
    seen = b.o > 0
    weight = None if name == "naive" else (1 / b.eta.propensity)[seen].numpy()
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    theirs.fit(b.x[seen].numpy(), b.y[seen].numpy(), sample_weight=weight)
    assert w.numpy() == pytest.approx(np.append(theirs.coef_[0], theirs.intercept_), abs=1e-5)


def test_a_constant_dr_reward_is_the_aipw_mean_of_doubleml():
    dml = imported("doubleml")
    b = rows()
    s = minimised(make("dr"), b, lambda w: w.expand(len(b)), 1)
    data = dml.DoubleMLData.from_arrays(b.x.numpy(), b.y.numpy(), b.o.numpy())
    learner = LogisticRegression()
    mean = dml.DoubleMLAPO(data, ml_g=learner, ml_m=learner, treatment_level=1, n_folds=2)
    m, p = b.eta.imputation.numpy()[:, None], b.eta.propensity.numpy()[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mean.fit(external_predictions={"d": {"ml_g_d_lvl1": m, "ml_g_d_lvl0": m, "ml_m": p}})
    assert float(torch.sigmoid(s)) == pytest.approx(float(mean.coef[0]), abs=1e-8)


@pytest.mark.parametrize(
    "options",
    [
        {"correction": "forward"},
        {"correction": "backward"},
        {"correction": "backward", "risk": "brier"},
    ],
)
def test_a_constant_corrected_reward_is_the_true_prior_of_cleanlab(options):
    algebra = imported("cleanlab.internal.latent_algebra")
    b, rho_01, rho_10 = rows(), 0.1, 0.2
    method = make("causalrm", {"estimator": "none", "rho_01": rho_01, "rho_10": rho_10, **options})
    s = minimised(method, b, lambda w: w.expand(len(b)), 1)
    shown = float(b.y.sum() / b.o.sum())
    ps = np.array([1 - shown, shown])
    noise = np.array([[1 - rho_10, rho_01], [rho_10, 1 - rho_01]])  # P(observed | true)
    true = np.linalg.solve(noise, ps)
    inverse = algebra.compute_inv_noise_matrix(true, noise, ps=ps)
    prior = algebra.compute_py(ps, noise, inverse)
    assert float(torch.sigmoid(s)) == pytest.approx(float(prior[1]), abs=1e-6)
