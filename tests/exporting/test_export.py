"""Exports: the same scores wherever a folder is loaded, and a rule by name where one is broken."""

import json

import pytest
import torch
from helpers.commands import run
from helpers.language_logs import DECODERS, outcome, rewritten

from trueward.core.errors import TruewardError, UsageError
from trueward.exporting import export, verify, verify_export
from trueward.exporting.chat_format import PAD, fixed_chat_format
from trueward.features import encode
from trueward.fitting.fit import fit

transformers = pytest.importorskip("transformers", reason="language models need the extra `text`")
tiny = pytest.importorskip("helpers.tiny")


@pytest.fixture(scope="module", params=DECODERS)
def exported(request, table, texts, tmp_path_factory):
    """A linear reward on a tiny decoder, and its export."""
    folder = tmp_path_factory.mktemp(request.param)
    tiny.build(request.param, folder / "base")
    data = encode(table, backbone=f"{folder / 'base'},dtype=float32")
    model = fit("naive", *data.split(0.2), hidden=(), epochs=3)
    made = export(model, folder / "out", *texts)
    return model, made


def test_every_rule_is_kept_and_the_rewards_are_those_of_the_model(exported, texts):
    model, made = exported
    found = verify(made.folder, *(t[:64] for t in texts), model=model)
    assert found.passed, str(found)
    kept = outcome(found)
    assert kept.pop("vLLM") is None
    kept.pop("bos")  # may be kept with a word of warning
    assert all(kept.values()), str(found)


def test_a_saved_model_and_a_log_are_exported_and_verified_by_their_paths(
    exported, table, tmp_path
):
    model, made = exported
    model.save(tmp_path / "rm")
    again = export(str(tmp_path / "rm"), str(tmp_path / "out"), table)
    assert again.card["weights_sha256"] == made.card["weights_sha256"]
    result = verify_export(tmp_path / "out", table, model=tmp_path / "rm")
    assert outcome(result)["reward model"]
    with pytest.raises(UsageError, match="a log has its own responses"):
        verify_export(tmp_path / "out", table, ["a response"])
    with pytest.raises(UsageError, match="found 2 prompts and 1 responses"):
        verify_export(tmp_path / "out", ["a", "b"], ["c"])


def test_a_folder_of_somebody_else_is_not_overwritten(exported, texts, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(TruewardError, match="is not an export"):
        export(exported[0], tmp_path, *texts)
    assert (tmp_path / "thesis.tex").exists()


def test_transformers_loads_it_as_a_stock_class_and_scores_a_padded_batch(exported, texts):
    model, made = exported
    tokenizer = transformers.AutoTokenizer.from_pretrained(made.folder)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(
        made.folder, num_labels=1
    )
    assert type(network).__module__.startswith("transformers.")
    prompts, responses = (t[:7] for t in texts)
    chats = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": p}, {"role": "assistant", "content": r}], tokenize=False
        )
        for p, r in zip(prompts, responses, strict=True)
    ]
    inputs = tokenizer(chats, return_tensors="pt", padding=True, add_special_tokens=False)
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        logits = network.eval()(**inputs).logits[:, 0]
    found = logits + made.card["head"]["constant"]
    wanted = model.score(prompts, responses).reward
    spread = float(wanted.std())
    torch.testing.assert_close(found / spread, wanted / spread, atol=5e-3, rtol=0)


def test_the_card_says_what_vllm_and_openrlhf_need(exported):
    _, made = exported
    card = json.loads((made.folder / "reward_card.json").read_text())
    config = json.loads((made.folder / "config.json").read_text())
    assert config["mean"] == pytest.approx(card["reference"]["z_mean"])
    assert config["std"] == pytest.approx(card["reference"]["z_sd"])
    assert "num_labels" not in config or config["num_labels"] == 1
    assert card["base_model"]["id"] == "base"  # and not where it lies on this machine
    pooler = card["serve"]["vllm_pooler_config"]
    assert pooler == {"logit_mean": -card["head"]["constant"], "logit_sigma": 1.0}


@pytest.fixture
def broken(exported, tmp_path):
    """A copy of the export that may be spoilt."""
    import shutil

    shutil.copytree(exported[1].folder, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_head_that_was_changed_is_not_that_of_the_card(broken):
    from safetensors.torch import load_file, save_file

    file = broken / "model.safetensors"
    tensors = load_file(file)
    tensors["score.weight"] = -tensors["score.weight"]
    save_file(tensors, file, {"format": "pt"})
    assert outcome(verify(broken))["files"] is False


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"template": 3}'])
def test_a_card_that_is_none_is_one_line(broken, text):
    (broken / "reward_card.json").write_text(text)
    (check,) = verify(broken).checks
    assert check.passed is False
    assert check.sentence.startswith("reward_card.json ")


def test_a_folder_without_its_head_does_not_load(broken):
    from safetensors.torch import load_file, save_file

    file = broken / "model.safetensors"
    tensors = load_file(file)
    del tensors["score.weight"]
    save_file(tensors, file, {"format": "pt"})
    found = verify(broken)
    assert not found.passed
    assert "score.weight" in found.checks[0].sentence


def test_padding_with_the_end_of_the_text_is_found(broken):
    about = json.loads((broken / "tokenizer_config.json").read_text())
    rewritten(broken, "tokenizer_config.json", pad_token=about["eos_token"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(broken)
    rewritten(broken, "config.json", pad_token_id=tokenizer.eos_token_id)
    found = outcome(verify(broken))
    assert found["padding"] is False


def test_a_template_with_a_mood_of_its_own_is_found(broken):
    file = broken / "chat_template.jinja"
    file.write_text(file.read_text() + "{% if enable_thinking %}hm{% endif %}")
    assert outcome(verify(broken))["template"] is False


def test_an_adapter_beside_the_weights_would_be_loaded_in_their_place(broken):
    (broken / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/else"}')
    (check,) = verify(broken).checks
    assert check.passed is False
    assert "adapter_config.json" in check.sentence


def test_truncation_from_the_right_is_found(broken):
    rewritten(broken, "tokenizer_config.json", truncation_side="right")
    assert outcome(verify(broken))["truncation"] is False


def test_a_rollout_without_its_end_becomes_the_canonical_text(exported):
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported[1].folder)
    chat_format = fixed_chat_format(tokenizer)
    text, suffix = chat_format.canonical("a", "b"), exported[1].card["template"]["suffix"]
    assert chat_format.suffix == suffix
    for cut in range(len(suffix) + 1):
        assert chat_format.complete(text[: len(text) - cut]) == text


def test_a_pad_token_of_its_own_is_made_where_there_is_none(tmp_path):
    tiny.build("llama", tmp_path)
    chat_format = fixed_chat_format(transformers.AutoTokenizer.from_pretrained(tmp_path))
    assert chat_format.added_pad
    assert chat_format.tokenizer.pad_token == PAD
    assert chat_format.tokenizer.padding_side == "right"
    assert chat_format.bos == "once"


@pytest.fixture(scope="module")
def deep(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    tiny.build("qwen3", folder)
    data = encode(table, backbone=f"{folder},dtype=float32")
    return fit("naive", *data.split(0.2), epochs=2)


def test_a_reward_with_hidden_layers_is_distilled_only_when_asked(deep, texts, tmp_path):
    with pytest.raises(TruewardError, match="--distil"):
        export(deep, tmp_path / "out", *texts)
    assert not (tmp_path / "out").exists()
    made = export(deep, tmp_path / "out", *texts, distil=True)
    assert made.card["head"]["kind"] == "distilled"
    assert made.card["head"]["rank_correlation"] > 0.8
    assert "distilled" in made.notes[0]
    assert outcome(verify(tmp_path / "out", model=deep))["TRL"]


def test_bfloat16_is_checked_against_float32(deep, texts, tmp_path):
    made = export(deep, tmp_path / "out", *texts, distil=True, dtype="bfloat16")
    assert json.loads((made.folder / "config.json").read_text())["dtype"] == "bfloat16"
    assert "export dtype" in outcome(verify(tmp_path / "out"))


@pytest.mark.parametrize(
    ("backbone", "words"),
    [("wordllama", "default features"), ("mean", "pooling=mean"), ("layer", "layer=1")],
)
def test_what_no_stock_loader_reads_alike_is_refused(table, texts, tmp_path, backbone, words):
    if backbone != "wordllama":
        tiny.build("qwen3", tmp_path / "base")
        more = ",pooling=mean" if backbone == "mean" else ",layer=1"
        backbone = f"{tmp_path / 'base'}{more},dtype=float32"
    model = fit("naive", *encode(table, backbone=backbone).split(0.2), hidden=(), epochs=1)
    with pytest.raises(TruewardError, match=f"{words}.*--allow-remote-code"):
        export(model, tmp_path / "out", *texts)


def test_from_a_shell(exported, table, tmp_path, capsys):
    model, _ = exported
    model.save(tmp_path / "rm")
    table.frame.write_parquet(tmp_path / "log.parquet")
    out = str(tmp_path / "out")
    words = ["export", str(tmp_path / "rm"), out, "--reference", str(tmp_path / "log.parquet")]
    code, said, err = run(words, capsys)
    assert code == 0, err
    assert "verify-export" in said
    code, said, _ = run(["verify-export", out, "--model", str(tmp_path / "rm")], capsys)
    assert code == 0, said
    assert "every rule that can be tested here is kept" in said
    rewritten(tmp_path / "out", "tokenizer_config.json", truncation_side="right")
    code, said, _ = run(["verify-export", out], capsys)
    assert code == 1
    assert "broken: truncation" in said
    assert run(["verify-export", str(tmp_path / "rm")], capsys)[0] == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    assert run([*words[:2], str(tmp_path / "mine"), *words[3:]], capsys)[0] == 1
    assert (tmp_path / "mine" / "thesis.tex").exists()
