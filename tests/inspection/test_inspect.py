"""Inspection says, with exact figures and worst first, what a log can and cannot identify."""

import doctest
import importlib
import json
import subprocess
import sys
import time

import polars as pl
import pytest
import torch
from scipy import stats

from trueward.asking import ask
from trueward.core.errors import TruewardError
from trueward.data.capabilities import LogCapabilities
from trueward.data.log import Log
from trueward.data.log_reading import read_log
from trueward.estimators._registry import methods
from trueward.features.columns import to_feedback
from trueward.inspection import Finding, inspect

PACKAGE = importlib.import_module("trueward.inspection.findings")


def log(n=None, **columns):
    """A log of n rows, two a prompt, from lists; what is not said is unremarkable."""
    n = n or max(len(v) for v in columns.values() if isinstance(v, list))
    given = {
        "prompt": [f"question {i // 2}" for i in range(n)],
        "response": [f"answer {i:03d}" for i in range(n)],
        "feedback": cycle([1.0, None, 0.0, None, None], n),
        **columns,
    }
    given = {k: v if isinstance(v, list) else [v] * n for k, v in given.items()}
    given["prompt_id"] = given.get("prompt_id", given["prompt"])
    floats = {k: pl.Float64 for k in given if k.split(".")[0] in {"feedback", "gold", "channel"}}
    return Log(pl.DataFrame(given, schema_overrides=floats), "hand.csv")


def cycle(values, n):
    return [values[i % len(values)] for i in range(n)]


def found(table, name):
    """The one finding of that name."""
    (one,) = (f for f in inspect(table).findings if f.name == name)
    return one


def names(table, *severities):
    return {f.name for f in inspect(table).findings if not severities or f.severity in severities}


# --- the whole ---------------------------------------------------------------------------------


def test_a_clean_log_has_neither_errors_nor_warnings():
    clean = log(500)
    assert names(clean, "error", "warning") == set()


def test_findings_come_worst_first_then_by_name():
    wrong = log(40, feedback=[1.0] * 39 + [0.0], response=["", *"x" * 39], user_id="u")
    shown = inspect(wrong).findings
    ranks = [["error", "warning", "note"].index(f.severity) for f in shown]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}
    assert [f.name for f in shown if f.severity == "error"] == ["all_rated", "too_few"]
    assert shown == inspect(wrong).findings


def test_every_finding_is_one_sentence_with_plain_figures_and_few_examples():
    w = log(
        300,
        user_id=cycle(["a", "b", "c", "d"], 300),
        time=[float(i) for i in range(300)],
        model=cycle(["m", "n"], 300),
        gold=cycle([1.0, 0.0, None], 300),
        propensity=0.4,
        **{"context.page": cycle([1.0, 2.0], 300), "channel.copy": cycle([1.0, 0.0], 300)},
    )
    for f in inspect(w).findings:
        assert isinstance(f, Finding)
        assert "\n" not in f.message
        assert len(f.examples) <= 3
        json.dumps(f.to_json(), allow_nan=False)


def test_json_is_plain_data_and_round_trips():
    seen = inspect(log(100))
    data = seen.to_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert (data["source"], data["rows"], data["prompts"], data["users"]) == (
        "hand.csv",
        100,
        50,
        None,
    )
    assert (data["regime"], data["coverage"]) == ("observational", 0.4)
    assert data["supported"] == list(seen.supported)
    assert data["unsupported"] == seen.unsupported
    assert [f["name"] for f in data["findings"]] == [f.name for f in seen.findings]


def test_the_report_is_aligned_plain_text_of_at_most_100_columns():
    found = inspect(log(100, feedback=cycle([1.0, 0.0], 100)))
    text = str(found)
    lines = text.splitlines()
    assert lines[0] == (
        "hand.csv: 100 rows, 50 prompts, users unknown, observational, 100% with feedback"
    )
    starts = [line.index(line[9:].split()[1]) for line in lines[2:4] if line[0] != " "]
    assert len(set(starts)) == 1
    assert max(map(len, lines)) <= 100
    assert "\x1b" not in text
    assert lines[-1] == f"This log supports {len(found.supported)} of 33 methods."
    assert lines[-2].startswith("`auto` selects naive. ")
    lines = found.methods_text().splitlines()
    assert max(map(len, lines)) <= 100
    assert lines.index("supported methods") < lines.index("not supported")
    assert lines[-2:] == [
        "benchmark only",
        "  oracle: needs the true label of every row, which no log has",
    ]


@pytest.mark.parametrize("width", [50, 80])
def test_the_report_follows_the_width_of_the_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    found = inspect(log(100))
    for text in (str(found), found.methods_text()):
        assert max(map(len, text.splitlines())) <= width


def test_a_log_that_no_method_can_be_fitted_on_has_no_selected_method():
    assert inspect(log(100, feedback=None)).selected is None


def test_text_of_a_log_cannot_steer_the_terminal():
    shown = str(inspect(log(100, user_id="\x1b[31mred\nline" + "x" * 500)))
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 110


def test_a_log_without_rows_is_refused():
    empty = log(2).frame.clear()
    with pytest.raises(TruewardError, match="at least one row"):
        inspect(Log(empty, "none.csv"))


def test_the_findings_of_a_new_file_are_found_by_its_presence(tmp_path, monkeypatch):
    (tmp_path / "moonlight.py").write_text(
        "from trueward.inspection import Finding\n\n\n"
        "def by_night(log):\n"
        '    yield Finding("moonlight", "error", f"{len(log)} rows by night", {"rows": len(log)})\n\n\n'
        "def by_day(log):\n"
        '    yield Finding("sunlight", "note", "none by day")\n\n\n'
        "FINDINGS = (by_night, by_day)\n"
    )
    monkeypatch.setattr(PACKAGE, "__path__", [*PACKAGE.__path__, str(tmp_path)])
    try:
        shown = inspect(log(500)).findings
    finally:
        sys.modules.pop("trueward.inspection.findings.moonlight", None)
    first = shown[0]
    assert (first.name, first.figures, first.examples) == ("moonlight", {"rows": 500}, ())
    assert "sunlight" in {f.name for f in shown}


def test_a_file_without_findings_is_refused(tmp_path, monkeypatch):
    (tmp_path / "nothing_here.py").write_text("")
    monkeypatch.setattr(PACKAGE, "__path__", [*PACKAGE.__path__, str(tmp_path)])
    with pytest.raises(TypeError, match=r"nothing_here\.py must define FINDINGS"):
        inspect(log(500))
    sys.modules.pop("trueward.inspection.findings.nothing_here", None)


def test_a_hundred_thousand_long_rows_take_less_than_three_seconds():
    n = 100_000
    big = log(n, response=[f"{i:06d}" + "word " * 99 for i in range(n)])
    start = time.perf_counter()
    inspect(big)
    assert time.perf_counter() - start < 3


def test_the_findings_are_computed_without_torch():
    """Only the verdicts on methods need it."""
    code = (
        "import sys, polars as pl\n"
        "from trueward.data.log_reading import read_log\n"
        "from trueward.inspection.inspection import finding_functions\n"
        "rows = {k: ['a', 'b', 'c'] for k in ('prompt', 'response', 'user_id', 'context.page')}\n"
        "table = pl.DataFrame({**rows, 'feedback': [1.0, 0.0, None], 'gold': [1.0, None, 0.0]})\n"
        "log = read_log(table)\n"
        "assert [f.name for function in finding_functions() for f in function(log)]\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- methods -----------------------------------------------------------------------------------


def test_every_method_is_either_supported_or_lacks_one_thing_or_is_for_benchmarks():
    for table in (log(100), log(100, feedback=1.0), log(100, feedback=cycle([1.0, None], 100))):
        seen = inspect(table)
        parts = [*seen.supported, *seen.unsupported, *seen.benchmark_only]
        assert sorted(parts) == sorted(methods())
        assert "oracle" in seen.benchmark_only


def test_a_click_log_is_implicit_and_supports_what_needs_no_bad_ratings():
    clicks = log(200, feedback=cycle([1.0, None, None, None], 200))
    seen = inspect(clicks)
    assert seen.regime == "implicit"
    assert {"naive", "implicitrm"} <= set(seen.supported)
    assert {"snips", "causalrm"} <= set(seen.unsupported)
    assert "clicks only" in seen.unsupported["causalrm"]
    views = {c.option: c.missing for c in seen.options["dr"]}
    assert views["view=clicks"] is None
    assert "clicks only" in views["view=ratings"]
    assert found(clicks, "clicks_only").figures == {"clicks": 50, "without": 150}
    assert found(clicks, "clicks_only").severity == "warning"
    assert found(clicks, "coverage").message == "50 of 200 responses have a click (25%)"


def test_a_method_whose_option_decides_says_which_and_what_the_others_need():
    choices = {c.option: c for c in inspect(log(100)).options["implicitrm"]}
    assert choices["identify=scar"].missing is None
    assert choices["identify=split"].missing.startswith("context.* columns")
    assert choices["identify=gold"].missing.startswith("a gold column")
    assert choices["identify=activity"].missing.startswith("a channel.active column")
    interval = choices["identify=none allow_unidentified=true"]
    assert interval.interval_only
    assert interval.missing is None
    with_context = inspect(log(100, **{"context.page": cycle([1.0, 2.0], 100)}))
    assert {c.option: c.missing for c in with_context.options["implicitrm"]}[
        "identify=split"
    ] is None


def test_where_everything_is_rated_causalrm_is_left_with_its_unweighted_form():
    seen = inspect(log(100, feedback=cycle([1.0, 0.0], 100)))
    choices = {c.option: c.missing for c in seen.options["causalrm"]}
    assert choices.pop("estimator=none") is None
    assert set(choices) == {"estimator=ips", "estimator=snips", "estimator=dr"}
    assert all("nobody rated" in missing for missing in choices.values())
    assert "nobody rated" in seen.unsupported["ips"]


def test_no_option_is_mentioned_where_none_decides():
    assert "causalrm" not in inspect(log(100)).options


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"feedback": cycle([1.0, None], 60)},
        {"gold": cycle([1.0, None], 60), "user_id": "u", "propensity": 0.5, "weight": 1.0},
        {"context.page": "home", "channel.copy": 1.0, "channel.like": 0.0, "feedback": None},
    ],
)
def test_the_facts_of_a_log_are_those_of_its_tensors(columns):
    table = log(60, **columns)
    assert LogCapabilities.from_log(table) == LogCapabilities.from_feedback(
        to_feedback(table, torch.zeros(60, 1), None)
    )


# --- feedback ----------------------------------------------------------------------------------


def test_coverage_is_a_share_and_doubted_when_it_is_too_high():
    usual = found(log(100), "coverage")
    assert usual.figures == {"rows": 100, "rated": 40, "share": 0.4}
    assert usual.severity == "note"
    high = found(log(100, feedback=[1.0, 0.0] * 35 + [None] * 30), "coverage")
    assert high.figures["share"] == 0.7
    assert high.severity == "warning"


def test_a_log_of_rated_rows_only_is_an_error():
    f = found(log(30, feedback=cycle([1.0, 0.0], 30)), "all_rated")
    assert f.severity == "error"
    assert "not who reacts" in f.message
    assert f.figures == {"rows": 30, "unrated": 0}
    assert "all_rated" not in names(log(30))


def test_prompts_that_all_have_a_rating_are_doubted_when_chance_would_leave_some_without():
    # 40 prompts of 2 rows, one of them rated: c = 1/2, p = (1 - 1/4)^40 = 1.0e-5
    kept = found(log(80, feedback=cycle([1.0, None, 0.0, None], 80)), "rated_prompts_only")
    assert kept.figures["p"] == pytest.approx(0.75**40)
    assert kept.severity == "warning"
    # 10 such prompts: .75^10 = .056 may be chance
    assert "rated_prompts_only" not in names(log(20, feedback=cycle([1.0, None, 0.0, None], 20)))


def test_balance_counts_good_ratings_and_warns_of_a_rare_class():
    even = found(log(100), "balance")
    assert even.figures == {"good": 20, "bad": 20, "share_good": 0.5}
    assert even.severity == "note"
    rare = found(log(300, feedback=[1.0] * 96 + [0.0] * 4 + [None] * 200), "balance")
    assert rare.figures == {"good": 96, "bad": 4, "share_good": 0.96}
    assert rare.severity == "warning"
    assert "agree with 96%" in rare.message


def test_too_few_ratings_for_a_fit_are_an_error_and_for_validation_a_warning():
    none = found(log(50, feedback=[1.0] * 20 + [0.0] + [None] * 29), "too_few")
    assert none.severity == "error"
    assert none.message == "a fit needs at least 2 responses rated bad, and found 1"
    few = found(log(50), "too_few")  # 10 good, 10 bad: a fifth of them is 2
    assert few.severity == "warning"
    assert few.figures == {"prompts": 25, "rated": 20, "good": 10}
    assert "about 2 of them: a fit is possible and uncertain" in few.message
    one_prompt = found(log(500, prompt="the only one"), "too_few")
    assert "at least 2 prompts" in one_prompt.message


def test_values_that_are_no_feedback_are_an_error_with_their_rows():
    f = found(log(feedback=[1.0, 0.0, None, 7.0, float("nan"), 0.5, -1.0]), "values")
    assert f.severity == "error"
    assert f.figures == {"column": "feedback", "rows": 4, "share": 4 / 7}
    assert f.examples == (4, 5, 6)
    assert "7.0" in f.message


# --- rows --------------------------------------------------------------------------------------


def test_rows_that_repeat_in_every_column_are_counted():
    frame = log(100).frame
    table = Log(pl.concat([frame, frame[:3]]), "twice.csv")
    f = found(table, "duplicates")
    assert f.figures == {"rows": 3, "share": 3 / 103}
    assert f.examples == (101, 102, 103)
    assert f.severity == "warning"
    assert "user_id" in f.message
    assert "duplicates" not in names(Log(frame, "once.csv"))


def test_ratings_of_one_response_that_differ_show_the_label_noise():
    # a: 1 1 0 -> 2 of 3 pairs differ; b: 0 0 -> 0 of 1; c: unrated twice; D = 2/4, flip 1/2
    table = log(
        prompt=["p"] * 5 + ["q"] * 3,
        response=[*"aaabbccd"],
        feedback=[1.0, 1.0, 0.0, 0.0, 0.0, None, None, 1.0],
    )
    f = found(table, "conflicts")
    assert f.figures == {
        "responses": 2,
        "mixed": 1,
        "pairs": 4,
        "disagreement": 0.5,
        "flip_rate": 0.5,
    }
    assert f.severity == "warning"
    assert f.examples == (1,)


def test_the_flip_rate_solves_twice_f_times_one_minus_f():
    # 25 responses rated twice, 8 of them differently: D = .32 = 2 * .2 * .8
    votes = [v for i in range(25) for v in ((1.0, 0.0) if i < 8 else (1.0, 1.0))]
    table = log(response=[f"r{i // 2}" for i in range(50)], feedback=votes)
    f = found(table, "conflicts")
    assert f.figures["disagreement"] == 0.32
    assert f.figures["flip_rate"] == pytest.approx(0.2)
    assert f.examples == (1, 3, 5)
    coin = found(log(prompt="p", response="r", feedback=[1.0, 0.0]), "conflicts")
    assert coin.figures["flip_rate"] is None


def test_prompts_with_one_response_allow_no_comparison():
    table = log(
        prompt=["a", "a", "b", "c", "c"],
        response=["1", "2", "1", "1", "1"],
        feedback=[1.0, 0.0, 1.0, None, None],
    )
    f = found(table, "lone_responses")
    assert f.figures == {"prompts": 3, "lone": 2, "share": 2 / 3, "with_good_and_bad": 1}
    assert f.severity == "note"
    alone = found(log(4, prompt=[*"abcd"]), "lone_responses")
    assert alone.severity == "warning"


def test_a_few_users_who_give_most_feedback_are_a_warning():
    # 6, 3 and 1 ratings: sum of squared shares .36 + .09 + .01 = .46
    users = ["ann"] * 6 + ["bob"] * 3 + ["eve"] + ["lurker"] * 10
    f = found(log(user_id=users, feedback=[1.0, 0.0] * 5 + [None] * 10), "raters")
    assert f.figures["users"] == 3
    assert f.figures["top_user"] == 0.6
    assert f.figures["top_1_percent"] == 0.6
    assert f.figures["effective"] == pytest.approx(1 / 0.46)
    assert f.examples == (1, 7, 10)  # rows of theirs: no id of a user reaches a report
    assert f.severity == "warning"
    many = log(400, user_id=[f"u{i}" for i in range(400)])
    assert found(many, "raters").severity == "note"
    assert found(many, "raters").figures["effective"] == pytest.approx(160)
    assert found(many, "raters").figures["top_1_percent"] == pytest.approx(2 / 160)


def test_empty_and_enormous_texts_are_found_by_row():
    table = log(response=["fine", " \n", "x" * 100_001, "x" * 100_000], prompt=["", *"abc"])
    assert found(table, "empty_response").examples == (2,)
    assert found(table, "enormous_response").examples == (3,)
    assert found(table, "empty_prompt").figures == {"rows": 1, "share": 0.25}
    assert "enormous_prompt" not in names(table)


def test_unused_columns_of_the_source_are_named():
    table = read_log(log(100).frame.with_columns(position=pl.lit(1), region=pl.lit("x")))
    f = found(table, "ignored")
    assert f.examples == ("position", "region")
    assert f.severity == "note"


# --- gold --------------------------------------------------------------------------------------


def test_gold_on_rated_rows_gives_the_noise_rates_with_their_intervals():
    # true 1: 8 rated up, 2 down; true 0: 1 up, 9 down; 5 more labels on unrated rows
    feedback = [1.0] * 8 + [0.0] * 2 + [1.0] + [0.0] * 9 + [None] * 80
    f = found(log(100, feedback=feedback, gold=[1.0] * 10 + [0.0] * 15 + [None] * 75), "gold")
    assert f.figures["labels"] == 25
    assert f.figures["on_rated"] == 20
    assert f.figures["agreement"] == 17 / 20
    rho_01, rho_10 = f.figures["rho_01"], f.figures["rho_10"]
    assert (rho_01["value"], rho_01["rows"]) == (0.2, 10)
    assert (rho_10["value"], rho_10["rows"]) == (0.1, 10)
    assert rho_01["low"] == pytest.approx(stats.beta.ppf(0.025, 2.5, 8.5))
    assert rho_10["high"] == pytest.approx(stats.beta.ppf(0.975, 1.5, 9.5))
    assert f.severity == "warning"  # 25 are few


def test_feedback_that_means_the_opposite_of_gold_is_an_error():
    table = log(
        100,
        feedback=cycle([1.0, 0.0, None, None], 100),
        gold=cycle([0.0, 1.0, None, None], 100),
    )
    f = found(table, "gold")
    assert f.severity == "error"
    assert f.figures["rho_01"]["value"] == f.figures["rho_10"]["high"] == 1.0


def test_gold_says_how_many_of_the_satisfied_click():
    feedback = [1.0] * 6 + [None] * 94
    gold = [1.0] * 5 + [0.0] + [1.0] * 15 + [None] * 79
    f = found(log(100, feedback=feedback, gold=gold), "gold")
    assert f.figures["activity"]["value"] == 5 / 20
    assert f.figures["precision"]["value"] == 5 / 6
    assert (f.figures["good"], f.figures["bad"]) == (20, 1)


def test_gold_on_rated_rows_only_is_a_warning():
    gold = [None if i % 5 in {1, 3, 4} else 1.0 for i in range(100)]
    f = found(log(100, gold=gold), "gold_on_rated_rows_only")
    assert f.severity == "warning"
    assert f.figures == {"rated": 40, "unrated": 0}
    assert "gold_on_rated_rows_only" not in names(log(100, gold=cycle([1.0, 0.0], 100)))


def test_gold_shows_that_the_rated_are_not_like_the_others():
    # rated: 30 of 40 good; unrated: 15 of 60 good; r = .45, chi2 = 3.6/.2475 + 2.4/.2475
    feedback = [1.0] * 20 + [0.0] * 20 + [None] * 60
    gold = [1.0] * 30 + [0.0] * 10 + [1.0] * 15 + [0.0] * 45
    f = found(log(100, feedback=feedback, gold=gold), "gold_by_reaction")
    assert (f.figures["rated"], f.figures["unrated"]) == (0.75, 0.25)
    assert f.figures["p"] == pytest.approx(stats.chi2.sf(6 / 0.2475, 1))
    assert f.severity == "warning"


def test_gold_labels_without_a_row_are_counted():
    gold = pl.DataFrame({"prompt": ["question 0", "?"], "response": ["answer 000", "?"]})
    table = log(100).with_gold(gold.with_columns(gold=pl.Series([1.0, 0.0])))
    assert found(table, "gold_unmatched").figures == {"rows": 1}


# --- who reacts --------------------------------------------------------------------------------


def test_logged_propensities_show_their_range_and_what_weighting_leaves():
    # rated rows: p = .5 nine times and .005 once: w = 2 x 9, 200; (218)^2 / (36 + 40000)
    p = [0.5] * 9 + [0.005] + [0.5] * 10
    f = found(log(20, feedback=[1.0, 0.0] * 5 + [None] * 10, propensity=p), "overlap")
    assert f.figures["min"] == 0.005
    assert f.figures["max"] == 0.5
    assert f.figures["share_below_0.01"] == 0.05
    assert f.figures["effective"] == pytest.approx(218**2 / 40036)
    assert f.examples == (10,)
    assert f.severity == "warning"
    assert found(log(100, propensity=0.4), "overlap").severity == "note"


def test_propensities_that_promise_other_feedback_than_came_are_a_warning():
    # 100 rows of .1 promise 10 +- 3, and 40 came
    f = found(log(100, propensity=0.1), "propensity_total")
    assert f.figures["rated"] == 40
    assert f.figures["expected"] == pytest.approx(10)
    assert f.figures["sd"] == pytest.approx(3)
    assert "propensity_total" not in names(log(100, propensity=0.4))


def test_a_propensity_outside_its_range_is_an_error():
    f = found(log(propensity=[0.5, 0.0, 1.5, float("nan")]), "overlap")
    assert f.severity == "error"
    assert f.examples == (2, 3, 4)


def test_a_context_that_is_constant_or_has_too_many_categories_is_a_warning():
    table = log(
        120,
        **{
            "context.app": "web",
            "context.id": [f"s{min(i, 59)}" for i in range(120)],
            "context.page": cycle([1.0, 2.0], 120),
        },
    )
    assert found(table, "context_constant").figures == {"column": "context.app", "values": 1}
    # 60 categories, s59 61 times: the 50 largest leave 10 rows out
    assert found(table, "context_categories").figures == {
        "column": "context.id",
        "categories": 60,
        "share_left_out": 10 / 120,
    }


def test_a_model_that_draws_more_feedback_shows_that_who_reacts_is_not_random():
    # a: 60 of 100, b: 20 of 100; r = .4; chi2 = 2 * 100 * .04 / .24
    feedback = [1.0, 0.0] * 30 + [None] * 40 + [1.0, 0.0] * 10 + [None] * 80
    table = log(feedback=feedback, model=["a"] * 100 + ["b"] * 100)
    f = found(table, "selection_by_model")
    assert f.severity == "warning"
    assert f.message.startswith("who reacts is not random")
    assert f.figures["lowest"] == {"level": "b", "rate": 0.2}
    assert f.figures["highest"] == {"level": "a", "rate": 0.6}
    assert f.figures["ratio"] == pytest.approx(3)
    assert f.figures["p"] == pytest.approx(stats.chi2.sf(8 / 0.24, 1))


def test_feedback_by_length_is_compared_between_tenths_of_the_rows():
    # 50 rows of each length 1 .. 10; of the longest all are rated, of the others 4 in 10
    lengths = [1 + i // 50 for i in range(500)]
    feedback = cycle([1.0, None, 0.0, None, None], 450) + [1.0, 0.0] * 25
    table = log(feedback=feedback, response=["x" * k for k in lengths])
    f = found(table, "selection_by_length")
    assert f.figures["levels"] == 10
    assert f.figures["highest"] == {"level": "10", "rate": 1.0}
    assert f.figures["lowest"]["rate"] == 0.4
    assert f.severity == "warning"


def test_selection_by_user_leaves_out_users_with_few_rows():
    # r = .4: a user needs 13 rows for 5 expected ratings; 10 of 20 users have 14, 10 have 6
    users = [f"u{i // 14}" for i in range(140)] + [f"v{i // 6}" for i in range(60)]
    f = found(log(200, user_id=users), "selection_by_user")
    assert f.figures["levels"] == 10
    assert f.severity == "note"
    assert "not significant" in f.message


def test_uneven_clicks_are_not_read_as_uneven_reactions():
    feedback = [1.0] * 60 + [None] * 40 + [1.0] * 20 + [None] * 80
    f = found(log(feedback=feedback, model=["a"] * 100 + ["b"] * 100), "selection_by_model")
    assert f.severity == "note"
    assert f.message.startswith("the click rate by model")


def test_a_context_that_sways_who_reacts_is_what_it_is_for():
    feedback = [1.0, 0.0] * 30 + [None] * 40 + [1.0, 0.0] * 10 + [None] * 80
    table = log(feedback=feedback, **{"context.device": ["phone"] * 100 + ["desk"] * 100})
    assert found(table, "selection_by_context.device").severity == "note"


def test_drift_compares_the_first_and_the_last_quarter_by_time():
    # rows are in reverse order of time; first quarter: 30 of 50 rated, last: 10 of 50
    early, late = [1.0] * 15 + [0.0] * 15 + [None] * 20, [1.0] * 5 + [0.0] * 5 + [None] * 40
    table = log(
        feedback=late + cycle([1.0, None, 0.0, None, None], 100) + early,
        time=[float(200 - i) for i in range(200)],
    )
    f = found(table, "drift")
    assert (f.figures["first"], f.figures["last"]) == (0.6, 0.2)
    assert f.figures["p"] == pytest.approx(stats.chi2.sf(4 / 0.24, 1))
    assert f.severity == "warning"
    assert "recent responses may still get some" in f.message
    ratings = found(table, "drift_in_ratings")
    assert (ratings.figures["first"], ratings.figures["last"]) == (0.5, 0.5)
    assert ratings.severity == "note"


def test_one_moment_for_all_rows_shows_no_drift():
    assert not {"drift", "drift_in_ratings"} & names(log(100, time=1.0))


# --- channels ----------------------------------------------------------------------------------


def test_channels_say_what_they_cover():
    copy, like = [1.0, 0.0, None, None] * 25, [None, 0.0, 0.0, 1.0] * 25
    table = log(100, feedback=None, **{"channel.copy": copy, "channel.like": like})
    f = found(table, "channels")
    assert f.figures == {
        "channels": {
            "channel.copy": {"logged": 0.5, "share_1": 0.5},
            "channel.like": {"logged": 0.75, "share_1": pytest.approx(1 / 3)},
        },
        "with_two": 0.25,
    }
    assert f.severity == "note"
    assert inspect(table).regime == "channels"
    assert "no feedback beside the channels" in str(inspect(table)).splitlines()[0]


def test_channels_that_never_meet_and_channels_without_zeros_are_warnings():
    copy, like = [1.0, None] * 50, [None, 0.0, None, 1.0] * 25
    table = log(100, feedback=None, **{"channel.copy": copy, "channel.like": like})
    assert found(table, "channels").severity == "warning"
    constant = found(table, "channel_constant")
    assert constant.figures == {"column": "channel.copy", "value": 1.0, "logged": 0.5}
    assert "write 0" in constant.message


def test_channels_may_have_any_name():
    """Variants of `channels` name copy and like; a log that calls its signals otherwise supports it, too."""
    rows = {"prompt": [f"p{i // 4}" for i in range(80)], "response": [f"r{i}" for i in range(80)]}
    rows["channel.thumb"] = [float(i % 3 == 0) for i in range(80)]
    rows["channel.kept"] = [float(i % 2 == 0) for i in range(80)]
    assert "channels" in inspect(read_log(pl.DataFrame(rows))).supported
    alone = {k: v for k, v in rows.items() if k != "channel.kept"}
    alone |= {"feedback": [float(i % 2) if i % 5 else None for i in range(80)]}
    said = inspect(read_log(pl.DataFrame(alone))).unsupported["channels"]
    assert said.startswith("two or more channel.* columns")


@pytest.mark.parametrize("module", ["chance", "finding", "inspection"])
def test_examples_in_docstrings_hold(module):
    result = doctest.testmod(importlib.import_module(f"trueward.inspection.{module}"))
    assert result.attempted
    assert not result.failed


# --- single users ------------------------------------------------------------------------------


def test_heavy_users_are_described_with_what_the_ratings_are_without_them():
    # a third of the 600 ratings are of one user, three quarters of them up; the others are half up
    users = ["busy"] * 200 + [f"user {i % 100}" for i in range(400)]
    votes = cycle([1.0, 1.0, 1.0, 0.0], 200) + cycle([1.0, 0.0, 0.0, 1.0], 400)
    f = found(log(user_id=users, feedback=votes), "heavy_users")
    assert f.severity == "warning"
    assert f.figures["share"] == pytest.approx(1 / 3)
    assert f.figures["mean_rating"] == pytest.approx(350 / 600)
    assert f.figures["mean_rating_without"] == pytest.approx(0.5)
    # pairs without them: 200 of 350 up, and 200 of 250 down
    assert f.figures["pairs"] == pytest.approx(1 - 200 / 350 * 200 / 250)
    assert "the user of row 1 gave 200 ratings (33.3% of all), 75% thumbs up" in f.message
    assert "0.500 in place of 0.583" in f.message
    assert f.examples == (1,)
    assert "busy" not in f.message  # no id of a user


def test_users_who_rate_alike_are_not_heavy():
    users = [f"user {i % 100}" for i in range(400)]
    assert (
        names(log(user_id=users, feedback=cycle([1.0, 0.0], 400))) & {"heavy_users", "same_votes"}
        == set()
    )


def test_a_user_with_one_vote_throughout_is_named():
    users = ["bot"] * 100 + [f"user {i % 100}" for i in range(700)]
    votes = [1.0] * 100 + cycle([1.0, 0.0, None, None, None, 0.0, 1.0], 700)
    f = found(log(user_id=users, feedback=votes), "same_votes")
    assert f.figures["users"] == 1
    assert f.figures["mean_rating_without"] == pytest.approx(0.5)
    assert "rated 100% of the responses to their prompts" in f.message


def test_the_same_vote_a_few_times_is_no_bot():
    # six ups are no wonder where half of the ratings are ups
    users = ["lenient"] * 6 + [f"user {i % 100}" for i in range(400)]
    votes = [1.0] * 6 + cycle([1.0, 0.0], 400)
    assert "same_votes" not in names(log(user_id=users, feedback=votes))


def test_clicks_are_no_votes():
    users = ["clicker"] * 300 + [f"user {i % 100}" for i in range(300)]
    votes = [1.0] * 300 + cycle([1.0, None], 300)
    assert "same_votes" not in names(log(user_id=users, feedback=votes))


def lottery(n=2000, p=0.1, answering=0.6, lost=False):
    """Columns of a lottery whose asked users answer at a rate, and of which 1 in 20 others reacts."""
    asked = [ask(f"r{i}", p, "k").asked and not (lost and i % 2) for i in range(n)]
    reacts = [i % 100 < 100 * answering if a else i % 20 == 0 for i, a in enumerate(asked)]
    feedback = [float(i % 3 > 0) if r else None for i, r in enumerate(reacts)]
    seen = [1.0 if a else None for a in asked]
    return log(n, feedback=feedback, asked=[float(a) for a in asked], p_ask=[p] * n, seen=seen)


def test_a_fair_lottery_is_worth_gold_labels():
    f = found(lottery(), "lottery")
    assert f.severity == "note"
    assert 1 < f.figures["worth_least"] < f.figures["worth_most"] < 2000
    assert "asked about" in f.message
    assert "gold labels on the asked who stayed silent" in f.message


def test_a_lottery_that_few_answer_or_that_lost_asks_is_no_evidence():
    few = found(lottery(answering=0.1), "lottery")
    assert few.severity == "warning"
    assert "worth_least" not in few.figures
    lost = found(lottery(lost=True), "lottery")
    assert lost.severity == "error"
    assert "asks were lost" in lost.message
