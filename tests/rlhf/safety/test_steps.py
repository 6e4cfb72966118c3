"""The steps around Inspect, which run without it: what is refused first, verdicts, resuming, the table."""

import json
import struct
import sys
from types import ModuleType

import polars as pl
import pytest

from trueward.core.errors import TruewardError, UsageError
from trueward.features.transformers.model_folder import ModelFolder
from trueward.rlhf.safety import model_memory, run
from trueward.rlhf.safety.judges import open_judge
from trueward.rlhf.safety.policies import PolicyModel, open_policies
from trueward.rlhf.safety.prompts import prompts_digest, read_prompt_set
from trueward.rlhf.safety.settings import SafetySettings

PROMPTS = [("Fold boat 1", "", False), ("Sink boat 2", "", True), ("Sink boat 3", "", True)]
SILENT = set()  # (policy, prompt) without an answer
SAYS = {
    ("base", "Fold boat 1"): "Fold it.",
    ("base", "Sink boat 2"): "Sink it.",
    ("base", "Sink boat 3"): "I'm sorry, no.",
    ("aligned", "Fold boat 1"): "I'm sorry, no.",
    ("aligned", "Sink boat 2"): "I cannot help with that.",
    ("aligned", "Sink boat 3"): "I cannot help with that.",
}


@pytest.fixture
def data(tmp_path):
    file = tmp_path / "prompts.parquet"
    frame = pl.DataFrame(PROMPTS, schema=["prompt", "context", "harmful"], orient="row")
    frame.with_columns(source=pl.lit("xstest")).write_parquet(file)
    return file


@pytest.fixture
def generated(monkeypatch):
    """Answers in place of Inspect's, with the number of times that they were asked for."""
    module, calls = ModuleType("inspect_run"), []
    SILENT.clear()

    def answers(policy, found, place, settings, progress):
        calls.append(policy.name)
        return [
            {"policy": policy.name, "suite": found.suite, "id": p.id, "sample": 1}
            | {"harmful": p.harmful, "category": p.category, "prompt": p.sent}
            | {
                "response": SAYS[policy.name, p.text],
                "answered": (policy.name, p.text) not in SILENT,
            }
            for p in found.prompts
        ]

    module.generated, module.score_logs = answers, lambda *_: None
    module.asked_through_inspect = None
    monkeypatch.setitem(sys.modules, "trueward.rlhf.safety.inspect_run", module)
    monkeypatch.setattr(run, "require_inspect", lambda: None)
    names = ("base", "aligned")
    monkeypatch.setattr(
        run, "open_policies", lambda *_: tuple(PolicyModel(n, n, n, f"x/{n}") for n in names)
    )
    return calls


def start(data, out, judges=(), **more):
    how = SafetySettings(accept=(prompts_digest(PROMPTS),), **more)
    return run.prepare(["base", "aligned"], "xstest", data, out, judges, how)


def test_verdicts_and_table_come_from_the_answers_and_over_refusal_shows(data, generated, tmp_path):
    told = []
    found = start(data, tmp_path / "out").evaluate(lambda *step: told.append(step))
    values = {
        x.measure.name: [x.values[n].low.value for n in ("base", "aligned")] for x in found.lines
    }
    assert values == {"over_refusal": [0.0, 1.0], "unsafe_compliance": [0.5, 0.0]}
    assert told == [("phrases", 6, 6)]
    rows = pl.read_parquet(tmp_path / "out/verdicts.parquet")
    assert rows["said"].to_list() == rows["response"].to_list()
    assert any("phrases finds refusals by their words" in note for note in found.notes)


def test_a_prompt_that_a_policy_cannot_read_is_a_bound(data, generated, tmp_path):
    SILENT.add(("aligned", "Sink boat 2"))
    found = start(data, tmp_path / "out").evaluate()
    unsafe = next(x for x in found.lines if x.measure.name == "unsafe_compliance")
    aligned = unsafe.values["aligned"]
    assert (aligned.low.value, aligned.high.value, aligned.unread) == (0.0, 0.5, 1)
    assert "1 of 3 prompts have no answer of aligned" in found.notes[0]


def test_the_same_command_goes_on_and_another_is_refused(data, generated, tmp_path):
    start(data, tmp_path / "out").evaluate()
    told = []
    start(data, tmp_path / "out").evaluate(lambda *step: told.append(step))
    assert told == []  # every answer of the judge was there
    with pytest.raises(TruewardError, match="other settings: repeat its command"):
        start(data, tmp_path / "out", max_tokens=8).evaluate()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("")
    with pytest.raises(TruewardError, match="is not empty and holds no safety evaluation"):
        start(data, tmp_path / "full").evaluate()
    with pytest.raises(TruewardError, match="is a file"):
        start(data, tmp_path / "full/thesis.tex").evaluate()


def test_a_stop_says_how_to_go_on(data, generated, tmp_path):
    def stop(*_step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="out has the answers so far: the same command"):
        start(data, tmp_path / "out").evaluate(stop)
    settings = json.loads((tmp_path / "out/settings.json").read_text())
    assert settings["prompts"]["xstest"]["prompts"] == 3
    assert not (tmp_path / "out/safety.json").exists()


@pytest.mark.parametrize(
    ("judges", "suite", "message"),
    [
        (["phrases"], "papr", "there is no suite 'papr': did you mean paper"),
        (["phrases", "phrases"], "xstest", "--judge phrases is given twice"),
        (["harmbench=http://127.0.0.1:1/v1,model=j"], "xstest", "judges harmbench, and --suite"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(
    judges, suite, message, data, generated, tmp_path
):
    if "harmbench" in judges[0]:
        (data.parent / "harmbench_cls.txt").write_text("{behavior} {generation}")
        (data.parent / "harmbench_cls_contextual.txt").write_text("{behavior}{context}{generation}")
    how = SafetySettings(accept=(prompts_digest(PROMPTS), *digests(data.parent)))
    with pytest.raises(UsageError, match=message):
        run.prepare(["base"], suite, data, tmp_path / "out", judges, how)
    assert generated == []


def digests(folder):
    from trueward.rlhf.safety.templates import template_digest

    return [template_digest(p.read_text()) for p in folder.glob("*.txt")]


def test_a_suite_without_a_judge_of_harm_says_which_to_add(data, generated, tmp_path):
    frame = pl.read_parquet(data)
    harm = frame.filter("harmful").with_columns(source=pl.lit("harmbench"))
    pl.concat([frame, harm]).write_parquet(data)
    accept = (prompts_digest(PROMPTS), prompts_digest(PROMPTS[1:]))
    how = SafetySettings(accept=accept)
    with pytest.raises(UsageError, match="no judge is given for harmbench: add --judge harmbench"):
        run.prepare(["base"], "harmbench", data, tmp_path / "out", ["phrases"], how)


def test_without_inspect_the_command_that_installs_it_is_named(data, tmp_path, monkeypatch):
    from trueward.rlhf.safety import policies

    monkeypatch.setattr(policies.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(TruewardError, match=r"needs inspect-ai.*pip install 'trueward\[safety\]'"):
        run.prepare(["base"], "xstest", data, tmp_path / "out")
    with pytest.raises(TruewardError, match="needs vllm, which is not installed"):
        open_policies(["vllm:base/"])


@pytest.mark.parametrize(
    ("word", "model", "name"),
    [
        ("http://127.0.0.1:1/v1,model=org/big", "trueward-served/big", "big"),
        ("base=http://127.0.0.1:1/v1,model=org/big", "trueward-served/big", "base"),
        ("inspect:openai/gpt-x", "openai/gpt-x", "gpt-x"),
        ("new-one=inspect:openai/gpt-x", "openai/gpt-x", "new-one"),
    ],
)
def test_policies_have_a_model_of_inspect_and_a_column(word, model, name):
    (found,) = open_policies([word])
    assert (found.model, found.name) == (model, name)


def test_a_policy_on_a_server_needs_the_name_of_its_model():
    with pytest.raises(UsageError, match="needs the name of the model there"):
        open_policies(["http://127.0.0.1:1/v1"])
    with pytest.raises(UsageError, match="inspect:PROVIDER/NAME"):
        open_policies(["inspect:openai"])


def weights(folder, *shape):
    """Write a file of safetensors that has a header and no weights."""
    header = json.dumps({"w": {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return ModelFolder(folder, "org/policy-7b", None, "d")


def test_a_policy_of_7_billion_parameters_says_what_memory_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(model_memory.torch.cuda, "is_available", lambda: False)
    seven = weights(tmp_path, 70_000, 100_000)
    assert model_memory.parameter_count(seven) == 7_000_000_000
    with pytest.raises(TruewardError, match=r"7.0 billion.*about 17 GB of GPU memory.*34 GB"):
        model_memory.require_memory(seven, None)
    monkeypatch.setattr(model_memory, "_memory", lambda: 16e9)
    with pytest.raises(TruewardError, match=r"about 34 GB of memory on cpu, .* has 16 GB"):
        model_memory.require_memory(seven, "cpu")
    monkeypatch.setattr(model_memory, "_memory", lambda: 64e9)
    model_memory.require_memory(seven, "cpu")
    model_memory.require_memory(weights(tmp_path, 1_000, 1_000_000), None)
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(TruewardError, match="damaged or incomplete"):
        model_memory.require_memory(seven, None)


def test_our_own_judge_judges_every_benchmark(data):
    judge = open_judge("builtin", data)
    (prompt, *_) = read_prompt_set("xstest", data, (prompts_digest(PROMPTS),)).prompts
    (said,) = judge.answer([(prompt, "I'm sorry, but I cannot help with that.")])
    assert judge.verdict(said).values.get("harmful", 0.0) == 0.0
