"""The papers' experiments: what is missing, the protocols and choices, published figures beside ours."""

import dataclasses
import gzip
import json
import shlex

import polars as pl
import pytest
import typer
from helpers.commands import run

from trueward.benchmark import read_config, runner
from trueward.benchmark.jobs import jobs_of
from trueward.benchmark.prepared import prepare
from trueward.benchmark.protocols import (
    AS_PUBLISHED,
    BY_PROMPT,
    CHOICES,
    CLEAN,
    OBSERVABLE,
    ON_TEST,
    chosen,
)
from trueward.benchmark.reproduction import Settings, methods, published, reproduce, sets_of
from trueward.benchmark.reproduction.comparison import agreement, figures_of
from trueward.benchmark.reproduction.data_sources import SOURCES, check_source
from trueward.benchmark.reproduction.experiments import experiment
from trueward.benchmark.reproduction.methods import rows_of
from trueward.benchmark.reproduction.page import markdown
from trueward.benchmark.reproduction.report import Report, long_table
from trueward.benchmark.reproduction.run import read_report
from trueward.benchmark.sampling import sample
from trueward.cli.app import app
from trueward.core.errors import TruewardError, UsageError
from trueward.core.estimate import Estimate

ALL = {name: name for name in SOURCES}


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(r) + "\n" for r in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def helpsteer(folder, prompts=60):
    """Two answers to each prompt, 40 % of them bad; the first prompts are in the test split, too."""
    rows = [
        {
            "prompt": f"How do I undo step {i // 2}?",
            "response": f"{'No idea' if i % 5 < 2 else 'Press undo and wait.'} {i}",
            "helpfulness": 2 if i % 5 < 2 else 3 + (i % 10 == 9),
        }
        for i in range(2 * prompts)
    ]
    lines(folder / "train.jsonl.gz", rows)
    test = [{**r, "response": "Really: " + r["response"]} for r in rows[:30]]
    lines(folder / "validation.jsonl.gz", test)


def pku_saferlhf(folder, prompts=8):
    rows = [
        {
            "prompt": f"q{i}",
            "response_0": f"left {i}",
            "response_1": f"right {i}",
            "response_0_severity_level": i % 4,
            "response_1_severity_level": 0,
        }
        for i in range(prompts)
    ]
    lines(folder / "data" / "Alpaca-7B" / "train.jsonl", rows[2:])
    lines(folder / "data" / "Alpaca2-7B" / "test.jsonl", rows[:2])


def ultrafeedback(folder):
    def talk(text):
        return [{"content": "q", "role": "user"}, {"content": text, "role": "assistant"}]

    frame = pl.DataFrame(
        {
            "prompt": [f"q{i}" for i in range(4)],
            "chosen": [talk(f"good {i}") for i in range(4)],
            "rejected": [talk(f"bad {i}") for i in range(4)],
            "score_chosen": [8.0, 7.5, 9.0, 7.0],
            "score_rejected": [4.0, 7.0, 1.0, 6.5],
        }
    )
    (folder / "data").mkdir(parents=True)
    frame[:3].write_parquet(folder / "data" / "train_prefs-00000-of-00001.parquet")
    frame[3:].write_parquet(folder / "data" / "test_prefs-00000-of-00001.parquet")


@pytest.fixture
def inline(monkeypatch):
    """The jobs of a run in this process."""

    def work(units, runs, _processes):
        for unit in units:
            for _job, row in runner.run_unit(unit):
                runs.write(row)
                yield row

    monkeypatch.setattr(runner, "_work", work)


# what is there


def test_what_is_missing_is_listed_with_command_size_and_place(tmp_path, capsys):
    """The exit code is 1, before any work; with --check and without."""
    for more in (["--check"], ["--out", str(tmp_path / "runs")]):
        words = ["reproduce", "causalrm", "--data", str(tmp_path / "data"), *more]
        code, out, err = run(words, capsys)
        assert code == 1
        for source in SOURCES.values():
            place = tmp_path / "data" / source.name
            assert f"hf download {source.repository} --repo-type dataset" in out
            assert f"--local-dir {place}" in out
            assert source.size in out
        assert "hf download sfairXC/FsfairX-LLaMA3-RM-v0.1" in out
        assert "helpsteer, ultrafeedback, pku_saferlhf, backbone" in err
    assert not (tmp_path / "runs").exists()


def test_the_layouts_of_the_hub_are_recognised(tmp_path, capsys):
    """Small files are used, and said not to be the whole set."""
    for write in (helpsteer, ultrafeedback, pku_saferlhf):
        write(tmp_path / write.__name__)
    words = ["reproduce", "implicitrm", "--check", "--data", str(tmp_path)]
    code, out, _err = run([*words, "--backbone", "wordllama"], capsys)
    assert code == 0
    assert "120 of 35,331 train rows, 30 of 1,789 test rows, not the whole set" in out
    assert "3 of 61,135 train rows, 1 of 2,000 test rows" in out
    assert "6 of 73,900 train rows, 2 of 8,200 test rows" in out
    code, out, _err = run([*words, "--backbone", "wordllama", "--json"], capsys)
    assert json.loads(out)["ready"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt": "q", "response": "a"}], "no column helpfulness; its columns are prompt"),
        ([], "no row"),
        ([["a list"]], "no column prompt"),
        (None, "cannot be read as a table"),
    ],
)
def test_a_file_of_another_layout_is_named_with_its_columns(rows, said, tmp_path):
    helpsteer(tmp_path)
    if rows is None:
        (tmp_path / "train.jsonl.gz").write_bytes(b"not gzip")
    else:
        lines(tmp_path / "train.jsonl.gz", rows)
    found = check_source(SOURCES["helpsteer"], tmp_path)
    assert said in found.problem
    assert "train.jsonl.gz" in found.problem
    assert "hf download nvidia/HelpSteer" in found.remedy


def test_a_set_with_all_its_rows_is_complete(tmp_path):
    helpsteer(tmp_path)
    small = dataclasses.replace(SOURCES["helpsteer"], rows={"train": 121, "test": 30})
    assert check_source(small, tmp_path).complete  # 120 are within 2 %
    (tmp_path / "validation.jsonl.gz").unlink()
    assert "of the test split" in check_source(SOURCES["helpsteer"], tmp_path).problem


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nopaper"], "causalrm"),
        (["causalrm", "--set", "helpstear"], "did you mean helpsteer"),
        (["causalrm", "--set", "helpsteer=nothing"], "set of the benchmark"),
        (["causalrm", "--set", "helpsteer", "--set", "helpsteer=arena"], "twice"),
        (["causalrm", "--seeds", "0,1"], "too few"),
        (["causalrm", "--seeds", "0,0,0,0,0"], "too few"),
        (["causalrm", "--seeds", "x"], "must be numbers"),
        (["causalrm", "--backbone", "no-such-model"], "no-such-model"),
        (["causalrm", "--set", "helpsteer=synthetic", "--backbone", "wordllama"], "give --out"),
    ],
)
def test_a_wrong_request_is_one_sentence(words, said, capsys):
    code, _out, err = run(["reproduce", *words], capsys)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


# the protocols


def test_no_yaml_reaches_the_choice_on_test_labels_of_a_paper(tmp_path):
    """Jobs of the ordinary benchmark are of other kinds, and rows are split by prompt."""
    for kind in (AS_PUBLISHED, BY_PROMPT):
        path = tmp_path / "mine.yaml"
        path.write_text(
            f"sets: [helpdesk]\nmechanisms: [mcar]\nmethods: [naive]\nkind: {kind}\nseeds: [0]\n"
        )
        with pytest.raises(UsageError, match="kind of benchmark"):
            read_config(path, allow_few=True)


def test_the_choice_is_by_the_figure_that_its_name_says():
    trials = [
        {"criterion": 0.5, "validation_r2": 0.2, "metrics": {"r2": 0.10}},
        {"criterion": 0.4, "validation_r2": 0.1, "metrics": {"r2": 0.30}},
        {"criterion": 0.6, "validation_r2": 0.3, "metrics": {"r2": 0.20}},
        {"criterion": None, "validation_r2": None, "metrics": {"r2": None}},
    ]
    assert {c: chosen(trials, c)["r2"] for c in CHOICES} == {
        ON_TEST: 0.3,
        CLEAN: 0.2,
        OBSERVABLE: 0.3,
    }
    assert chosen(trials[3:], ON_TEST) is None


def test_rows_are_split_as_published_or_by_prompt(tmp_path):
    """As published the test is the hub's, and prompts stand on every side; by prompt on one side only."""
    helpsteer(tmp_path / "helpsteer")
    settings = Settings("causalrm", {"helpsteer": "helpsteer"}, "wordllama", seeds=(0,))
    sets = {}
    drawn = {}
    for protocol in (AS_PUBLISHED, BY_PROMPT):
        config = experiment(settings, protocol)
        sets["helpsteer"] = prepare(config.sets[0], "wordllama", tmp_path, lambda _line: None)
        job = jobs_of(config, sets)[0]
        assert job.kind == protocol
        scenario = json.dumps(dataclasses.asdict(job.scenario), sort_keys=True)
        folder = str(sets["helpsteer"].folder)
        split = "rows" if protocol == AS_PUBLISHED else "prompts"
        drawn[protocol] = sample(folder, job.digest, scenario, 0, split)
    part, group = (sets["helpsteer"].rows[k].to_numpy() for k in ("part", "group"))
    by_row, by_prompt = drawn[AS_PUBLISHED], drawn[BY_PROMPT]
    assert sorted(by_row.test.rows) == [i for i, p in enumerate(part) if p == "test"]
    used = {*by_row.rows_train, *by_row.rows_val}
    assert len(used) == 119  # of 120 training rows
    assert set(part[list(used)]) == {"train"}
    assert len(by_row.rows_val) == pytest.approx(24, abs=2)  # a fifth, in strata
    sides = [
        set(group[by_row.rows_train]),
        set(group[by_row.rows_val]),
        set(group[by_row.test.rows]),
    ]
    assert sides[0] & sides[1]
    assert sides[0] & sides[2]
    assert (by_row.test.group.numpy() == group[by_row.test.rows]).all()
    assert (by_row.train.group.numpy() == group[by_row.rows_train]).all()
    sides = [set(group[r]) for r in (by_prompt.rows_train, by_prompt.rows_val, by_prompt.test.rows)]
    assert not sides[0] & sides[1]
    assert not (sides[0] | sides[1]) & sides[2]


def test_every_method_of_the_papers_has_settings_in_both_protocols():
    for paper in ("causalrm", "implicitrm"):
        settings = Settings(paper, ALL, "wordllama")
        for protocol in (AS_PUBLISHED, BY_PROMPT):
            config = experiment(settings, protocol)
            labels = {m.label for m in config.methods}
            rows = [r for r in rows_of(paper) if r.entry(protocol) is not None]
            assert labels == {r.label(protocol) for r in rows}
            known = [m.label for m in config.methods if m.known]
            assert not known or protocol == AS_PUBLISHED
            assert all("known nuisances" in label for label in known)
            positive = {s.label: s.positive for s in config.sets}
            assert positive["pku_saferlhf"] == "severe"


# published figures


def test_every_published_figure_has_a_row_and_a_source():
    for paper in ("causalrm", "implicitrm"):
        keys = {r.key for r in rows_of(paper)}
        for table in published.tables(paper):
            assert table.source
            assert {name for name, _, _ in table.figures} <= set(SOURCES)
            assert {method for _, method, _ in table.figures} <= keys
        for claim in published.claims(paper):
            assert claim.source
            assert claim.needs or claim.where["method"] in keys
    first = published.tables("causalrm")[0]
    assert first.scenario == {"alpha": 0.5, "rate": 0.2, "rho_01": 0.1, "rho_10": 0.2}
    assert first.figures["pku_saferlhf", "causalrm_ips", "r2"] == 0.7740
    assert first.figures["helpsteer", "naive", "mae"] == 0.3076
    assert published.tables("implicitrm")[1].figures["ultrafeedback", "implicitrm", "mae"] == 0.1961


@pytest.mark.parametrize(
    ("figure", "ours", "differs", "said"),
    [
        (0.3, Estimate(0.28, 0.25, 0.31), [], "yes"),
        (0.31, Estimate(0.28, 0.25, 0.31), [], "yes"),
        (0.32, Estimate(0.28, 0.25, 0.31), [], "no: ours is lower by 0.040"),
        (0.1, Estimate(0.28, 0.25, 0.31), [], "no: ours is higher by 0.180"),
        (0.3, Estimate(0.28, 0.25, 0.31), ["the backbone is x"], "not comparable"),
        (0.3, Estimate(0.3), [], "one seed, no interval"),
        (None, Estimate(0.28, 0.25, 0.31), [], "–"),
        (0.3, None, [], "–"),
    ],
)
def test_a_verdict_is_computed_from_the_interval(figure, ours, differs, said):
    assert agreement(figure, ours, differs) == said


def job_row(seed, r2, *, method="naive", on_set="helpsteer"):
    """A finished job with two trials; the observable criterion prefers the worse one."""

    def trial(criterion, value):
        metrics = {"r2": value, "mae": 0.3, "auroc": 0.8, "brier": 0.16}
        return {"criterion": criterion, "validation_r2": value, "metrics": metrics}

    where = {"set": on_set, "rho_01": 0.1, "rho_10": 0.2, "method": method, "seed": seed}
    return {**where, "status": "done", "tried": [trial(0.5, r2), trial(0.4, r2 - 0.2)]}


def report_of(rows, **more):
    settings = Settings("causalrm", ALL, "sfairXC/FsfairX-LLaMA3-RM-v0.1")
    about = {"complete": dict.fromkeys(ALL, True), "papers_backbone": True}
    about |= {"notes": ("all there",), "jobs": 2, "left": 0} | more
    return Report(settings=settings, figures=figures_of(rows, CHOICES), **about)


def test_the_page_says_whether_the_figures_agree():
    """naive on HelpSteer: published R2 .138, inside ours; published MAE .308, ours .300 in every seed."""
    rows = {
        AS_PUBLISHED: [job_row(s, r2) for s, r2 in enumerate([0.10, 0.14, 0.18])],
        BY_PROMPT: [],
    }
    text = markdown(report_of(rows))
    row = next(line for line in text.splitlines() if line.startswith("| Naive | 0.138 |"))
    assert row.startswith("| Naive | 0.138 | 0.140 ± 0.099 | yes |")
    row = next(line for line in text.splitlines() if line.startswith("| Naive | 0.308 |"))
    assert "no: ours is lower by 0.008" in row
    assert "3 of 6 trials" in text  # with R2 of at most 0: -.1, -.06 and -.02
    assert "0.200 ± 0.000" in text  # what the choice on test labels adds
    figures = {(f["choice"], f["metric"]): f for f in long_table(report_of(rows))}
    assert figures[OBSERVABLE, "r2"]["mean"] == pytest.approx(-0.06)
    assert figures[OBSERVABLE, "r2"]["agrees"] == "–"
    assert figures[ON_TEST, "rmse"]["mean"] == pytest.approx(0.4)


def test_figures_of_other_data_or_another_backbone_are_not_compared():
    rows = {AS_PUBLISHED: [job_row(s, 0.14) for s in range(3)], BY_PROMPT: []}
    for more in ({"papers_backbone": False}, {"complete": dict.fromkeys(ALL, False)}):
        text = markdown(report_of(rows, **more))
        row = next(line for line in text.splitlines() if line.startswith("| Naive | 0.138 |"))
        assert row.startswith("| Naive | 0.138 | 0.140 ± 0.000 | not comparable |")
        assert "helpsteer: not comparable" in text


# the command


@pytest.fixture
def small(monkeypatch):
    """Two methods of each paper and the references, one published table."""
    kept = ("naive", "causalrm_ips", "implicitrm", "clean-mcar", "oracle")
    for name in ("CAUSALRM", "IMPLICITRM"):
        rows = tuple(r for r in getattr(methods, name) if r.key in kept)
        monkeypatch.setattr(methods, name, rows)
    papers = published._read()
    one = {k: {**v, "tables": v["tables"][:1]} for k, v in papers.items()}
    monkeypatch.setattr(published, "_read", lambda: one)


@pytest.mark.usefixtures("inline", "small")
@pytest.mark.parametrize(
    "paper", ["causalrm", pytest.param("implicitrm", marks=pytest.mark.battery)]
)
def test_the_command_runs_resumes_and_ends_with_the_commands_that_follow(
    paper, tmp_path, capsys, monkeypatch
):
    helpsteer(tmp_path / "helpsteer", prompts=80)
    out = tmp_path / "runs"
    words = ["reproduce", paper, "--data", str(tmp_path), "--set", "helpsteer", "--out", str(out)]
    words += ["--backbone", "wordllama", "--trials", "2", "--epochs", "2", "--jobs", "1"]
    words += ["--seeds", "0", "--allow-few-seeds"]
    code, said, _err = run([*words, "--limit", "2"], capsys)
    assert code == 0
    assert "jobs are left: the same command continues" in said
    code, said, err = run(words, capsys)
    assert code == 0, err
    page = (out / "reproduction.md").read_text("utf-8")
    assert page in said
    assert "not comparable" in page
    assert "## The protocols side by side" in page
    assert "| Naive |" in page
    assert "Without a figure" not in page, page
    commands = page.rpartition("```\n")[0].rpartition("```\n")[2].splitlines()
    assert [c.split()[1] for c in commands[-3:]] == ["fit", "align", "safety"]
    for line in commands:
        name, *rest = shlex.split(line)[1:]
        command = typer.main.get_command(app).commands[name]
        command.make_context(name, rest)  # every option exists
    assert (out / "downstream" / "log" / "log.parquet").is_file()
    figures = pl.read_csv(out / "figures.csv")
    assert set(figures["protocol"]) == {AS_PUBLISHED, BY_PROMPT}
    assert set(figures["choice"]) == set(CHOICES)
    assert markdown(read_report(out)) == page.partition("\n## The downstream table")[0]
    monkeypatch.setattr(runner, "run_unit", None)  # no job may run again
    code, said, _err = run([*words, "--json"], capsys)
    assert code == 0
    assert json.loads(said)["left"] == 0
    code, _said, err = run([*words, "--trials", "3"], capsys)
    assert code == 2
    assert "with other" in err


def test_a_folder_that_is_none_of_the_command_is_an_error(tmp_path):
    with pytest.raises(TruewardError, match="is no folder of `trueward reproduce`"):
        read_report(tmp_path)
    (tmp_path / "reproduction.json").write_text('{"settings": 3}')
    with pytest.raises(TruewardError, match="is damaged"):
        read_report(tmp_path)
    assert sets_of([]) == ALL


def test_a_place_with_other_content_is_left_alone(tmp_path):
    helpsteer(tmp_path / "helpsteer")
    settings = Settings("causalrm", {"helpsteer": "helpsteer"}, "wordllama")
    for place, said in (
        (tmp_path, "is not empty"),
        (tmp_path / "helpsteer" / "train.jsonl.gz", "is a file"),
    ):
        with pytest.raises(TruewardError, match=said):
            reproduce(settings, place, data=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["helpsteer"]
