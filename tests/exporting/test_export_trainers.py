"""OpenRLHF's own reward model and veRL's own reward loop read an exported folder, where they are installed.

Both pin packages that this library does not need, so each goes without them into a folder in front of this
environment, with the few that its import asks for:

    pip install --no-deps --target ENV openrlhf==0.11.2 pylatexenc
    pip install --no-deps --target ENV verl==0.9.1 tensordict orjson pyvers cloudpickle omegaconf ray \\
        hydra-core antlr4-python3-runtime==4.9.3 codetiming msgpack jsonschema jsonschema-specifications \\
        referencing rpds-py protobuf aiohttp multidict yarl frozenlist propcache aiosignal attrs \\
        aiohappyeyeballs
    PYTHONPATH=src:ENV pytest tests/exporting/test_export_trainers.py
"""

import asyncio
import importlib
import importlib.machinery
import importlib.util
import sys
import types

import numpy as np
import pytest
import torch
from helpers.language_logs import log

from trueward.exporting import export, verify
from trueward.features import encode
from trueward.fitting.fit import fit

transformers = pytest.importorskip("transformers", reason="language models need the extra `text`")
tiny = pytest.importorskip("helpers.tiny")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of theirs


def installed(name):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: see the top of this file")


@pytest.fixture(scope="module", params=["qwen3", "gemma3"])
def exported(request, tmp_path_factory):
    """A linear reward, as a folder, and the texts of its log."""
    table, folder = log(), tmp_path_factory.mktemp(request.param)
    tiny.build(request.param, folder / "base")
    data = encode(table, backbone=f"{folder / 'base'},dtype=float32")
    model = fit("naive", *data.split(0.2), hidden=(), epochs=2)
    texts = table.frame["prompt"].to_list(), table.frame["response"].to_list()
    return model, export(model, folder / "out", *texts).folder, texts


@pytest.fixture
def openrlhf(monkeypatch):
    """The package; kernels of a GPU that it imports, and that a CPU never calls, are left empty."""
    installed("openrlhf")
    kernels = {"deepspeed": (), "flash_attn": (), "flash_attn.utils": ()}
    kernels["flash_attn.utils.distributed"] = ("all_gather",)
    padding = ("index_first_axis", "pad_input", "rearrange", "unpad_input")
    kernels["flash_attn.bert_padding"] = padding
    missing = [n for n in ("deepspeed", "flash_attn") if importlib.util.find_spec(n) is None]
    for name, contents in kernels.items():
        if name.split(".")[0] in missing:
            module = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
            module.__dict__.update(dict.fromkeys(contents))
            monkeypatch.setitem(sys.modules, name, module)
    return importlib.import_module("openrlhf.models")


def test_the_reward_model_of_openrlhf_gives_the_rewards_in_bfloat16(exported, openrlhf):
    model, folder, texts = exported
    found = {c.name: c for c in verify(folder, *texts, model=model).checks}["OpenRLHF"]
    assert found.passed, found.sentence
    assert found.sentence.startswith("its own class in bfloat16")


def test_the_reward_loop_of_verl_makes_the_canonical_tokens_of_a_rollout(exported):
    installed("verl")
    loop = importlib.import_module("verl.experimental.reward_loop.reward_loop")
    protocol = importlib.import_module("verl.protocol")
    _, folder, texts = exported
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    worker = object.__new__(loop.RewardLoopWorker)
    worker.input_tokenizer = worker.reward_model_tokenizer = tokenizer
    for prompt, response in list(zip(*texts, strict=True))[:6]:
        asked = [{"role": "user", "content": prompt}]
        whole = tokenizer.apply_chat_template(
            [*asked, {"role": "assistant", "content": response}], tokenize=False
        )
        canonical = tokenizer(whole, add_special_tokens=False)["input_ids"]
        begun = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        start = len(tokenizer(begun, add_special_tokens=False)["input_ids"])
        end = tokenizer.convert_tokens_to_ids(
            "<end_of_turn>" if "<end_of_turn>" in whole else "<|im_end|>"
        )
        generated = canonical[start : len(canonical) - canonical[::-1].index(end)]
        data = protocol.DataProto.from_dict(
            tensors={
                "responses": torch.tensor([generated]),
                "attention_mask": torch.ones(1, len(generated), dtype=torch.long),
            },
            non_tensors={"raw_prompt": np.array([asked], dtype=object)},
        )
        text = asyncio.run(worker._preprocess_reward_inputs(data))
        assert tokenizer(text)["input_ids"] == canonical  # as the server reads its input
