"""Exports of other kinds of models and chats: language towers, no stock class, BOS that is EOS, rollouts."""

import json
import logging

import pytest
import torch
from helpers.language_logs import outcome

from trueward.core.errors import TruewardError
from trueward.exporting import export, verify
from trueward.exporting.chat_format import chat, fixed_chat_format
from trueward.features import encode
from trueward.fitting.fit import fit

transformers = pytest.importorskip("transformers", reason="language models need the extra `text`")
tiny = pytest.importorskip("helpers.tiny")

SIZE = {**tiny.SIZE, "num_key_value_heads": 2}
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16}
LOOKING = {**SMALL, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2]}
EYES = {"depth": 1, "hidden_size": 16, "num_heads": 2, "intermediate_size": 16}
CONFIGS = {
    "gemma3": lambda v: transformers.Gemma3Config(
        text_config={"vocab_size": v, **SIZE, "head_dim": 8, "sliding_window": 16},
        vision_config=LOOKING,
        mm_tokens_per_image=4,
    ),
    "mistral3": lambda v: transformers.Mistral3Config(
        text_config={"model_type": "mistral", "vocab_size": v, **SIZE, "head_dim": 8},
        vision_config={"model_type": "pixtral", **LOOKING},
    ),
    "qwen2_5_vl": lambda v: transformers.Qwen2_5_VLConfig(
        text_config={"vocab_size": v, **SIZE, "rope_scaling": ROPE},
        vision_config={**EYES, "out_hidden_size": 32},
    ),
    "mamba2": lambda v: transformers.Mamba2Config(
        vocab_size=v,
        hidden_size=32,
        num_hidden_layers=2,
        num_heads=8,
        head_dim=8,
        state_size=8,
        n_groups=1,
        chunk_size=8,
    ),
    "gpt2": lambda v: transformers.GPT2Config(
        vocab_size=v, n_embd=32, n_layer=2, n_head=4, n_positions=128
    ),
    "phi3": lambda v: transformers.Phi3Config(
        vocab_size=v, **SIZE, max_position_embeddings=128, pad_token_id=0
    ),
}
PHI3 = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)


def written(kind, folder, own):
    """Write a tiny model of any kind with random weights, as a checkpoint that generates text."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(CONFIGS[kind](len(own))).eval()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    own.save_pretrained(folder)
    file = folder / "config.json"
    about = json.loads(file.read_text()) | {"architectures": ["TinyForConditionalGeneration"]}
    file.write_text(json.dumps(about))
    return folder


def fitted(table, folder):
    data = encode(table, backbone=f"{folder},dtype=float32")
    return fit("naive", *data.split(0.2), hidden=(), epochs=2)


@pytest.fixture
def modules(monkeypatch, tmp_path):
    """Code that transformers loads is copied to a place of the test's own."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "m"))


@pytest.mark.parametrize("kind", ["gemma3", "mistral3"])
def test_of_a_model_that_sees_the_language_model_is_exported(table, texts, tmp_path, kind):
    model = fitted(table, written(kind, tmp_path / "base", tiny.tokenizer("qwen3")))
    made = export(model, tmp_path / "out", *texts)
    about = json.loads((made.folder / "config.json").read_text())
    assert about["architectures"] == [
        {"gemma3": "Gemma3Text", "mistral3": "Mistral"}[kind] + "ForSequenceClassification"
    ]
    found = verify(made.folder, *texts, model=model)
    assert found.passed, str(found)


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "mamba2"])
def test_a_kind_without_a_stock_class_is_told_before_the_fit_and_carried_as_code(
    table, texts, tmp_path, modules, kind, caplog
):
    with caplog.at_level(logging.WARNING, logger="trueward"):
        model = fitted(table, written(kind, tmp_path / "base", tiny.tokenizer("qwen3")))
    (said,) = [r.getMessage() for r in caplog.records if "no sequence-classif" in r.getMessage()]
    assert kind in said
    with pytest.raises(TruewardError, match=r"no sequence-classification class .*--allow-remote"):
        export(model, tmp_path / "out", *texts)
    made = export(model, tmp_path / "out", *texts, allow_remote_code=True)
    found = verify(made.folder, *texts, model=model, allow_remote_code=True)
    assert found.passed, str(found)


def test_where_bos_is_eos_only_the_beginning_of_a_text_counts(table, texts, tmp_path):
    """GPT-2 and others: the same token begins a text, ends every turn, and must not be counted there."""
    own = tiny.tokenizer("qwen3")
    own.bos_token = own.eos_token
    for name, template in (("none", own.chat_template), ("once", "{{ bos_token }}" + tiny.CHATML)):
        own.chat_template = template
        model = fitted(table, written("gpt2", tmp_path / name, own))
        made = export(model, tmp_path / f"{name}-out", *texts)
        assert made.card["template"]["bos"] == name
        found = verify(made.folder, *texts, model=model)
        assert found.passed, str(found)


def phi3():
    """Turns end in a token that is not EOS, which comes once more at the end."""
    special = ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>")
    own = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tiny.bpe(*special), eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )
    own.chat_template = PHI3
    return own


def mistral():
    """A space between the generation prompt and a response, which a policy generates itself."""
    own = tiny.tokenizer("llama")
    own.chat_template = MISTRAL
    return own


@pytest.mark.parametrize(
    ("own", "end", "lead"), [(phi3, "<|end|>", ""), (mistral, "", " ")], ids=["phi3", "mistral"]
)
def test_a_rollout_that_keeps_the_end_or_the_space_of_its_turn_scores_alike(
    table, texts, tmp_path, own, end, lead
):
    """veRL leaves both in the response, and a template that adds them again doubles them."""
    kind = "phi3" if end else "gpt2"
    base = written(kind, tmp_path / "base", own())
    model = fitted(table, base)
    made = export(model, tmp_path / "out", *texts)
    checks = {c.name: c for c in verify(made.folder, *texts, model=model).checks}
    assert checks["veRL"].sentence == "rollouts become the canonical tokens"
    assert all(c.passed is not False for c in checks.values())
    fixed = fixed_chat_format(transformers.AutoTokenizer.from_pretrained(made.folder))
    whole = fixed.canonical("how do i", "undo a commit")
    assert fixed.canonical("how do i", f"{lead}undo a commit{end}") == whole
    # with the template of the model itself they are doubled, and the rule says so
    plain = transformers.AutoTokenizer.from_pretrained(base).chat_template
    (made.folder / "chat_template.jinja").write_text(plain)
    assert outcome(verify(made.folder, *texts))["veRL"] is False


def test_the_pinned_template_leaves_other_messages_as_they_are():
    own = phi3()
    before = own.apply_chat_template(chat("a <|end|>", "b"), tokenize=False)
    fixed = fixed_chat_format(own)
    assert fixed.canonical("a <|end|>", "b") == before
    parts = [{"role": "user", "content": [{"type": "text", "text": "x"}]}]
    assert "text" in own.apply_chat_template(parts, tokenize=False)
