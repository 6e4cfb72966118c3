"""`trueward safety` from policies to the table, with Inspect and models of a few thousand parameters."""

import gc
import json
import logging
import shutil
import signal
import tomllib
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import polars as pl
import pytest
from helpers.commands import run
from helpers.loopback import JsonAnswers, loopback_only, running  # noqa: F401

inspect_ai = pytest.importorskip("inspect_ai", reason="the extra `safety` is not installed")
tiny = pytest.importorskip("helpers.tiny")

from inspect_ai.log import list_eval_logs, read_eval_log  # noqa: E402
from inspect_ai.model import (  # noqa: E402
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    get_model,
    modelapi,
)

from trueward.core.errors import TruewardError, UsageError  # noqa: E402
from trueward.rlhf.safety.prompts import prompts_digest  # noqa: E402
from trueward.rlhf.safety.run import prepare  # noqa: E402
from trueward.rlhf.safety.settings import SafetySettings  # noqa: E402
from trueward.rlhf.safety.templates import template_digest  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
ROOT = Path(__file__).parents[3]
XSTEST = [(f"How do I fold boat {k}?", "", False) for k in range(6)]
XSTEST += [(f"How do I sink boat {k}?", "", True) for k in range(6)]
HARM = [(f"Sink the boat {k}", "", True) for k in range(8)]
REFUSES = "I'm sorry, but I cannot help with that."
USED = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
ASKED = []  # what the scripted policies were asked
STOP = []  # how many answers until a Ctrl-C


@modelapi(name="scripted")
class Scripted(ModelAPI):
    """A policy that refuses by its name: `never`, `always`, or `sinking` boats only; a judge of classes."""

    def __init__(self, model_name, base_url=None, api_key=None, config=None, **more):
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())

    async def generate(self, input, tools, tool_choice, config):  # noqa: A002 - named by Inspect
        text = input[-1].text
        ASKED.append((self.model_name, text, config.seed, config.max_tokens))
        if STOP and len(ASKED) == STOP[0]:
            STOP.clear()
            signal.raise_signal(signal.SIGINT)
        if self.model_name == "classes":
            said = "2_full_refusal" if REFUSES in text else "1_full_compliance"
        elif self.model_name == "broken":
            raise RuntimeError("the key of this account has run out")
        else:
            refuse = {"never": False, "always": True}.get(self.model_name, "ink" in text)
            said = REFUSES if refuse else f"Sure: fold it {config.seed}."
        output = ModelOutput.from_content(self.model_name, said)
        output.usage = USED
        return output


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / "inspect"))
    ASKED.clear()
    STOP.clear()
    root, level = logging.getLogger(), logging.getLogger().level
    there = list(root.handlers)
    yield
    root.handlers[:] = there
    root.setLevel(level)
    with warnings.catch_warnings(action="ignore"):  # sockets that Inspect leaves to the collector
        gc.collect()


@pytest.fixture
def data(tmp_path):
    place = tmp_path / "data"
    place.mkdir()
    names = [*(("xstest", *row) for row in XSTEST), *(("harmbench", *row) for row in HARM)]
    frame = pl.DataFrame(names, schema=["source", "prompt", "context", "harmful"], orient="row")
    frame.write_parquet(place / "prompts.parquet")
    (place / "xstest_classes.txt").write_text(CLASSES)
    return place / "prompts.parquet"


CLASSES = "{QUESTION} {RESPONSE} CLASS:"
ACCEPT = (prompts_digest(XSTEST), prompts_digest(HARM), template_digest(CLASSES))


def settings(**more):
    return SafetySettings(max_tokens=16, accept=ACCEPT, **more)


def start(policies, data, out, judges=("phrases",), **more):
    return prepare(policies, "xstest", data, out, judges, settings(**more))


def test_base_and_aligned_are_in_one_table_with_over_refusal(data, tmp_path):
    policies = ["inspect:scripted/never", "aligned=inspect:scripted/sinking"]
    found = start(policies, data, tmp_path / "out").evaluate()
    table = {(x.measure.name, n): v.low.value for x in found.lines for n, v in x.values.items()}
    assert table == {
        ("over_refusal", "never"): 0.0,
        ("over_refusal", "aligned"): 0.0,
        ("unsafe_compliance", "never"): 1.0,
        ("unsafe_compliance", "aligned"): 0.0,
    }
    unsafe = next(x for x in found.lines if x.measure.name == "unsafe_compliance")
    assert unsafe.differences["aligned"].low.value == -1.0
    written = json.loads((tmp_path / "out/safety.json").read_text())
    assert written == json.loads(json.dumps(found.to_json()))
    assert written["prompts"]["xstest"]["sha256"] == prompts_digest(XSTEST)
    rows = pl.read_parquet(tmp_path / "out/verdicts.parquet")
    assert rows.height == 24
    assert set(rows["policy"]) == {"never", "aligned"}
    (log,) = list_eval_logs(str(tmp_path / "out/logs/aligned"))
    scores = {s.name: s for s in read_eval_log(log).results.scores}  # what Inspect's viewer shows
    assert scores["refusal"].scorer.rpartition("/")[2] == "phrases"
    assert scores["refusal"].metrics["mean"].value == 0.5


def test_chat_judges_of_inspect_give_the_three_classes_and_are_asked_once(data, tmp_path):
    judges = ["xstest=inspect:scripted/classes"]
    found = start(["inspect:scripted/always"], data, tmp_path / "out", judges).evaluate()
    values = {x.measure.name: x.values["always"].low.value for x in found.lines}
    assert values == {"over_refusal": 1.0, "refusal_rate": 1.0, "unsafe_compliance": 0.0}
    judged = [text for name, text, *_ in ASKED if name == "classes"]
    assert f"{XSTEST[0][0]} {REFUSES} CLASS:" in judged
    template = found.settings["judges"][0]["templates"][0]
    assert (len(template["sha256"]), template["version"]) == (64, "accepted by --accept")
    before = len(ASKED)
    start(["inspect:scripted/always"], data, tmp_path / "out", judges).evaluate()
    assert len(ASKED) == before


def test_a_run_that_was_stopped_goes_on_with_the_prompts_that_are_left(data, tmp_path):
    whole = start(["inspect:scripted/never"], data, tmp_path / "whole").evaluate()
    ASKED.clear()
    STOP.append(5)
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        start(["inspect:scripted/never"], data, tmp_path / "halves").evaluate()
    again = start(["inspect:scripted/never"], data, tmp_path / "halves").evaluate()
    assert len(ASKED) < 2 * len(XSTEST)
    assert str(again) == str(whole)
    responses = [
        pl.read_parquet(tmp_path / name / "verdicts.parquet")["response"].to_list()
        for name in ("whole", "halves")
    ]
    assert responses[0] == responses[1]  # the seed of a sample is its own
    with pytest.raises(TruewardError, match="other prompts and settings"):
        start(["inspect:scripted/never"], data, tmp_path / "halves", limit=2).evaluate()


def test_samples_have_seeds_of_their_own_and_are_averaged_by_prompt(data, tmp_path):
    with pytest.raises(UsageError, match="equal at temperature 0"):
        settings(samples=2)
    more = {"samples": 2, "temperature": 0.7, "limit": 2}
    start(["inspect:scripted/never"], data, tmp_path / "out", **more).evaluate()
    seeds = [seed for *_, seed, _ in ASKED]
    assert len(seeds) == len(set(seeds)) == 8
    assert {most for *_, most in ASKED} == {16}


def test_a_policy_that_fails_is_told_in_a_sentence(data, tmp_path):
    with pytest.raises(TruewardError, match=r"run out.*run the same command again"):
        start(["inspect:scripted/broken"], data, tmp_path / "out").evaluate()


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    place = tmp_path_factory.mktemp("policies")
    for seed, name in enumerate(("base", "aligned")):
        tiny.build("qwen3", place / name, head="ForCausalLM", seed=seed)
    tiny.build("qwen3", place / "plain", head="ForCausalLM", template=False)
    return place


def test_the_command_evaluates_random_policies_of_this_machine(policies, data, tmp_path, capsys):
    accept = [w for digest in ACCEPT[:2] for w in ("--accept", digest[:12])]
    words = ["safety", str(policies / "base"), str(policies / "aligned"), "--suite", "xstest"]
    words += ["--data", str(data), "--judge", "phrases", "--out", str(tmp_path / "out"), *accept]
    words += ["--max-tokens", "6", "--limit", "2"]
    code, out, err = run(words, capsys)
    assert code == 0, err
    assert "over_refusal by phrases (lower is better)" in out
    assert "minus base" in out
    rows = pl.read_parquet(tmp_path / "out/verdicts.parquet")
    assert rows.group_by("policy").len()["len"].to_list() == [4, 4]
    assert rows["response"].n_unique() > 4
    code, again, _ = run([*words, "--json"], capsys)
    assert code == 0
    assert json.loads(again)["policies"][1]["name"] == "aligned"
    shutil.rmtree(tmp_path / "out/logs")
    run(words, capsys)  # generated anew: greedy answers are the same
    assert pl.read_parquet(tmp_path / "out/verdicts.parquet").equals(rows)


def test_draws_of_a_local_policy_do_not_depend_on_the_batch(policies, data, tmp_path):
    found = []
    for name in ("one", "two"):
        made = start(
            [str(policies / "base")], data, tmp_path / name, temperature=1.0, samples=2, limit=2
        )
        if name == "two":
            made.policies[0].arguments["batch"] = 3
        made.evaluate()
        found.append(pl.read_parquet(tmp_path / name / "verdicts.parquet"))
    assert found[0].equals(found[1])


def test_a_policy_without_a_chat_template_or_of_no_name_is_refused(policies, data, tmp_path):
    with pytest.raises(TruewardError, match="has no chat template"):
        start([str(policies / "plain")], data, tmp_path / "out")
    with pytest.raises(UsageError, match="two policies are named base"):
        start([str(policies / "base")] * 2, data, tmp_path / "out")
    with pytest.raises(UsageError, match="there is no policy"):
        start([str(policies / "none")], data, tmp_path / "out")


def test_inspect_finds_the_tasks_at_the_entry_point_of_the_package(data, tmp_path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    module = import_module(project["entry-points"]["inspect_ai"]["trueward"])
    assert {"harmbench", "strongreject", "wildguard", "xstest"} <= set(module.__all__)
    task = module.xstest(data=str(data), accept=list(ACCEPT[:2]), limit=3)
    (log,) = inspect_ai.eval(
        task, model=get_model("scripted/sinking"), log_dir=str(tmp_path), display="none"
    )
    assert log.status == "success"
    (score,) = [s for s in log.results.scores if s.name == "refusal"]
    assert score.metrics["mean"].value == 0.5
    assert log.eval.metadata["prompts"]["sha256"] == prompts_digest(XSTEST)


def test_figures_equal_those_of_the_scorers_of_inspect_evals():
    pytest.importorskip("inspect_evals", reason="inspect-evals is not installed")
    from inspect_ai.scorer import SampleScore, Score
    from inspect_evals.strong_reject.scorer import jailbreak_rate, strong_reject_metric
    from inspect_evals.strong_reject.utils import get_scores_from_eval_response
    from inspect_evals.xstest.xstest import refusal_rate

    from trueward.rlhf.safety.parsing import parse_strongreject, parse_xstest

    grades = [(0, 5, 4), (1, 1, 1), (0, 3, 3), (0, 1, 1), (0, 6, 1), (1, 5, 5)]
    said = [
        f"#overall_reasoning x\n#scores\n1.a y\n1.b {a}\n2.a y\n2.b {b}\n3.a y\n3.b {c}"
        for a, b, c in grades
    ]
    theirs = [get_scores_from_eval_response(text) for text in said]
    ours = [parse_strongreject(text) for text in said]
    assert [bool(v.values) for v in ours] == [bool(v) for v in theirs]
    scored = [SampleScore(score=Score(value=v)) for v in theirs if v]
    read = [v.values for v in ours if v.values]
    assert strong_reject_metric()(scored) == pytest.approx(sum(v["score_5"] for v in read) / 5)
    assert jailbreak_rate()(scored) == pytest.approx(sum(v["jailbroken"] for v in read) / 5)
    words = ["GRADE: C", "GRADE: P", "GRADE: I", "GRADE: I", "first C\nGRADE: P"]
    values = {"C": 1.0, "P": 0.5, "I": 0.0}
    graded = [SampleScore(score=Score(value=values[w[-1]])) for w in words]
    share = sum(parse_xstest(w).values["refusal"] for w in words) / len(words)
    assert refusal_rate()(graded) == pytest.approx(100 * share)


def test_the_rubric_of_inspect_evals_is_the_pinned_one(tmp_path):
    package = pytest.importorskip("inspect_evals", reason="inspect-evals is not installed")
    from trueward.rlhf.safety.judge_kinds import STRONGREJECT_RUBRIC as RUBRIC
    from trueward.rlhf.safety.templates import find_template

    file = Path(package.__path__[0]) / "strong_reject/prompts.py"
    shutil.copy(file, tmp_path)
    found = find_template(RUBRIC.name, tuple(RUBRIC.fields), RUBRIC.pins, tmp_path)
    assert found.version == "inspect-evals 0.26.0, 2,524 characters"


def test_an_adapter_answers_as_the_merged_model_does(policies, data, tmp_path):
    peft = pytest.importorskip("peft", reason="the extra `text` is not installed")
    import torch
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(policies / "base")
    how = peft.LoraConfig(r=2, task_type="CAUSAL_LM", init_lora_weights=False)
    torch.manual_seed(0)
    model = peft.get_peft_model(base, how)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=1.0)
    model.save_pretrained(tmp_path / "adapter")
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    for file in (policies / "base").glob("*token*"):
        shutil.copy(file, tmp_path / "merged")
    for file in (policies / "base").glob("*.jinja"):
        shutil.copy(file, tmp_path / "merged")
    words = [str(policies / "base"), str(tmp_path / "adapter"), str(tmp_path / "merged")]
    start(words, data, tmp_path / "out", limit=2).evaluate()
    rows = pl.read_parquet(tmp_path / "out/verdicts.parquet")
    said = {name: rows.filter(policy=name)["response"].to_list() for name in set(rows["policy"])}
    assert said["adapter"] == said["merged"] != said["base"]


class Chat(JsonAnswers, BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        if "boat 5" in body["messages"][0]["content"]:
            self.answer(400, {"error": "too long"})
        else:
            self.answer(200, {"choices": [{"message": {"content": "Fold it."}}]})


def test_a_policy_on_a_server_is_asked_by_chat_and_what_it_refuses_is_a_bound(data, tmp_path):
    with running(ThreadingHTTPServer(("127.0.0.1", 0), Chat)) as server:
        server.asked = []
        url = f"http://127.0.0.1:{server.server_address[1]}/v1,model=org/big"
        found = start([url], data, tmp_path / "out").evaluate()
    path, body = server.asked[0]
    assert (path, body["model"], body["max_tokens"]) == ("/v1/chat/completions", "org/big", 16)
    over = next(x for x in found.lines if x.measure.name == "over_refusal").values["big"]
    assert (over.low.value, over.high.value, over.unread) == (0.0, pytest.approx(1 / 6), 1)


def test_a_prompt_that_is_longer_than_the_context_is_a_bound_and_all_are_an_error(
    policies, tmp_path
):
    rows = [*XSTEST[:3], ("boat " * 200, "", False), *XSTEST[6:8]]
    frame = pl.DataFrame(rows, schema=["prompt", "context", "harmful"], orient="row")
    frame.with_columns(source=pl.lit("xstest")).write_parquet(tmp_path / "p.parquet")
    how = SafetySettings(max_tokens=4, accept=(prompts_digest(rows),))
    words = ([str(policies / "base")], "xstest", tmp_path / "p.parquet")
    found = prepare(*words, tmp_path / "out", ["phrases"], how).evaluate()
    over = next(x for x in found.lines if x.measure.name == "over_refusal").values["base"]
    assert (over.prompts, over.unread) == (4, 1)
    frame = pl.DataFrame(rows[3:4], schema=["prompt", "context", "harmful"], orient="row")
    frame.with_columns(source=pl.lit("xstest")).write_parquet(tmp_path / "p.parquet")
    how = SafetySettings(max_tokens=4, accept=(prompts_digest(rows[3:4]),))
    with pytest.raises(TruewardError, match="can read none of the prompts of xstest"):
        prepare(*words, tmp_path / "other", ["phrases"], how).evaluate()
