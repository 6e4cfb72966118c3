"""The keywords that an editor knows are the training settings."""

import inspect
from typing import get_type_hints

import pytest
import torch
from helpers.logs import log

from trueward.core.errors import UsageError
from trueward.estimators._registry import make
from trueward.fitting.finetune.tune import tune
from trueward.fitting.fit import fit
from trueward.fitting.options import FitOptions
from trueward.fitting.sweep import fit_many
from trueward.training.config import Train


def test_the_keywords_are_the_fields_of_train_and_a_preset():
    keywords, fields = get_type_hints(FitOptions), get_type_hints(Train)
    assert keywords.pop("preset") is str
    assert keywords == fields
    assert not FitOptions.__required_keys__


@pytest.mark.parametrize("function", [fit, fit_many, tune])
def test_every_function_that_fits_names_them(function):
    (keywords,) = (
        p for p in inspect.signature(function).parameters.values() if p.kind is p.VAR_KEYWORD
    )
    assert keywords.annotation == "Unpack[FitOptions]"


def test_options_of_a_method_are_keywords_or_a_mapping_or_an_object():
    train, val = log(300), log(100, 1)
    ways = [
        fit("ips", train, val, clip=0.3, epochs=1),
        fit("ips", train, val, method_options={"clip": 0.3}, epochs=1),
        fit(make("ips", {"clip": 0.3}), train, val, epochs=1),
    ]
    scores = [model.score_features(train.x).reward for model in ways]
    assert all(torch.equal(scores[0], s) for s in scores)
    assert all(model.report["nuisances"]["propensity"]["low"] == 0.3 for model in ways)
    with pytest.raises(UsageError, match="did you mean clip"):
        fit("ips", train, val, method_options={"clap": 0.3})
