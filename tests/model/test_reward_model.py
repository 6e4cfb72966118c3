"""A saved model scores as before, and a folder that is not a whole model is refused."""

import json
import resource
import shutil
from typing import ClassVar

import pytest
import torch
from helpers.logs import log

from trueward.core.errors import TruewardError
from trueward.data.log_reading import read_log
from trueward.estimation.method import Method
from trueward.features import encode
from trueward.fitting.fit import fit
from trueward.model.folder import _digest
from trueward.model.reward_model import FORMAT, load
from trueward.simulation import helpdesk, simulate


@pytest.fixture(scope="module")
def model():
    return fit("causalrm", log(400), log(200, 1), epochs=2, members=2)


@pytest.fixture
def saved(model, tmp_path):
    model.save(tmp_path / "rm")
    return tmp_path / "rm"


def test_a_loaded_model_scores_the_same_bits(model, saved):
    x = log(50, 2).x
    before, after = (m.score_features(x) for m in (model, load(saved)))
    assert torch.equal(before.reward, after.reward)
    assert torch.equal(before.preferred, after.preferred)
    assert torch.equal(before.spread, after.spread)


def test_a_score_is_a_logit_its_probability_and_a_spread(model):
    s = model.score_features(log(50, 2).x)
    assert torch.allclose(torch.sigmoid(s.reward), s.preferred, atol=1e-6)
    assert (s.spread >= 0).all()


def test_a_model_keeps_its_card_data_nuisances_counts_and_versions(saved):
    about = json.loads((saved / "model.json").read_text())
    assert about["card"].startswith("# causalrm")
    assert len(about["report"]["data"]) == 64
    assert about["report"]["nuisances"]["propensity"]["clipped"] >= 0
    assert about["report"]["nuisances"]["propensity"]["effective_sample_size"] > 1
    assert set(about["report"]["nuisances"]) == {"propensity", "noisy", "flip_rates"}
    assert about["versions"]["torch"]
    assert not list(saved.glob("*.pt")), "no pickle"


def truncate(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-7])


def flip_a_bit(folder):
    file = folder / "model.safetensors"
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(bytes(raw))


def edit(**changes):
    def act(folder):
        file = folder / "model.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return act


def drop(key):
    def act(folder):
        file = folder / "model.json"
        about = json.loads(file.read_text())
        del about[key]
        file.write_text(json.dumps(about))

    return act


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (truncate, "damaged or incomplete"),
        (flip_a_bit, "damaged or incomplete"),
        (lambda f: (f / "model.safetensors").unlink(), "damaged reward model"),
        (lambda f: (f / "model.json").unlink(), "has no model.json"),
        (lambda f: (f / "model.json").write_text("{"), "is damaged"),
        (lambda f: (f / "model.json").write_bytes(b"\xff\xfe"), "is damaged"),
        (lambda f: (f / "model.json").write_text("[]"), "is damaged"),
        (edit(format=FORMAT + 1), "upgrade trueward"),
        (edit(shape={"hidden": []}), "edited by hand"),
        (edit(method="naive"), "edited by hand"),
        (drop("sha256"), "edited by hand"),
        (drop("format"), "is damaged"),
        (edit(format=float("inf")), "is damaged"),
        (lambda f: (f / "model.json").write_text('{"format": 1e400}'), "is damaged"),
        (lambda f: (f / "model.json").write_text("[" * 100_000), "is damaged"),
        (lambda f: (f / "model.json").write_text('{"format": ' + "9" * 5000 + "}"), "is damaged"),
        (shutil.rmtree, "has no model.json"),
    ],
)
def test_a_damaged_or_newer_model_is_refused_in_one_sentence(saved, spoil, words):
    spoil(saved)
    with pytest.raises(TruewardError) as e:
        load(saved)
    assert words in str(e.value)
    assert "\n" not in str(e.value)


WRONG = (None, True, -1, 1e400, "x", "\x1b[2J", [], [[]], {}, {"a": {}}, [1e400])


def values(record, path=()):
    """Yield the path of every value of a record, the report and the card as a whole."""
    for key, value in record.items():
        yield (*path, key)
        if isinstance(value, dict) and key not in {"report", "card", "versions"}:
            yield from values(value, (*path, key))


def test_a_wrong_value_behind_a_right_digest_is_a_sentence_or_a_model_that_loads(saved, model):
    """Anyone can write a digest: no value of model.json may end in another error."""
    file = saved / "model.json"
    record = json.loads(file.read_text())
    refusals = []
    for path in values(record):
        for wrong in WRONG:
            changed = json.loads(json.dumps(record))
            inner = changed
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = wrong
            changed["digest"] = _digest(changed)
            file.write_text(json.dumps(changed))
            try:
                load(saved)
            except TruewardError as e:
                refusals.append(str(e))
    assert len(refusals) > 100
    assert not [text for text in refusals if "\n" in text]


def test_saving_over_a_model_replaces_it_and_over_anything_else_does_not(model, saved, tmp_path):
    model.save(saved)
    load(saved)
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.txt").write_text("meow")
    with pytest.raises(TruewardError, match="is no reward model"):
        model.save(other)
    assert (other / "cat.txt").read_text() == "meow"


def test_a_full_disk_leaves_the_model_that_was_there(model, saved):
    """A limit on file size stands in for a full disk: the same error comes from the same calls."""
    before = {p.name: p.read_bytes() for p in saved.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(TruewardError, match="could not be written"):
            model.save(saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {p.name: p.read_bytes() for p in saved.iterdir()} == before
    assert [p.name for p in saved.parent.iterdir()] == ["rm"]


def test_features_of_another_width_are_refused(model):
    with pytest.raises(TruewardError, match=r"reads \(n, 8\) features, not \(5, 3\)"):
        model.score_features(torch.zeros(5, 3))


def test_a_model_of_outside_features_does_not_pretend_to_read_text(model):
    with pytest.raises(TruewardError, match="cannot read text"):
        model.score(["p"], ["r"])


def test_text_unlike_any_of_the_log_is_flagged():
    """One in a thousand of what is like the log, and all of another language, of code and of noise."""
    data = encode(read_log(simulate(helpdesk(150, seed=3), rate=0.5, seed=3).log))
    model = fit("naive", *data.split(0.2), epochs=1)
    assert float(model.score_features(data.x).out_of_distribution.double().mean()) < 0.02
    odd = ["Gehen Sie auf Einstellungen.", "def f(x): return x ** 2", "qz kx vj wq", ""]
    assert model.score(["How do I cancel?"] * 4, odd).out_of_distribution.all()


def test_out_of_distribution_has_its_earlier_name_for_one_release(model):
    scores = model.score_features(log(50, 2).x)
    columns = scores.columns()
    assert torch.equal(scores.far, scores.out_of_distribution)
    assert torch.equal(columns["far"], columns["out_of_distribution"])


class Mine(Method):
    """A method of this process only, as one of a notebook."""

    name: ClassVar[str] = "mine"

    def loss(self, out, b):
        return (out.reward - b.y).square().mean()


def test_a_method_that_no_other_process_finds_is_told_when_its_model_is_saved(tmp_path, caplog):
    fit(Mine(), log(100), log(50, 1), epochs=1, hidden=()).save(tmp_path / "rm")
    assert "mine is a method of this process only" in caplog.text
    assert "trueward.methods" in caplog.text
    caplog.clear()
    fit("naive", log(100), log(50, 1), epochs=1, hidden=()).save(tmp_path / "rm")
    assert not caplog.text
