"""The examples in the docstrings of core and data run as written."""

import doctest
import importlib
import pkgutil

import pytest

import trueward.core
import trueward.data
from trueward.core.wording import flags_in_messages

MODULES = [
    module.name
    for package in (trueward.core, trueward.data)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with flags_in_messages(flags=False):  # as in Python
        assert doctest.testmod(importlib.import_module(name)).failed == 0
