"""What is imported early is light, and import paths of earlier releases still work."""

import importlib
import subprocess
import sys
import warnings

import pytest
from helpers.forks import fork

import trueward as tw
from trueward.core.deprecated import MOVED

LIGHT = [
    "trueward",
    "trueward.core.atomic_io",
    "trueward.core.errors",
    "trueward.core.estimate",
    "trueward.core.options",
    "trueward.core.processes",
    "trueward.core.random",
    "trueward.core.suggest",
    "trueward.core.threads",
    "trueward.data.capabilities",
    "trueward.data.export_scope",
    "trueward.data.log_reading",
    "trueward.data.readers",
]
OLD_NAMES = [
    ("trueward.method", "Method"),
    ("trueward.losses", "bce"),
    ("trueward.samplers", "shuffle"),
    ("trueward.options", "Opt"),
    ("trueward.nuisances", "propensity"),
    ("trueward.estimable", "Estimable"),
    ("trueward.errors", "UsageError"),
    ("trueward.worlds", "simulate"),
    ("trueward.sources", "sources"),
    ("trueward.plotting", "lines"),
    ("trueward.data", "Columns"),
    ("trueward.data", "Feedback"),
    ("trueward.data", "Labelled"),
]


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_reading_a_log_does_not_import_torch():
    run(
        "import importlib, sys\n"
        f"for name in {LIGHT}:\n"
        "    importlib.import_module(name)\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
        "assert 'pandas' not in sys.modules, 'pandas'\n"
    )


def test_every_moved_module_has_an_example_here():
    assert set(MOVED) <= {module for module, _ in OLD_NAMES} | {"trueward.export"}


@pytest.mark.parametrize(("module", "name"), OLD_NAMES)
def test_an_old_import_path_warns_and_gives_the_name(module, name, monkeypatch):
    if module in MOVED:  # which warns when it is imported first
        monkeypatch.delitem(sys.modules, module, raising=False)
    space = {}
    with pytest.warns(DeprecationWarning, match="next release: import"):
        exec(f"from {module} import {name}", space)
    assert space[name] is not None
    if name in tw.__all__:
        assert space[name] is getattr(tw, name)


def test_old_modules_do_not_replace_public_names(tmp_path):
    script = tmp_path / "imports.py"
    script.write_text(
        "import importlib, warnings, types\n"
        "import trueward as tw\n"
        "warnings.simplefilter('ignore')\n"
        f"for name in {sorted(MOVED)}:\n"
        "    importlib.import_module(name)\n"
        "assert not [n for n in tw.__all__ if isinstance(getattr(tw, n), types.ModuleType)]\n"
    )
    code, _out, err = fork(script, [], tmp_path)
    assert code == 0, err


def test_the_old_module_of_exports_has_the_names_of_the_new_one():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moved = importlib.import_module("trueward.export")
    now = importlib.import_module("trueward.exporting")
    assert {name: vars(moved)[name] for name in now.__all__} == {
        name: vars(now)[name] for name in now.__all__
    }


def test_an_unknown_name_of_data_is_an_attribute_error():
    import trueward.data

    with pytest.raises(AttributeError, match="Nothing"):
        _ = trueward.data.Nothing
