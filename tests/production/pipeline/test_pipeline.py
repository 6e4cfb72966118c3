"""A pipeline: a step runs if something changed, a condition refuses a model, a stop loses nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer.main
from helpers.commands import run as command

from trueward.cli import pipelining
from trueward.cli.app import app
from trueward.core.errors import TruewardError, UsageError
from trueward.core.output_lock import only_writer
from trueward.production.pipeline import Executed, read_pipeline, run_pipeline
from trueward.production.pipeline.gate import Condition

STEPS = """
steps:
  - run: import generic raw.jsonl --out data
  - run: fit naive data/log.parquet
    options: {out: work/rm, seed: 3}
  - run: evaluate work/rm test.parquet
    current: live/rm
    fail_if: ["auroc < 0.6", "auroc < current - 0.01"]
  - run: export work/rm work/export
  - promote: {work/rm: live/rm, work/export: live/export}
"""
GROUP = typer.main.get_command(app)


class Commands:
    """In place of real commands: each writes what its inputs hold; a model's AUROC is the number in it."""

    def __init__(self):
        self.ran, self.auroc, self.fails, self.stops = [], "0.7", {}, None

    def __call__(self, words, ours, keep):
        self.ran.append(" ".join(words))
        name = words[0]
        if self.stops == name:
            raise KeyboardInterrupt
        if name in self.fails:
            return Executed(self.fails[name])
        if name == "evaluate":
            value = float(Path(words[1], "model.json").read_text())
            return Executed(0, json.dumps({"auroc": {"value": value, "low": value - 0.1}}))
        if name == "import":
            self._write("data/log.parquet", Path("raw.jsonl").read_text())
        elif name == "fit":
            self._write("work/rm/model.json", self.auroc)
        elif name == "export":
            self._write("work/export/config.json", Path("work/rm/model.json").read_text())
        return Executed(0)

    def _write(self, name, text):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)

    def names(self):
        names, self.ran = [line.split()[0] for line in self.ran], []
        return names


@pytest.fixture
def commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("raw.jsonl").write_text("a secret text of a user")
    Path("test.parquet").write_text("labels")
    return Commands()


def parse(words, options):
    return pipelining._parsed(GROUP, words, options)


def read(text=STEPS):
    Path("nightly.yaml").write_text(text)
    return read_pipeline("nightly.yaml", parse)


def run(commands, text=STEPS, **how):
    how = {"version": "1", **how}
    return run_pipeline(read(text), Path("nightly.pipeline"), commands, **how)


def records():
    files = sorted(Path("nightly.pipeline/runs").glob("*.json"))
    return [json.loads(f.read_text()) for f in files]


def test_a_step_runs_again_only_if_what_it_reads_or_does_changed(commands):
    assert run(commands).exit_code == 0
    assert commands.names() == ["import", "fit", "evaluate", "export"]
    assert Path("live/rm/model.json").read_text() == "0.7"
    assert "nothing changed" in run(commands).sentence
    assert commands.names() == []

    Path("test.parquet").write_text("more labels")
    run(commands)
    assert commands.names() == ["evaluate"]  # the candidate is the current model: measured once

    Path("raw.jsonl").write_text("new")
    run(commands)
    assert commands.names() == ["import", "fit"]  # the fit gave the same model, so no more

    run(commands, STEPS.replace("seed: 3", "seed: 4"))
    assert commands.names() == ["fit"]
    Path("work/rm/model.json").write_text("0.71")
    run(commands, STEPS.replace("seed: 3", "seed: 4"))
    assert commands.names() == ["fit"]  # its output was not as it had left it

    run(commands, version="2")
    assert commands.names()[:2] == ["import", "fit"]
    run(commands, version="2", force=True)
    assert commands.names() == ["import", "fit", "evaluate", "export"]


def test_a_worse_model_is_refused_and_the_current_one_stays(commands):
    run(commands)
    commands.names()
    Path("raw.jsonl").write_text("worse feedback")
    commands.auroc = "0.68"
    for _ in range(2):  # refused as long as nothing changes, without a second measurement
        ended = run(commands)
        assert ended.exit_code == 3
        assert "auroc 0.6800 < 0.6900 (current - 0.01)" in ended.sentence
        assert Path("live/rm/model.json").read_text() == "0.7"
        assert Path("work/export/config.json").read_text() == "0.7"
    assert commands.names() == ["import", "fit", "evaluate"]
    last = records()[-1]
    assert (last["result"], last["exit_code"]) == ("refused", 3)
    assert [s["status"] for s in last["steps"]][-3:] == ["refused", "not run", "not run"]
    assert last["steps"][2]["metrics"] == {"auroc": {"value": 0.68, "low": 0.68 - 0.1}}
    assert last["steps"][2]["current"] == {"auroc": {"value": 0.7, "low": 0.7 - 0.1}}

    looser = STEPS.replace("current - 0.01", "current - 0.1")
    assert run(commands, looser).exit_code == 0  # the condition changed, not the metrics
    assert commands.names() == ["export"]
    assert Path("live/rm/model.json").read_text() == "0.68"


def test_an_evaluation_that_refuses_the_model_itself_is_a_refusal(commands):
    commands.fails = {"evaluate": 3}
    assert run(commands).exit_code == 3
    assert not Path("live").exists()


def test_a_failed_step_stops_the_run_and_the_same_command_continues_there(commands):
    commands.fails = {"export": 1}
    with pytest.raises(TruewardError, match="step export ended with exit code 1"):
        run(commands)
    assert not Path("live").exists()
    assert records()[-1]["result"] == "failed"
    commands.fails = {}
    commands.names()
    run(commands)
    assert commands.names() == ["export"]


def test_rejected_rows_stop_an_import_unless_they_are_accepted(commands):
    commands.fails = {"import": 3}
    with pytest.raises(TruewardError, match=r"accept: \[3\]"):
        run(commands)
    commands._write("data/log.parquet", "the rows that are good")
    accepted = STEPS.replace("--out data", "--out data\n    accept: [3]")
    assert run(commands, accepted).exit_code == 0


def test_a_stopped_fit_is_resumed_with_the_same_inputs_only(commands):
    commands.stops = "fit"
    with pytest.raises(KeyboardInterrupt, match="the same command continues"):
        run(commands)
    assert records()[-1]["result"] == "stopped"
    Path("work/rm.checkpoint").mkdir(parents=True)
    commands.stops = None
    commands.names()
    run(commands)
    assert "fit --seed 3 --out work/rm naive" in commands.ran[0] or "--resume" in commands.ran[0]
    assert commands.ran[0].endswith("--resume")

    commands.stops = "fit"
    Path("raw.jsonl").write_text("other feedback")
    with pytest.raises(KeyboardInterrupt):
        run(commands)
    commands.stops = None
    commands.names()
    run(commands, STEPS.replace("seed: 3", "seed: 5"))
    assert "--resume" not in commands.ran[0]
    assert not Path("work/rm.checkpoint").exists()  # of a fit with another seed


def test_a_dry_run_says_what_would_run_and_why_and_writes_nothing(commands):
    said = []
    run(commands, dry_run=True, say=said.append)
    assert not Path("nightly.pipeline").exists()
    assert commands.ran == []
    assert said[0] == "[1/5] import: would run, it has not run yet"
    run(commands)
    said.clear()
    Path("raw.jsonl").write_text("new")
    commands.names()
    ended = run(commands, dry_run=True, say=said.append)
    assert said[:2] == [
        "[1/5] import: would run, raw.jsonl changed",
        "[2/5] fit: would run, if data/log.parquet comes out different",
    ]
    assert ended.sentence == "nightly: 5 of 5 steps would run"
    assert commands.ran == []
    assert len(records()) == 1


def test_a_record_has_no_text_of_users_and_no_folder_of_the_machine(commands, tmp_path):
    text = STEPS.replace("test.parquet", str(tmp_path / "test.parquet"))
    text = text.replace("raw.jsonl", str(tmp_path / "raw.jsonl")).replace("live/", "/tmp/../live/")
    run(commands, text.replace("/tmp/../live/", "live/"))
    kept = json.dumps(records())
    assert str(tmp_path) not in kept
    assert "secret" not in kept
    assert '"path": "raw.jsonl"' in kept


def test_a_killed_run_is_named_so_by_the_next_one(commands):
    run(commands)
    file = next(Path("nightly.pipeline/runs").glob("*.json"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"result": "running"}))
    run(commands)
    assert [r["result"] for r in records()] == ["killed", "done"]


def test_a_second_run_at_the_same_time_is_refused(commands):
    with only_writer("nightly.pipeline"), pytest.raises(TruewardError, match="is being written by"):
        run(commands)


def test_a_damaged_state_is_one_sentence(commands):
    run(commands)
    Path("nightly.pipeline/state.json").write_text("{")
    with pytest.raises(TruewardError, match="is damaged or of another"):
        run(commands)


def test_a_promotion_replaces_only_what_is_alike_and_can_keep_what_was_there(commands):
    run(commands, STEPS.replace("live/export}", "live/export}\n    keep_previous: true"))
    Path("raw.jsonl").write_text("new")
    commands.auroc = "0.9"
    run(commands, STEPS.replace("live/export}", "live/export}\n    keep_previous: true"))
    assert Path("live/rm.previous/model.json").read_text() == "0.7"
    Path("photos").mkdir()
    Path("photos/cat.png").write_text("cat")
    with pytest.raises(TruewardError, match="photos exists and holds something else"):
        run(commands, STEPS.replace("work/export: live/export", "work/export: photos"))
    assert Path("photos/cat.png").exists()


GATES = [
    ("auroc < 0.7", 0.7, False),
    ("auroc <= 0.7", 0.7, True),
    ("auroc.low < 0.65", 0.7, True),
    ("auroc < current", 0.7, True),
    ("auroc<current - 0.1", 0.7, False),
    ("auroc > current + .05", 0.7, False),
    ("brier > 2e-1", 0.25, True),
]


@pytest.mark.parametrize(("text", "value", "fails"), GATES)
def test_a_condition_compares_a_metric_with_a_number_or_the_current_model(text, value, fails):
    metrics = {k: {"value": value, "low": value - 0.1, "high": 1.0} for k in ("auroc", "brier")}
    current = {"auroc": 0.75, "brier": 0.2}
    assert Condition.parse(text).check(metrics, current).fails is fails


def test_a_metric_that_is_not_defined_refuses_the_model():
    undefined = {"auroc": {"value": None, "reason": "all labels are equal"}}
    assert Condition.parse("auroc < 0.6").check(undefined, None).fails
    assert Condition.parse("auroc < current").check({"auroc": 0.7}, undefined).fails


WRONG = [
    ("steps: [", "could not be read as YAML"),
    ("[]", "must be a mapping"),
    ("steps: []", "has a list of steps"),
    ("step: [{run: x}]", "did you mean steps?"),
    ("steps: [{ran: methods}]", "has one of run, program, promote, reload"),
    ("steps: [{run: methods, promote: {a: b}}]", "this one has run, promote"),
    ("steps: [{run: fitt naive raw.jsonl}]", "no command 'fitt': did you mean fit?"),
    ("steps: [{run: fit naive raw.jsonl}]", "--out"),
    ("steps: [{run: fit naive raw.jsonl --out rm --epochs 0}]", "--epochs"),
    ("steps: [{run: fit naive raw.jsonl, options: {outt: rm}}]", "--outt"),
    (
        "steps: [{run: fit naive nothing.jsonl --out rm}]",
        "reads nothing.jsonl, which does not exist",
    ),
    ("steps: [{run: fit --help}]", "--help is no step"),
    ("steps: [{run: pipeline a.yaml}]", "cannot be a step"),
    ("steps: [{run: benchmark}]", "has no command 'nothing'"),
    ("steps: [{run: methods, fail_if: auroc < 1}]", "belong to evaluate"),
    ("steps: [{run: evaluate raw.jsonl test.parquet, fail_if: auroc}]", "is written as"),
    ("steps: [{run: evaluate raw.jsonl test.parquet, fail_if: auroc.mean < 1}]", "is written as"),
    (
        "steps: [{run: evaluate raw.jsonl test.parquet, fail_if: auroc < current}]",
        "needs `current:",
    ),
    ("steps: [{run: evaluate raw.jsonl test.parquet, current: live}]", "add fail_if"),
    ("steps: [{promote: {raw.jsonl: raw.jsonl/a}}]", "must not contain each other"),
    ("steps: [{promote: work}]", "maps what is new to its place"),
    ("steps: [{promote: {work: live}}]", "reads work, which does not exist"),
    ("steps: [{reload: server}]", "is the address of a server"),
    ("steps: [{program: ''}]", "is empty"),
    ("steps: [{program: 'echo \"'}]", "cannot be split"),
    ("steps: [{program: ls, always: 1}]", "is true or false"),
    ("steps: [{program: ls, accept: [200]}]", "exit codes from 1 to 127"),
    ("steps: [{program: ls, inputs: [nothing]}]", "reads nothing, which does not exist"),
    ("{name: a/b, steps: [{program: ls}]}", "name must be a word"),
    ("steps: [{program: ls, name: a}, {program: ls, name: a}]", "step 2: an earlier step"),
    (
        "steps: [{run: calibrate raw.jsonl test.parquet --out raw.jsonl}]",
        "would run again each time",
    ),
    (
        "steps: [{run: fit naive raw.jsonl --out rm}, {run: fit ips raw.jsonl --out rm}]",
        "steps fit and fit-2 write the same place, rm",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_a_wrong_pipeline_is_one_sentence_before_anything_runs(commands, text, sentence):
    with pytest.raises(UsageError) as error:
        read(text)
    assert sentence in str(error.value)
    assert "nightly.yaml" in str(error.value)


def test_options_have_the_names_of_a_config_and_the_line_wins(commands):
    text = "steps: [{run: fit ips raw.jsonl --out rm --seed 2, options: {seed: 1, o: {clip: 0.5}}}]"
    (step,) = read(text).steps
    words = "fit --seed 1 -o clip=0.5 ips raw.jsonl --out rm --seed 2"
    assert " ".join(step.line.words) == words
    assert "raw.jsonl" in step.line.reads
    assert step.line.writes == ("rm",)


def test_a_group_may_find_its_command_by_itself(commands):
    (step,) = read("steps: [{run: label raw.jsonl --out label.html}]").steps
    assert (step.line.words[0], step.line.writes) == ("label", ("label.html",))
    assert "raw.jsonl" in step.line.reads


def test_the_command_runs_programs_and_prints_the_record(commands, capsys):
    program = f"{sys.executable} -c \"open('made.txt','w').write('x')\""
    Path("run.yaml").write_text(
        json.dumps(
            {"steps": [{"program": program, "inputs": ["raw.jsonl"], "outputs": ["made.txt"]}]}
        )
    )
    code, out, _err = command(["pipeline", "run.yaml", "--json"], capsys)
    assert code == 0
    assert json.loads(out)["steps"][0]["status"] == "ran"
    code, out, err = command(["pipeline", "run.yaml"], capsys)
    assert code == 0
    assert "nothing changed" in out
    assert "skipped" in err
    code, _out, err = command(["pipeline", "nothing.yaml"], capsys)
    assert code == 2
    assert "could not be read" in err
    code, _out, err = command(["--no-clobber", "pipeline", "run.yaml"], capsys)
    assert code == 2


def test_a_signal_to_stop_reaches_the_command_and_is_recorded(commands):
    Path("run.yaml").write_text("steps: [{program: sleep 60}, {program: echo never}]")
    process = subprocess.Popen(
        [sys.executable, "-m", "trueward", "pipeline", "run.yaml"],
        stderr=subprocess.PIPE,
        env=os.environ,
    )
    for line in process.stderr:
        if b"sleep: runs" in line:
            break
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(20) == 143
    assert "the same command continues" in said
    (record,) = [json.loads(f.read_text()) for f in Path("run.pipeline/runs").glob("*.json")]
    assert (record["result"], record["exit_code"]) == ("stopped", 143)
    assert [s["status"] for s in record["steps"]] == ["stopped", "not run"]


def test_the_whole_output_of_a_command_is_kept_while_it_is_looked_at(monkeypatch):
    monkeypatch.setattr(pipelining, "LOOK", 0.02)
    code = "import time; print('a' * 100_000, flush=True); time.sleep(0.1); print('b')"
    done = pipelining._execute([sys.executable, "-c", code], False, True)
    assert (done.code, done.output.split()) == (0, ["a" * 100_000, "b"])
