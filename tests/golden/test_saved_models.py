"""Model folders saved by earlier code load, score as they did, and are saved again as the same folder."""

import json

import polars as pl
import pytest
import torch
from golden.models import decided, folder_of
from golden.world import ASKED, DATA, differences, done, plain, read, unseen
from safetensors.torch import load_file

import trueward as tw

SCORES = read("models.json")
# Six features through a few units in fp32: sums of a handful of products differ by 1e-7 between machines.
FEATURES = {"atol": 1e-6, "rtol": 1e-6}
# Features of text are rounded to float16, so where a machine adds in another order, one of them may move by
# 5e-4 of itself; on one machine the scores are equal to 1e-6.
TEXTS = {"atol": 2e-3, "rtol": 2e-3}


@pytest.fixture(autouse=True)
def language_models(request):
    if "tuned" in request.node.name:
        pytest.importorskip("transformers", reason="language models need the extra `text`")


def stored(name):
    return DATA / "models" / folder_of(name)


def scored(model, name):
    if SCORES[name]["texts"]:
        return plain(model.score(*ASKED))
    return plain(model.score_features(unseen()))


def test_every_stored_folder_has_its_scores():
    assert {p.name for p in (DATA / "models").iterdir()} == set(map(folder_of, SCORES))


#: options that came after the models were stored, with the value that keeps what they were
LATER = {
    "asked": "auto",
    "batch_rows": "rated",
    "nuisance_fit": "out_of_fold",
    "propensity_loss": "log",
    "proxy_loss": "log",
    "stop_on": "validation",
}


@pytest.mark.parametrize("name", SCORES)
def test_a_saved_model_scores_as_it_did(name):
    wanted = {k: v for k, v in SCORES[name].items() if k not in {"texts", "decision"}}
    found = scored(tw.load(stored(name)), name)
    wrong = differences(found, wanted, **TEXTS if SCORES[name]["texts"] else FEATURES)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", SCORES)
def test_a_saved_model_is_saved_again_as_the_same_folder(name, tmp_path):
    model, folder = tw.load(stored(name)), tmp_path / "again"
    model.save(folder)
    assert scored(tw.load(folder), name) == scored(model, name)
    files = [sorted(p.relative_to(f) for p in f.rglob("*")) for f in (stored(name), folder)]
    assert files[0] == files[1]
    before, after = (load_file(f / "model.safetensors") for f in (stored(name), folder))
    assert before.keys() == after.keys()
    for k, v in before.items():
        assert torch.equal(v, after[k]), k
    before, after = (
        json.loads((f / "model.json").read_text("utf-8")) for f in (stored(name), folder)
    )
    later = {k: v for k, v in LATER.items() if k in after["options"]}
    before["options"] = later | before["options"]
    for k in before.keys() - {"versions", "trueward", "digest", "sha256", "backbone"}:
        assert after[k] == before[k], k


def test_the_models_of_the_methods_are_those_of_all_methods():
    """`auto` gives the model of the method it chose."""
    kept = {
        json.loads((p / "model.json").read_text("utf-8"))["method"] for p in map(stored, SCORES)
    }
    assert kept >= tw.methods().keys() - {"auto"}


@pytest.mark.parametrize("name", [name for name in SCORES if SCORES[name]["texts"]])
def test_the_command_line_scores_as_the_model_does(name, tmp_path):
    pl.DataFrame(dict(zip(("prompt", "response"), ASKED, strict=True))).write_ndjson(
        tmp_path / "asked.jsonl"
    )
    done("score", stored(name), tmp_path / "asked.jsonl", "--out", tmp_path / "s.parquet")
    scores = pl.read_parquet(tmp_path / "s.parquet")
    wanted = plain(tw.load(stored(name)).score(*ASKED))
    assert scores["prompt"].to_list() == ASKED[0]
    assert not differences({k: scores[k].to_list() for k in wanted}, wanted, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in SCORES if "decision" in SCORES[name]])
def test_a_calibrated_model_decides_as_it_did(name, tmp_path):
    assert decided(stored(name), tmp_path) == SCORES[name]["decision"]
