"""Examples in the docstrings of the contract, the registry and the samplers."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "name",
    [
        "estimation.losses",
        "estimation.method",
        "estimation.ridge_logistic",
        "estimation.samplers",
        "estimators._card",
        "estimators._registry",
    ],
)
def test_examples_in_docstrings_hold(name):
    result = doctest.testmod(importlib.import_module(f"trueward.{name}"))
    assert result.attempted
    assert result.failed == 0
