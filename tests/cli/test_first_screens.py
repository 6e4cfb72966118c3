"""What a new user reads first: each command says what it found, and which command comes next."""

import json

import pytest
from helpers.commands import run, table

from trueward.cli import terminal
from trueward.cli.app import app, main
from trueward.cli.fit_summary import held_out
from trueward.cli.help_groups import GROUPS, OTHERS
from trueward.cli.progress import Steps, progress
from trueward.cli.reference import USES
from trueward.core.estimate import Estimate
from trueward.estimators._registry import methods
from trueward.evaluation.audit import Audit
from trueward.evaluation.verdict import beside, held_out_line, needs_calibration, verdict


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a log, a test and two models."""
    folder = tmp_path_factory.mktemp("first")
    table(folder / "log.parquet")
    table(folder / "test.parquet", feedback=None, label=[float(i % 2) for i in range(180)])
    return folder


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


@pytest.fixture(scope="module")
def told(place):
    """What `fit` printed of each model."""
    from contextlib import redirect_stdout
    from io import StringIO

    said = {}
    for method in ("auto", "naive"):
        words = ["fit", method, str(place / "log.parquet"), "--epochs", "2"]
        with redirect_stdout(StringIO()) as out, pytest.raises(SystemExit) as stop:
            main([*words, "--out", str(place / method)])
        assert not stop.value.code
        said[method] = out.getvalue()
    return said


def test_every_command_has_its_place_in_the_help(capsys):
    code, out, _ = run(["--help"], capsys)
    assert code == 0
    assert f"\n{OTHERS}:" not in out
    sections = [title for title in GROUPS if f"{title}:" in out]
    assert sections[0].startswith("From a log to a reward model")
    path = out.partition(sections[0])[2].partition(sections[1])[0]
    assert [
        line.split()[0] for line in path.splitlines() if line.startswith("  ") and line[2] != " "
    ] == [*("import", "inspect", "fit", "evaluate", "report", "export")]
    names = {c.name or c.callback.__name__.replace("_", "-") for c in app.registered_commands}
    assert all(f"  {name} " in out for name in names)


def test_inspect_ends_with_the_fit_that_comes_next(here, capsys):
    words = ["inspect", "log.parquet", "--map", "response=response"]
    code, out, _ = run(words, capsys)
    assert code == 0
    last = "next: trueward fit auto log.parquet --map response=response --out rm"
    assert out.splitlines()[-1] == last
    assert "supported methods" not in out
    assert "`auto` selects three_outcome." in out
    assert "supported methods" in run([*words, "--methods"], capsys)[1]


def test_inspect_of_a_log_without_signal_names_no_fit(tmp_path, capsys):
    log = table(tmp_path / "log.csv", feedback=[1.0] * 180)
    _, out, _ = run(["inspect", log], capsys)
    assert "trueward fit" not in out
    assert out.splitlines()[-1] == "next: mend what is marked as error, and inspect again"


def test_a_fit_says_what_was_learned_how_good_it_seems_and_what_comes_next(told):
    out = " ".join(told["auto"].split())
    assert "three_outcome learned P(preferred)" in out
    assert "auto selected three_outcome." in out
    assert "held-out ratings its ranking is that of naive, which takes the feedback as it is" in out
    assert "warning: no gold label checks this model" in out
    assert "--backbone NAME_OR_FOLDER" in out
    assert told["auto"].splitlines()[-2].startswith("next: trueward plan ")
    assert told["auto"].splitlines()[-1].startswith("next: trueward report ")
    assert "validation loss" not in out  # internals, which --verbose prints
    assert "; .5 is chance." in " ".join(told["naive"].split())


@pytest.mark.parametrize(
    ("difference", "how"),
    [
        ((0.1, 0.02, 0.2), "better than"),
        ((0.1, -0.1, 0.2), "about as well as"),
        ((-0.1, -0.2, -0.05), "worse than"),
    ],
)
def test_held_out_ratings_decide_only_what_their_interval_shows(difference, how):
    names = ("difference", "low", "high")
    found = dict(zip(names, difference, strict=True)) | {"rated": 40, "naive_auroc": 0.6}
    found |= {"auroc": 0.7, "auroc_low": 0.6, "auroc_high": 0.8}
    said = held_out({"held_out": found}, "anchored")
    assert f"it ranks {how} naive" in said
    assert "AUROC 0.700 [0.600, 0.800], naive 0.600" in said


def test_evaluate_says_its_verdict_first_and_shows_a_second_model_beside(here, told, capsys):
    code, out, _ = run(["evaluate", "auto", "test.parquet", "--draws", "20"], capsys)
    assert code == 0
    assert out.startswith("verdict: ")
    assert "At the fit its ranking of" in out  # that of naive: this log shows no selection
    both = ["evaluate", "auto", "test.parquet", "--draws", "20", "--beside", "naive"]
    _, out, _ = run(both, capsys)
    assert "\nnaive: " in out
    assert out.splitlines()[[not line for line in out.splitlines()].index(True) + 1].split() == [
        *("metric", "auto", "naive", "difference")
    ]
    assert "It ranks about as well as naive: AUROC +0.000" in " ".join(out.split())
    found = json.loads(run([*both, "--json"], capsys)[1])
    assert {"auroc", "r2", "beside", "difference"} <= found.keys()
    assert found["beside"].keys() == found.keys() - {"beside", "difference"}
    assert found["difference"].keys() == found["beside"].keys() - {"ece"}
    code, _, err = run(["evaluate", "auto", "--log", "log.parquet", "--beside", "naive"], capsys)
    assert code == 2
    assert "--beside needs a test table" in err


def test_a_useless_scale_is_said_with_the_command_that_mends_it(here, told, capsys):
    # nearly all are good, and a model of a log of which half is good says about a half
    labels = [float(i % 20 > 0) for i in range(180)]
    table(here / "good.parquet", feedback=None, label=labels)
    code, out, _ = run(["evaluate", "naive", "good.parquet", "--draws", "20"], capsys)
    assert code == 0
    assert "R2 is negative: calibrate" in out
    assert out.splitlines()[-1].startswith("next: trueward calibrate naive log.parquet --gold GOLD")


@pytest.mark.parametrize(
    ("auroc", "r2", "said"),
    [
        ((0.8, 0.7, 0.9), (0.3, 0.2, 0.4), "it ranks: a good response scores above a bad one 80%"),
        ((0.55, 0.4, 0.7), (0.3, 0.2, 0.4), "it is not shown to rank better than chance"),
        ((0.3, 0.2, 0.4), (0.3, 0.2, 0.4), "it ranks backwards"),
        (
            (0.8, 0.7, 0.9),
            (0.1, -0.1, 0.2),
            "10% of the variance of the labels, which these labels",
        ),
        (
            (0.8, 0.7, 0.9),
            (-0.3, -0.4, -0.2),
            "worse than one constant would (R2 -0.30): use its order",
        ),
        ((0.8, 0.7, 0.9), (-0.3, -0.4, 0.2), "(R2 -0.30), as far as these labels show"),
        ((None,), (None,), "the labels decide nothing"),
    ],
)
def test_a_verdict_says_only_what_the_intervals_show(auroc, r2, said):
    found = {"auroc": Estimate(*auroc), "r2": Estimate(*r2)}
    assert said in verdict(found)
    assert needs_calibration(found) == bool(r2[0] is not None and r2[0] < 0)


def test_a_bias_is_said_where_its_interval_excludes_zero():
    found = {"r2": Estimate(0.3, 0.2, 0.4), "bias": Estimate(0.1, 0.05, 0.15)}
    assert verdict(found).endswith("and is 0.10 too high on average.")
    assert "too" not in verdict(found | {"bias": Estimate(0.1, -0.05, 0.15)})


def test_a_record_that_somebody_else_wrote_gives_no_sentence():
    assert held_out_line({"held_out": {"rated": "many"}}) == ""
    assert held_out_line({"held_out": 3}) == ""


def test_two_models_stand_beside_each_other_in_every_metric():
    from trueward.evaluation.measure import Metrics

    one, two = (Metrics({"auroc": Estimate(v)}, 1, 1) for v in (0.7, 0.8))
    lines = beside(one, "a", two, "b", {"auroc": Estimate(-0.1, -0.2, 0.0)}).splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["metric", "a", "b", "difference"],
        ["auroc", "0.700", "0.800", "-0.100", "[-0.200,", "+0.000]"],
    ]
    assert lines[2:] == ["1 rows, 1 prompts"]


def test_every_method_has_one_use_and_one_sentence(capsys):
    named = [n for names in USES.values() for n in names]
    assert sorted(named) == sorted(methods())
    _, out, _ = run(["methods"], capsys)
    assert out.startswith("recommended")
    assert "L = " not in out


class Terminal:
    """Standard error or output as a terminal that keeps what is written."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("colour", "variable", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colours_are_for_terminals_that_want_them(monkeypatch, colour, variable, coloured):
    shown = Terminal()
    monkeypatch.setattr("sys.stdout", shown)
    monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setenv("TERM", "xterm")
    with terminal.escaped_output(colour=colour):
        import sys

        sys.stdout.write("warning: few rows\nno warning: here\n\x1b[31m\n")
    assert shown.text.endswith("no warning: here\n\\x1b[31m\n")
    assert shown.text.startswith("\x1b[33mwarning\x1b[0m:" if coloured else "warning:")


def test_a_quiet_command_prints_results_alone(here, told, capsys):
    words = ["training-data", "verl", "naive", "--out", "prompts.jsonl", "--quiet"]
    code, out, err = run(words, capsys)
    assert (code, err) == (0, "")
    assert out
    assert "reading log.parquet" in run(words[:-1], capsys)[2]
    assert run(["--quiet", "inspect", "nothing.parquet"], capsys)[2].startswith("error: ")


def test_steps_on_a_terminal_say_the_time_left(monkeypatch):
    shown, clock = Terminal(), iter([0.0, 0.0, 10.0, 30.0])
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setattr("trueward.cli.progress.time.monotonic", lambda: next(clock))
    step = Steps()
    for k in (1, 2, 4):
        step(f"[{k}/4] section {k}")
    first, second, third = shown.text.split("\r\x1b[K")[1:]
    assert "left" not in first
    assert second.endswith("about 30 s left: section 2 (2 of 4)")
    assert third.endswith("about 10 s left: section 4 (4 of 4)")


def test_fits_on_a_terminal_say_the_time_left(monkeypatch):
    shown, clock = Terminal(), iter([0.0, 0.0, 20.0, 25.0])
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setattr("trueward.cli.progress.time.monotonic", lambda: next(clock))
    report = progress(of=3)
    for stage in ("the log", "noise", "noise"):
        report(stage, 1, 10, 0.5)
    assert shown.text.endswith("about 35 s left: fit 2 of 3, noise")


def test_an_error_does_not_stand_behind_a_bar(monkeypatch):
    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    with pytest.raises(SystemExit):
        main(["inspect", "nothing.parquet"])
    assert shown.text.startswith("\r\x1b[K")


def test_a_log_narrows_no_interval_that_has_no_width():
    """Gold labels that one score separates have an AUROC of 1 with an interval of rounding errors."""
    one, none = Estimate(1.0, 0.95, 1.0), Estimate(1.0, 1.0 - 2e-16, 1.0)
    assert Audit({"auroc": one}, {"auroc": none}, 9, 3).narrower("auroc") is None
