"""Several processes learn what one does, say one thing, and end together; here on CPUs."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.forks import as_launched
from safetensors.torch import load_file

from trueward.cli.app import main
from trueward.simulation import helpdesk, simulate
from trueward.training import checkpoints
from trueward.training import loop as engine

pytest.importorskip("peft", reason="language models need the extra `text`")
pytest.importorskip("accelerate", reason="several processes need the extra `text`")
tiny = pytest.importorskip("helpers.tiny")
pytestmark = pytest.mark.slow
EACH_EPOCH = (
    "import trueward.training.checkpoints as c; c.Checkpoints.__init__.__defaults__ = (0.0,)\n"
)
OPTIONS = ["--epochs", "3", "--rank", "2", "-o", "lr=0.01", "-o", "batch_size=37"]
OPTIONS += [
    "-o",
    "micro_batch=4",
    "-o",
    "nuisance_epochs=1",
    "-o",
    "rho_01=0.05",
    "-o",
    "rho_10=0.1",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A log, a language model, and the model that one process fits."""
    where = tmp_path_factory.mktemp("processes")
    tiny.build("llama", where / "llama")
    world = simulate(helpdesk(60, seed=5), rate=0.5, rho_01=0.05, rho_10=0.1, seed=5)
    world.write(where / "world")
    assert alone(fitted(where, "one")) == 0
    return where


def fitted(where, out, *more, method="causalrm", how="lora"):
    backbone = f"{where / 'llama'},dtype=float32,max_length=24"
    about = ["--backbone", backbone, "--tune", how, "--out", str(where / out)]
    return ["fit", method, str(where / "world/log.parquet"), *about, *OPTIONS, *more]


def alone(words):
    """Run trueward in this process; give its exit code."""
    with pytest.raises(SystemExit) as stop:
        main(words)
    return stop.value.code or 0


def written(words, patch=""):
    """Write a script that runs trueward; ``patch`` is run in each process before, with its ``rank``."""
    script = Path(words[words.index("--out") + 1]).parent / "run.py"
    script.write_text(
        "import os, sys, torch; torch.set_num_threads(1); rank = int(os.environ['RANK'])\n"
        f"{EACH_EPOCH}{patch}\nfrom trueward.cli.app import main\nmain(sys.argv[1:])\n"
    )
    return script


def start(count, words, patch=""):
    """Run trueward in ``count`` processes; give the exit code, output and errors of each."""
    out = Path(words[words.index("--out") + 1])
    script = written(words, patch)
    return as_launched(count, script, words, out.with_name(f"{out.name}-output"))


def torchrun(count, words, patch=""):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    command = [sys.executable, *launcher, str(written(words, patch)), *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)


def same(where, *names):
    for file in ("model.safetensors", "language_model/model.safetensors"):
        models = [load_file(where / name / file) for name in names]
        for key, wanted in models[0].items():
            for other in models[1:]:
                torch.testing.assert_close(other[key], wanted, rtol=1e-4, atol=1e-5)


def moved(where, name):
    """How far the weights went, by the largest."""
    before = load_file(where / "llama/model.safetensors")
    after = load_file(where / name / "language_model/model.safetensors")
    return max(float((after[k] - before[k]).abs().max()) for k in before)


HALVED = """
import atexit
atexit.register(lambda: sys.stderr.write(f"group open: {torch.distributed.is_initialized()}\\n"))
import trueward.fitting.finetune.network as tuned
whole = tuned.TunedNet._pooled
def pooled(net, numbers):
    if rank == 1 and torch.is_grad_enabled() and len(numbers) > 1:
        raise torch.OutOfMemoryError
    return whole(net, numbers)
tuned.TunedNet._pooled = pooled
"""


def test_three_processes_fit_what_one_does_though_one_of_them_has_less_memory(place):
    done = torchrun(3, fitted(place, "three"), HALVED)
    assert done.returncode == 0, done.stderr
    assert moved(place, "one") > 0.01
    same(place, "one", "three")
    assert done.stdout.count("three: causalrm learned") == 1
    assert done.stderr.count("fitting reward") == 1
    assert done.stderr.count("group open: False") == 3
    assert not list(place.glob("three.checkpoint"))


STOPPED = """
import trueward.training.loop as engine
epoch = engine._epoch
def stopped(runs, together):
    if runs[0].problem.stage == "reward" and runs[0].state.epoch == 2:
        raise KeyboardInterrupt
    return epoch(runs, together)
engine._epoch = stopped
"""


def test_a_fit_of_two_processes_goes_on_in_one(place):
    stopped = start(2, fitted(place, "one_after"), STOPPED)
    assert [code for code, _, _ in stopped] == [130, 130]
    assert sum(err.count("stopped; the fit so far is kept in") for _, _, err in stopped) == 1
    assert alone(fitted(place, "one_after", "--resume")) == 0
    same(place, "one", "one_after")


def test_a_fit_of_one_process_goes_on_in_two(place, monkeypatch):
    monkeypatch.setattr(checkpoints.Checkpoints.__init__, "__defaults__", (0.0,))
    monkeypatch.setattr(engine, "_epoch", engine._epoch)
    exec(STOPPED, {})
    assert alone(fitted(place, "two_after")) == 130
    done = start(2, fitted(place, "two_after", "--resume"))
    assert [code for code, _, _ in done] == [0, 0], done
    same(place, "one", "two_after")


FAILED = """
import trueward.fitting.finetune.network as tuned
from trueward.core.errors import TruewardError
whole = tuned.TunedNet._pooled
def pooled(net, numbers):
    if rank == 1 and torch.is_grad_enabled():
        raise TruewardError("one text does not fit: choose a smaller max_length")
    return whole(net, numbers)
tuned.TunedNet._pooled = pooled
"""


def test_what_ends_one_process_ends_all_with_one_sentence(place):
    failed = start(2, fitted(place, "failed"), FAILED)
    assert [code for code, _, _ in failed] == [1, 1]
    said = [e for _, _, err in failed for e in err.splitlines() if e.startswith("error: ")]
    assert said == ["error: one text does not fit: choose a smaller max_length"]
    assert not (place / "failed").exists()
    assert not (place / "failed.checkpoint").exists()


KILLED = """
import signal, trueward.fitting.finetune.network as tuned
whole = tuned.TunedNet._pooled
def pooled(net, numbers):
    if rank == 1 and torch.is_grad_enabled():
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(net, numbers)
tuned.TunedNet._pooled = pooled
"""


def test_after_a_process_that_was_killed_the_rest_do_not_wait(place):
    (rest, _, errors), (killed, _, _) = start(2, fitted(place, "killed"), KILLED)
    assert (rest, killed) == (1, -signal.SIGKILL)
    assert errors.count("error: another process of this fit has ended") == 1
    assert "Traceback" not in errors


def test_a_fit_without_tuning_has_no_work_for_several_processes(place, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    log = str(place / "world/log.parquet")
    assert alone(["fit", "naive", log, "--out", str(place / "frozen")]) == 2
    assert "start this command in one" in capsys.readouterr().err
    assert not (place / "frozen").exists()
