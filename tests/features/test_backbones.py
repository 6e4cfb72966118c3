"""Backbones by name and by JSON description; imports, arguments and examples of the package."""

import doctest
import importlib
import json
import subprocess
import sys

import pytest
from helpers.forks import fork

from trueward.core.errors import TruewardError, UsageError
from trueward.features import backbone, encode
from trueward.features.builtin.wordllama import load

EXAMPLES = (
    *("backbone_names", "backbones", "columns", "encoding", "precomputed_features", "texts"),
    "transformers.length_batches",
)


def test_a_spec_recreates_the_backbone():
    model = backbone("wordllama")
    assert backbone(model.spec()).spec() == model.spec()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wordlama", "choose one of wordllama"),
        ("precomputed:x.npy", "one log"),
        ("{broken", "neither"),
        ('{"name": "other"}', "choose one of wordllama"),
        ("./nowhere", "check the path"),
    ],
)
def test_an_unknown_backbone_is_a_usage_error_with_the_choices(name, message):
    with pytest.raises(UsageError, match=message):
        backbone(name)


def test_a_spec_of_another_version_is_an_error():
    spec = json.dumps({"name": "wordllama", "version": 0, "weights": "0"})
    with pytest.raises(TruewardError, match="installed version"):
        backbone(spec)


def test_encode_refuses_other_types():
    with pytest.raises(UsageError, match="read_log"):
        encode("log.parquet")


def test_texts_that_are_not_pairs_of_strings_are_an_error():
    with pytest.raises(TruewardError, match="2 prompts and 1 responses"):
        load().encode(["a", "b"], ["c"])
    with pytest.raises(TruewardError, match="row 2 is NoneType"):
        load().encode(["a", None], ["b", "c"])
    with pytest.raises(TruewardError, match="one text"):
        load().encode("a", "b")
    assert load().encode([], []).shape == (0, load().width)


# --- the package ------------------------------------------------------------------------------


def test_importing_the_package_loads_no_heavy_library():
    code = (
        "import sys, trueward.features; "
        "heavy = {'torch', 'numpy', 'scipy', 'polars', 'tokenizers', 'transformers', 'wordllama'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_are_found_whatever_was_imported_before(tmp_path):
    script = tmp_path / "imports.py"
    script.write_text(
        "import trueward.features.encoding, trueward.features.precomputed_features; "
        "import trueward.features as package; "
        "assert all(hasattr(package, name) for name in package.__all__); "
        "assert callable(package.encode) and callable(package.precomputed)"
    )
    code, _out, err = fork(script, [], tmp_path)
    assert code == 0, err


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_in_docstrings_hold(name):
    result = doctest.testmod(importlib.import_module(f"trueward.features.{name}"))
    assert result.attempted
    assert not result.failed
