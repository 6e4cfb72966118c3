"""Peft adapters as backbones."""

import json
import logging
import shutil

import pytest
import torch
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
    """Save a peft adapter with random weights on a base model; return its folder and the model."""
    kind = getattr(transformers, TASKS[task])
    head = {"num_labels": 1} if task == "SEQ_CLS" else {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind.from_pretrained(base, dtype=torch.float32, **head)
        config = peft.LoraConfig(
            r=2, lora_alpha=4, task_type=task, target_modules=["q_proj", "down_proj"]
        )
        model = peft.get_peft_model(model, config)
        for name, p in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(p, std=0.3)
    model.save_pretrained(place)
    return place, model.eval()


@pytest.mark.parametrize("task", TASKS)
def test_an_adapter_folder_gives_the_activations_of_the_adapted_model(base, tmp_path, task):
    place, model = adapter(tmp_path / "adapter", base, task)
    features = tiny.exact(place).encode(tiny.PROMPTS, tiny.RESPONSES)
    of_base = tiny.exact(base).encode(tiny.PROMPTS, tiny.RESPONSES)
    assert (features - of_base).abs().max() > 0.1
    rows, _ = tiny.exact(base).rendering.tokenize(tiny.PROMPTS, tiny.RESPONSES)
    merged = model.get_base_model()
    for x, row in zip(features, rows, strict=True):
        with torch.no_grad():
            h = merged.base_model(input_ids=torch.tensor([row.ids])).last_hidden_state[0, -1]
        assert torch.allclose(x.float(), h, atol=5e-3, rtol=2e-3)


def test_the_spec_identifies_adapter_and_base(base, tmp_path):
    one, _ = adapter(tmp_path / "one", base)
    two, _ = adapter(tmp_path / "two", base, seed=1)
    names = [identity(tiny.exact(f).spec()) for f in (base, one, two)]
    assert len(set(names)) == 3
    model = tiny.exact(one)
    again = backbone(model.spec())
    assert again.spec() == model.spec()
    assert torch.equal(again.encode(["a"], ["b"]), model.encode(["a"], ["b"]))
    assert identity(tiny.exact(shutil.copytree(one, tmp_path / "copy")).spec()) == names[1]
    tiny.build("llama", base, "ForCausalLM", seed=3)
    with pytest.raises(
        TruewardError, match=r"computed with files of digest .* and of its base model in"
    ):
        backbone(model.spec())


def test_a_moved_adapter_is_found_through_the_environment_variable(base, tmp_path, monkeypatch):
    place, _ = adapter(tmp_path / "adapter", base)
    spec = tiny.exact(place).spec()
    shutil.move(place, tmp_path / "moved")
    monkeypatch.setenv("TRUEWARD_BACKBONE", str(tmp_path / "moved"))
    assert backbone(spec).spec() == spec


def test_a_reward_on_an_adapter_is_exported_with_the_merged_weights(base, tmp_path):
    table = log()
    place, _ = adapter(tmp_path / "adapter", base)
    data = encode(table, backbone=f"{place},dtype=float32")
    model = fit("naive", *data.split(0.2), hidden=(), epochs=2)
    texts = table.frame["prompt"].to_list(), table.frame["response"].to_list()
    result = export(model, tmp_path / "out", *texts)
    assert not (result.folder / "adapter_config.json").exists()
    assert outcome(verify(result.folder, *(t[:30] for t in texts), model=model))["reward model"]


def changed(place, **changes):
    file = place / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_an_unavailable_base_of_an_adapter_is_an_error_that_names_it(base, tmp_path):
    place, _ = adapter(tmp_path / "adapter", base)
    changed(place, base_model_name_or_path="Qwen/Qwen3-Embedding-0.6B")
    with pytest.raises(
        TruewardError, match=r"adapter on Qwen/Qwen3-Embedding-0.6B, .* unavailable .*merge"
    ):
        tiny.exact(place)
    changed(place, base_model_name_or_path=None)
    with pytest.raises(TruewardError, match="does not name its base model"):
        tiny.exact(place)
    changed(place, base_model_name_or_path=str(adapter(tmp_path / "other", base)[0]))
    with pytest.raises(TruewardError, match="which is an adapter itself"):
        tiny.exact(place)


@pytest.mark.parametrize("kind", ["wider", "deeper", "bert"])
def test_an_adapter_that_does_not_fit_its_base_is_an_error_that_names_both(base, tmp_path, kind):
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
        tiny.exact(place).encode(["a"], ["b"])
    message = str(e.value)
    assert str(place) in message
    assert str(other) in message
    assert "made for another model" in message
    assert "\n" not in message


def test_a_base_of_equal_shapes_and_another_vocabulary_is_refused(base, tmp_path):
    """Training saves the tokenizer beside the adapter; tokens that were added to it do not count."""
    place, _ = adapter(tmp_path / "adapter", base)
    other = tiny.build("llama", tmp_path / "other", "ForCausalLM", seed=5)
    own = transformers.AutoTokenizer.from_pretrained(base)
    own.add_tokens(["<tool>"])
    own.save_pretrained(place)
    changed(place, base_model_name_or_path=str(other))
    tiny.exact(place).encode(["a"], ["b"])  # nothing tells it from the base
    file = other / "tokenizer.json"
    about = json.loads(file.read_text())
    vocabulary = about["model"]["vocab"]
    first, second = list(vocabulary)[-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    file.write_text(json.dumps(about))
    with pytest.raises(TruewardError, match=r"another vocabulary than .*other.*another model"):
        tiny.exact(place)


def test_a_base_that_the_card_of_the_adapter_does_not_name_is_named(base, tmp_path, caplog):
    place, _ = adapter(tmp_path / "adapter", base)
    assert f"base_model: {base}" in (place / "README.md").read_text()  # written by peft
    tiny.exact(place)
    assert not caplog.records
    other = tiny.build("llama", tmp_path / "other", "ForCausalLM", seed=5)
    changed(place, base_model_name_or_path=str(other))
    with caplog.at_level(logging.WARNING, "trueward"):
        tiny.exact(place)
    (said,) = (r.getMessage() for r in caplog.records)
    assert f"names the base model {other}" in said
    assert f"names {base}" in said


def test_a_truncated_adapter_is_an_error(base, tmp_path):
    place, _ = adapter(tmp_path / "adapter", base)
    weights = place / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(TruewardError, match="damaged or incomplete, probably after an interrupted"):
        tiny.exact(place).encode(["a"], ["b"])
    weights.unlink()
    with pytest.raises(
        TruewardError, match=r"no adapter_model.safetensors, probably after an interrupted"
    ):
        tiny.exact(place)


def test_missing_peft_is_an_error_that_names_the_extra(base, tmp_path, monkeypatch):
    import sys

    place, _ = adapter(tmp_path / "adapter", base)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(TruewardError, match=r"trueward\[text\]"):
        tiny.exact(place).encode(["a"], ["b"])
