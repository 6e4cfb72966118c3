"""Adapters as backbones, and language models that are not whole: the right features, or one sentence."""

import json
import shutil

import numpy as np
import pytest
import torch
from helpers.commands import run
from helpers.language_logs import log, outcome

from trueward.core.errors import TruewardError
from trueward.exporting import export, verify
from trueward.features import backbone, encode, identity
from trueward.fitting.fit import fit

# it asks by a name that transformers has given up
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
transformers = pytest.importorskip("transformers", reason="needs the extra trueward[text]")
peft = pytest.importorskip("peft", reason="needs the extra trueward[text]")
tiny = pytest.importorskip("helpers.tiny")

TASKS = {
    "FEATURE_EXTRACTION": "AutoModel",
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_CLS": "AutoModelForSequenceClassification",
}


def adapter(place, base, task="CAUSAL_LM", seed=0):
    """An adapter with random weights on a folder, as peft saves it."""
    kind = getattr(transformers, TASKS[task])
    more = {"num_labels": 1} if task == "SEQ_CLS" else {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        whole = kind.from_pretrained(base, dtype=torch.float32, **more)
        config = peft.LoraConfig(
            r=2, lora_alpha=4, task_type=task, target_modules=["q_proj", "down_proj"]
        )
        model = peft.get_peft_model(whole, config)
        for name, p in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(p, std=0.3)
    model.save_pretrained(place)
    return place, model.eval()


def exact(folder):
    return backbone(f"{folder},dtype=float32")


@pytest.fixture
def base(tmp_path):
    return tiny.build("llama", tmp_path / "base", "ForCausalLM")


@pytest.mark.parametrize("task", TASKS)
def test_an_adapter_folder_is_its_base_model_with_the_adapter_in_it(base, tmp_path, task):
    place, model = adapter(tmp_path / "adapter", base, task)
    made = exact(place).encode(tiny.PROMPTS, tiny.RESPONSES)
    bare = exact(base).encode(tiny.PROMPTS, tiny.RESPONSES)
    assert (made - bare).abs().max() > 0.1
    rows, _ = exact(base).rendering.tokenize(tiny.PROMPTS, tiny.RESPONSES)
    whole = model.get_base_model()
    for x, row in zip(made, rows, strict=True):
        with torch.no_grad():
            h = whole.base_model(input_ids=torch.tensor([row.ids])).last_hidden_state[0, -1]
        assert torch.allclose(x.float(), h, atol=5e-3, rtol=2e-3)


def test_an_adapter_and_its_base_are_other_features_and_a_spec_finds_both_again(base, tmp_path):
    one, _ = adapter(tmp_path / "one", base)
    two, _ = adapter(tmp_path / "two", base, seed=1)
    names = [identity(exact(f).spec()) for f in (base, one, two)]
    assert len(set(names)) == 3
    model = exact(one)
    again = backbone(model.spec())
    assert again.spec() == model.spec()
    assert torch.equal(again.encode(["a"], ["b"]), model.encode(["a"], ["b"]))
    assert identity(exact(shutil.copytree(one, tmp_path / "copy")).spec()) == names[1]
    tiny.build("llama", base, "ForCausalLM", seed=3)
    with pytest.raises(TruewardError, match="computed with files of digest"):
        backbone(model.spec())


def test_a_moved_adapter_is_found_where_the_user_says(base, tmp_path, monkeypatch):
    place, _ = adapter(tmp_path / "adapter", base)
    spec = exact(place).spec()
    shutil.move(place, tmp_path / "moved")
    monkeypatch.setenv("TRUEWARD_BACKBONE", str(tmp_path / "moved"))
    assert backbone(spec).spec() == spec


def test_a_reward_on_an_adapter_is_exported_whole(base, tmp_path):
    table = log()
    place, _ = adapter(tmp_path / "adapter", base)
    data = encode(table, backbone=f"{place},dtype=float32")
    model = fit("naive", *data.split(0.2), hidden=(), epochs=2)
    texts = table.frame["prompt"].to_list(), table.frame["response"].to_list()
    made = export(model, tmp_path / "out", *texts)
    assert not (made.folder / "adapter_config.json").exists()
    assert outcome(verify(made.folder, *(t[:30] for t in texts), model=model))["reward model"]


def changed(place, **changes):
    file = place / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_an_adapter_whose_base_is_not_at_hand_says_which_one(base, tmp_path):
    place, _ = adapter(tmp_path / "adapter", base)
    changed(place, base_model_name_or_path="Qwen/Qwen3-Embedding-0.6B")
    with pytest.raises(
        TruewardError, match=r"adapter on Qwen/Qwen3-Embedding-0.6B, .* unavailable .*merge"
    ):
        exact(place)
    changed(place, base_model_name_or_path=None)
    with pytest.raises(TruewardError, match="does not name its base model"):
        exact(place)
    changed(place, base_model_name_or_path=str(adapter(tmp_path / "other", base)[0]))
    with pytest.raises(TruewardError, match="which is an adapter itself"):
        exact(place)


@pytest.mark.parametrize("kind", ["wider", "deeper", "bert"])
def test_an_adapter_for_another_base_names_both(base, tmp_path, kind):
    place, _ = adapter(tmp_path / "adapter", base)
    other = tmp_path / "other"
    if kind == "bert":
        tiny.build("bert", other)
    else:
        own = transformers.AutoConfig.from_pretrained(base)
        if kind == "wider":
            own.intermediate_size = 96
        else:
            own.num_hidden_layers = 3
        transformers.LlamaForCausalLM(own).save_pretrained(other)
        tiny.tokenizer("llama").save_pretrained(other)
    changed(place, base_model_name_or_path=str(other))
    with pytest.raises(TruewardError) as e:
        exact(place).encode(["a"], ["b"])
    said = str(e.value)
    assert str(place) in said
    assert str(other) in said
    assert "made for another model" in said
    assert "\n" not in said


def test_an_adapter_that_was_cut_short_is_one_sentence(base, tmp_path):
    place, _ = adapter(tmp_path / "adapter", base)
    weights = place / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(TruewardError, match="damaged or incomplete, probably after an interrupted"):
        exact(place).encode(["a"], ["b"])
    weights.unlink()
    with pytest.raises(
        TruewardError, match=r"no adapter_model.safetensors, probably after an interrupted"
    ):
        exact(place)


def test_peft_that_is_missing_names_the_extra(base, tmp_path, monkeypatch):
    import sys

    place, _ = adapter(tmp_path / "adapter", base)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(TruewardError, match=r"trueward\[text\]"):
        exact(place).encode(["a"], ["b"])


# --- from a shell: one sentence, no traceback, nothing written ---------------------------------


def harmed(base, harm):
    """A model folder that something is wrong with."""
    about = json.loads((base / "config.json").read_text())
    weights = base / "model.safetensors"
    match harm:
        case "no template":
            (base / "chat_template.jinja").unlink()
        case "no weights":
            weights.unlink()
        case "a shard less":
            names = {
                "a": "model-00001-of-00002.safetensors",
                "b": "model-00002-of-00002.safetensors",
            }
            weights.rename(base / names["a"])
            (base / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
        case "cut short":
            weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
        case "another width":
            (base / "config.json").write_text(json.dumps({**about, "hidden_size": 64}))
        case "not a number":
            from safetensors.torch import load_file, save_file

            tensors = load_file(weights)
            next(v for k, v in tensors.items() if k.endswith("norm.weight"))[:] = np.nan
            save_file(tensors, weights, {"format": "pt"})
    return base


HARMS = {
    "no template": "no chat template",
    "no weights": "no weights",
    "a shard less": "no weights model-00002-of-00002.safetensors, probably after an interrupted download",
    "cut short": "could not be loaded",
    "another width": "could not be loaded",
    "not a number": "row 1 has activations that are not finite",
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("command", ["encode", "fit"])
def test_a_backbone_that_is_not_whole_is_one_sentence(base, tmp_path, capsys, command, harm):
    folder = harmed(base, harm)
    file = tmp_path / "log.parquet"
    log(60).frame.write_parquet(file)
    out = tmp_path / "rm"
    words = (
        ["encode", str(file)]
        if command == "encode"
        else ["fit", "naive", str(file), "--out", str(out)]
    )
    code, said, err = run([*words, "--backbone", f"{folder},dtype=float32"], capsys)
    assert code == 1
    assert HARMS[harm] in " ".join(err.split())
    assert "Traceback" not in err + said
    assert not out.exists()


@pytest.mark.parametrize("harm", ["no weights", "cut short", "moved", "another"])
def test_an_export_whose_backbone_has_changed_is_one_sentence(base, tmp_path, capsys, harm):
    table = log()
    file = tmp_path / "log.parquet"
    table.frame.write_parquet(file)
    data = encode(table, backbone=f"{base},dtype=float32")
    fit("naive", *data.split(0.2), hidden=(), epochs=1).save(tmp_path / "rm")
    match harm:
        case "moved":
            base.rename(tmp_path / "elsewhere")
        case "another":
            tiny.build("llama", base, "ForCausalLM", seed=4)
        case _:
            harmed(base, harm)
    words = ["export", str(tmp_path / "rm"), str(tmp_path / "out"), "--reference", str(file)]
    code, said, err = run(words, capsys)
    assert code == 1
    assert "Traceback" not in err + said
    assert err.strip().count("\n") <= 4  # a wrapped sentence
    assert "TRUEWARD_BACKBONE" in " ".join(err.split())
    assert not (tmp_path / "out").exists()


def test_an_export_over_weights_of_another_width_is_one_sentence(base, tmp_path):
    """A head of 32 columns and a folder of 64: the digest tells, before anything is multiplied."""
    table = log()
    data = encode(table, backbone=f"{base},dtype=float32")
    model = fit("naive", *data.split(0.2), hidden=(), epochs=1)
    harmed(base, "another width")
    with pytest.raises(TruewardError, match="computed with files of digest"):
        export(model, tmp_path / "out", table.frame["prompt"], table.frame["response"])
