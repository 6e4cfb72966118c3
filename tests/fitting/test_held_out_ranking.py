"""A fit beside naive on held-out ratings: naive's network is fitted once."""

import pytest
from helpers.logs import log

import trueward as tw
from trueward.fitting import held_out_ranking as module
from trueward.fitting.held_out_ranking import held_out_ranking

OPTIONS = {"epochs": 2, "nuisance_epochs": 1, "seed": 4}


@pytest.fixture(scope="module")
def parts():
    return log(400).split(0.3)


def test_a_model_that_holds_the_network_of_naive_is_compared_with_that(parts, monkeypatch):
    model, naive = (tw.fit(name, *parts, **OPTIONS) for name in ("three_outcome", "naive"))
    alone = held_out_ranking(naive, *parts, **OPTIONS)

    def fit(*_, **__):
        pytest.fail("naive is fitted a second time")

    monkeypatch.setattr(module, "fit", fit)
    found = held_out_ranking(model, *parts, **OPTIONS)
    assert found["naive_auroc"] == alone["auroc"] == alone["naive_auroc"]
    assert {k: found[k] for k in model.report["beside_naive"]} == model.report["beside_naive"]


def test_other_models_are_compared_with_naive_fitted_on_the_same_rows(parts):
    model, naive = (tw.fit(name, *parts, **OPTIONS) for name in ("ips", "naive"))
    found = held_out_ranking(model, *parts, **OPTIONS)
    assert found["naive_auroc"] == held_out_ranking(naive, *parts, **OPTIONS)["auroc"]
