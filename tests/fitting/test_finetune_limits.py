"""Tuning where memory, numbers or time run out: what is learned is the same, or one sentence says why not."""

import gc
import itertools
import json
import logging
import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from helpers.commands import run
from helpers.toy import ready, toy
from helpers.trackers import numbers
from safetensors.torch import load_file

from trueward.core.errors import TruewardError, UsageError
from trueward.data.feedback import Columns
from trueward.data.log_reading import read_log
from trueward.estimators._registry import make
from trueward.features import backbone
from trueward.features.transformers import loading
from trueward.fitting.finetune.network import TextRows, TunedNet, with_adapters
from trueward.fitting.finetune.tune import tune
from trueward.reporting.replay import track
from trueward.simulation import helpdesk, simulate
from trueward.training import loop as engine
from trueward.training.microbatch import MicroBatches
from trueward.training.preprocessing import Standardizer
from trueward.training.problem import Batch, TrainingProblem
from trueward.training.step import backward

pytest.importorskip("transformers", reason="language models need the extra `text`")
pytest.importorskip("peft", reason="adapters need the extra `text`")
tiny = pytest.importorskip("helpers.tiny")
TEXTS = [*tiny.PROMPTS, "what is"], [*tiny.RESPONSES, "run"]
N = len(TEXTS[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.build("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def world():
    return simulate(helpdesk(60, seed=5), rate=0.5, rho_01=0.05, rho_10=0.1, seed=5)


def named(folder):
    return f"{folder},dtype=float32,max_length=24"


def learner(folder, method, how="lora"):
    base = backbone(named(folder)).move_weights()
    rows, _ = base.rendering.tokenize(*TEXTS)
    torch.manual_seed(1)
    heads = {k: (torch.randn(base.width), torch.tensor(0.1)) for k in method.heads}
    standard = Standardizer(torch.zeros(base.width), torch.ones(base.width))
    net = TunedNet(base, rows, standard, heads, how, rank=2)
    with torch.no_grad():
        for p in net.weights:
            p.add_(0.05 * torch.randn_like(p))
    return net


def step(net, method, slices=None, memory=None):
    """Loss, gradients and slices of one step on all texts, under a method's loss."""
    b = ready(method, toy(N, seed=3))
    data, source = replace(b, x=torch.zeros(N, 0)), TextRows(torch.arange(N))
    problem = TrainingProblem("reward", method, data, data, source, source, lengths=net.lengths)
    net.zero_grad()
    batch = Batch(torch.arange(N), data, [Columns()])
    loss = (slices.backward if slices else backward)(problem, net, batch)
    return loss, [p.grad.clone() for p in net.parameters() if p.grad is not None]


class Short:
    """A forward pass with a gradient that holds ``rows`` rows at most; what was asked of it."""

    def __init__(self, patch, rows):
        whole, self.asked = TunedNet._pooled, []

        def pooled(net, numbers):
            if torch.is_grad_enabled():
                self.asked.append(len(numbers))
                if len(numbers) > rows:
                    raise torch.OutOfMemoryError
            return whole(net, numbers)

        patch.setattr(TunedNet, "_pooled", pooled)


@pytest.mark.parametrize("name", ["dr", "nnpu", "co_teaching"])
def test_slices_that_do_not_fit_are_halved_and_the_gradient_stays(
    folder, name, monkeypatch, caplog
):
    method, slices = make(name, {}), MicroBatches(4)
    net = learner(folder, method)
    loss, wanted = step(net, method)
    memory = Short(monkeypatch, 1)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            found, grads = step(net, method, slices)
            torch.testing.assert_close(found, loss)
            for a, b in zip(grads, wanted, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert memory.asked[:3] == [4, 2, 1]
    assert memory.asked[3:].count(1) == len(
        memory.asked[3:]
    )  # once found out it is not tried again
    (message,) = (r.message for r in caplog.records)
    assert "out of memory with 4 rows" in message
    assert "micro_batch is halved" in message


def test_one_text_that_does_not_fit_is_one_sentence(folder, monkeypatch):
    Short(monkeypatch, 0)
    with pytest.raises(
        TruewardError, match=r"one text .* does not fit .* --gradient-checkpointing"
    ):
        step(learner(folder, make("naive", {})), make("naive", {}), MicroBatches(4))


@pytest.mark.parametrize(("name", "passes"), [("dr", [1, 1]), ("co_teaching", [2, 2])])
def test_a_text_is_read_once_where_the_loss_of_a_row_needs_no_other_row(
    folder, name, passes, monkeypatch
):
    method, slices, read = make(name, {}), MicroBatches(2), []
    net = learner(folder, method)
    whole = TunedNet._pooled
    monkeypatch.setattr(TunedNet, "_pooled", lambda n, i: (read.extend(i), whole(n, i))[1])
    for times in passes:
        read.clear()
        step(net, method, slices)
        assert sorted(read) == sorted([*range(N)] * times)


SIZE = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8}
EXPERTS = {"num_local_experts": 2, "intermediate_size": 16, "intermediate_size_mlp": 16}


@pytest.mark.parametrize(
    ("kind", "sizes", "without"),
    [
        ("Mamba2", {"num_heads": 4, "head_dim": 8, "state_size": 4, "n_groups": 1}, "out_proj"),
        ("Llama4Text", {**HEADS, **EXPERTS, "pad_token_id": 0}, "router"),
    ],
)
def test_adapters_leave_out_layers_that_are_no_plain_product(kind, sizes, without):
    """A router gives a pair; kernels of Mamba read the weight of out_proj and would pass an adapter by."""
    import transformers

    model = transformers.AutoModel.from_config(
        getattr(transformers, f"{kind}Config")(**SIZE, **sizes)
    )
    adapted = with_adapters(model, 2, 0)
    names = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert names
    assert all("lora_" in name and without not in name for name in names)
    adapted(input_ids=torch.arange(8)[None]).last_hidden_state.square().mean().backward()
    assert any(p.grad is not None for p in adapted.parameters())


@pytest.mark.parametrize("how", ["lora", "full"])
def test_of_a_model_that_sees_only_what_reads_text_is_tuned(tmp_path, how):
    import transformers

    own = tiny.tokenizer("qwen3")
    text = {"model_type": "llama", "vocab_size": len(own), **tiny.SIZE, "num_key_value_heads": 2}
    eyes = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16, "image_size": 16}
    eyes |= {"num_attention_heads": 2, "patch_size": 8}
    sizes = {"text_config": text, "vision_config": eyes, "pad_token_id": own.pad_token_id}
    config = transformers.Idefics3Config(**sizes)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    own.save_pretrained(tmp_path)
    net = learner(tmp_path, make("naive", {}), how)
    names = {id(module): name for name, module in net.model[0].named_modules()}
    assert net.slots
    assert all("text_model" in names[id(slot.module)] for slot in net.slots)
    step(net, make("naive", {}), MicroBatches(4))
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in net.weights)


def test_layers_of_sentence_transformers_are_left_out_on_demand_only(tmp_path, world):
    """All of MiniLM ends in Normalize, which tuning does not train; the encoder below it is tuned."""
    pooling = {"pooling_mode_mean_tokens": True}
    folder = tiny.sentence(
        tiny.build("bert", tmp_path / "st"), pooling, ("2_Normalize", "Normalize")
    )
    log, how = read_log(world.log), {"how": "head", "epochs": 1, "into": tmp_path / "own"}
    with pytest.raises(UsageError, match=r"add ,pooling=mean,normalize=false to its name"):
        tune("naive", log, backbone=f"{folder},dtype=float32", **how)
    model = tune(
        "naive", log, backbone=f"{folder},dtype=float32,pooling=mean,normalize=false", **how
    )
    assert model.score(["what is"], ["five"]).reward.isfinite().all()


def test_a_model_that_peft_refuses_is_one_sentence(folder, monkeypatch):
    import peft

    def refused(_model, _config):
        raise ValueError("Target modules all-linear\nnot found")

    monkeypatch.setattr(peft, "get_peft_model", refused)
    with pytest.raises(
        TruewardError, match=r"no adapters for llama \(Target .*: choose --tune full"
    ):
        learner(folder, make("naive", {}))


def test_validation_that_does_not_fit_goes_on_in_smaller_batches(folder, monkeypatch):
    net = learner(folder, make("naive", {}))
    with torch.no_grad():
        wanted = net({"text": torch.arange(N)}).reward
        whole, asked = TunedNet._pooled, []

        def pooled(n, numbers):
            asked.append(len(numbers))
            if len(numbers) > 2:
                raise torch.OutOfMemoryError
            return whole(n, numbers)

        monkeypatch.setattr(TunedNet, "_pooled", pooled)
        torch.testing.assert_close(net({"text": torch.arange(N)}).reward, wanted)
    assert max(asked) > 2


def test_no_two_language_models_are_in_memory_at_once(folder, world, tmp_path, monkeypatch):
    whole, models, alive = loading.load_network, [], []

    def network(*given):
        gc.collect()
        alive.append(sum(model() is not None for model in models))
        made = whole(*given)
        models.append(weakref.ref(made))
        return made

    monkeypatch.setattr(loading, "load_network", network)
    other = tiny.build("qwen3", tmp_path / "other")
    for k, frozen in enumerate((None, named(other))):
        tune(
            "naive", read_log(world.log), backbone=named(folder), frozen=frozen, epochs=1,
            into=tmp_path / str(k), rank=2, how=("lora", "full")[k],
        )  # fmt: skip
    gc.collect()
    assert (
        alive == [0] * 5
    )  # one to read and learn, its result; another for the nuisances and the same


def stopped_after(epoch):
    def late(stage, now, _of, _loss):
        if (stage, now) == ("reward", epoch):
            raise KeyboardInterrupt

    return late


@pytest.mark.parametrize(("how", "name"), [("lora", "causalrm"), ("full", "sdr")])
def test_tuning_that_was_interrupted_ends_in_the_same_bytes(
    folder, world, tmp_path, monkeypatch, tracked_runs, how, name
):
    options = {"backbone": named(folder), "how": how, "epochs": 3, "lr": 1e-3, "rank": 2}
    options |= {"batch_size": 32, "micro_batch": 8, "nuisance_epochs": 1}
    options |= {"rho_01": 0.05, "rho_10": 0.1} if name == "causalrm" else {}
    log, ticks = read_log(world.log), itertools.count(step=10)
    tune(name, log, into=tmp_path / "whole", **options).save(tmp_path / "rm")
    monkeypatch.setattr(
        engine, "time", SimpleNamespace(monotonic=lambda: float(next(ticks)))
    )  # each epoch is kept
    options |= {"checkpoint": tmp_path / "saved", "into": tmp_path / "part"}
    with pytest.raises(KeyboardInterrupt):
        tune(name, log, progress=stopped_after(2), **options)
    again = []
    options |= {"track": ["kept"], "run": "rm2"}
    model = tune(name, log, progress=lambda s, e, o, v: again.append((s, e)), **options)
    model.save(tmp_path / "rm2")
    assert [e for s, e in again if s == "reward"] == [2, 3]
    own = "language_model/metrics.jsonl"  # of every step, once
    for file in ("model.safetensors", "language_model/model.safetensors", own):
        assert (tmp_path / "rm" / file).read_bytes() == (tmp_path / "rm2" / file).read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "rm2" / own).read_text().splitlines()]
    assert track(tmp_path / "rm2", "kept") == len(lines)
    live, replayed = tracked_runs  # what the run sent, and what its record gives
    assert live == replayed
    assert live["points"] == numbers(lines)
    assert live["settings"]["method"] == name
    losses = [p["validation_loss"] for p in live["points"] if "validation_loss" in p]
    assert losses[0] == model.report["tuned"]["frozen_validation_loss"][0]
    assert min(losses[1:]) == model.report["training"]["validation_loss"][0]
    steps = [p["step"] for p in live["points"] if "training_loss" in p]
    assert steps == [*range(1, len(steps) + 1)]


def test_numbers_that_are_not_finite_stop_the_tuning_and_what_was_done_is_kept(
    folder, world, tmp_path, monkeypatch, capsys
):
    world.write(tmp_path / "world")
    whole, seen = TunedNet._pooled, []

    def pooled(net, numbers):
        h = whole(net, numbers)
        seen.extend([1] * torch.is_grad_enabled())
        return h * torch.nan if len(seen) == 30 else h

    monkeypatch.setattr(TunedNet, "_pooled", pooled)
    ticks = itertools.count(step=10)
    monkeypatch.setattr(engine, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    words = ["fit", "naive", str(tmp_path / "world/log.parquet"), "--out", str(tmp_path / "rm")]
    words += ["--backbone", named(folder), "--tune", "lora", "--epochs", "3", "--rank", "2"]
    code, _, err = run([*words, "-o", "batch_size=32", "-o", "micro_batch=8"], capsys)
    assert code == 1
    assert "the gradient was not finite in step" in err
    assert err.strip().splitlines()[-1].startswith("error: reward: the gradient")
    assert "lower the learning rate" in err
    kept = load_file(tmp_path / "rm.checkpoint/reward.safetensors")
    assert kept
    assert all(v.isfinite().all() for v in kept.values())
