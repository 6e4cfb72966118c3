"""Forty and more ways to get a command wrong: one sentence, exit 1 or 2, nothing lost, nothing left."""

import gzip
import json
import os
import resource
from pathlib import Path

import polars as pl
import pytest
from helpers.commands import ROWS, N, run, table

from trueward.core.errors import TruewardError
from trueward.data import pair_table

CASES = {}


def case(code, *words):
    """A case makes its input in a folder and gives the command; then its exit code and words."""

    def keep(make):
        CASES[make.__name__] = (make, code, words)
        return make

    return keep


def fitting(log, d, *more, method="naive"):
    return ["fit", method, log, "--out", str(d / "rm"), "--epochs", "1", *more]


@case(1, "no column `prompt`", "--map prompt=question")
def a_missing_column(d):
    frame = pl.DataFrame(ROWS).rename({"prompt": "question"})
    frame.write_parquet(d / "log.parquet")
    return fitting(str(d / "log.parquet"), d)


@case(1, "feedback", "'meh' (180)", "--unrated meh")
def feedback_in_unknown_words(d):
    return fitting(table(d / "log.csv", feedback=["meh"] * N), d)


@case(1, "feedback")
def feedback_all_null(d):
    return fitting(table(d / "log.parquet", feedback=[None] * N), d)


@case(1, "good or bad (1 or 0", "clicks only")
def thumbs_up_only_in_an_observational_method(d):
    log = table(d / "log.parquet", feedback=[1.0, 1.0, None] * (N // 3))
    return fitting(log, d, method="ips")


@case(1, "clicks only")
def clicks_for_a_method_that_needs_ratings(d):
    return fitting(table(d / "log.parquet", feedback=[1.0, None] * (N // 2)), d, method="ips")


@case(1, "the responses nobody rated")
def no_unrated_rows(d):
    return fitting(table(d / "log.parquet", feedback=[1.0, 0.0] * (N // 2)), d, method="causalrm")


@case(1, "at least 2 prompts")
def one_prompt(d):
    return fitting(table(d / "log.parquet", prompt=["Why?"] * N), d)


@case(1, "3.5")
def feedback_out_of_range(d):
    return fitting(table(d / "log.parquet", feedback=[3.5] * N), d)


@case(1, "context")
def no_context_for_split(d):
    return fitting(table(d / "log.parquet"), d, "-o", "identify=split", method="implicitrm")


@case(1, "gold")
def no_gold_for_gold(d):
    return fitting(table(d / "log.parquet"), d, "-o", "identify=gold", method="implicitrm")


@case(1, "there is no file")
def a_file_that_is_not_there(d):
    return fitting(str(d / "nothing.parquet"), d)


@case(1, "empty")
def an_empty_file(d):
    (d / "log.jsonl").write_text("")
    return ["inspect", str(d / "log.jsonl")]


@case(1, "rows")
def a_header_without_rows(d):
    (d / "log.csv").write_text("prompt,response,feedback\n")
    return ["inspect", str(d / "log.csv")]


@case(1, "line 2")
def broken_utf8(d):
    good = json.dumps({"prompt": "p", "response": "r", "feedback": 1}).encode()
    (d / "log.jsonl").write_bytes(good + b'\n{"prompt": "\xff\xfe"}\n')
    return ["inspect", str(d / "log.jsonl")]


@case(1, "line 2")
def a_line_that_is_not_json(d):
    (d / "log.jsonl").write_text('{"prompt": "p", "response": "r", "feedback": 1}\nhello\n')
    return ["inspect", str(d / "log.jsonl")]


@case(1, "feedback")
def a_line_of_ten_megabytes_without_feedback(d):
    (d / "log.jsonl").write_text(json.dumps({"prompt": "p", "response": "r" * 10_000_000}) + "\n")
    return ["inspect", str(d / "log.jsonl")]


@case(1, "gz")
def half_a_gzip(d):
    whole = gzip.compress(
        json.dumps({"prompt": "p", "response": "r" * 999, "feedback": 1}).encode()
    )
    (d / "log.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    return ["inspect", str(d / "log.jsonl.gz")]


@case(1, "log.parquet")
def half_a_parquet(d):
    table(d / "log.parquet")
    whole = (d / "log.parquet").read_bytes()
    (d / "log.parquet").write_bytes(whole[: len(whole) // 2])
    return ["inspect", str(d / "log.parquet")]


@case(1, "name the file")
def a_folder_instead_of_a_file(d):
    (d / "logs").mkdir()
    (d / "logs" / "notes.txt").write_text("x")
    return ["inspect", str(d / "logs")]


@case(1, "log.docx")
def an_unknown_kind_of_file(d):
    (d / "log.docx").write_bytes(b"PK")
    return ["inspect", str(d / "log.docx")]


@case(1, "permission")
def a_file_without_permission(d):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    table(d / "log.parquet")
    (d / "log.parquet").chmod(0)
    return ["inspect", str(d / "log.parquet")]


@case(2, "no method is called 'niave'", "did you mean naive")
def an_unknown_method(d):
    return fitting(table(d / "log.parquet"), d, method="niave")


@case(2, "no option 'clp'", "did you mean clip")
def an_unknown_option(d):
    return fitting(table(d / "log.parquet"), d, "-o", "clp=1", method="ips")


@case(2, "clip takes", "(0, 1]")
def an_option_out_of_range(d):
    return fitting(table(d / "log.parquet"), d, "-o", "clip=7", method="ips")


@case(2, "-o takes NAME=VALUE")
def an_option_without_a_value(d):
    return fitting(table(d / "log.parquet"), d, "-o", "clip", method="ips")


@case(2, "needs the option identify")
def implicitrm_without_saying_what_pins_the_scale(d):
    return fitting(table(d / "log.parquet"), d, method="implicitrm")


@case(2, "allow_unidentified")
def implicitrm_with_nothing_that_pins_the_scale(d):
    return fitting(table(d / "log.parquet"), d, "-o", "identify=none", method="implicitrm")


@case(2, "true labels")
def the_oracle_on_a_log(d):
    return fitting(table(d / "log.parquet"), d, method="oracle")


@case(2, "below 1")
def rates_that_leave_no_signal(d):
    return fitting(
        table(d / "log.parquet"), d, "-o", "rho_01=.6", "-o", "rho_10=.6", method="causalrm"
    )


@case(2, "--val must be between 0 and 1")
def a_validation_share_of_one(d):
    return fitting(table(d / "log.parquet"), d, "--val", "1")


@case(2, "No such option")
def an_unknown_flag(d):
    return fitting(table(d / "log.parquet"), d, "--epoch", "3")


@case(2, "Missing option")
def no_out(d):
    return ["fit", "naive", table(d / "log.parquet")]


@case(2, "--map takes NAME=VALUE")
def a_map_without_a_column(d):
    return fitting(table(d / "log.parquet"), d, "--map", "prompt")


@case(2, "nowhere")
def a_map_to_a_column_that_is_not_there(d):
    return fitting(table(d / "log.parquet"), d, "--map", "prompt=nowhere")


@case(2, "there is no column 'promt'")
def a_map_of_a_name_that_is_not_ours(d):
    return fitting(table(d / "log.parquet"), d, "--map", "promt=prompt")


@case(2, "backbone")
def an_unknown_backbone(d):
    return fitting(table(d / "log.parquet"), d, "--backbone", "wordlama")


@case(2, "vectors.npy")
def precomputed_features_that_are_not_there(d):
    return fitting(table(d / "log.parquet"), d, "--backbone", f"precomputed:{d / 'vectors.npy'}")


@case(1, "is no reward model, so it is left alone")
def an_out_folder_with_something_else(d):
    (d / "rm").mkdir()
    (d / "rm" / "thesis.tex").write_text("the only copy")
    return fitting(table(d / "log.parquet"), d)


@case(1, "is no reward model, so it is left alone")
def an_out_that_is_a_file(d):
    (d / "rm").write_text("the only copy")
    return fitting(table(d / "log.parquet"), d)


@case(1, "found no interrupted fit")
def resuming_what_never_began(d):
    return fitting(table(d / "log.parquet"), d, "--resume")


@case(1, "add --resume")
def starting_over_an_interrupted_fit(d):
    (d / "rm.checkpoint").mkdir()
    (d / "rm.checkpoint" / "reward.safetensors").write_text("half the work")
    return fitting(table(d / "log.parquet"), d)


@case(1, "none of the")
def gold_labels_of_other_answers(d):
    pl.DataFrame({"prompt": ["x"], "response": ["y"], "gold": [1]}).write_csv(d / "gold.csv")
    return fitting(table(d / "log.parquet"), d, "--gold", str(d / "gold.csv"))


@case(1, "has no model.json")
def scoring_with_a_folder_that_is_no_model(d):
    return ["score", str(d), table(d / "log.parquet"), "--out", str(d / "scored.parquet")]


@case(2, "must end in")
def scoring_into_an_unknown_kind_of_file(d):
    return ["score", str(d), table(d / "log.parquet"), "--out", str(d / "scored.xlsx")]


@case(1, "has no model.json")
def evaluating_a_folder_that_is_not_there(d):
    return ["evaluate", str(d / "rm"), table(d / "test.parquet")]


@case(1, "`rating` must be a finite number", "row 1")
def infinite_ratings(d):
    rated = table(d / "rated.parquet", feedback=None, rating=[float("inf")] + [1.0] * (N - 1))
    return ["simulate", rated, str(d / "world")]


@case(1, "rating")
def ratings_that_are_all_the_same(d):
    return [
        "simulate",
        table(d / "rated.parquet", feedback=None, rating=[3.0] * N),
        str(d / "world"),
    ]


@case(2, "mechanism")
def an_unknown_mechanism(d):
    rated = table(d / "rated.parquet", feedback=None, rating=list(range(N)))
    return ["simulate", rated, str(d / "world"), "--mechanism", "random"]


@case(2, "alpha")
def a_selection_strength_out_of_range(d):
    rated = table(d / "rated.parquet", feedback=None, rating=list(range(N)))
    return ["simulate", rated, str(d / "world"), "--alpha", "2"]


@case(1, "would be lost")
def a_world_into_a_folder_with_something_else(d):
    (d / "world").mkdir()
    (d / "world" / "thesis.tex").write_text("the only copy")
    rated = table(d / "rated.parquet", feedback=None, rating=list(range(N)))
    return ["simulate", rated, str(d / "world")]


@case(2, "could not be read as YAML")
def a_config_that_is_not_there(d):
    return ["--config", str(d / "run.yaml"), *fitting(table(d / "log.parquet"), d)]


@case(2, "must map option names to values")
def a_config_that_is_a_list(d):
    (d / "run.yaml").write_text("- 1\n- 2\n")
    return ["--config", str(d / "run.yaml"), *fitting(table(d / "log.parquet"), d)]


@case(2, "No such option")
def a_config_with_a_wrong_name(d):
    (d / "run.yaml").write_text("epoch: 3\n")
    return ["--config", str(d / "run.yaml"), *fitting(table(d / "log.parquet"), d)]


@case(2, "No such command")
def an_unknown_command(_d):
    return ["train"]


def contents(folder):
    return {
        p.relative_to(folder): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")
    }


def audited(d, labels):
    """Gold labels for the first answers of the log."""
    n = len(labels)
    gold = pl.DataFrame(
        {"prompt": ROWS["prompt"][:n], "response": ROWS["response"][:n], "gold": labels}
    )
    gold.write_csv(d / "gold.csv")
    return str(d / "gold.csv")


@case(1, "all 60 gold labels say good", "at random")
def gold_labels_of_one_class(d):
    gold = audited(d, [1.0] * 60)
    return fitting(table(d / "log.parquet"), d, "--gold", gold, method="anchored")


@case(1, "gold labels, and found")
def gold_labels_too_few(d):
    gold = audited(d, [1.0, 0.0, 1.0])
    return fitting(table(d / "log.parquet"), d, "--gold", gold, method="anchored")


@case(1, "none of the 60 gold rows")
def gold_rows_that_do_not_join(d):
    pl.DataFrame(
        {"prompt": ["Why?"] * 60, "response": [f"{i}" for i in range(60)], "gold": [0.0, 1.0] * 30}
    ).write_csv(d / "gold.csv")
    log = table(d / "log.parquet")
    return fitting(log, d, "--gold", str(d / "gold.csv"), method="anchored")


@case(1, "gold labels must agree", "row 61")
def gold_labels_that_contradict_each_other(d):
    gold = pl.read_csv(audited(d, [0.0, 1.0] * 30))
    pl.concat([gold, gold.head(1).with_columns(gold=pl.lit(1.0))]).write_csv(d / "gold.csv")
    log = table(d / "log.parquet")
    return fitting(log, d, "--gold", str(d / "gold.csv"), method="anchored")


@case(2, "ratings, reactions, clicks, channel.NAME or pairs.SOURCE, not thumbs")
def a_signal_that_there_is_not(d):
    return fitting(table(d / "log.parquet"), d, "-o", "signals=thumbs", method="anchored")


@case(1, "have the same context", "144 rows")
def context_that_is_constant(d):
    log = table(d / "log.parquet", **{"context.device": ["phone"] * N})
    return fitting(log, d, "-o", "propensity_from=z", method="ips")


@case(1, "context column 1 of 1", "follows from the feedback")
def context_that_predicts_feedback_perfectly(d):
    reacted = [float(y is not None) for y in ROWS["feedback"]]
    return fitting(table(d / "log.parquet", **{"context.reacted": reacted}), d, method="ips")


def signals(d, copy, like):
    columns = {"feedback": None, "channel.copy": copy, "channel.like": like}
    return fitting(table(d / "log.parquet", **columns), d, method="channels")


@case(1, "vary and fire together in 5 rows or more")
def channels_that_never_fire_together(d):
    return signals(d, [1.0, 0.0] * (N // 2), [0.0, 1.0] * (N // 2))


@case(1, "two channel.* columns that vary (of one value here: like)")
def a_channel_that_always_fires(d):
    return signals(d, [1.0, 0.0] * (N // 2), [1.0] * N)


@case(1, "two or more channel")
def one_channel_for_a_method_of_several(d):
    clicks = {"feedback": [1.0, None] * (N // 2), "channel.copy": [1.0, 0.0] * (N // 2)}
    return fitting(table(d / "log.parquet", **clicks), d, method="channels")


def test_there_are_at_least_forty_cases():
    assert len(CASES) >= 40


@pytest.mark.parametrize("name", CASES)
def test_a_user_is_told_what_is_wrong_and_loses_nothing(name, tmp_path, capsys):
    make, code, words = CASES[name]
    command = make(tmp_path)
    before = contents(tmp_path)
    got, _out, err = run(command, capsys)
    assert got == code, err
    for word in words:
        assert word in err
    assert "Traceback" not in err
    told = [line for line in err.splitlines() if line.lower().startswith("error:")]
    assert len(told) == 1
    assert contents(tmp_path) == before


@pytest.fixture
def fitted(tmp_path, capsys):
    code, _out, err = run(fitting(table(tmp_path / "log.parquet"), tmp_path), capsys)
    assert code == 0, err
    return tmp_path


def limited(command, capsys, size=2000):
    """Run with files of at most ``size`` bytes, which fails as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        return run(command, capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_while_fitting_keeps_the_model_that_was_there(fitted, capsys, monkeypatch):
    monkeypatch.setenv("TRUEWARD_CACHE", str(fitted.parent / "no-cache"))
    before = contents(fitted / "rm")
    command = [*fitting(str(fitted / "log.parquet"), fitted), "--seed", "1"]
    code, _out, err = limited(command, capsys)
    assert code == 1
    assert "could not be written" in err
    assert contents(fitted / "rm") == before


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_a_full_disk_while_scoring_keeps_the_scores_that_were_there(fitted, capsys, kind):
    out = fitted / f"scored.{kind}"
    command = ["score", str(fitted / "rm"), str(fitted / "log.parquet"), "--out", str(out)]
    assert run(command, capsys)[0] == 0
    before = out.read_bytes()
    code, _out, err = limited(command, capsys, size=500)
    assert code == 1
    assert "could not be written" in err
    assert out.read_bytes() == before
    assert not (fitted / f"scored.{kind}.parts").exists(), "a folder without a finished part"


def test_scoring_that_fails_in_a_later_part_says_where_the_others_are(fitted, capsys, monkeypatch):
    read, out = pair_table.PairTable.read, fitted / "scored.parquet"
    command = ["score", str(fitted / "rm"), str(fitted / "log.parquet"), "--out", str(out)]

    def damaged(self, part):
        if part == 1:
            raise TruewardError("the second part is damaged")
        return read(self, part)

    monkeypatch.setattr(pair_table, "ROWS", 20)
    monkeypatch.setattr(pair_table.PairTable, "read", damaged)
    code, _out, err = run(command, capsys)
    assert code == 1
    assert f"damaged; the parts so far are kept in {out}.parts" in " ".join(err.split())
    monkeypatch.setattr(pair_table.PairTable, "read", read)
    assert run(command, capsys)[0] == 0
    assert not Path(f"{out}.parts").exists()


def test_ctrl_c_leaves_no_model_and_the_fit_goes_on_with_resume(tmp_path, capsys, monkeypatch):
    log = table(tmp_path / "log.parquet")
    calls = []

    def stop(*_args):
        calls.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr("trueward.cli.fitting.progress", lambda: stop)
    code, _out, err = run(fitting(log, tmp_path), capsys)
    assert code == 130
    assert "stopped" in err
    assert not (tmp_path / "rm").exists()
    monkeypatch.undo()
    assert run([*fitting(log, tmp_path), "--resume"], capsys)[0] == 0
    assert Path(tmp_path / "rm" / "model.json").exists()
    assert not (tmp_path / "rm.checkpoint").exists()


def test_a_config_says_the_same_as_the_command_line_which_wins(tmp_path, capsys):
    log = table(tmp_path / "log.parquet")
    (tmp_path / "run.yaml").write_text("seed: 3\nepochs: 1\no: {clip: 0.5}\n")
    out = str(tmp_path / "rm")
    words = ["--config", str(tmp_path / "run.yaml"), "fit", "ips", log, "--out", out, "--json"]
    code, shown, _err = run(words, capsys)
    assert code == 0
    report = json.loads(shown)
    assert (report["training"]["seed"], report["nuisances"]["propensity"]["low"]) == (3, 0.5)
    _code, shown, _err = run([*words, "--seed", "4"], capsys)
    assert json.loads(shown)["training"]["seed"] == 4


def test_a_config_reaches_the_commands_of_benchmark(tmp_path, capsys):
    (tmp_path / "run.yaml").write_text("limit: 0\n")
    words = ["--config", str(tmp_path / "run.yaml"), "benchmark", "run", "quick", "--out", "x"]
    code, _out, err = run(words, capsys)
    assert code == 2
    assert "--limit must be at least 1" in err


def test_debug_shows_the_traceback(tmp_path, capsys):
    code, _out, err = run(["--debug", "inspect", str(tmp_path / "nothing.csv")], capsys)
    assert code == 1
    assert "Traceback" in err
