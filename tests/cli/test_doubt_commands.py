"""evaluate --log, sensitivity and plan from a shell: what they print, what they refuse, in one sentence."""

import json

import polars as pl
import pytest
from helpers.commands import run
from helpers.labels import label_file

from trueward.asking.labels.batch import read_batch
from trueward.asking.labels.merge import merge_labels
from trueward.data.log_reading import read_log
from trueward.features import encode
from trueward.fitting.fit import fit
from trueward.simulation import helpdesk, simulate


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A world with 80 gold labels, and naive on it."""
    folder = tmp_path_factory.mktemp("doubt")
    simulate(helpdesk(100, seed=2), rate=0.4, gold=80, seed=2).write(folder / "world")
    log = read_log(str(folder / "world" / "log.parquet"))
    fit("naive", *encode(log).split(0.2), epochs=2).save(folder / "rm")
    return folder


@pytest.fixture
def told(made, capsys):
    """Run a command on the model and the log; give what it printed, or the error with its exit code."""

    def command(name, *words, log="world/log.parquet", code=0):
        place = ["--log", made / log] if name == "evaluate" else [made / log]
        got, out, err = run(list(map(str, [name, made / "rm", *place, *words])), capsys)
        assert got == code, out + err
        assert "Traceback" not in err
        return out if code == 0 else err

    return command


def test_a_model_is_audited_on_a_log_with_gold_labels(told):
    text = told("evaluate")
    assert "gold labels alone" in text
    assert "80 with a gold label" in text
    found = json.loads(told("evaluate", "--json", "--future"))
    assert found["gold"] == 80
    assert found["metrics"]["auroc"]["low"] < found["metrics"]["auroc"]["high"]


def test_gold_labels_come_from_a_table_too_and_may_be_said_to_be_chosen(told, made):
    log = pl.read_parquet(made / "world" / "log.parquet")
    log.drop("gold").write_parquet(made / "plain.parquet")
    log.drop_nulls("gold").select("prompt", "response", "gold").write_csv(made / "gold.csv")
    text = told("evaluate", "--gold", made / "gold.csv", "--chosen", log="plain.parquet")
    assert "80 with a gold label" in text
    assert "were not drawn at random" in text
    assert "found none" in told("evaluate", log="plain.parquet", code=1)


def test_sensitivity_prints_the_curve_and_draws_it(told, made):
    pytest.importorskip("vl_convert", reason="the extra `report` draws figures")
    text = told("sensitivity", "--figure", made / "curve.svg")
    assert "odds ratio" in text
    assert "odds ratio estimated from gold labels" in text
    assert (made / "curve.svg").read_text().startswith("<svg")
    found = json.loads(told("sensitivity", "--json"))
    assert len(found["odds"]) == 21


def test_a_plan_writes_the_responses_to_label_next(told, made):
    text = told("plan", "--width", "0.02", "--out", made / "next.csv")
    marked = pl.read_csv(made / "next.csv")
    assert marked.columns == ["prompt", "response", "gold", "labels", "plan", "formula_cells"]
    assert marked["formula_cells"].max() > 0  # some texts begin with a sign of a formula
    told("plan", "--width", "0.02", "--no-safe-csv", "--out", made / "next.csv")
    table = pl.read_csv(made / "next.csv")
    assert table.columns == ["prompt", "response", "gold", "labels", "plan"]
    assert f"{table.height} more" in text
    assert table["gold"].null_count() == table.height


def test_a_plan_without_gold_labels_is_a_range(made, capsys):
    bare = made / "bare.parquet"
    pl.read_parquet(made / "world" / "log.parquet").drop("gold").write_parquet(bare)
    words = list(map(str, ["plan", made / "rm", bare, "--width", "0.1"]))
    found = json.loads(run([*words, "--json"], capsys)[1])
    assert 10 <= found["needed"] <= found["needed_worst_case"]
    assert (found["now"], found["more"]) == (0, found["needed"])
    text = run(words, capsys)[1]
    assert f"at most {found['needed_worst_case']} whatever the labels are" in text


def test_a_calibrated_model_abstains_where_it_is_not_sure(told, made, capsys):
    assert "on 80 gold labels" in told("calibrate", "--out", made / "rm2")
    words = [made / "rm2", made / "world" / "test.parquet", "--out", made / "s.parquet"]
    code, out, _ = run(list(map(str, ["score", *words, "--min-confidence", "0.8"])), capsys)
    assert code == 0
    decision = pl.read_parquet(made / "s.parquet")["decision"]
    assert set(decision.unique()) <= {0, 1, None}
    assert f"{decision.len() - decision.null_count()} of them decided" in out
    words[0] = made / "rm"
    code, _, err = run(list(map(str, ["score", *words, "--min-confidence", "0.8"])), capsys)
    assert code == 1
    assert "calibrate first" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("plan", "--width", "2"), 2, "between 0 and 1"),
        (("plan", "--width", "0.1", "--twice", "2"), 2, "--twice takes a share"),
        (("evaluate", "test.parquet", "--judge", "j.parquet"), 2, "only one of them"),
        (("plan", "--width", "0.1", "--metric", "ece"), 2, "not 'ece'"),
        (("plan", "--width", "0.1", "--out", "next.xlsx"), 2, "must end in .csv, .jsonl"),
        (("sensitivity", "--figure", "curve.pdf"), 2, "--figure curve.pdf must end in .svg, .png"),
        (("evaluate", "somewhere.parquet"), 2, "either a test table or --log"),
        (("evaluate", "--draws", "100"), 2, "--draws needs a test table"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_sentence(told, words, code, said):
    err = told(*words, code=code)
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_a_calibration_says_what_its_weights_assume(told, made):
    text = told("calibrate", "--out", made / "rm3", "--chosen")
    assert "assumes: given the log" in text
    text = told("calibrate", "--out", made / "rm4", "--feedback")
    assert "rated responses" in text
    assert "assumes: given the prompt and the response" in text
    err = told("calibrate", "--out", made / "rm5", "--feedback", "--chosen", code=2)
    assert "leave out --gold and --chosen" in err


@pytest.mark.parametrize("words", [("--future",), ("--chosen",), ("--gold", "gold.csv")])
def test_what_only_a_log_has_a_use_for_is_refused_with_a_test_table(made, capsys, words):
    table = str(made / "world" / "test.parquet")
    code, _, err = run(["evaluate", str(made / "rm"), table, *words], capsys)
    assert code == 2
    assert f"{words[0]} needs --log" in err
    assert len(err.strip().splitlines()) == 1


def test_a_folder_that_is_no_model_is_refused(made, capsys):
    code, _, err = run(["sensitivity", str(made), str(made / "world" / "log.parquet")], capsys)
    assert code == 1
    assert "no reward model" in err


def test_a_draw_by_chance_writes_the_weights_of_its_labels(told, made):
    log = pl.read_parquet(made / "world" / "log.parquet").drop("gold")
    log.unique(["prompt", "response"], keep="first", maintain_order=True).write_parquet(
        made / "once.parquet"
    )
    words = ["plan", "--width", "0.08", "--draw", "chance"]
    assert "needs --out" in told(*words, log="once.parquet", code=2)
    told(*words, "--out", made / "next.csv", log="once.parquet")
    drawn = pl.read_csv(made / "next.csv")
    assert drawn.columns == ["prompt", "response", "gold", "gold_weight", "labels", "plan"]
    assert (drawn["gold_weight"] >= 1).all()
    assert drawn["gold_weight"].n_unique() > 1
    labelled = drawn.with_columns(gold=pl.int_range(pl.len()) % 2)
    labelled.write_csv(made / "labelled.csv")
    text = told("evaluate", "--gold", made / "labelled.csv", log="once.parquet")
    assert "of equal weight" in text
    assert "were not drawn at random" not in text
    # the same labels given on a page by two people, 15 % of them twice, and merged
    batch = read_batch(made / "next.csv")
    rows = labelled.select("prompt", "response", "gold").iter_rows()
    truth = {(prompt, response): gold for prompt, response, gold in rows}
    labels = {item.item: truth[item.prompt, item.response] for item in batch.items}
    twice = {item.item: labels[item.item] for item in batch.items if item.labels > 1}
    assert len(twice) == round(0.15 * drawn.height)
    files = [
        label_file(made / "anna.jsonl", batch, "anna", labels),
        label_file(made / "ben.jsonl", batch, "ben", twice),
    ]
    merge_labels(files, plan=made / "next.csv").frame.write_parquet(made / "gold.parquet")
    log = read_log(made / "once.parquet")
    direct, merged = (log.with_gold(made / f).frame for f in ("labelled.csv", "gold.parquet"))
    assert merged.equals(direct)
    assert told("evaluate", "--gold", made / "gold.parquet", log="once.parquet") == text


def test_a_judge_beside_the_gold_labels_narrows_an_audit_and_is_no_label(told, made):
    log = pl.read_parquet(made / "world" / "log.parquet")
    wrong = pl.int_range(pl.len()) % 10 == 0
    judged = log.select("prompt", "response").with_columns(
        judge=pl.when(wrong).then(1 - log["gold"].fill_null(0.5)).otherwise(log["gold"])
    )
    judged.unique(["prompt", "response"], keep="first").write_parquet(made / "judge.parquet")
    found = json.loads(told("evaluate", "--judge", made / "judge.parquet", "--json"))
    width = [e["high"] - e["low"] for e in (found["metrics"]["good"], found["gold_alone"]["good"])]
    assert found["gold"] == 80
    assert width[0] < width[1]


def test_a_log_of_asks_gives_a_plan_of_the_silent(told, made):
    log = pl.read_parquet(made / "world" / "log.parquet").drop("gold")
    log = log.unique(["prompt", "response"], keep="first").with_columns(asked=1, p_ask=0.9)
    log.write_parquet(made / "asks.parquet")
    words = ("plan", "--draw", "asked-silent", "--width", "0.3")
    assert "needs --out" in told(*words, log="asks.parquet", code=2)
    assert "no lottery" in told(*words, "--out", made / "next.csv", code=1)
    text = told(*words, "--out", made / "next.csv", "--twice", "0", log="asks.parquet")
    drawn = read_batch(made / "next.csv").items
    assert f"label {len(drawn)} more" in text
    assert "stand for the asked who stayed silent" in text
    silent = log.filter(pl.col("feedback").is_null()).select("prompt", "response").rows()
    assert {(item.prompt, item.response) for item in drawn} <= set(silent)
    assert {item.labels for item in drawn} == {1}
    (weight,) = {item.gold_weight for item in drawn}
    assert weight == pytest.approx(len(silent) / len(drawn))
