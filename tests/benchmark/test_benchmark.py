"""The benchmark: separation of log and truth, resumed runs, invalid configs, tables."""

import dataclasses
import json
import multiprocessing
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from helpers.commands import run
from helpers.forks import FORKS

from trueward.benchmark import Runs, read_config, ready, run_benchmark, runner, work
from trueward.benchmark.draw import labels
from trueward.benchmark.jobs import Unit, grouped
from trueward.benchmark.metrics import scaled_on_gold
from trueward.benchmark.overview import overview
from trueward.benchmark.prepared import prepare
from trueward.benchmark.runner import jobs_of
from trueward.benchmark.sampling import sample
from trueward.benchmark.search import Between, OneOf, criterion, draws, space_of
from trueward.benchmark.summary import Figure, Section, mean, share
from trueward.benchmark.table import write_table
from trueward.core.errors import NotWrittenError, TruewardError, UsageError
from trueward.core.estimate import Estimate
from trueward.data.feedback import Feedback, Labelled
from trueward.estimation.nuisances import platt
from trueward.estimators import _registry
from trueward.estimators._registry import method_class
from trueward.reporting.replay import track

SMALL = """
name: small
sets: [{name: synthetic, rows: 700}]
mechanisms: [rating, {name: implicit, noise: none}]
alpha: 0.5
rate: 0.5
noise: {rho_01: 0.1, rho_10: 0.2}
methods: [snips, {name: implicitrm, options: {identify: scar}},
  {name: causalrm, options: {estimator: none}, known: [rho_01, rho_10]}]
seeds: [0, 1]
allow_few_seeds: true
budget: {epochs: 3, folds: 2, nuisance_epochs: 2}
"""


def written(tmp_path, text=SMALL, name="small.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def config_of(tmp_path, text=SMALL):
    return read_config(written(tmp_path, text))


def first_jobs(config):
    sets = {s.label: prepare(s, config.backbone, None, lambda _line: None) for s in config.sets}
    return jobs_of(config, sets), {k: str(p.folder) for k, p in sets.items()}


def run_job(job, folder):
    ((found, row),) = work.run_unit(Unit((job,), folder))
    assert found is job
    return row


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One finished run that several tests look at."""
    folder = tmp_path_factory.mktemp("done")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUEWARD_CACHE", str(folder / "cache"))
        run_benchmark(config_of(folder), folder / "runs", processes=2)
    return folder / "runs"


@pytest.fixture
def forked(monkeypatch):
    """Processes of a run that start in a moment, not as fresh interpreters like those of `done`."""
    monkeypatch.setattr(runner, "get_context", lambda _method: FORKS)


# the rules


def test_every_packaged_config_is_valid():
    assert {"quick", "real", "mechanisms", "prediction-matrices"} <= set(ready())
    for name in ready():
        config = read_config(name)
        assert {"oracle", "clean-mcar", "naive"} <= {m.label for m in config.methods}
        assert len(config.seeds) >= 5
        assert config.about


def test_methods_use_feedback_and_reference_methods_true_labels(tmp_path, monkeypatch):
    jobs, folders = first_jobs(config_of(tmp_path))
    seen, given = {}, {}

    def stopped(fits, **_chosen):
        seen.update({id(f): f for f in fits})
        raise TruewardError("stopped by the test")

    monkeypatch.setattr(work, "fit_many", stopped)
    for job in jobs:
        if job.seed == 0 and job.scenario.mechanism == "rating":
            seen.clear()
            row = run_job(job, folders[job.set])
            assert row["reason"] == "stopped by the test"
            (one,) = seen.values()
            given[job.method.label] = (one.train, one.val)
    kinds = {k: type(train) for k, (train, _) in given.items()}
    assert kinds.pop("oracle") is kinds.pop("clean-mcar") is Labelled
    assert set(kinds.values()) == {Feedback}
    rated = [labels(d) for d in given["naive"]]
    assert [len(d) for d in given["clean-mcar"]] == rated
    assert len(given["oracle"][0]) == len(given["naive"][0])
    assert all(d.y[d.o == 0].abs().max() == 0 for d in given["naive"])


def test_training_validation_and_test_share_no_prompt(tmp_path):
    jobs, folders = first_jobs(config_of(tmp_path))
    scenario = json.dumps(dataclasses.asdict(jobs[0].scenario), sort_keys=True)
    draw = sample(folders["synthetic"], jobs[0].digest, scenario, 0)
    group = draw.prepared.rows["group"].to_numpy()
    sides = [set(group[r]) for r in (draw.rows_train, draw.rows_val, draw.test.rows)]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 175
    assert [len(s) for s in sides] == pytest.approx([122, 18, 35], abs=1)
    rating = draw.prepared.rows["rating"].to_numpy()
    assert np.array_equal(draw.test.rating.numpy(), rating[draw.test.rows])
    train, _ = draw.feedback()
    x = draw.prepared.features(np.arange(700))
    assert torch.equal(train.x, x[torch.from_numpy(draw.rows_train)])


def test_rows_of_a_set_count_by_their_weight(tmp_path):
    """Bad answers were thinned 10:1: 40 of 100 kept answers are good, and 40 of the 640 that there were."""
    rng = np.random.default_rng(0)
    good = rng.permutation(100) < 40
    frame = pl.DataFrame(
        {
            "prompt": [f"question {k // 2}" for k in range(100)],
            "response": [f"{'works' if g else 'fails'} {k}" for k, g in enumerate(good)],
            "label": good.astype(float),
            "weight": np.where(good, 1.0, 10.0),
        }
    )
    frame.write_parquet(tmp_path / "mine.parquet")
    mine = f"{{name: rated, path: {tmp_path / 'mine.parquet'}, label: mine}}"
    text = SMALL.replace("{name: synthetic, rows: 700}", mine).replace(
        "rate: 0.5", "rate: 0.5\ngold: 20"
    )
    jobs, folders = first_jobs(config_of(tmp_path, text))
    job = next(j for j in jobs if j.scenario.mechanism == "rating")
    scenario = json.dumps(dataclasses.asdict(job.scenario), sort_keys=True)
    draw = sample(folders[job.set], job.digest, scenario, job.seed)
    for part, truth in ((draw.train, draw.truth_train), (draw.labelled(draw.test), draw.test)):
        assert torch.equal(part.weight, torch.where(truth.label > 0, 1.0, 10.0))
    label = torch.cat([draw.truth_train.label, draw.truth_val.label])
    assert draw.known["prior"] == pytest.approx(float(label.sum() / (10 - 9 * label).sum()))
    _, gold, weight = draw.gold()
    assert torch.equal(weight, 10 - 9 * gold.double())


def test_r2_gold_is_r2_after_platt_scaling_on_gold_labels(tmp_path):
    jobs, folders = first_jobs(
        config_of(tmp_path, SMALL.replace("rate: 0.5", "rate: 0.5\ngold: 60"))
    )
    job = next(j for j in jobs if j.method.label == "naive" and j.scenario.mechanism == "rating")
    scenario = json.dumps(dataclasses.asdict(job.scenario), sort_keys=True)
    draw = sample(folders[job.set], job.digest, scenario, job.seed)
    x, gold, _ = draw.gold()
    assert len(x) == len(gold) == 60
    truth = torch.cat([draw.truth_train.label, draw.truth_val.label])
    named = torch.cat([draw.train.gold, draw.val.gold])
    assert torch.equal(gold, truth[~named.isnan()])

    class Model:  # its scores are right up to a scale and a shift
        def score_features(self, x):
            return SimpleNamespace(reward=5 * x[:, 0].float() + 20)

    test = draw.labelled(draw.test)
    slope, offset = platt(5 * x[:, 0].float() + 20, gold)
    p = torch.sigmoid(slope * (5 * test.x[:, 0].double() + 20) + offset)
    brier = (p - test.r).square().mean() / (test.r.mean() * (1 - test.r.mean()))
    found = scaled_on_gold(Model(), draw, test)
    assert found == {"r2_gold": pytest.approx(1 - float(brier), abs=1e-4)}
    assert run_job(job, folders[job.set])["metrics"]["r2_gold"] is not None
    oracle = next(j for j in jobs if j.method.label == "oracle" and j.scenario == job.scenario)
    assert "r2_gold" not in run_job(oracle, folders[oracle.set])["metrics"]


def test_a_job_is_a_function_of_its_config(tmp_path):
    jobs, folders = first_jobs(config_of(tmp_path))
    job = next(j for j in jobs if j.method.label == "naive")
    rows = [run_job(job, folders[job.set]) for _ in range(2)]
    assert rows[0]["metrics"] == rows[1]["metrics"]
    assert rows[0]["status"] == "done"
    again, _ = first_jobs(config_of(tmp_path))
    assert [j.key for j in again] == [j.key for j in jobs]
    assert len({j.key for j in jobs}) == len(jobs)


def test_units_fill_the_processes_and_keep_seeds_together(tmp_path):
    jobs, _ = first_jobs(config_of(tmp_path))
    pairs = [(job, "") for job in jobs]
    rows = {"synthetic": 700}
    few, many = grouped(pairs, 2, rows), grouped(pairs, 64, rows)
    apart = grouped(pairs, 64, rows, apart=True)
    large = grouped(pairs, 1, {"synthetic": 500_000})
    assert [len({j.method.label for j in u.jobs}) for u in large] == [2] * 6
    assert [len({j.method.label for j in u.jobs}) for u in few] == [6, 6]
    assert len(many) == 12
    assert all({j.seed for j in u.jobs} == {0, 1} for u in many)
    assert {len(u.jobs) for u in apart} == {1}
    for units in (few, many, apart):
        assert sorted(j.key for u in units for j in u.jobs) == sorted(j.key for j in jobs)


def test_jobs_of_a_unit_give_the_rows_of_separate_jobs(tmp_path):
    jobs, folders = first_jobs(config_of(tmp_path))
    some = tuple(j for j in jobs if j.scenario.mechanism == "rating")
    together = {j.key: row for j, row in work.run_unit(Unit(some, folders["synthetic"]))}
    for job in some[2:8]:
        alone = run_job(job, folders["synthetic"])
        assert together[job.key]["labels"] == alone["labels"]
        for name in ("auroc", "r2"):
            assert together[job.key]["metrics"][name] == pytest.approx(
                alone["metrics"][name], abs=1e-3
            )


def test_every_method_has_the_same_number_of_trials_and_the_first_is_as_configured(tmp_path):
    text = SMALL.replace("epochs: 3,", "epochs: 2, trials: 3,") + "selected_on_test: true\n"
    jobs, folders = first_jobs(config_of(tmp_path, text))
    for name in ("naive", "snips", "clean-mcar"):
        row = run_job(next(j for j in jobs if j.method.label == name), folders["synthetic"])
        assert (row["status"], row["trials"]) == ("done", 3)
        assert row["on_test"]["r2"] >= row["metrics"]["r2"]
    space = space_of(method_class("ips"), {"lr": 0.001}, {"clip": OneOf((0.3,))})
    assert set(space) == {"weight_decay", "hidden", "clip"}
    tried = draws(space, 4)
    assert tried[0] == {}
    assert len(tried) == 4
    assert {t["clip"] for t in tried[1:]} == {0.3}
    assert Between(1, 100, log=True).at(0.5) == pytest.approx(10)


def test_the_criterion_uses_only_rows_with_feedback():
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    o = (torch.arange(40) % 2).float()
    y = (x[:, 0] > 0).float() * o

    model = SimpleNamespace(score_features=lambda x: SimpleNamespace(reward=3 * x[:, 0]))
    value = criterion(model, Feedback(x, y, o))
    changed = torch.where(o > 0, y, 1 - y)
    assert criterion(model, Feedback(x, changed, o)) == value
    model.score_features = lambda x: SimpleNamespace(reward=x[:, 1])
    assert criterion(model, Feedback(x, y, o)) > value
    model.score_features = lambda x: SimpleNamespace(reward=x[:, 1] / 0)
    assert criterion(model, Feedback(x, y, o)) == float("inf")


# figures


def test_intervals_equal_hand_computed_values():
    found = mean([1.0, 2.0, 3.0])
    assert (found.value, found.high) == pytest.approx((2.0, 2 + 4.302653 / 3**0.5), rel=1e-6)
    assert mean([4.0]).high is None
    assert mean([]) is None
    exact = share([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 8.0])
    assert (exact.value, exact.low, exact.high) == pytest.approx((0.5, 0.5, 0.5))
    assert share([1.0, 1.0, 1.0], [-1.0, 0.5, 1.0]) is None


def test_estimated_losses_are_near_the_ideal_with_known_nuisances_and_exact_for_the_oracle(
    tmp_path,
):
    text = SMALL.replace("name: small", "name: small\nkind: predictions")
    text = text.replace("rows: 700", "rows: 8000").replace(
        "mechanisms: [rating,", "mechanisms: [mar,"
    )
    text = text.replace(
        "methods: [snips,",
        "methods: [{name: causalrm, label: known, options: {estimator: snips, correction: backward}, "
        "known: [propensity, rho_01, rho_10]},",
    )
    jobs, folders = first_jobs(config_of(tmp_path, text))
    rows = {
        j.method.label: run_job(j, folders[j.set])
        for j in jobs
        if (j.seed, j.scenario.mechanism) == (0, "mar")
    }
    assert rows["oracle"]["metrics"]["mean"] == pytest.approx(0, abs=1e-6)
    assert rows["clean-mcar"]["metrics"]["mean"] < 0.05
    assert rows["known (known nuisances)"]["metrics"]["mean"] < 0.1
    assert rows["naive"]["metrics"]["mean"] > 0.15


# running


def test_a_run_finishes_and_every_scenario_has_the_reference_methods(done):
    runs = Runs.read(done)
    rows = runs.rows()
    status = {(r["mechanism"], r["method"]): r["status"] for r in rows}
    assert len(rows) == 2 * 6 * 2
    assert "failed" not in status.values()
    assert status["implicit", "snips"] == "not applicable"
    table = write_table(done)
    text = table.markdown
    assert text.count("\n| oracle |") == text.count("\n| clean-mcar |") == 2
    assert "Only 2 seeds" in text
    assert "clicks only" in text
    assert "causalrm estimator=none (known nuisances)" in text
    assert {f.name for f in table.files} >= {"table.md", "summary.csv", "jobs.csv"}
    assert table.note is None or "trueward[report]" in table.note or "no figure" in table.note
    summary = pl.read_csv(done / "table" / "summary.csv")
    by_hand = [
        r["metrics"]["r2"] for r in rows if (r["mechanism"], r["method"]) == ("rating", "snips")
    ]
    cell = summary.filter(
        (pl.col("mechanism") == "rating")
        & (pl.col("method") == "snips")
        & (pl.col("metric") == "r2")
    )
    assert cell["value"][0] == pytest.approx(sum(by_hand) / 2)
    assert len(pl.read_csv(done / "table" / "jobs.csv", infer_schema_length=None)) == len(rows)


def test_the_report_of_a_run_has_every_scenario_with_its_figure(done, tmp_path, capsys):
    pytest.importorskip("altair", reason="figures need the extra `report`")
    out = tmp_path / "report.html"
    assert run(["report", str(done), "--out", str(out)], capsys)[0] == 0
    text = out.read_text()
    assert text.count("<svg") == 2
    for words in (
        "synthetic · rating",
        "synthetic · implicit",
        "clean-mcar",
        "R2 with 95 % intervals",
    ):
        assert words in text
    assert "Not applicable" in text
    code, _, err = run(["report", str(done), str(done), "--out", str(out)], capsys)
    assert code == 2
    assert "one folder" in err


def test_a_second_run_does_nothing_and_another_config_is_an_error(done, tmp_path, monkeypatch):
    monkeypatch.setenv("TRUEWARD_CACHE", str(done.parent / "cache"))
    reported = []
    config = config_of(tmp_path)
    outcome = run_benchmark(config, done, report=lambda *row: reported.append(row))
    assert (reported, outcome.left) == ([], 0)
    other = config_of(tmp_path, SMALL.replace("epochs: 3", "epochs: 2"))
    with pytest.raises(UsageError, match="other train"):
        run_benchmark(other, done)


@pytest.mark.usefixtures("forked")
def test_an_interrupted_run_keeps_its_finished_jobs(tmp_path, tracked_runs):
    config, rows = config_of(tmp_path), []

    def stop(done, _of, row):
        rows.append(row)
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_benchmark(config, tmp_path / "runs", processes=1, report=stop)
    assert not multiprocessing.active_children()
    stored = {r["key"] for r in Runs.read(tmp_path / "runs").rows()}
    assert stored >= {r["key"] for r in rows}
    (tmp_path / "runs" / "jobs" / ".half.json.x").mkdir()
    later = []
    more = {"track": ["kept"], "report": lambda *r: later.append(r)}
    outcome = run_benchmark(config, tmp_path / "runs", processes=1, limit=2, **more)
    assert len(later) == 2
    assert not stored & {r["key"] for _, _, r in later}
    assert outcome.left == 24 - len(stored) - 2
    assert not list((tmp_path / "runs" / "jobs").glob(".*"))
    assert track(tmp_path / "runs", "kept") == len(stored) + 2
    live, replayed = tracked_runs  # what the run sent, and what its folder gives
    assert live == replayed
    assert [p["step"] for p in live["points"]] == [*range(1, len(stored) + 3)]
    assert live["points"][-1]["jobs/done"] == len(stored) + 2
    row = later[-1][2]
    where = (
        "implicit rho_01 0 rho_10 0"
        if row["mechanism"] == "implicit"
        else "rating rho_01 0.1 rho_10 0.2"
    )
    name = f"synthetic/{where}/{row['method']}/auroc"
    assert live["points"][-1][name] == row["metrics"]["auroc"]


KILLER = """
import os, signal
from trueward.plugin import Method

class Killer(Method):
    "L = none: the process of the fit dies."

    def loss(self, out, b):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killer(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    about = folder / "killer-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "killer.py").write_text(KILLER)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: killer\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[trueward.methods]\nkiller = killer:Killer\n")
    monkeypatch.syspath_prepend(str(folder))  # which the processes of the run inherit
    _registry._sources.cache_clear()
    yield
    _registry._sources.cache_clear()


@pytest.mark.usefixtures("killer", "forked")
def test_a_job_that_kills_its_process_fails_alone(tmp_path):
    text = SMALL.replace("[snips,", "[snips, killer,")
    text = text.replace("[rating, {name: implicit, noise: none}]", "rating")
    config = config_of(tmp_path, text)
    outcome = run_benchmark(config, tmp_path / "runs", processes=1)
    assert outcome.left == 0
    lost = [r for r in outcome.rows if r["status"] == "failed"]
    assert {(r["method"], r["seed"]) for r in lost} == {("killer", 0), ("killer", 1)}
    assert all("killed by SIGKILL" in r["reason"] for r in lost)
    text = write_table(tmp_path / "runs").markdown
    assert "Failed:" in text
    assert f"- killer: {lost[0]['reason']}" in text
    assert "| snips |" in text
    jobs, runs = first_jobs(config)[0], Runs.read(tmp_path / "runs")
    assert runs.left(jobs) == []
    assert {j.key for j in runs.left(jobs, retry=True)} == {r["key"] for r in lost}


@pytest.mark.usefixtures("forked")
def test_a_full_disk_stops_the_run_with_an_error(tmp_path):
    config, runs = config_of(tmp_path), tmp_path / "runs"
    run_benchmark(config, runs, processes=1, limit=1)
    (runs / "jobs").rename(runs / "kept")
    (runs / "jobs").write_text("in the way")
    with pytest.raises(NotWrittenError, match="could not be written"):
        run_benchmark(config, runs, processes=1)
    (runs / "jobs").unlink()
    (runs / "kept").rename(runs / "jobs")
    assert len(Runs.read(runs).rows()) == 1


def test_a_job_that_raises_becomes_a_failed_row(tmp_path, monkeypatch):
    jobs, folders = first_jobs(config_of(tmp_path))

    def broken(*_args, **_kwargs):
        raise ZeroDivisionError("a bug\nin a method")

    monkeypatch.setattr(work, "fit_many", broken)
    rows = [row for _, row in work.run_unit(Unit(tuple(jobs[:4]), folders[jobs[0].set]))]
    assert {(r["status"], r["reason"]) for r in rows} == {
        ("failed", "ZeroDivisionError: a bug in a method")
    }


# bad input


BAD = {
    "an unknown set": ("synthetic", "syntetic", "did you mean synthetic"),
    "an unknown mechanism": ("[rating,", "[ratings,", "did you mean rating"),
    "an unknown method": ("[snips,", "[snip,", "did you mean snips"),
    "an unknown option": ("identify: scar", "identifi: scar", "did you mean identify"),
    "a bad value of an option": ("identify: scar", "identify: maybe", "identify takes"),
    "a missing option": ("options: {identify: scar}", "options: {}", "identify"),
    "an unknown key": ("alpha: 0.5", "alfa: 0.5", "did you mean alpha"),
    "an alpha out of range": ("alpha: 0.5", "alpha: 0", "alpha"),
    "noise without names": ("noise: {rho_01: 0.1, rho_10: 0.2}", "noise: [0.1, 0.2]", "by name"),
    "noise that turns labels round": ("rho_10: 0.2", "rho_10: 0.95", "below 1"),
    "no seeds": ("seeds: [0, 1]", "seeds: []", "seeds is empty"),
    "too few seeds": ("allow_few_seeds: true", "", "too few"),
    "a seed twice": ("seeds: [0, 1]", "seeds: [0, 0]", "named twice"),
    "a seed that is a word": ("seeds: [0, 1]", "seeds: [zero]", "whole numbers"),
    "a method twice": ("[snips,", "[snips, snips,", "named twice"),
    "a label that is taken": ("[snips,", "[{name: snips, label: naive},", "is reserved for"),
    "an unknown training option": ("epochs: 3", "epoch: 3", "did you mean"),
    "an unknown backbone": ("name: small", "name: small\nbackbone: bert", "there is no backbone"),
    "no trials": ("epochs: 3", "trials: 0", "trials"),
    "a choice among one": ("name: small", "name: small\nselected_on_test: true", "trials"),
    "an unknown kind": ("name: small", "name: small\nkind: races", "kind"),
    "a search space of nothing": ("[snips,", "[{name: snips, space: {clip: []}},", "space"),
    "noise where there can be none": ("[rating,", "[two_channel,", "no label noise"),
    "nothing that simulates": ("mechanisms: [rating, {name: implicit, noise: none}]", "", "mechan"),
    "a positive end without a choice": ("rows: 700", "positive: safe", "no choice"),
    "no mapping": (SMALL, "- a\n", "must be a mapping"),
    "no YAML": (SMALL, "a: [", "not valid YAML"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_config_is_an_error_of_one_line(tmp_path, name):
    there, instead, said = BAD[name]
    assert there in SMALL
    text = SMALL.replace(there, instead)
    if "backbone" in name:
        text = text.replace("{name: synthetic, rows: 700}", "helpdesk")
    with pytest.raises(UsageError) as e:
        config_of(tmp_path, text)
    assert said in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.usefixtures("forked")
@pytest.mark.usefixtures("forked")
def test_folders_of_others_or_of_another_version_are_errors(tmp_path):
    config = config_of(tmp_path)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    with pytest.raises(TruewardError, match="no folder of a benchmark"):
        run_benchmark(config, foreign)
    run_benchmark(config, tmp_path / "runs", processes=1, limit=1)
    about = tmp_path / "runs" / "benchmark.json"
    good = json.loads(about.read_text())
    for change, said in (
        ({"format": 0}, "format 0"),
        ({"trueward": "0.0.1"}, "0.0.1"),
        ({"sets": {"synthetic": "x"}}, "have changed"),
    ):
        about.write_text(json.dumps(good | change))
        with pytest.raises(TruewardError, match=said):
            run_benchmark(config, tmp_path / "runs")
    about.write_text("{")
    with pytest.raises(TruewardError, match="damaged"):
        write_table(tmp_path / "runs")
    with pytest.raises(TruewardError, match="no folder of a benchmark"):
        write_table(tmp_path / "nowhere")


# the command line


def test_the_commands(done, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TRUEWARD_CACHE", str(done.parent / "cache"))
    code, out, err = run(["benchmark", "list", "--json"], capsys)
    assert (code, set(json.loads(out))) == (0, set(ready())), err
    code, out, _ = run(["benchmark", "list", "quick"], capsys)
    assert "mechanisms:" in out
    command = ["benchmark", "run", str(written(tmp_path)), "--out", str(done), "--json"]
    code, out, err = run(command, capsys)
    assert code == 0, err
    assert json.loads(out)["jobs"] == 24
    code, out, _ = run(
        ["benchmark", "table", str(done), "--out", str(tmp_path / "t"), "--json"], capsys
    )
    assert code == 0
    assert {f["method"] for f in json.loads(out)["figures"]} >= {"naive", "oracle", "clean-mcar"}
    assert (tmp_path / "t" / "table.md").is_file()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["quik"], 2, "did you mean quick"),
        (["nowhere.yaml"], 2, "cannot be read"),
        (["quick", "--seeds", "a"], 2, "--seeds"),
        (["quick", "--seeds", "0,1"], 2, "too few"),
        (["quick", "--seeds", ""], 2, "no seeds"),
        (["quick", "--jobs", "0"], 2, "--jobs"),
        (["quick", "--data", "nowhere"], 2, "--data"),
        (["real"], 1, "--data FOLDER"),
        (["paper-causalrm", "--data", "."], 1, "hf download nvidia/HelpSteer"),
    ],
)
def test_invalid_commands_are_errors_of_one_line(tmp_path, capsys, words, code, said):
    out = tmp_path / "runs"
    found, _, err = run(["benchmark", "run", *words, "--out", str(out)], capsys)
    assert (found, said in err) == (code, True), err
    assert err.count("\n") == 1
    assert not out.exists()


# the overview


def scene(mechanism, gaps, failed=()):
    """A scenario with naive at R2 .1 and methods whose difference to it has the interval given."""
    settings = {"set": "s", "mechanism": mechanism, "alpha": 0.5, "rate": 0.2}
    settings |= {"rho_01": 0.1, "rho_10": 0.2, "gold": 0, "more": {}}

    def figure(name, gap):
        value = Estimate(0.1 if gap is None else 0.1 + sum(gap) / 2)
        between = None if gap is None else Estimate(sum(gap) / 2, *gap)
        return Figure(name, "r2", "observable criterion", 5, value, between, None)

    rows = [{"method": m, "status": "done", "seed": 0} for m in ("naive", *gaps)]
    rows += [{"method": m, "status": "failed", "seed": k} for k, m in enumerate(failed)]
    figures = [figure("naive", None), *(figure(m, g) for m, g in gaps.items())]
    return Section(settings, rows, figures)


def test_the_overview_marks_only_intervals_without_0():
    found = [
        scene("rating", {"ips": (0.01, 0.03), "dr": (-0.3, -0.1)}, failed=["sdr", "sdr"]),
        scene("mcar", {"ips": (-0.01, 0.02), "dr": (-0.2, -0.1)}),
        scene("scar", {"upu": (0.1, 0.2)}),
    ]
    lines = overview(found)
    assert "| ips | 2 | 1, 0 |  |" in lines
    assert "| dr | 2 | 0, 2 |  |" in lines
    assert "| sdr | 0 | – | 2 |" in lines
    at = lines.index("| method | rating | mcar |")
    rows = lines[at + 2 : lines.index("", at)]
    assert rows == [
        "| naive | (0.100) | (0.100) |",
        "| ips | +0.020 ▲ | +0.005 |",
        "| dr | -0.200 ▼ | -0.150 ▼ |",
        "| sdr | 2 failed |  |",
    ]
    assert "| upu | +0.150 ▲ |" in lines[lines.index("### s, clicks: R2 minus naive's") :]
    assert overview(found[:2]) == []


def test_a_scenario_that_repeats_an_experiment_counts_once():
    """Binary quality: u_shaped draws the rows that mcar draws, and every figure is the same."""
    gaps = {"ips": (0.01, 0.03), "dr": (-0.3, -0.1)}
    found = [scene("mcar", gaps), scene("u_shaped", gaps), scene("rating", {"ips": (0.02, 0.04)})]
    lines = overview(found)
    assert "| ips | 2 | 2, 0 |  |" in lines
    assert "| dr | 1 | 0, 1 |  |" in lines
    note = "On s, `u_shaped` and `mcar` are one experiment, with equal figures of all 2 methods beside naive"
    assert any(note in line for line in lines)
    assert "| ips | +0.020 ▲ | +0.020 ▲ | +0.030 ▲ |" in lines  # both columns stay


def test_scenarios_of_one_mechanism_are_named_by_the_settings_that_differ():
    strong = scene("rating", {"ips": (0.0, 0.1)})
    strong.settings["alpha"] = 0.2
    found = [scene("rating", {"ips": (0.0, 0.1)}), strong, scene("mcar", {})]
    assert "| method | rating alpha 0.5 | rating alpha 0.2 | mcar |" in overview(found)
