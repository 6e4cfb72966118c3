"""Linear heads of exports: what is fitted for them is judged on rows that it was not fitted on."""

import shutil

import pytest
import torch
from helpers.language_logs import outcome
from safetensors.torch import load_file, save_file

from trueward.core.errors import TruewardError
from trueward.exporting import export, verify
from trueward.exporting.linear_heads import _cross_fitted, distilled_head, linear_head
from trueward.exporting.verify_rules import texts_to_score
from trueward.features import encode
from trueward.fitting.fit import fit

transformers = pytest.importorskip("transformers", reason="language models need the extra `text`")
tiny = pytest.importorskip("helpers.tiny")


@pytest.fixture(scope="module")
def exported(table, texts, tmp_path_factory):
    """A linear reward on a tiny decoder, and its export."""
    folder = tmp_path_factory.mktemp("heads")
    tiny.build("qwen3", folder / "base")
    data = encode(table, backbone=f"{folder / 'base'},dtype=float32")
    model = fit("naive", *data.split(0.2), hidden=(), epochs=3)
    return model, export(model, folder / "out", *texts)


def test_folding_by_hand(exported):
    model, _ = exported
    g = torch.Generator().manual_seed(0)
    h = torch.randn(50, model.net.shape.inputs["x"], generator=g)
    head = linear_head(model, h, torch.arange(50), distil=False)
    stack = model.net.heads["reward"]
    x = (h.double() - model.standardizer.mean.double()) * model.standardizer.scale.double()
    wanted = (
        x @ stack.weights[0].detach()[0, :, 0].double()
        + stack.biases[0].detach().double().squeeze()
    )
    torch.testing.assert_close(head.rewards(h), wanted, atol=1e-6, rtol=0)
    assert head.constant_home == "card"  # 50 rows are too few to see what absorbing costs
    outside = h[:1].double() @ head.weight + head.constant
    assert outside.shape == (1,)


def test_a_constant_that_would_cost_the_ranking_stays_outside(exported):
    """Activations around 0 with a random sign cannot make a constant."""
    model, _ = exported
    h = torch.randn(4000, model.net.shape.inputs["x"], generator=torch.Generator().manual_seed(1))
    head = linear_head(model, h, torch.arange(4000), distil=False)
    if abs(head.constant) > 0:
        assert head.constant_home == "card"
        assert head.absorb_rmse > 0.02


def test_a_constant_column_makes_the_constant_and_few_or_alike_rows_do_not(exported):
    """A nearly constant coordinate absorbs; with few rows, or rows of few prompts, nobody can tell."""
    model, _ = exported
    d = model.net.shape.inputs["x"]
    h = torch.randn(600, d, generator=torch.Generator().manual_seed(2))
    h[:, 3] = 5 + 0.001 * h[:, 3]
    prompts = torch.arange(600) // 3
    head = linear_head(model, h, prompts, distil=False)
    assert (head.constant, head.constant_home) == (0.0, "absorbed")
    assert head.absorb_rmse < 0.01
    kept = linear_head(model, h[:150], prompts[:150], distil=False)
    alike = linear_head(model, h, prompts % 7, distil=False)
    for other in (kept, alike):
        assert (other.constant_home, other.absorb_rmse) == ("card", None)
        unseen = h[300:].double()
        exact = unseen @ other.weight + other.constant
        torch.testing.assert_close(
            unseen @ head.weight, exact, atol=0.05 * float(exact.std()), rtol=0
        )


def test_what_absorbing_costs_is_measured_on_prompts_that_did_not_fit_it(exported):
    """Rows of one prompt are copies: a fit on some of them knows the others, and is no evidence."""
    model, _ = exported
    d = model.net.shape.inputs["x"]
    g = torch.Generator().manual_seed(3)
    copies = torch.randn(30, d, generator=g).repeat_interleave(10, 0)
    prompts = torch.arange(30).repeat_interleave(10)
    head = linear_head(model, copies, prompts, distil=False)
    assert head.constant_home == "card"
    assert head.absorb_rmse > 0.02


def test_an_export_on_few_reference_rows_gives_the_rewards_of_all_others(exported, texts, tmp_path):
    """As many rows as columns fit any constant exactly, and tell nothing of other rows."""
    model, _ = exported
    width = model.net.shape.inputs["x"]
    made = export(model, tmp_path / "out", *(t[:width] for t in texts))
    assert made.card["head"]["constant_home"] == "card"
    assert "so few reference rows" in made.notes[0]
    found = verify(made.folder, *(t[width:] for t in texts), model=model)
    assert outcome(found)["reward model"], str(found)


def test_texts_are_drawn_from_all_that_are_given_and_the_worst_is_named(exported, texts, tmp_path):
    """A fault that shows only in rows after the first 64 is found, with the row where it is largest."""
    model, made = exported
    broken = shutil.copytree(made.folder, tmp_path / "copy")
    odd = ["how do i undo a commit"] * 150, [f"{r} rain falls" for r in texts[1][:150]]
    rows = [(a[:64] + b) for a, b in zip(texts, odd, strict=True)]
    drawn = texts_to_score(*rows)
    assert len(drawn) == 64
    assert sum(r.endswith("rain falls") for _, r in drawn) > 32
    file = broken / "model.safetensors"
    tensors = load_file(file)
    tensors["score.weight"] *= 1.5
    save_file(tensors, file, {"format": "pt"})
    checks = {c.name: c for c in verify(broken, *rows, model=model).checks}
    assert checks["reward model"].passed is False
    quoted = checks["reward model"].sentence.partition("worst: '")[2].rstrip("'")
    assert any(r.startswith(quoted) for r in rows[1])


def test_an_export_is_not_verified_on_one_text():
    """Differences are in units of the scores' standard deviation, which one text does not have."""
    with pytest.raises(TruewardError, match="2 different reference responses or more, found 1"):
        texts_to_score(["a", "a"], ["b", "b"])


def test_the_rank_of_a_distilled_head_is_that_of_prompts_it_was_not_fitted_on(exported):
    """Copies of few prompts are fitted exactly, and the rank correlation does not count them."""
    model, _ = exported
    d = model.net.shape.inputs["x"]
    g = torch.Generator().manual_seed(4)
    h = torch.randn(24, d, generator=g).repeat_interleave(10, 0)
    prompts = torch.arange(24).repeat_interleave(10)
    noise = torch.randn(24, generator=g).repeat_interleave(10, 0).double()
    honest = _cross_fitted(h.double(), noise, prompts, intercept=True)[2]
    careless = _cross_fitted(h.double(), noise, torch.arange(240), intercept=True)[2]
    assert float(torch.corrcoef(torch.stack([careless, noise]))[0, 1]) > 0.9
    assert float(torch.corrcoef(torch.stack([honest, noise]))[0, 1]) < 0.5
    with pytest.raises(TruewardError, match="--distil needs 200 reference responses to 20 prompts"):
        distilled_head(model, h, prompts % 9)


def test_a_normalised_head_has_mean_0_and_sd_1_and_the_same_probabilities(
    exported, texts, tmp_path
):
    model, _ = exported
    made = export(model, tmp_path / "out", *texts, normalize=True)
    found = verify(made.folder, *texts, model=model)
    assert found.passed, str(found)
    z, c = made.card["reference"], made.card["head"]["constant"]
    assert z["z_mean"] + c == pytest.approx(0, abs=0.02)
    assert z["z_sd"] == pytest.approx(1, abs=0.02)
    a, d = (made.card["calibration"][k] for k in ("a", "d"))
    about, raw = made.card["head"]["normalised"], 0.7
    r = (raw - about["mean"]) / about["std"]
    assert a * r + d == pytest.approx(raw)
