"""The public names are the promised ones, and each is what it says."""

import doctest
import inspect as python_inspect

import pytest
from helpers.forks import fork

import trueward as tw
import trueward.core.random
import trueward.estimation.losses


def test_the_public_names_in_the_order_a_user_meets_them():
    first = ["read_log", "import_log", "Log", "inspect", "encode", "precomputed", "Feedback"]
    assert tw.__all__[:7] == first
    assert {"fit", "RewardModel", "load", "read_test", "evaluate", "simulate", "methods"} <= set(
        tw.__all__
    )


@pytest.mark.parametrize("name", tw.__all__)
def test_a_public_name_exists_is_documented_and_is_no_module(name):
    thing = getattr(tw, name)
    assert not python_inspect.ismodule(thing)
    assert python_inspect.getdoc(thing)


def test_names_stay_functions_after_their_modules_are_imported(tmp_path):
    script = tmp_path / "imports.py"
    script.write_text(
        "import importlib, trueward as tw\n"
        "for m in ('fitting.fit', 'inspection', 'evaluation.evaluate', 'estimators'):\n"
        "    importlib.import_module('trueward.' + m)\n"
        "tw.methods()\n"
        "assert all(callable(getattr(tw, m)) for m in ('fit', 'inspect', 'evaluate', 'methods', 'card'))\n"
    )
    code, _out, err = fork(script, [], tmp_path)
    assert code == 0, err


@pytest.mark.parametrize("module", [trueward.estimation.losses, trueward.core.random])
def test_examples_in_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert tw.__version__ == version("trueward")
