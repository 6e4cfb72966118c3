"""Every way a log can be wrong is one sentence that says where, and leaves the files alone."""

from __future__ import annotations

import gzip
import json
import os
import re
from typing import TYPE_CHECKING

import polars as pl
import pytest

from trueward.core.errors import TruewardError, UsageError
from trueward.data.log import Log
from trueward.data.log_reading import read_log
from trueward.data.truth import read_test

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {"prompt": ["p", "q", "s"], "response": ["a", "b", "c"], "feedback": [1, 0, None]}


def frame(**columns: object) -> pl.DataFrame:
    """Three good rows with these columns instead or besides; None drops one."""
    kept = {name: c for name, c in (GOOD | columns).items() if c is not None}
    return pl.DataFrame(kept, strict=False)


def lines(path: Path, *rows: object) -> Path:
    """Write rows as JSON lines; a string is written as it is."""
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def row(**columns: object) -> dict[str, object]:
    return {"prompt": "p", "response": "r", "feedback": 1} | columns


# Each makes its input in the folder, reads it, and is followed by what the sentence must say.
CASES: dict[str, tuple[object, list[str]]] = {}


def says(*fragments: str):
    def keep(case):
        CASES[case.__name__] = (case, list(fragments))
        return case

    return keep


@says("no file", "log.parquet", "check the path")
def missing_file(d):
    yield
    read_log(d / "log.parquet")


@says("holds 'notes.txt'", "name the file")
def folder_without_a_data_set(d):
    (d / "notes.txt").write_text("x")
    yield
    read_log(d)


@says("holds nothing")
def empty_folder(d):
    yield
    read_log(d)


@says("log.csv", "is empty")
def empty_file(d):
    (d / "log.csv").write_bytes(b"")
    yield
    read_log(d / "log.csv")


@says("has no rows")
def blank_json_lines(d):
    (d / "log.jsonl").write_text("\n\n")
    yield
    read_log(d / "log.jsonl")


@says("log.csv", "no rows")
def header_only(d):
    (d / "log.csv").write_text("prompt,response,feedback\n")
    yield
    read_log(d / "log.csv")


@says("no rows")
def parquet_without_rows(d):
    frame().clear().write_parquet(d / "log.parquet")
    yield
    read_log(d / "log.parquet")


@says("UTF-8", "line 3", "0xff")
def broken_utf8_in_csv(d):
    (d / "log.csv").write_bytes(b"prompt,response,feedback\np,r,1\np,\xff,1\n")
    yield
    read_log(d / "log.csv")


@says("UTF-8", "line 2", "0xe4")
def broken_utf8_in_json_lines(d):
    good = json.dumps(row()).encode()
    (d / "log.jsonl").write_bytes(good + b'\n{"prompt": "\xe4"}\n')
    yield
    read_log(d / "log.jsonl")


def half_gzip(path: Path) -> None:
    text = "".join(json.dumps(row(response=str(i * 7919))) + "\n" for i in range(5000))
    if ".csv" in path.name:
        text = "prompt,response,feedback\n" + "".join(f"p,{i * 7919},1\n" for i in range(5000))
    whole = gzip.compress(text.encode())
    path.write_bytes(whole[: len(whole) // 2])


@says("log.jsonl.gz", "gzip", "cut off")
def half_written_gzip_of_json_lines(d):
    half_gzip(d / "log.jsonl.gz")
    yield
    read_log(d / "log.jsonl.gz")


@says("log.csv.gz", "gzip", "cut off")
def half_written_gzip_of_csv(d):
    half_gzip(d / "log.csv.gz")
    yield
    read_log(d / "log.csv.gz")


@says("gzip", "damaged")
def plain_text_called_gz(d):
    (d / "log.jsonl.gz").write_text(json.dumps(row()))
    yield
    read_log(d / "log.jsonl.gz")


@says("log.parquet", "complete Parquet file")
def truncated_parquet(d):
    frame().write_parquet(d / "log.parquet")
    whole = (d / "log.parquet").read_bytes()
    (d / "log.parquet").write_bytes(whole[: len(whole) // 2])
    yield
    read_log(d / "log.parquet")


@says("log.parquet", "complete Parquet file")
def parquet_with_a_damaged_page(d):
    big = pl.DataFrame({"prompt": ["p" * i for i in range(2000)]})
    big.with_columns(response="prompt", feedback=1).write_parquet(d / "log.parquet")
    whole = bytearray((d / "log.parquet").read_bytes())
    whole[4:400] = b"\xff" * 396
    (d / "log.parquet").write_bytes(whole)
    yield
    read_log(d / "log.parquet")


@says("log.arrow", "complete Arrow file")
def truncated_arrow(d):
    frame().write_ipc(d / "log.arrow")
    whole = (d / "log.arrow").read_bytes()
    (d / "log.arrow").write_bytes(whole[: len(whole) // 2])
    yield
    read_log(d / "log.arrow")


@says("line 2", "JSON", "Unterminated string", "character 12")
def line_that_is_no_json(d):
    lines(d / "log.jsonl", row(), '{"prompt": "')
    yield
    read_log(d / "log.jsonl")


@says("line 4", "JSON object", "it is [1, 2]")
def line_that_is_no_object(d):
    lines(d / "log.jsonl", row(), "", row(), "[1, 2]")
    yield
    read_log(d / "log.jsonl")


@says("line 1", "cannot be read")
def line_nested_without_end(d):
    lines(d / "log.jsonl", "[" * 100_000)
    yield
    read_log(d / "log.jsonl")


@says("line 2", "half of a surrogate pair", "`response`")
def half_a_character(d):
    lines(d / "log.jsonl", row(), '{"prompt": "p", "response": "\\ud83d", "feedback": 1}')
    yield
    read_log(d / "log.jsonl")


@says("JSON array", "line 1")
def broken_json_array(d):
    (d / "log.json").write_text('[{"prompt": 1},')
    yield
    read_log(d / "log.json")


@says("same number of cells", "Expected 3 columns, got 2")
def csv_row_with_a_missing_cell(d):
    (d / "log.csv").write_text("prompt,response,feedback\np,r,1\np,r\n")
    yield
    read_log(d / "log.csv")


@says("each column once", "'prompt' 2 times")
def csv_with_a_repeated_name(d):
    (d / "log.csv").write_text("prompt,prompt,response,feedback\np,q,r,1\n")
    yield
    read_log(d / "log.csv")


@says("unsupported file type", ".docx", ".parquet")
def unknown_ending(d):
    (d / "log.docx").write_text("x")
    yield
    read_log(d / "log.docx")


@says("no permission", "log.csv")
def no_permission(d):
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    path = d / "log.csv"
    path.write_text("prompt,response,feedback\np,r,1\n")
    path.chmod(0)
    yield
    read_log(path)


@says("no column `prompt`", "'question', 'response', 'feedback'", "--map prompt=question")
def prompt_under_another_name(d):
    yield
    read_log(
        frame(prompt=None, question=["p", "q", "s"]).select("question", "response", "feedback")
    )


@says("no columns `prompt` and `response`", "--map prompt=NAME --map response=answer")
def two_columns_under_other_names(d):
    yield
    read_log(frame(prompt=None, response=None, answer=["a"] * 3, u=[1] * 3))


@says("no column `feedback`", "--map feedback=thumbs_up")
def feedback_under_another_name(d):
    yield
    read_log(frame(feedback=None, thumbs_up=[1, 0, 1]))


@says("no column `feedback`", "'label'", "--map gold=label")
def label_is_not_taken_for_feedback(d):
    yield
    read_log(frame(feedback=None, label=[1, 0, 1]))


@says("one channel alone", "--map feedback=channel.copy")
def one_channel_and_no_feedback(d):
    yield
    read_log(frame(feedback=None, **{"channel.copy": [1, 0, 1]}))


@says("`feedback`", "has no value", "--map feedback=NAME")
def feedback_null_in_every_row(d):
    yield
    read_log(frame(feedback=[None] * 3))


@says("`feedback`", "row 2 of", "'meh' (1)", "1 (good), 0 (bad) or null", "--unrated meh")
def feedback_in_unknown_words(d):
    (d / "log.csv").write_text('prompt,response,feedback\n"p\nq",r,1\np,r,meh\n')
    yield
    read_log(d / "log.csv")


@says("`feedback`", "line 3 of", "'meh'")
def feedback_in_unknown_words_in_json_lines(d):
    lines(d / "log.jsonl", row(), row(feedback=None), row(feedback="meh"))
    yield
    read_log(d / "log.jsonl")


@says("`feedback`", "row 2", "has 0.5")
def feedback_between_0_and_1(d):
    yield
    read_log(frame(feedback=[1, 0.5, 0]))


@says("`feedback`", "row 2", "has 2", "--positive '>=4' --negative '<=2'")
def feedback_on_an_unknown_scale(d):
    yield
    read_log(frame(feedback=[1, 2, 3]))


@says("'thumb'", "0 in 1 rows and 1 in 2", "--negative 0", "--unrated 0")
def zeros_that_may_mean_no_reaction(d):
    yield
    read_log(frame(feedback=None, thumb=[1, 0, 1]), feedback="thumb")


@says("'up' has two")
def a_value_with_two_meanings(d):
    yield
    read_log(frame(), positive="up", unrated=["Up"])


@says("`channel.copy`", "not logged", "row 1", "has 2")
def channel_that_counts(d):
    yield
    read_log(frame(**{"channel.copy": [2, 0, 1]}))


@says("`prompt`", "text", "row 1", "has 5")
def prompt_of_numbers(d):
    yield
    read_log(frame(prompt=[5, 6, 7]))


@says("`prompt`", "text", "line 2", "has 5")
def one_prompt_is_a_number(d):
    lines(d / "log.jsonl", row(), row(prompt=5))
    yield
    read_log(d / "log.jsonl")


@says("`response`", "row 2", "nothing (null)")
def response_is_null(d):
    yield
    read_log(frame(response=["a", None, "c"]))


@says("`response`", "line 3", "nothing (null)")
def response_left_out_of_a_line(d):
    lines(d / "log.jsonl", row(), "", {"prompt": "p", "feedback": 1})
    yield
    read_log(d / "log.jsonl")


@says("`prompt_id`", "row 3", "nothing (null)")
def prompt_id_is_null(d):
    yield
    read_log(frame(prompt_id=[1, 2, None]))


@says("`prompt`", "line 2", "message 1 without 'role'", "['from', 'value']")
def messages_with_other_keys(d):
    lines(d / "log.jsonl", row(), row(prompt=[{"from": "human", "value": "Hi"}]))
    yield
    read_log(d / "log.jsonl")


@says("`prompt`", "row 1", "message 1 whose content is nothing (null)")
def message_without_content(d):
    prompts = [[{"role": "user", "content": c}] for c in (None, "b", "c")]
    yield
    read_log(frame(prompt=prompts))


@says("`response`", "line 1", "empty list")
def no_messages(d):
    lines(d / "log.jsonl", row(response=[]))
    yield
    read_log(d / "log.jsonl")


@says("`propensity`", "above 0 and at most 1", "row 2", "has 0.0")
def propensity_of_zero(d):
    yield
    read_log(frame(propensity=[0.1, 0.0, 1.0]))


@says("`propensity`", "row 3", "has 1.5")
def propensity_above_one(d):
    yield
    read_log(frame(propensity=[0.1, 0.2, 1.5]))


@says("`propensity`", "row 2", "nothing (null)")
def propensity_with_a_gap(d):
    yield
    read_log(frame(propensity=[0.1, None, 0.5]))


@says("`gold`", "from 0 to 1", "row 1", "has 3")
def gold_on_another_scale(d):
    yield
    read_log(frame(gold=[3, None, 1]))


@says("`weight`", "0 or more", "row 2", "has -1.0")
def negative_weight(d):
    yield
    read_log(frame(weight=[1.0, -1.0, 1.0]))


@says("`weight`", "row 3", "has nan")
def weight_nan(d):
    yield
    read_log(frame(weight=[1.0, 1.0, float("nan")]))


@says("`weight`", "0 in every row")
def weights_all_zero(d):
    yield
    read_log(frame(weight=[0, 0, 0]))


@says("`context.x`", "finite", "row 2", "has inf")
def context_infinite(d):
    yield
    read_log(frame(**{"context.x": [1.0, float("inf"), 2.0]}))


@says("`context.x`", "row 1", "has [1]")
def context_of_lists(d):
    yield
    read_log(frame(**{"context.x": [[1], [2], [3]]}))


@says("`time`", "ISO 8601", "row 2", "'yesterday'")
def time_in_words(d):
    yield
    read_log(frame(time=["2026-01-01", "yesterday", None]))


@says("'prompt' twice")
def pandas_with_a_repeated_name(d):
    pandas = pytest.importorskip("pandas")
    yield
    read_log(
        pandas.DataFrame([["p", "q", "r", 1]], columns=["prompt", "prompt", "response", "feedback"])
    )


@says("'channel.copy' twice")
def channel_inside_and_beside_a_record(d):
    lines(d / "log.jsonl", row(channel={"copy": 1}) | {"channel.copy": 0})
    yield
    read_log(d / "log.jsonl")


@says("'text' is mapped to prompt and response", "one meaning")
def two_names_for_one_column(d):
    yield
    read_log(frame(text=["x"] * 3), prompt="text", response="text")


@says("no column 'quesion'", "`prompt`", "--map prompt=question")
def mapping_to_a_column_that_is_not_there(d):
    yield
    read_log(frame(question=["p"] * 3), prompt="quesion")


@says("no column 'promt' to map", "did you mean prompt")
def mapping_of_a_name_that_is_not_ours(d):
    yield
    read_log(frame(), promt="prompt")


@says("`prompt` is mapped twice")
def mapping_that_contradicts_itself(d):
    yield
    read_log(frame(), prompt="response", mapping={"prompt": "feedback"})


@says("must be mapped to the name of a column", "3")
def mapping_to_a_number(d):
    yield
    read_log(frame(), mapping={"prompt": 3})


@says("split=train", "drop it")
def split_of_a_file(d):
    frame().write_parquet(d / "log.parquet")
    yield
    read_log(d / "log.parquet", split="train")


@says("2 shards of 'train'", "number 00001 is missing")
def shard_left_behind(d):
    frame().write_parquet(d / "train-00000-of-00002.parquet")
    yield
    read_log(d)


@says("data-00001.arrow is missing")
def saved_data_set_with_a_lost_file(d):
    frame().write_ipc_stream(d / "data-00000.arrow")
    files = [{"filename": "data-00000.arrow"}, {"filename": "data-00001.arrow"}]
    (d / "state.json").write_text(json.dumps({"_data_files": files}))
    yield
    read_log(d)


@says("polars, pandas, pyarrow or datasets table", "set")
def something_that_is_no_table(d):
    yield
    read_log({"p", "r"})


@says("none of the 1 gold rows", "must be equal")
def gold_of_another_log(d):
    gold = pl.DataFrame({"prompt": ["p"], "response": ["other"], "gold": [1]})
    yield
    read_log(frame()).with_gold(gold)


@says("must agree", "row 3 of", "has 0")
def gold_labels_that_disagree(d):
    gold = pl.DataFrame({"prompt": ["p"] * 3, "response": ["a"] * 3, "gold": [None, 1, 0]})
    gold.write_parquet(d / "gold.parquet")
    yield
    read_log(frame()).with_gold(d / "gold.parquet")


@says("must agree", "row 1 of", "has 1 and the gold table 0")
def gold_labels_that_disagree_with_the_log(d):
    gold = pl.DataFrame({"prompt": ["p"], "response": ["a"], "gold": [0]})
    yield
    read_log(frame(gold=[1, None, None])).with_gold(gold)


@says("no column `gold`", "gold=label")
def gold_table_with_a_label_column(d):
    gold = pl.DataFrame({"prompt": ["p"], "response": ["a"], "label": [0]})
    yield
    read_log(frame()).with_gold(gold)


@says("`gold` is null in every row")
def gold_table_without_labels(d):
    gold = pl.DataFrame({"prompt": ["p"], "response": ["a"], "gold": [None]})
    yield
    read_log(frame()).with_gold(gold)


@says("`rating`", "finite", "row 2", "has nan")
def rating_nan(d):
    yield
    read_test(frame(rating=[1.0, float("nan"), 2.0]))


@says("`rating`", "row 3", "has inf")
def rating_infinite(d):
    yield
    read_test(frame(rating=[1.0, 2.0, float("inf")]))


@says("`label`", "row 1", "has 5")
def label_on_another_scale(d):
    yield
    read_test(frame(label=[5, 1, 0]))


@says("`label`", "every row", "row 3", "nothing (null)")
def label_with_a_gap(d):
    yield
    read_test(frame(label=[0, 1, None]))


@says("a `label` or a `rating`", "--map label=gold")
def truth_under_the_name_gold(d):
    yield
    read_test(frame(gold=[0, 1, 1]))


@says("a `label` or a `rating`", "--map label=feedback", "expert")
def truth_under_the_name_feedback(d):
    yield
    read_test(frame())


@pytest.mark.parametrize("name", CASES)
def test_a_bad_log_is_one_sentence_and_nothing_is_written(name, tmp_path):
    case, fragments = CASES[name]
    steps = case(tmp_path)
    next(steps)  # the input is made; what follows reads it
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(TruewardError) as caught:
        next(steps)
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message
    assert "\n" not in message
    assert len(message) < 700
    assert not re.search(r"Traceback|polars\.|pyarrow\.", message)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_wrong_request_and_wrong_data_exit_differently():
    with pytest.raises(UsageError):
        read_log(frame(), prompt="nowhere")
    with pytest.raises(TruewardError) as caught:
        read_log(frame(prompt=None))
    assert caught.value.exit_code == 1


def test_one_class_only_is_read_and_left_to_inspection():
    assert isinstance(read_log(frame(feedback=[0, None, None])), Log)
    assert read_log(frame(feedback=[1, None, 1])).regime == "implicit"


@pytest.mark.parametrize("ending", ["parquet", "arrow", "feather"])
def test_bytes_damaged_anywhere_are_an_error_or_a_log_but_no_crash(ending, tmp_path):
    path = tmp_path / f"log.{ending}"
    n = 300
    table = pl.DataFrame(
        {"prompt": ["p"] * n, "response": [f"r{i}" for i in range(n)], "feedback": [1] * n}
    )
    write = {
        "parquet": table.write_parquet,
        "arrow": table.write_ipc_stream,
        "feather": table.write_ipc,
    }
    write[ending](path)
    whole = path.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:at] + b"\xa5\x5a" * 3 + whole[at + 6 :])
        try:
            read_log(path)
        except TruewardError as e:
            assert "\n" not in str(e)  # noqa: PT017
