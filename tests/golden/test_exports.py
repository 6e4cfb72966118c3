"""Exported folders of every kind stay valid, and an export made now is like the one made before."""

import pytest
import torch
from golden import exports
from golden.models import folder_of
from golden.world import ASKED, DATA, differences, read

EXPORTS, NOW = read("exports.json"), read("exports_now.json")
# The fits and the features are those of one process and one machine: the same to the last bits. Activations
# are rounded to float16 before a fit, which on another CPU may move the reward of a tiny model in the third
# decimal; of a stored folder only the pass through the model is made, in float32.
STORED = {"atol": 1e-5, "rtol": 1e-5}
MADE = {"atol": 5e-3, "rtol": 5e-3}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:transformers")


@pytest.fixture(autouse=True)
def extras(request, monkeypatch, tmp_path_factory):
    """Code that transformers loads is copied to a place of the test's own."""
    name = request.node.callspec.params["name"]
    if exports.KINDS[name][1] != "wordllama":
        pytest.importorskip("transformers", reason="language models need the extra `text`")
        place = str(tmp_path_factory.mktemp("modules"))
        monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", place)
    if exports.KINDS[name][1] == "bert":
        pytest.importorskip("sentence_transformers", reason="loads what is exported for it")


def stored(name):
    return DATA / "exports" / folder_of(name)


@pytest.mark.parametrize("name", EXPORTS)
def test_a_stored_export_is_still_verified(name):
    code, checks = exports.verified(name, stored(name))
    wanted = EXPORTS[name]["checks"]
    assert code == EXPORTS[name]["code"], checks
    assert wanted.keys() <= checks.keys()
    for (
        rule,
        kept,
    ) in wanted.items():  # None: what a rule needs is not installed, or it has no meaning
        assert checks[rule] == kept or None in {checks[rule], kept}, rule


@pytest.mark.parametrize("name", EXPORTS)
def test_a_stored_export_scores_as_it_did(name):
    wrong = differences(exports.scores(name, stored(name)), EXPORTS[name]["scores"], **STORED)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_made_now_has_the_same_files_keys_and_scores(name, tmp_path):
    folder, model = exports.written(name, tmp_path)
    wanted = NOW[name]
    assert exports.structure(folder) == {k: wanted[k] for k in ("files", "keys")}
    found = exports.scores(name, folder)
    wrong = differences(found, wanted["scores"], **MADE)
    assert not wrong, "\n".join(wrong)
    code, checks = exports.verified(name, folder, "--model", tmp_path / "rm")
    assert code == wanted["code"], checks
    assert torch.isfinite(model.score(*ASKED).reward).all()
