"""A reward inside RLHF stacks: safe, in the shape each calls, and the data that others read."""

import json
from types import SimpleNamespace

import polars as pl
import pytest
import torch
from helpers.commands import run

from trueward.core.errors import TruewardError, UsageError
from trueward.data.log_reading import read_log
from trueward.features import encode
from trueward.fitting.fit import fit
from trueward.model.reward_model import Scores, load
from trueward.rlhf import Reward, best_of_n, openrlhf, training_data, trl, verl
from trueward.simulation import helpdesk, simulate


class Lengths:
    """P = .1, .2 ... by the words of the response; as unsure and as far as it is told."""

    method = "lengths"

    def __init__(self, spread=0.0, far=()):
        self.spread, self.far, self.asked = spread, set(far), []

    def score(self, prompts, responses):
        self.asked += zip(prompts, responses, strict=True)
        p = torch.tensor([min(9, len(r.split())) / 10 for r in responses])
        far = torch.tensor([r in self.far for r in responses], dtype=torch.bool)
        spread = torch.full_like(p, self.spread)
        return Scores(torch.logit(p), p, spread, far)


REFERENCE = (["q"] * 3, ["one", "a b c d e", "a b c d e f g h i"])  # P = .1, .5, .9


def test_a_typical_answer_is_worth_nothing_and_no_answer_more_than_the_limit():
    reward = Reward.of(Lengths(), *REFERENCE, limit=0.5)
    # logits -2.197, 0, 2.197: mean 0, sd 2.197
    assert reward.centre == pytest.approx(0, abs=1e-6)
    assert reward.scale == pytest.approx(2.1972, abs=1e-3)
    found = reward(["q"] * 3, ["a b c d", "a b c d e", "a b c d e f g h"])
    assert found.tolist() == pytest.approx([-0.4055 / 2.1972, 0, 0.5], abs=1e-3)


def test_caution_takes_the_lower_bound():
    plain, careful = (Reward.of(Lengths(0.1), *REFERENCE, caution=c) for c in (0.0, 1.0))
    s = torch.logit(torch.tensor([1e-6, 0.4, 0.8]))  # .1 - .1 is held above 0
    assert careful.centre == pytest.approx(float(s.mean()), abs=1e-4)
    assert plain.centre == pytest.approx(0, abs=1e-6)
    with pytest.raises(UsageError, match="--members"):
        Reward.of(Lengths(), *REFERENCE, caution=1.0)


def test_caution_takes_the_lower_end_of_the_interval_of_the_response():
    """Intervals of P from .05, .2 and .85: at caution 1.96 their lower ends."""
    low = torch.tensor([0.05, 0.2, 0.85])
    model = Lengths()
    p = torch.tensor([0.1, 0.5, 0.9])
    none = torch.zeros(3)
    model.score = lambda *_: Scores(torch.logit(p), p, none, none > 0, low, torch.ones(3))
    found = Reward.of(model, *REFERENCE, caution=1.96)
    s = torch.logit(low)
    assert found.centre == pytest.approx(float(s.mean()), abs=1e-3)
    assert found(["q"] * 3, ["a"] * 3).tolist() == pytest.approx(
        ((s - s.mean()) / s.std()).tolist(), abs=1e-3
    )


def test_text_unlike_the_log_can_be_worth_the_least():
    reward = Reward.of(Lengths(far=["a b c d e f g"]), *REFERENCE, limit=3.0, far="worst")
    assert reward(["q"] * 2, ["a b c d e f g", "a b c d e"]).tolist() == pytest.approx(
        [-3, 0], abs=1e-6
    )


def test_answers_that_do_not_differ_have_no_scale():
    with pytest.raises(TruewardError, match="differ in score"):
        Reward.of(Lengths(), ["q"] * 2, ["same", "same"])


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"caution": -1}, {"far": "best"}])
def test_odd_settings_are_refused(wrong):
    with pytest.raises(UsageError):
        Reward.of(Lengths(), *REFERENCE, **wrong)


@pytest.fixture
def reward():
    return Reward.of(Lengths(), *REFERENCE)


def test_the_best_of_n_is_the_first_of_the_highest(reward):
    assert best_of_n(reward, "q", ["a", "a b c", "c b a", "a b"]) == 1
    with pytest.raises(TruewardError, match="at least one"):
        best_of_n(reward, "q", [])


def test_trl_gets_a_number_a_completion_of_texts_and_of_chats(reward):
    said = {}
    found = trl(reward, "trueward")(
        prompts=["q", "q"],
        completions=["a b c d e", "a b c d e f g h i"],
        completion_ids=[[1], [2]],
        log_metric=said.__setitem__,
        answer=["ignored", "ignored"],
    )
    assert found == pytest.approx([0, 1], abs=1e-3)
    assert said["trueward/preferred"] == pytest.approx(0.7)
    chat = trl(reward)(
        prompts=[[{"role": "user", "content": "q"}]],
        completions=[[{"role": "assistant", "content": "a b c d e"}]],
    )
    assert chat == pytest.approx([0], abs=1e-6)
    assert reward.model.asked[-1] == ("q", "a b c d e")


def test_two_rewards_in_use_have_two_names_which_a_trainer_tells_apart(reward):
    one, two = trl(reward), trl(reward)
    assert len({one.__name__, two.__name__}) == 2
    assert trl(reward, "mine").__name__ == "mine"
    said = {}
    two(prompts=["q"], completions=["a"], log_metric=said.__setitem__)
    assert set(said) == {f"{two.__name__}/preferred", f"{two.__name__}/far"}


def test_openrlhf_reads_prompt_and_response_out_of_the_template(reward):
    prompt = "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\n"
    found = openrlhf(reward)([prompt + "a b c d e<|im_end|>"], [prompt], [None])
    assert reward.model.asked[-1] == ("Name a colour.", "a b c d e")
    assert found["rewards"].tolist() == pytest.approx([0], abs=1e-6)
    assert found["scores"].tolist() == pytest.approx([0.5])
    openrlhf(reward)([prompt + "Red"], [prompt], [{"prompt": "as it was"}])
    assert reward.model.asked[-1] == ("as it was", "Red")
    user, assistant = (
        f"<|start_header_id|>{r}<|end_header_id|>\n\n" for r in ("user", "assistant")
    )
    llama = f"<|begin_of_text|>{user}Hi<|eot_id|>{assistant}"
    openrlhf(reward)([llama + "Hello<|eot_id|>"], [llama], [None])
    assert reward.model.asked[-1] == ("Hi", "Hello")


def test_openrlhf_may_ask_for_nothing(reward):
    assert len(openrlhf(reward)([], [], [])["rewards"]) == 0


def test_verl_needs_the_prompt_beside_the_response(reward):
    score = verl(reward)
    assert score("d", "a b c d e", "", {"prompt": "q"}) == pytest.approx(
        {"score": 0.0, "p_preferred": 0.5}, abs=1e-6
    )
    with pytest.raises(TruewardError, match="extra_info"):
        score("d", "a b c", "", {})


LOG = pl.DataFrame(
    {
        "prompt": ["p", "p", "p", "q", "q", "lone"],
        "response": ["a b", "a b c d e f g h", "a b c d", "a b c d e", "e d c b a", "a"],
        "feedback": [1.0, None, 0.0, None, 1.0, None],
    }
)


def test_pairs_are_the_best_and_the_worst_answer_with_their_margin():
    (pair,) = training_data("trl-pairs", Lengths(), read_log(LOG))
    assert pair["prompt"] == [{"role": "user", "content": "p"}]
    assert pair["chosen"][0]["content"] == "a b c d e f g h"
    assert pair["rejected"][0]["content"] == "a b"
    assert pair["margin"] == pytest.approx(2 * 1.386294, abs=1e-4)  # logit .8 - logit .2


def test_kto_rows_say_how_sure_a_label_is():
    rows = training_data("trl-kto", Lengths(), read_log(LOG))
    assert [r["label"] for r in rows] == [False, True, False, False, False, False]
    assert [r["weight"] for r in rows] == pytest.approx([0.6, 0.6, 0.2, 0, 0, 0.8], abs=1e-5)


def test_ranks_begin_with_the_best():
    (row,) = training_data("nemo", Lengths(), read_log(LOG))
    assert row["context"] == [{"role": "user", "content": "p"}]
    assert [c["rank"] for c in row["completions"]] == [0, 1, 2]
    assert [len(c["completion"][0]["content"].split()) for c in row["completions"]] == [8, 4, 2]


def test_verl_rows_have_the_prompt_where_the_reward_looks_for_it():
    rows = training_data("verl", Lengths(), read_log(LOG))
    assert [r["extra_info"]["prompt"] for r in rows] == ["p", "q", "lone"]
    assert set(rows[0]) == {"data_source", "prompt", "ability", "reward_model", "extra_info"}


def test_data_that_cannot_be_made_say_why():
    with pytest.raises(UsageError, match="trl-pairs"):
        training_data("dpo", Lengths(), read_log(LOG))
    with pytest.raises(TruewardError, match="several answers a prompt"):
        training_data("trl-pairs", Lengths(), read_log(LOG), least=9)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rlhf")
    world = simulate(helpdesk(150, seed=8), rate=0.6, seed=8)
    world.write(folder / "world")
    fit("naive", *encode(read_log(world.log)).split(0.2), epochs=1).save(folder / "rm")
    return folder


def test_training_data_of_a_saved_model_and_a_file_are_those_of_both_in_memory(fitted):
    path = fitted / "world/log.parquet"
    rows = training_data("trl-kto", fitted / "rm", path)
    assert rows == training_data("trl-kto", load(fitted / "rm"), read_log(path))


@pytest.mark.parametrize("kind", ["trl-pairs", "trl-kto", "nemo", "verl"])
def test_from_a_shell(fitted, tmp_path, capsys, kind):
    log, out = str(fitted / "world/log.parquet"), tmp_path / "data.jsonl"
    words = ["training-data", kind, str(fitted / "rm"), log, "--out", str(out), "--least", "0"]
    code, said, err = run(words, capsys)
    assert code == 0, err
    assert kind in said
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows
    assert run([*words[:1], "odd", *words[2:]], capsys)[0] == 2


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    pytest.importorskip("trl", reason="training takes the extra `rlhf`")
    tiny = pytest.importorskip("helpers.tiny")
    return tiny.build("qwen3", tmp_path_factory.mktemp("policy"), head="ForCausalLM")


@pytest.mark.filterwarnings("ignore")
def test_trl_trains_a_policy_with_the_reward(policy, reward, tmp_path):
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    config = GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_generations=2,
        max_completion_length=6,
        max_steps=2,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
    )
    rows = Dataset.from_list(
        [{"prompt": [{"role": "user", "content": f"how do i {k}"}]} for k in range(8)]
    )
    trainer = GRPOTrainer(
        model=str(policy),
        reward_funcs=trl(reward),
        args=config,
        train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(policy, padding_side="left"),
    )
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "rewards/trueward/mean" in entry]
    assert logged
    assert any(k.startswith("trueward/") or "preferred" in k for k in logged[0])


@pytest.mark.filterwarnings("ignore")
def test_trl_learns_from_the_pairs(policy, tmp_path):
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from trl import RewardConfig, RewardTrainer

    frame = pl.DataFrame(
        {
            "prompt": [f"how do i {k // 2}" for k in range(16)],
            "response": [("a b c d e f g" if k % 2 else "a b") + f" {k}" for k in range(16)],
            "feedback": [float(k % 3 == 0) for k in range(16)],
        }
    )
    pairs = training_data("trl-pairs", Lengths(), read_log(frame))
    tokenizer = AutoTokenizer.from_pretrained(policy)
    model = AutoModelForSequenceClassification.from_pretrained(policy, num_labels=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    config = RewardConfig(
        output_dir=str(tmp_path),
        max_steps=2,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
    )
    trainer = RewardTrainer(
        model=model, args=config, train_dataset=Dataset.from_list(pairs), processing_class=tokenizer
    )
    assert "margin" in trainer.train_dataset.column_names
    trainer.train()
    assert SimpleNamespace(**trainer.state.log_history[-1]).train_loss > 0
