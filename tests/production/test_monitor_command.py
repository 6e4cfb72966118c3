"""`trueward monitor`: table, JSON, Prometheus file, exit codes, and what bad input is answered with."""

import datetime as dt
import json

import polars as pl
import pytest
from helpers.commands import run

import trueward as tw
from trueward.production.monitoring.periods import looks_of
from trueward.reporting.drift_section import with_drift
from trueward.reporting.page import Page, Section
from trueward.simulation import helpdesk, simulate

MONDAY = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, its log, four weeks like it, and four weeks of which two have twice as many reactions."""
    folder = tmp_path_factory.mktemp("monitor")
    desk = helpdesk(950, answers=1)
    settings = {"mechanism": "mcar", "test_share": 0.01}
    usual, more = (simulate(desk, rate=rate, **settings).log for rate in (0.3, 0.9))
    week = pl.Series("time", [MONDAY + dt.timedelta(weeks=i // 100) for i in range(400)])
    usual[:500].write_parquet(folder / "train.parquet")
    usual[500:900].with_columns(week).write_parquet(folder / "new.parquet")
    late = pl.concat([usual[500:700], more[700:900]]).with_columns(week)
    late.write_parquet(folder / "late.parquet")
    late.drop("time").write_parquet(folder / "timeless.parquet")
    log = tw.read_log(folder / "train.parquet")
    tw.fit("naive", *tw.encode(log, cache=False).split(0.2), epochs=1).save(folder / "rm")
    return folder


def command(place, log, *more):
    return ["monitor", str(place / "rm"), "--reference", str(place / "train.parquet"), "--log",
            str(place / log), *more]  # fmt: skip


def test_a_week_like_the_reference_ends_with_0(place, capsys):
    code, out, err = run(command(place, "new.parquet", "--by", "week"), capsys)
    assert (code, err) == (0, "")
    assert out.count("no change beyond chance") == 4
    assert "2026-01-26" in out


def test_a_drift_ends_with_3_and_is_named_in_every_output(place, capsys, tmp_path):
    prom = tmp_path / "trueward.prom"
    code, out, err = run(
        command(place, "late.parquet", "--by", "week", "--json", "--metrics", str(prom)), capsys
    )
    assert code == 3
    assert "behaviour beyond tolerance: retrain" in err
    found = json.loads(out)
    assert found["fires"] == ["behaviour"]
    assert found["drifts"]["behaviour"]["since"] >= "2026-01-19"
    assert found["periods"][0]["name"] == "2026-01-05"
    lines = prom.read_text("utf-8").splitlines()
    assert 'trueward_drift_fires{drift="behaviour"} 1' in lines
    assert 'trueward_drift_fires{drift="traffic"} 0' in lines
    texts = pl.read_parquet(place / "late.parquet")
    written = out + prom.read_text("utf-8")
    assert not [t for t in (*texts["prompt"], *texts["response"]) if t in written]


@pytest.mark.battery
def test_gold_labels_measure_the_calibration_and_give_metrics(place, capsys, tmp_path):
    frame = pl.read_parquet(place / "new.parquet").select("prompt", "response")
    wrong = frame.with_columns(gold=pl.Series([1.0, 0.0, 0.0, 0.0] * 100)).sample(150, seed=0)
    wrong.write_parquet(tmp_path / "gold.parquet")
    gold = ["--gold", str(tmp_path / "gold.parquet"), "--json", "--fail-if", "auroc<0.9"]
    code, out, err = run(command(place, "new.parquet", *gold), capsys)
    assert code == 3
    assert "failed: auroc is 0." in err
    calibration = json.loads(out)["drifts"]["calibration"]
    assert calibration["source"] == "gold"
    assert calibration["low"] < calibration["value"] < calibration["high"] < 0


def test_a_report_has_a_section_on_what_has_changed(place):
    reference, log = (tw.read_log(place / f"{name}.parquet") for name in ("train", "late"))
    found = tw.monitor(tw.load(place / "rm"), reference, log, by="week")
    summary, cards = Section("Summary", []), Section("Model card", [])
    page = with_drift(Page("Reward model naive", "From the fit.", [summary, cards]), found)
    assert [s.title for s in page.sections] == ["Summary", "What has changed", "Model card"]
    assert "Beyond tolerance: behaviour" in page.html()
    assert "2026-01-26" in page.html()


@pytest.mark.parametrize(
    ("by", "names", "number"),
    [
        ("day", ["2026-01-04", "2026-01-05", "2026-01-06"], [1, 2, 3]),
        ("week", ["2025-12-29", "2026-01-05"], [1, 2, 2]),
        ("month", ["2026-01-01"], [1, 1, 1]),
        (None, ["all"], [1, 1, 1]),
    ],
)
def test_periods_are_numbered_as_looks(by, names, number):
    days = [dt.datetime(2026, 1, d, 23, 59, tzinfo=dt.UTC) for d in (4, 5, 6)]
    rows = {"prompt": "p", "response": "r", "feedback": [1, 0, 1], "time": days}
    found = looks_of(tw.read_log(pl.DataFrame(rows)), by, None)
    assert (found[0], found[1].tolist()) == (names, number)


def test_looks_count_from_the_first_one_also_where_the_log_begins_later():
    rows = {"prompt": ["p"], "response": ["r"], "feedback": [1], "time": [MONDAY]}
    log = tw.read_log(pl.DataFrame(rows))
    assert looks_of(log, "week", dt.date(2025, 12, 24))[1].tolist() == [3]


@pytest.mark.parametrize(
    ("log", "words", "code", "said"),
    [
        ("train.parquet", [], 2, "are the same rows"),
        ("timeless.parquet", ["--by", "week"], 2, "--map time=NAME, or leave --by out"),
        ("new.parquet", ["--since", "2026-01-05"], 2, "add --by week"),
        ("new.parquet", ["--by", "week", "--since", "5.1.26"], 2, "a day such as 2026-01-05"),
        ("new.parquet", ["--by", "week", "--since", "2026-02-01"], 2, "before the monitoring began"),
        ("new.parquet", ["--by", "week", "--since", "0001-01-01"], 2, "choose longer periods"),
        ("new.parquet", ["--tolerance", "trafic=1"], 2, "traffic"),
        ("new.parquet", ["--tolerance", "traffic=0.7"], 2, "below 0.5"),
        ("new.parquet", ["--tolerance", "traffic=x"], 2, "should be a number"),
        ("new.parquet", ["--alpha", "0"], 2, "alpha must be between 0 and 1"),
        ("new.parquet", ["--metrics", "out.txt"], 2, "must end in .prom"),
        ("new.parquet", ["--fail-if", "auroc"], 2, "--fail-if takes a metric"),
        ("none.parquet", [], 1, "none.parquet"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_one_sentence(place, capsys, log, words, code, said):
    found, out, err = run(command(place, log, *words), capsys)
    assert (found, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_metric_that_needs_gold_labels_is_no_success_without(place, capsys):
    code, _, err = run(command(place, "new.parquet", "--fail-if", "auroc<0.6"), capsys)
    assert code == 1
    assert "give --gold, or use expected_auroc" in err


def test_a_log_that_is_too_short_for_every_drift_is_no_success(place, capsys):
    pl.read_parquet(place / "new.parquet")[:3].write_parquet(place / "short.parquet")
    code, out, err = run(command(place, "short.parquet"), capsys)
    assert code == 1
    assert out.count("cannot be told: ") == 8  # in the table, and as warnings
    assert "nothing can be told of the newest period" in err


def test_answers_to_asks_and_labels_of_the_silent_measure_the_calibration(place):
    """All 400 are asked; 160 answer, 80 % of them good, and of the 240 silent 30 % are: .5 in all."""
    new = pl.read_parquet(place / "new.parquet")
    row = pl.int_range(pl.len())
    answered, good = row % 5 < 2, pl.when(row % 5 < 2).then(row % 25 < 20).otherwise(row % 10 < 3)
    asked = new.with_columns(
        feedback=pl.when(answered).then(good.cast(pl.Float64)),
        gold=pl.when(~answered & (row % 3 == 0)).then(good.cast(pl.Float64)),
        asked=1,
        p_ask=1.0,
    )
    silent = asked.filter(pl.col("feedback").is_null())
    share = (asked["feedback"].sum() + len(silent) * silent["gold"].mean()) / len(asked)
    found = tw.monitor(place / "rm", place / "train.parquet", asked)
    drift = found["calibration"]
    assert drift.source == "gold"
    assert found.metrics["good"].value == pytest.approx(share, abs=0.02)
    assert drift.low < share - found.periods[-1].mean_reward < drift.high
    assert any("answers to asks count as labels" in text for text in found.warnings)
