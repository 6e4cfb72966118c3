"""A policy trained on learned rewards: what is written, what goes on, and what is refused in a sentence."""

import json
import shutil
import signal
from dataclasses import replace

import polars as pl
import pytest
import torch
from helpers.commands import run
from helpers.trackers import numbers

from trueward.cli.aligning import TrainingOptions
from trueward.core.errors import TruewardError, UsageError
from trueward.data.log_reading import read_log
from trueward.features import encode
from trueward.fitting.fit import fit
from trueward.model.reward_model import load
from trueward.reporting.replay import track
from trueward.rlhf import Align, Policy, Reward, align, read_prompts, trl
from trueward.simulation import helpdesk, simulate

pytest.importorskip("trl", reason="training takes the extra `rlhf`")
tiny = pytest.importorskip("helpers.tiny")

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = Align(steps=4, prompts=2, group=2, micro=4, length=6, lr=1e-3, save_every=2, seed=5)
PROMPTS = [[{"role": "user", "content": f"how do i undo {k}"}] for k in range(6)]


def longer(prompts, completions, **_columns):
    return [float(len(c[0]["content"])) for c in completions]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.build("qwen3", tmp_path_factory.mktemp("policy"), head="ForCausalLM")


@pytest.fixture(scope="module")
def policy(folder):
    return Policy.at(str(folder))


def weights(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def same(a, b):
    return all(torch.equal(v, b[k]) for k, v in a.items())


def test_a_run_writes_a_whole_policy_and_a_line_of_metrics_a_step(
    policy, folder, tmp_path, tracked_runs
):
    told, more = [], {"track": ["broken", "kept"]}
    about = align(policy, [longer], PROMPTS, tmp_path / "out", SMALL, progress=told.append, **more)
    lines = [json.loads(w) for w in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert told == lines
    assert all(line["kl"] is not None and 0 < line["length"] <= 6 for line in lines)
    assert lines[0]["rewards/longer/mean"] == pytest.approx(lines[0]["reward"])
    assert not same(weights(folder), weights(tmp_path / "out"))
    written = json.loads((tmp_path / "out/align.json").read_text())
    assert written == json.loads(json.dumps(about))
    assert written["settings"]["seed"] == 5
    assert Policy.at(str(tmp_path / "out")).tokenizer().chat_template
    assert not (tmp_path / "out.checkpoint").exists()
    assert track(tmp_path / "out", "kept") == 4
    live, again = tracked_runs  # what the run sent, and what its record gives
    assert live == again
    assert live["points"] == numbers(lines)
    assert live["settings"]["settings.seed"] == 5
    assert live["finished"]


def test_a_run_that_was_stopped_goes_on_and_ends_in_the_same_policy(policy, tmp_path, tracked_runs):
    align(policy, [longer], PROMPTS, tmp_path / "whole", SMALL)

    def stop(line):
        if line["step"] == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        align(policy, [longer], PROMPTS, tmp_path / "halves", SMALL, progress=stop)
    assert not (tmp_path / "halves").exists()
    assert list((tmp_path / "halves.checkpoint").glob("checkpoint-*"))
    with pytest.raises(TruewardError, match="--resume"):
        align(policy, [longer], PROMPTS, tmp_path / "halves", SMALL)
    other = Align(**{**vars(SMALL), "seed": 6})
    with pytest.raises(TruewardError, match="another policy, reward, prompts or settings"):
        align(policy, [longer], PROMPTS, tmp_path / "halves", other, resume=True)
    more = {"resume": True, "track": ["kept"]}
    align(policy, [longer], PROMPTS, tmp_path / "halves", SMALL, **more)
    assert [p["step"] for p in tracked_runs[0]["points"]] == [1, 2, 3, 4]
    lines = (tmp_path / "halves/metrics.jsonl").read_text().splitlines()
    assert [json.loads(w)["step"] for w in lines] == [1, 2, 3, 4]
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "halves"))


def test_adapters_learn_and_are_merged(policy, folder, tmp_path):
    pytest.importorskip("peft", reason="adapters take the extra `text`")
    how = Align(**{**vars(SMALL), "steps": 2, "lora": 2})
    align(policy, [longer], PROMPTS, tmp_path / "out", how)
    before, after = weights(folder), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    assert not same(before, after)
    assert torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])


def test_rewards_are_added_with_their_weights(policy, tmp_path):
    def one(prompts, completions, **_columns):
        return [float(k) for k in range(len(completions))]

    how = Align(**{**vars(SMALL), "steps": 1})
    align(policy, [longer, one], PROMPTS, tmp_path / "out", how, weights=[0.0, 2.0])
    (line,) = [json.loads(w) for w in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert line["reward"] == pytest.approx(2 * 1.5)  # of 0, 1, 2, 3
    assert line["rewards/longer/mean"] > 0


def test_impossible_settings_are_refused(policy, tmp_path):
    with pytest.raises(UsageError, match="--group"):
        Align(group=1)
    with pytest.raises(UsageError, match="divisor"):
        Align(prompts=2, group=3, micro=4)
    with pytest.raises(UsageError, match="TRL refuses"):
        align(policy, [longer], PROMPTS, tmp_path / "out", Align(more={"no_such_option": 1}))
    assert not (tmp_path / "out.checkpoint").exists()


def test_prompts_are_the_different_ones_of_a_log_as_text_or_as_messages(tmp_path):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "q"}]
    rows = [{"prompt": "p"}, {"prompt": chat}, {"prompt": "p"}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    found = read_prompts(tmp_path / "p.jsonl")
    assert found == [[{"role": "user", "content": "p"}], chat]
    frame = pl.DataFrame({"prompt": ["a", " "]})
    with pytest.raises(TruewardError, match="row 2"):
        read_prompts(frame)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    place = tmp_path_factory.mktemp("fitted")
    world = simulate(helpdesk(150, seed=8), rate=0.6, seed=8)
    world.write(place / "world")
    train, val = encode(read_log(world.log)).split(0.2)
    fit("naive", train, val, epochs=1).save(place / "rm")
    return place


def words(fitted, policy, out, *more, prompts="world/log.parquet"):
    reference = str(fitted / "world/log.parquet")
    given = [
        "align",
        "--policy",
        str(policy),
        "--reward",
        str(fitted / "rm"),
        "--reference",
        reference,
    ]
    given += ["--prompts", str(fitted / prompts), "--out", str(out), "--steps", "2"]
    return [*given, "--prompts-a-step", "2", "--group", "2", "--length", "6", *more]


def test_a_log_a_reward_and_paths_are_taken_as_a_user_has_them(fitted, folder, tmp_path):
    log = read_log(fitted / "world/log.parquet")
    pairs = log.frame["prompt"].to_list(), log.frame["response"].to_list()
    reward = Reward.of(load(fitted / "rm"), *pairs)
    settings = replace(SMALL, steps=1)
    one, two = trl(reward), trl(reward)  # several in one trainer keep their names apart
    out, three = str(tmp_path / "out"), [one, two, reward]
    record = align(str(folder), three, log, out, settings, weights=[1.0, 0.0, 0.0])
    assert record["rewards"][:2] == [one.__name__, two.__name__]
    assert len(set(record["rewards"])) == 3
    assert record["prompts"] == log.frame["prompt"].n_unique()
    for name in record["rewards"]:
        assert record["ended"]["reward"] == pytest.approx(record["ended"][f"rewards/{name}/mean"])
        assert 0 < record["ended"][f"{name}/preferred"] < 1


def test_two_rewards_of_one_name_are_refused(fitted, policy, tmp_path):
    pair = [longer, tmp_path / "a" / "longer"]
    with pytest.raises(UsageError, match="two rewards are named 'longer'"):
        align(policy, pair, PROMPTS, tmp_path / "out", SMALL)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_optimised_or_overwritten_is_refused(fitted, policy, tmp_path):
    with pytest.raises(TruewardError, match=r"folder of fit.*Reward\.of"):
        align(policy, [fitted / "rm"], ["how do i undo"], tmp_path / "out", SMALL)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").touch()
    with pytest.raises(TruewardError, match="not an aligned policy"):
        align(policy, [longer], ["how do i undo"], tmp_path / "mine", SMALL)
    with pytest.raises(UsageError, match="expected one weight"):
        align(policy, [longer], ["how do i undo"], tmp_path / "out", weights=[1.0, 2.0])


def test_the_command_has_the_defaults_of_the_settings():
    assert TrainingOptions().settings() == Align()


def test_from_a_shell(fitted, folder, tmp_path, capsys):
    code, said, err = run(words(fitted, folder, tmp_path / "out", "--lr", "1e-3"), capsys)
    assert code == 0, err
    assert "after 2 steps" in said
    assert "step 2/2" in err
    line = json.loads((tmp_path / "out/metrics.jsonl").read_text().splitlines()[0])
    assert line["reward"] == pytest.approx(line["rewards/rm/mean"])
    assert 0 < line["rm/preferred"] < 1
    record = (tmp_path / "out/align.json").read_text()
    assert str(tmp_path) not in record  # no folder of this machine
    assert str(fitted) not in record
    origin = json.loads(record)["origin"]
    digest = json.loads((fitted / "rm/model.json").read_text())["digest"]
    assert origin["rewards"] == {"rm": digest}


def test_ctrl_c_names_how_to_go_on_where_there_is_a_checkpoint(
    fitted, folder, tmp_path, capsys, monkeypatch
):
    def stopped(*_given, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr("trueward.rlhf.align", stopped)
    code, _said, err = run(words(fitted, folder, tmp_path / "out"), capsys)
    assert code == 130
    assert "--resume" not in err
    (tmp_path / "out.checkpoint" / "checkpoint-2").mkdir(parents=True)
    code, _said, err = run(words(fitted, folder, tmp_path / "out"), capsys)
    assert code == 130
    assert "continue with the same command and --resume" in err


def test_an_exported_classifier_is_a_reward_as_it_is(fitted, folder, tmp_path, capsys):
    classifier = tiny.build("qwen3", tmp_path / "clf", head="ForSequenceClassification")
    more = ["--reward", str(classifier), "--weight", "1", "--weight", "0.5"]
    code, _said, err = run(words(fitted, folder, tmp_path / "out", *more), capsys)
    assert code == 0, err
    line = json.loads((tmp_path / "out/metrics.jsonl").read_text().splitlines()[0])
    parts = line["rewards/rm/mean"] + 0.5 * line["rewards/clf/mean"]
    assert line["reward"] == pytest.approx(parts, abs=1e-3)


def test_wrong_commands_are_one_sentence(fitted, folder, tmp_path, capsys, monkeypatch):
    def refused(code, what, *given, policy=folder, **how):
        found, _said, err = run(words(fitted, policy, tmp_path / "out", *given, **how), capsys)
        assert found == code, err
        assert "Traceback" not in err
        assert what in err.strip().splitlines()[-1]
        assert not (tmp_path / "out").exists()

    pl.DataFrame({"question": ["p"]}).write_parquet(fitted / "other.parquet")
    refused(1, "--map prompt=question", prompts="other.parquet")
    (fitted / "empty.jsonl").write_text("")
    refused(1, "empty.jsonl", prompts="empty.jsonl")
    refused(2, "there is no policy", policy=tmp_path / "nowhere")
    refused(1, "HF_HUB_OFFLINE", policy="nobody/nothing-4b")
    plain = tiny.build("qwen3", tmp_path / "plain", head="ForCausalLM", template=False)
    refused(1, "no chat template", policy=plain)
    judge = tiny.build("qwen3", tmp_path / "judge", head="ForSequenceClassification")
    refused(1, "ForCausalLM", policy=judge)
    refused(2, "--weight", "--weight", "1", "--weight", "2")
    refused(2, "did you mean wandb?", "--track", "wanbd")
    refused(1, "--resume found no checkpoint", "--resume")
    shutil.copytree(fitted / "rm", tmp_path / "outside")
    refused(1, "no reward model", "--reward", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "trl", None)
    refused(1, "pip install 'trueward[rlhf]'")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("kept")
    found, _said, err = run(words(fitted, folder, tmp_path / "out"), capsys)
    assert found == 1
    assert "is not an aligned policy" in err
    assert (tmp_path / "out/mine.txt").read_text() == "kept"


def test_a_reward_on_features_from_outside_the_text_is_refused(fitted, folder, tmp_path, capsys):
    log = read_log(fitted / "world/log.parquet")
    x = torch.randn(len(log), 3)
    torch.manual_seed(0)
    from trueward.features import precomputed

    fit("naive", *precomputed(x, log).split(0.2), epochs=1).save(tmp_path / "rm2")
    given = words(fitted, folder, tmp_path / "out", "--reward", str(tmp_path / "rm2"))
    code, _said, err = run(given, capsys)
    assert code == 1
    assert "precomputed features" in err
