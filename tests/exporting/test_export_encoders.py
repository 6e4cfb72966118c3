"""Rewards on encoders as stock classifiers: the head of every class carries one linear head."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from helpers.commands import run
from helpers.language_logs import outcome, rewritten

from trueward.core.errors import TruewardError, UsageError
from trueward.exporting import export, verify
from trueward.exporting.classifier_heads import HEADS
from trueward.features import encode
from trueward.fitting.fit import fit

transformers = pytest.importorskip("transformers", reason="language models need the extra `text`")
tiny = pytest.importorskip("helpers.tiny")

NO_SEGMENTS = {"type_vocab_size": 1}
DEBERTA = {
    "type_vocab_size": 0,
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "position_biased_input": False,
}
# model type -> its configuration beside the sizes that all have
KINDS = {
    "albert": {"embedding_size": 16},
    "bert": {},
    "camembert": NO_SEGMENTS,
    "deberta": DEBERTA,
    "deberta-v2": DEBERTA,
    "distilbert": {},
    "electra": {"embedding_size": 16},
    "modernbert": {
        "bos_token_id": 2,
        "eos_token_id": 3,
        "cls_token_id": 2,
        "sep_token_id": 3,
        "local_attention": 16,
    },
    "mpnet": {},
    "roberta": NO_SEGMENTS,
    "xlm-roberta": NO_SEGMENTS,
}
TWO_SEGMENTS = {"albert", "bert", "electra"}


def written(kind, folder):
    """Write a tiny encoder of any kind with random weights."""
    own = tiny.tokenizer("bert")
    config = transformers.AutoConfig.for_model(
        kind,
        vocab_size=len(own),
        max_position_embeddings=128,
        pad_token_id=0,
        **tiny.SIZE,
        **KINDS[kind],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(config).eval()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def fitted(kind, folder, table, options=",pooling=cls", hidden=(), **chosen):
    """A reward on a tiny encoder."""
    base = written(kind, folder / "base")
    data = encode(table, backbone=f"{base},dtype=float32{options}")
    return fit("naive", *data.split(0.2), epochs=2, hidden=hidden, **chosen)


def halves(texts):
    """Reference rows, and held-out rows of other prompts."""
    return [t[:150] for t in texts], [t[150:190] for t in texts]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_stock_class_gives_the_reward_of_rows_that_the_export_never_saw(
    table, texts, tmp_path, kind
):
    model, (reference, held_out) = fitted(kind, tmp_path, table), halves(texts)
    folder = export(model, tmp_path / "out", *reference).folder
    auto = transformers.AutoModelForSequenceClassification
    network, info = auto.from_pretrained(folder, num_labels=1, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert network.config.architectures == [type(network).__name__]
    assert "auto_map" not in json.loads((folder / "config.json").read_text())
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        inputs = tokenizer(*held_out, padding=True, truncation=True, return_tensors="pt")
        found = network.eval()(**inputs).logits[:, 0]
    wanted = model.score(*held_out).reward
    gap = float((found - wanted).abs().max() / wanted.std())
    assert gap < 5e-3  # the fit rounds features to float16; a random head is off by more than 1
    assert (tokenizer.chat_template is None) is (kind in TWO_SEGMENTS)


def test_every_head_of_the_library_is_tested():
    assert set(KINDS) == set(HEADS)


@pytest.mark.parametrize(
    ("kind", "options", "skipped"),
    [
        ("bert", ",pooling=cls", {"TRL", "vLLM"}),
        ("bert", ",pooling=cls,template=plain", {"CrossEncoder", "vLLM"}),
        ("distilbert", ",pooling=cls", {"vLLM"}),
        ("modernbert", ",pooling=mean", {"vLLM"}),
    ],
)
def test_pipeline_cross_encoder_and_trl_give_the_reward(
    table, texts, tmp_path, kind, options, skipped
):
    pytest.importorskip("sentence_transformers")
    model, (reference, held_out) = fitted(kind, tmp_path, table, options), halves(texts)
    made = export(model, tmp_path / "out", *reference)
    held_out = [t[:12] for t in held_out]
    checked = verify(made.folder, *held_out, model=model)
    assert {name for name, passed in outcome(checked).items() if passed is None} == skipped
    assert checked.passed, str(checked)
    given = ["\n\n".join(pair) for pair in zip(*held_out, strict=True)]
    if "plain" not in options:
        given = [{"text": p, "text_pair": r} for p, r in zip(*held_out, strict=True)]
    classify = transformers.pipeline("text-classification", model=str(made.folder), device="cpu")
    rows = [classify(text) for text in given]
    rows = [row[0] if "plain" in options else row for row in rows]
    found = torch.tensor([row["score"] for row in rows])
    wanted = model.score(*held_out).reward
    assert float((found - wanted).abs().max() / wanted.std()) < 5e-3


def test_a_tanh_is_linear_enough_far_beyond_the_reference():
    """Activations of ten times the norm of the reference cost 3e-5 of the reward."""
    network = transformers.BertForSequenceClassification(
        transformers.BertConfig(vocab_size=8, num_labels=1, **tiny.SIZE)
    )
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(50, 32, generator=generator)
    w = torch.randn(32, generator=generator, dtype=torch.float64)
    HEADS["bert"].carry(network, w, -3.0, h)
    for size, allowed in ((1.0, 2e-6), (10.0, 1e-4)):
        wanted = size * h.double() @ w - 3
        found = HEADS["bert"](network, size * h).double()
        assert float((found - wanted).abs().max() / wanted.std()) < allowed


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("bert", "", "read pooling=cls of the last layer, and this model reads pooling=mean"),
        ("bert", ",pooling=cls,normalize=true", "reads normalize=true"),
        ("modernbert", ",pooling=max", "read pooling=cls or mean"),
    ],
)
def test_what_no_stock_head_carries_is_said_and_refused_before_the_work(
    table, texts, tmp_path, monkeypatch, kind, options, reason
):
    model = fitted(kind, tmp_path, table, options)
    made = export(model, tmp_path / "out", *texts)
    assert (made.folder / "modules.json").exists()
    assert reason in made.notes[0]
    monkeypatch.setattr("trueward.exporting.write.features", None)  # nothing is encoded
    with pytest.raises(TruewardError, match=f"{reason}.*pooling=cls -o hidden="):
        export(model, tmp_path / "other", *texts, form="classifier")
    assert not (tmp_path / "other").exists()


def test_the_form_of_the_folder_can_be_chosen(table, texts, tmp_path):
    model = fitted("bert", tmp_path, table)
    made = export(model, tmp_path / "st", *texts, form="sentence-transformers")
    assert (made.folder / "modules.json").exists()
    with pytest.raises(UsageError, match="expected classifier or sentence-transformers"):
        export(model, tmp_path / "other", *texts, form="onnx")


def test_several_members_are_distilled_into_the_classifier_or_refused(table, texts, tmp_path):
    model = fitted("bert", tmp_path, table, members=2)
    made = export(model, tmp_path / "st", *texts, distil=True)
    assert made.card["head"]["kind"] == "distilled"
    assert verify(made.folder, *(t[:64] for t in texts), model=model).passed
    with pytest.raises(TruewardError, match="add --distil"):
        export(model, tmp_path / "other", *texts, form="classifier")


@pytest.fixture(scope="module")
def exported(table, texts, tmp_path_factory):
    """A classifier, normalised, with the model."""
    folder = tmp_path_factory.mktemp("encoder")
    model = fitted("distilbert", folder, table)
    return model, export(model, folder / "out", *texts, normalize=True).folder


def test_a_normalised_reward_has_mean_0_and_sd_1_on_the_reference(exported, texts):
    model, folder = exported
    card = json.loads((folder / "reward_card.json").read_text())["reference"]
    n = card["n"]  # the card has the sd of n rows, and the head is scaled by that of n - 1
    assert (card["z_mean"], card["z_sd"]) == pytest.approx((0, (1 - 1 / n) ** 0.5), abs=1e-6)
    assert outcome(verify(folder, *(t[:20] for t in texts), model=model))["reward model"]


def test_a_folder_that_was_edited_breaks_a_rule(exported, tmp_path):
    pytest.importorskip("sentence_transformers")
    copy = shutil.copytree(exported[1], tmp_path / "copy")
    rewritten(copy, "config.json", sentence_transformers={})
    rewritten(copy, "tokenizer_config.json", truncation_side="right")
    found = outcome(verify(copy))
    assert [found[k] for k in ("files", "truncation", "CrossEncoder")] == [False] * 3
    rewritten(copy, "config.json", model_type="nobody")
    assert "cannot load" in str(verify(copy))


def test_a_chat_of_several_turns_is_refused_by_the_template(exported):
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported[1])
    turn = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert tokenizer.apply_chat_template(turn, tokenize=False) == "[CLS]a[SEP]b[SEP]"
    with pytest.raises(Exception, match="one user message and one assistant message"):
        tokenizer.apply_chat_template(turn + turn, tokenize=False)


def test_a_backbone_that_moved_or_changed_is_one_sentence(exported, texts, tmp_path, monkeypatch):
    model, folder = exported
    place = shutil.copytree(folder.parent / "base", tmp_path / "base")
    spec = json.loads(model.backbone) | {"model": str(place)}
    model = replace(model, backbone=json.dumps(spec))
    place.rename(tmp_path / "moved")
    with pytest.raises(TruewardError, match="if it has moved, set TRUEWARD_BACKBONE to its folder"):
        export(model, tmp_path / "out", *texts)
    monkeypatch.setenv("TRUEWARD_BACKBONE", str(tmp_path / "moved"))
    assert export(model, tmp_path / "out", *texts).folder.is_dir()
    rewritten(tmp_path / "moved", "config.json", dropout=0.2)
    with pytest.raises(TruewardError, match=r"have digest .* or fit again"):
        export(model, tmp_path / "other", *texts)
    with pytest.raises(TruewardError, match="have digest"):
        verify(folder, *(t[:4] for t in texts), model=model)


def test_from_a_shell(exported, table, tmp_path, capsys):
    exported[0].save(tmp_path / "rm")
    table.frame.write_parquet(tmp_path / "log.parquet")
    rm, out = str(tmp_path / "rm"), str(tmp_path / "out")
    words = ["export", rm, out, "--reference", str(tmp_path / "log.parquet")]
    code, said, err = run([*words, "--form", "classifier"], capsys)
    assert code == 0, err
    assert "linear head" in said
    code, said, _ = run(["verify-export", out, "--model", rm], capsys)
    assert code == 0, said
    table.frame.head(20).rename({"response": "answer"}).write_parquet(tmp_path / "texts.parquet")
    words = ["verify-export", out, "--texts", str(tmp_path / "texts.parquet")]
    code, _, err = run(words, capsys)
    assert (code, "--map response=answer" in err) == (1, True)
    assert run([*words, "--map", "response=answer"], capsys)[0] == 0
    words = ["export", rm, out, "--reference", str(tmp_path / "log.parquet")]
    code, _, err = run([*words, "--form", "nothing"], capsys)
    assert code == 2
    assert "expected classifier or sentence-transformers" in err
