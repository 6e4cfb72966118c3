"""Language models that cannot be read: every error names the cause and what to do."""

import importlib.util
import json
import logging
import sys

import pytest
import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.features import backbone, features
from trueward.features.cache import Cache

transformers = pytest.importorskip("transformers", reason="needs the extra trueward[text]")
tiny = pytest.importorskip("helpers.tiny")

LONG = "rain falls on the tin roof " * 40


class LimitedMemory:
    """A model that raises OutOfMemoryError above a number of tokens."""

    def __init__(self, model, limit):
        self.model, self.limit, self.sizes = model, limit, []

    def get_input_embeddings(self):
        return self.model.get_input_embeddings()

    def __call__(self, input_ids, **inputs):
        self.sizes.append(input_ids.numel())
        if input_ids.numel() > self.limit:
            raise torch.OutOfMemoryError("out of memory")
        return self.model(input_ids=input_ids, **inputs)


def test_out_of_memory_halves_the_batches_with_one_warning(llama, caplog):
    model = tiny.exact(llama)
    prompts, responses = tiny.PROMPTS * 8, tiny.RESPONSES * 8
    wanted = model.encode(prompts, responses)
    limited = model.__dict__["model"] = LimitedMemory(model.model, 200)
    with caplog.at_level(logging.WARNING, "trueward"):
        x = model.encode(prompts, responses)
    assert torch.allclose(x, wanted, atol=1e-3)
    assert len([r for r in caplog.records if "out of memory" in r.message]) == 1
    failed = [size for size in limited.sizes if size > 200]
    assert len(failed) > 1  # halved more than once
    assert sorted(failed, reverse=True) == failed
    before = len(limited.sizes)
    model.encode(prompts, responses)
    assert max(limited.sizes[before:]) <= 200  # the smaller budget is kept


def test_one_text_that_does_not_fit_into_memory_is_an_error(llama):
    model = tiny.exact(llama)
    model.__dict__["model"] = LimitedMemory(model.model, 10)
    with pytest.raises(TruewardError, match=r"one text of .* tokens does not fit .* max_length"):
        model.encode(tiny.PROMPTS, tiny.RESPONSES)


def test_activations_that_are_not_finite_are_an_error_with_the_row_of_the_table(
    llama, monkeypatch, tmp_path
):
    model = tiny.exact(llama)
    poison = model.rendering.tokenizer(" tin", add_special_tokens=False)["input_ids"][-1]
    with torch.no_grad():
        model.model.get_input_embeddings().weight[poison] = torch.nan
    monkeypatch.setattr("trueward.features.encoding.BLOCK", 2)
    responses = ["yes", "no", "five", "falls on the tin roof"]
    with pytest.raises(TruewardError, match=r"^row 4 has activations that are not finite"):
        features(model, ["what"] * 4, responses, Cache(tmp_path / "cache"))
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 1  # the first block is kept


def test_activations_beyond_float16_are_an_error_unless_normalised(llama):
    for options, fine in (("", False), (",normalize=true", True)):
        model = tiny.exact(llama, options)
        with torch.no_grad():
            model.model.norm.weight.fill_(1e6)
        if fine:
            norm = model.encode(["a"], ["b"]).float().norm()
            assert float(norm) == pytest.approx(1, abs=1e-3)
        else:
            with pytest.raises(TruewardError, match=r"row 1 .* float16: .* normalize=true"):
                model.encode(["a"], ["b"])


@pytest.mark.parametrize(
    ("damage", "kind", "message"),
    [
        ("config.json", UsageError, "no config.json"),
        ("model.safetensors", TruewardError, "no weights .* interrupted"),
        ("tokenizer.json", TruewardError, "no tokenizer .* interrupted"),
        ("a shard less", TruewardError, "no weights model-00002-of-00002.safetensors"),
        ("another tokenizer", TruewardError, "the model knows 300"),
        ("adapter", TruewardError, "no adapter_model.safetensors, .* interrupted"),
        ("cut short", TruewardError, "could not be loaded"),
        ("another size", TruewardError, "could not be loaded"),
        ("a layer more", TruewardError, "lacks 9 tensors"),
        ("own code", TruewardError, "code of its own, which is not executed"),
        ("encoder and decoder", UsageError, "an encoder and a decoder"),
    ],
)
def test_an_incomplete_or_unsupported_model_is_an_error(llama, damage, kind, message):
    weights, config = llama / "model.safetensors", json.loads((llama / "config.json").read_text())
    changes = {
        "another size": {"hidden_size": 64},
        "a layer more": {"num_hidden_layers": 3},
        "own code": {"model_type": "x", "auto_map": {"AutoConfig": "a.B", "AutoModel": "a.C"}},
        "encoder and decoder": {"model_type": "t5"},
    }
    if (llama / damage).is_file():
        (llama / damage).unlink()
    elif damage == "adapter":
        (llama / "adapter_config.json").write_text("{}")
    elif damage == "another tokenizer":
        tiny.build("llama", llama, vocabulary=300)
    elif damage == "a shard less":
        names = {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}
        (llama / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    elif damage == "cut short":
        weights.write_bytes(weights.read_bytes()[:2000])
    else:
        (llama / "config.json").write_text(json.dumps({**config, **changes[damage]}))
    with pytest.raises(kind, match=message):
        tiny.exact(llama).encode(["roof"], ["two plus five is what it depends on"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (",layer=3", "from -3 to 2, not 3"),
        (",layer=x", "whole number"),
        (",pooling=median", "one of last, mean"),
        (",max_length=4096", "beyond the 128 positions"),
        (",heads=2", "'heads' is none of these"),
        (",dtype=", "should be one of bfloat16"),
        (",device=", "has no value"),
    ],
)
def test_an_invalid_option_is_a_usage_error(models, options, message):
    with pytest.raises(UsageError, match=message):
        backbone(f"{models['llama']}{options}")


@pytest.mark.parametrize("device", ["cuda:7", "abacus"])
def test_an_unavailable_device_is_a_usage_error(models, device):
    with pytest.raises(UsageError, match="is not on this machine"):
        tiny.exact(models["llama"], f",device={device}").encode(["a"], ["b"])


def test_device_auto_gives_the_same_features(models):
    pytest.importorskip("accelerate")
    wanted = tiny.exact(models["qwen3"]).encode(tiny.PROMPTS, tiny.RESPONSES)
    distributed = tiny.exact(models["qwen3"], ",device=auto")
    assert torch.allclose(distributed.encode(tiny.PROMPTS, tiny.RESPONSES), wanted, atol=1e-3)


@pytest.mark.parametrize("package", ["transformers", "accelerate"])
def test_a_missing_package_is_an_error_that_names_the_extra(llama, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TruewardError, match=r"trueward\[text\]"):
        tiny.exact(llama, ",device=auto").encode(["a"], ["b"])


def test_weights_of_llama_cpp_are_told_as_such(tmp_path):
    """A file, a folder of it, and one with a config.json beside it."""
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    for name in (tmp_path / "model.gguf", tmp_path):
        with pytest.raises(UsageError, match=r"GGUF, the format of llama\.cpp.*converted from"):
            backbone(str(name))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="GGUF"):
        backbone(str(tmp_path))


def test_a_quantised_model_names_what_it_needs_and_the_way_out(tmp_path):
    folder = tiny.build("llama", tmp_path)
    about = json.loads((folder / "config.json").read_text())
    about["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    (folder / "config.json").write_text(json.dumps(about))
    if importlib.util.find_spec("bitsandbytes") is not None:
        pytest.skip("bitsandbytes is installed, so the model may load")
    with pytest.raises(TruewardError, match=r"is quantised.*bitsandbytes.*before quantisation"):
        tiny.exact(folder).encode(["a"], ["b"])
