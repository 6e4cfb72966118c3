"""The reward learned end to end through a language model, here tiny ones made in the process."""

import copy

import pytest
import torch
from helpers.commands import run

from trueward import load
from trueward.core.errors import UsageError
from trueward.data.feedback import Columns, Feedback
from trueward.data.log_reading import read_log
from trueward.data.truth import read_test
from trueward.estimators._registry import make
from trueward.evaluation.evaluate import evaluate
from trueward.features.backbones import backbone
from trueward.features.transformers.transformer import Transformer
from trueward.fitting.finetune.network import TextRows, TunedNet
from trueward.fitting.finetune.tune import tune
from trueward.simulation import helpdesk, simulate
from trueward.training.microbatch import MicroBatches
from trueward.training.preprocessing import Standardizer
from trueward.training.problem import Batch, TrainingProblem
from trueward.training.step import backward

transformers = pytest.importorskip("transformers", reason="language models need the extra `text`")
pytest.importorskip("peft", reason="adapters need the extra `text`")
CHAT = "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} </s>{% endfor %}"


@pytest.fixture(scope="module")
def world():
    return simulate(helpdesk(150, seed=5), rate=0.5, rho_01=0.05, rho_10=0.1, seed=5)


@pytest.fixture(scope="module")
def folder(world, tmp_path_factory):
    """A Llama of two layers with a vocabulary of the world's words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["<pad>", "<unk>", "</s>", "<user>", "<assistant>"]
    texts = [t for c in ("prompt", "response") for t in world.log[c].to_list()]
    words.train_from_iterator(
        texts, trainers.WordLevelTrainer(vocab_size=600, special_tokens=special)
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.chat_template = CHAT
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=512,
            attention_dropout=0.1,
            pad_token_id=0,
            eos_token_id=2,
        )
    )
    place = tmp_path_factory.mktemp("tiny")
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return str(place)


def learner(folder, how, texts, **options):
    base = copy.deepcopy(backbone(f"{folder},dtype=float32,pooling=mean"))
    rows, _ = base.rendering.tokenize(*texts)
    d = base.width
    torch.manual_seed(1)
    standard = Standardizer(torch.zeros(d), torch.ones(d))
    heads = {"reward": (torch.randn(d) * 0.3, torch.tensor(0.1))}
    return TunedNet(base, rows, standard, heads, how, rank=4, **options)


TEXTS = (
    ["How do I undo this", "Where is my invoice", "Can I export", "Thanks for nothing"],
    ["Press undo", "Open Billing and scroll to the end of the list", "Yes", "Sorry about that"],
)


def gradients(net, micro):
    """Of a loss that is no mean over rows: weights are normalised over the whole batch."""
    n = len(TEXTS[0])
    o, p = torch.tensor([1.0, 1, 0, 1]), torch.tensor([0.2, 0.9, 0.5, 0.4])
    y = torch.tensor([1.0, 0, 0, 1])
    data, source = (
        Feedback(torch.zeros(n, 0), y, o, eta=Columns(propensity=p)),
        TextRows(torch.arange(n)),
    )
    problem = TrainingProblem("reward", make("snips", {}), data, data, source, source)
    for p in net.parameters():
        p.grad = None
    step = backward if micro is None else MicroBatches(micro).backward
    loss = step(problem, net, Batch(torch.arange(n), data, [Columns()]))
    return loss, [p.grad.clone() for p in net.parameters() if p.grad is not None]


@pytest.mark.parametrize("how", ["lora", "full", "head"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_gradient_of_slices_is_that_of_the_whole_batch(folder, how, checkpointing):
    net = learner(folder, how, TEXTS, checkpointing=checkpointing)
    if how == "lora":  # at first one factor is 0, and the gradient of the other with it
        with torch.no_grad():
            for p in net.weights:
                p.add_(0.05 * torch.randn_like(p))
    whole, expected = gradients(net, None)
    sliced, found = gradients(net, 1)
    assert len(expected) == len(found) > (2 if how != "head" else 1)
    torch.testing.assert_close(sliced, whole)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert any(g.abs().sum() > 0 for g in expected[2:]) or how == "head"


def test_scores_do_not_depend_on_the_batch(folder):
    net = learner(folder, "lora", TEXTS)
    with torch.no_grad():
        together = net({"text": torch.arange(4)}).reward
        alone = torch.cat([net({"text": torch.tensor([i])}).reward for i in range(4)], 1)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def tuned(folder, world, tmp_path_factory):
    log = read_log(world.log)
    own = tmp_path_factory.mktemp("own") / "learned"
    options = {"epochs": 2, "lr": 3e-3, "nuisance_epochs": 2}
    return tune(
        "naive", log, backbone=f"{folder},dtype=float32,pooling=mean", into=own, rank=4, **options
    )


def test_a_tuned_model_is_saved_whole_and_scores_the_same_elsewhere(tuned, tmp_path):
    prompts, responses = TEXTS
    before = tuned.score(prompts, responses).preferred
    tuned.save(tmp_path / "rm")
    (tmp_path / "rm").rename(tmp_path / "moved")
    torch.testing.assert_close(load(tmp_path / "moved").score(prompts, responses).preferred, before)
    assert tuned.report["tuned"]["how"] == "lora"
    assert tuned.report["tuned"]["rank"] == 4


def test_tuning_lowers_the_loss_that_the_frozen_model_reached(tuned):
    frozen = tuned.report["tuned"]["frozen_validation_loss"]
    assert tuned.report["training"]["validation_loss"][0] < frozen[0]


def test_a_head_alone_is_learned_without_a_pass_of_the_model(folder, world, tmp_path, monkeypatch):
    log, read = read_log(world.log), []
    activations = Transformer.activations

    def seen(self, inputs, model=None):
        read.append(len(inputs["attention_mask"]))
        return activations(self, inputs, model)

    monkeypatch.setattr(Transformer, "activations", seen)
    own = tmp_path / "learned"
    name = f"{folder},dtype=float32,pooling=mean"
    model = tune("naive", log, backbone=name, into=own, how="head", epochs=3, lr=3e-3)
    # the frozen model reads every text at most once, and so does what was written
    assert len(log.frame) <= sum(read) <= 2 * len(log.frame)
    (reached,), (frozen,) = (
        model.report[a][b]
        for a, b in (("training", "validation_loss"), ("tuned", "frozen_validation_loss"))
    )
    assert reached == pytest.approx(frozen, rel=0.02)  # the best head there is was the start
    assert model.report["tuned"]["rank"] is None
    prompts, responses = TEXTS
    before, after = (backbone(f"{k},dtype=float32,pooling=mean") for k in (folder, own))
    torch.testing.assert_close(after.encode(prompts, responses), before.encode(prompts, responses))


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("anchored", {}, "composed of its nuisances"),
        ("selectmix", {}, "texts cannot be mixed"),
        ("naive", {"members": 2}, "one model at a time"),
    ],
)
def test_what_cannot_be_tuned_is_refused(folder, world, tmp_path, method, options, words):
    log = simulate(helpdesk(60, seed=6), rate=0.5, gold=40, seed=6).log
    with pytest.raises(UsageError, match=words):
        tune(method, read_log(log), backbone=folder, into=tmp_path / "own", **options)
    assert not (tmp_path / "own").exists()


def test_features_without_weights_are_refused(world, tmp_path):
    with pytest.raises(UsageError, match="no weights to learn"):
        tune("naive", read_log(world.log), backbone="wordllama", into=tmp_path / "own")


def recovered(folder, place, seed):
    """R2 on clean labels of a whole model tuned by naive and by causalrm, which estimates the rates."""
    world = simulate(helpdesk(1000, seed=seed), rate=0.6, rho_01=0.4, rho_10=0.05, seed=seed)
    log, test, found = read_log(world.log), read_test(world.test), {}
    for name in ("naive", "causalrm"):
        model = tune(
            name,
            log,
            backbone=f"{folder},dtype=float32,pooling=mean",
            into=place / f"{name}{seed}",
            how="full",
            frozen="wordllama",
            epochs=5,
            lr=1e-3,
            batch_size=64,
            micro_batch=64,
            seed=seed,
        )
        found[name] = evaluate(model, test, draws=0)["r2"].value
    return found


@pytest.mark.battery
def test_a_model_tuned_by_causalrm_recovers_more_of_the_truth_than_one_tuned_by_naive(
    folder, tmp_path
):
    """On the help desk, two answers of five that pleased are marked down, and causalrm is told no rate.

    Five worlds (seeds 0 to 4) gave gains in R2 of .07, .01, .11, .09 and .16; the mean of the first three is
    asked for half of what it was.
    """
    gains = [r["causalrm"] - r["naive"] for r in (recovered(folder, tmp_path, k) for k in range(3))]
    print(gains)
    assert sum(gains) / 3 > 0.03


def test_from_a_shell_the_model_is_one_folder_that_every_command_reads(
    folder, world, tmp_path, capsys
):
    world.write(tmp_path / "world")
    log, out = str(tmp_path / "world/log.parquet"), str(tmp_path / "rm")
    tiny = ["--backbone", f"{folder},dtype=float32,pooling=mean"]
    fitted = ["fit", "causalrm", log, "--out", out, *tiny, "--tune", "lora", "--epochs", "1"]
    code, said, err = run([*fitted, "--rank", "4", "--nuisance-backbone", "wordllama"], capsys)
    assert code == 0, err
    assert "causalrm learned" in said
    assert (tmp_path / "rm/language_model/config.json").is_file()
    assert not list(tmp_path.glob("*.checkpoint"))
    test = str(tmp_path / "world/test.parquet")
    for command in (
        ["evaluate", out, test],
        ["score", out, test, "--out", str(tmp_path / "s.csv")],
    ):
        assert run(command, capsys)[0] == 0


def test_options_of_tuning_alone_are_refused(world, tmp_path, capsys):
    world.write(tmp_path / "world")
    fitted = ["fit", "naive", str(tmp_path / "world/log.parquet"), "--out", str(tmp_path / "rm")]
    for option in (["--rank", "4"], ["--track", "trackio"]):
        code, _, err = run([*fitted, *option], capsys)
        assert code == 2
        assert "need --tune" in err
