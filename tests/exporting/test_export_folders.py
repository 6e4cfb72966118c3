"""Rewards on encoders and on the default features: a folder whose own library, or own code, gives them."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.commands import run
from helpers.language_logs import events, outcome, rewritten, uncalibrated

from trueward.core.errors import TruewardError, UsageError
from trueward.exporting import export, verify
from trueward.exporting.to_networks import networks_of
from trueward.features import encode
from trueward.fitting.fit import fit

transformers = pytest.importorskip("transformers", reason="language models need the extra `text`")
tiny = pytest.importorskip("helpers.tiny")


def encoder(folder, table, options="", **chosen):
    """A reward on a tiny BERT."""
    tiny.build("bert", folder)
    data = encode(table, backbone=f"{folder},dtype=float32{options}")
    return fit("naive", *data.split(0.2), epochs=2, **chosen)


# --- sentence-transformers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "hidden", "kind"),
    [
        ("", (12, 5), "mlp"),
        ("", (), "linear"),
        (",pooling=cls,normalize=true", (8,), "mlp"),
        (",pooling=max", (), "linear"),
        (",pooling=mean_sqrt_len_tokens", (8,), "mlp"),
    ],
)
def test_the_embedding_of_sentence_transformers_is_the_reward(
    table, texts, tmp_path, options, hidden, kind
):
    library = pytest.importorskip("sentence_transformers")
    model = encoder(tmp_path / "base", table, options, hidden=hidden)
    made = export(model, tmp_path / "out", *texts)
    assert (made.card["head"]["kind"], made.card["remote_code"]) == (kind, False)
    prompts, responses = (t[:30] for t in texts)
    with torch.random.fork_rng():
        theirs = library.SentenceTransformer(str(made.folder), device="cpu")
    found = torch.from_numpy(theirs.encode(list(zip(prompts, responses, strict=True))))
    wanted = model.score(prompts, responses).reward
    assert found.shape == (30, 1)
    assert (
        float((found[:, 0] - wanted).abs().max() / wanted.std()) < 5e-3
    )  # float16 of the features
    checked = verify(made.folder, prompts, responses, model=model)
    assert all(outcome(checked).values()), str(checked)


def test_the_modules_of_the_encoder_itself_come_first(table, texts, tmp_path):
    """A sentence-transformers folder with a projection and a normalisation keeps both before the head."""
    pytest.importorskip("sentence_transformers")
    from helpers.tiny import sentence
    from safetensors.torch import save_file

    folder = tiny.build("bert", tmp_path / "base")
    sentence(
        folder, {"pooling_mode_cls_token": True}, ("2_Dense", "Dense"), ("3_Normalize", "Normalize")
    )
    (folder / "2_Dense").mkdir()
    about = '{"in_features": 32, "out_features": 8, "activation_function": "torch.nn.Tanh"}'
    (folder / "2_Dense" / "config.json").write_text(about)
    weight = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    tensors = {"linear.weight": weight, "linear.bias": torch.zeros(8)}
    save_file(tensors, folder / "2_Dense" / "model.safetensors")
    data = encode(table, backbone=f"{folder},dtype=float32")
    model = fit("naive", *data.split(0.2), epochs=2)
    made = export(model, tmp_path / "out", *texts)
    kinds = [
        m["type"].rpartition(".")[2] for m in json.loads((made.folder / "modules.json").read_text())
    ]
    assert kinds[:4] == ["Transformer", "Pooling", "Dense", "Normalize"]
    short = [(p, r) for p, r in zip(*texts, strict=True) if len((p + r).split()) < 12][:20]
    checked = verify(made.folder, *map(list, zip(*short, strict=True)), model=model)
    assert all(outcome(checked).values()), str(checked)


def test_loaders_of_classifiers_refuse_the_folder_and_make_no_head_of_their_own(
    embedding, spoilt, tmp_path
):
    """With config.json at the top they would load the encoder, and a head at random."""
    library = pytest.importorskip("sentence_transformers")
    folder = str(embedding[1].folder)
    with pytest.raises((OSError, ValueError)):
        transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    with pytest.raises((OSError, ValueError)):
        transformers.pipeline("text-classification", model=folder)
    with pytest.raises((OSError, ValueError)):
        library.CrossEncoder(folder, device="cpu", local_files_only=True)
    assert outcome(verify(spoilt))["stock loaders"]
    for file in (spoilt / "0_Transformer").iterdir():
        shutil.copy(file, spoilt)
    assert outcome(verify(spoilt))["stock loaders"] is False
    from trueward.features import backbone

    with pytest.raises(TruewardError, match=r"has no config\.json"):
        backbone(folder)


def test_the_card_names_what_the_hub_knows_and_the_licence_of_the_base_model(
    table, texts, tmp_path
):
    base = tiny.build("bert", tmp_path / "base")
    terms = ["license: other", "license_name: gemma", "license_link: https://ai.google.dev/terms"]
    (base / "README.md").write_text("\n".join(["---", *terms, "---", "# A model"]))
    data = encode(table, backbone=f"{base},dtype=float32")
    model = fit("naive", *data.split(0.2), epochs=1, hidden=())
    made = export(model, tmp_path / "out", *texts)
    front = (made.folder / "README.md").read_text().split("---")[1].splitlines()
    assert front[1:] == [
        "library_name: sentence-transformers",
        "pipeline_tag: feature-extraction",
        *terms,  # and no base_model, for the hub knows no folder of this machine
        "tags: [reward-model, trueward]",
    ]


def test_a_plain_template_is_not_switched_silently(table, texts, tmp_path):
    base = tiny.build("qwen3", tmp_path / "base")
    data = encode(table, backbone=f"{base},dtype=float32,template=plain")
    made = export(fit("naive", *data.split(0.2), epochs=1, hidden=()), tmp_path / "out", *texts)
    assert any("template=plain" in note and "template=chat" in note for note in made.notes)
    assert outcome(verify(made.folder))["stock loaders"]


def test_several_members_are_distilled_or_refused(table, texts, tmp_path):
    model = encoder(tmp_path / "base", table, members=2)
    with pytest.raises(TruewardError, match=r"made of several: export with --distil"):
        export(model, tmp_path / "out", *texts)
    made = export(model, tmp_path / "out", *texts, distil=True)
    assert made.card["head"]["kind"] == "distilled"
    assert "rank correlation" in made.notes[-1]
    found = verify(made.folder, *(t[:64] for t in texts), model=model)
    assert found.passed, str(found)


@pytest.mark.parametrize(
    ("options", "chosen", "kind", "words"),
    [
        (",layer=1", {}, TruewardError, "reads the last layer"),
        ("", {"dtype": "bfloat16"}, UsageError, "leave --dtype out"),
    ],
)
def test_what_sentence_transformers_cannot_give_is_refused(
    table, texts, tmp_path, options, chosen, kind, words
):
    model = encoder(tmp_path / "base", table, options, hidden=())
    with pytest.raises(kind, match=words):
        export(model, tmp_path / "out", *texts, **chosen)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def embedding(table, texts, tmp_path_factory):
    """An exported encoder, with the model."""
    folder = tmp_path_factory.mktemp("encoder")
    model = encoder(folder / "base", table)
    return model, export(model, folder / "out", *texts)


@pytest.fixture
def spoilt(embedding, tmp_path):
    """A copy that may be spoilt."""
    return shutil.copytree(embedding[1].folder, tmp_path / "copy")


def test_a_head_that_was_changed_is_not_that_of_the_card(spoilt):
    from safetensors.torch import load_file, save_file

    file = next(spoilt.glob("*_Dense/model.safetensors"))
    tensors = load_file(file)
    tensors["linear.bias"] += 1.0
    save_file(tensors, file, {"format": "pt"})
    assert outcome(verify(spoilt))["files"] is False


def test_another_pooling_than_the_model_reads_is_found(embedding, spoilt):
    pytest.importorskip("sentence_transformers")
    modes = json.loads((spoilt / "1_Pooling" / "config.json").read_text())
    changed = {k: k == "pooling_mode_max_tokens" for k in modes if k.startswith("pooling")}
    rewritten(spoilt / "1_Pooling", "config.json", **changed)
    assert outcome(verify(spoilt, model=embedding[0]))["reward model"] is False


@pytest.mark.parametrize(
    ("name", "text"),
    [("helper.py", "raise SystemExit('it ran')"), ("config.json", None), ("modules.json", None)],
)
def test_a_folder_that_would_run_code_is_not_loaded(spoilt, name, text):
    if name == "config.json":
        rewritten(spoilt / "0_Transformer", name, auto_map={"AutoModel": "helper.Model"})
    elif name == "modules.json":
        listed = json.loads((spoilt / name).read_text())
        listed[-1]["type"] = "helper.Head"
        (spoilt / name).write_text(json.dumps(listed))
    else:
        (spoilt / name).write_text(text)
    found = verify(spoilt, allow_remote_code=True)
    assert not found.passed
    assert "which export does not write" in found.checks[0].sentence


# --- the default features ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def scorer(table, texts, tmp_path_factory):
    """Two members on the default features, calibrated or not, and the folder."""
    folder = tmp_path_factory.mktemp("scorer")
    model = fit("naive", *encode(table).split(0.2), epochs=2, members=2)
    return model, export(model, folder / "out", *texts, allow_remote_code=True)


@pytest.fixture
def bare(scorer, tmp_path):
    """A copy that may be spoilt."""
    return shutil.copytree(scorer[1].folder, tmp_path / "copy")


def test_a_process_without_torch_and_without_this_library_gives_the_rewards(scorer, texts):
    model, made = scorer
    prompts, responses = [*texts[0][:6], "", "日本 \U0001f600"], [*texts[1][:6], "", "x" * 20_000]
    lines = [
        json.dumps({"prompt": p, "response": r}) for p, r in zip(prompts, responses, strict=True)
    ]
    code = (
        "import sys; sys.modules.update(torch=None, trueward=None); import runpy; "
        "runpy.run_module('trueward_scorer', run_name='__main__')"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            f"import sys; sys.path.insert(0, {str(made.folder)!r}); {code}",
        ],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    wanted = model.score(prompts, responses)
    assert [f["reward"] for f in found] == pytest.approx(wanted.reward.tolist(), abs=1e-4)
    assert [f["preferred"] for f in found] == pytest.approx(wanted.preferred.tolist(), abs=1e-4)


def test_every_rule_of_the_scorer_is_kept(scorer, texts):
    model, made = scorer
    found = verify(made.folder, *(t[:20] for t in texts), model=model, allow_remote_code=True)
    assert all(outcome(found).values()), str(found)
    card = json.loads((made.folder / "reward_card.json").read_text())
    assert (card["head"]["kind"], card["remote_code"]) == ("mlp", True)


def test_gold_labels_on_wide_features_are_carried_with_the_directions_they_are_read_in():
    """Nuisances see the leading directions of 5,376 columns, which the folder has multiplied out."""
    data = encode(events())
    model = fit("anchored", *data.split(0.2), nuisance_epochs=1)
    assert model.net.projection is not None
    h = data.x.float()
    found, wanted = networks_of(model, h)(h.numpy()), uncalibrated(model, h)
    assert np.abs(found - wanted).max() <= 1e-4 * wanted.std()


def test_the_scorer_is_code_so_it_takes_a_word_and_must_be_ours(bare):
    assert "--allow-remote-code" in verify(bare).checks[0].sentence
    (bare / "json.py").write_text(
        "raise SystemExit('it ran')"
    )  # a module of that name would come first
    found = verify(bare, allow_remote_code=True)
    assert "json.py is not a file that export writes" in found.checks[0].sentence
    (bare / "json.py").unlink()
    file = bare / "trueward_scorer" / "surface.py"
    file.write_text(file.read_text().replace("5.30", "5.31") + "\n")
    assert "surface.py is not the file" in verify(bare, allow_remote_code=True).checks[0].sentence


def test_another_release_of_wordllama_is_refused_by_the_rule_and_by_the_scorer(bare):
    card = json.loads((bare / "reward_card.json").read_text())
    rewritten(bare, "reward_card.json", features={**card["features"], "weights": "0" * 16})
    found = outcome(verify(bare, allow_remote_code=True))
    assert found["features"] is False
    assert found["process"] is False


def test_the_scorer_is_refused_without_the_word_and_vectors_of_a_server_are_always(
    scorer, texts, tmp_path
):
    from dataclasses import replace

    from trueward.features.endpoint import Endpoint

    with pytest.raises(TruewardError, match=r"default features.*--allow-remote-code"):
        export(scorer[0], tmp_path / "out", *texts)
    served = replace(scorer[0], backbone=Endpoint("http://127.0.0.1:9/v1", "m", 5376).spec())
    with pytest.raises(TruewardError, match="vectors of a server"):
        export(served, tmp_path / "out", *texts, allow_remote_code=True)
    outside = replace(scorer[0], backbone=None)
    with pytest.raises(TruewardError, match="features from outside"):
        export(outside, tmp_path / "out", *texts)


def test_both_folders_from_a_shell(scorer, embedding, table, tmp_path, capsys):
    table.frame.head(50).write_parquet(tmp_path / "log.parquet")
    for name, (model, made), more in (
        ("scorer", scorer, ["--allow-remote-code"]),
        ("embedding", embedding, []),
    ):
        model.save(tmp_path / name)
        out, rm = str(tmp_path / f"{name}-out"), str(tmp_path / name)
        words = ["export", rm, out, "--reference", str(tmp_path / "log.parquet"), *more]
        code, _, err = run(words, capsys)
        assert code == 0, err
        code, said, _ = run(["verify-export", out, "--model", rm, *more], capsys)
        assert code == 0, said
        assert made.card["head"]["kind"] == "mlp"
        code, _, err = run(["verify-export", out, "--url", "http://127.0.0.1:9", *more], capsys)
        assert code == 2
        assert "leave --url out" in err
