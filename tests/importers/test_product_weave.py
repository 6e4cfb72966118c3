"""W&B Weave: calls of ops, and the reactions, notes, annotations and scores on them."""

from __future__ import annotations

import json

import polars as pl
import pytest
from helpers.product_exports import FIXTURES, column, fixture, fixture_records, lines, signals

from trueward.core.errors import TruewardError
from trueward.importers import import_log

FILE = "weave.jsonl"
RATED = {"mapping": [("rating", "quality")], "scale": (1, 5)}


def records(*ids):
    return [r for r in fixture_records(FILE) if not ids or r["id"] in ids]


def rejected(result):
    return result.tables.rejected.select("line", "reason").rows()


def test_calls_and_feedback_inside_and_beside_them():
    result = fixture(FILE, **RATED)
    assert (result.source.name, result.info.export_scope.level) == ("weave", "full")
    assert column(result, "prompt") == {
        "c2": "system: Be brief.\nuser: Name a fish.",
        "r2": "And a bird?",
    }
    assert column(result, "response") == {"c2": "Trout.", "r2": "Wren."}
    # reactions and notes on the root go to the answer below it; annotations are gold, scorers judge
    assert signals(result) == [
        ("c2", "comment", 1.0, "user"),
        ("c2", "rating", 0.9, "judge"),
        ("c2", "rating", 4.0, "annotator"),
        ("c2", "thumbs_down", 1.0, "user"),
        ("r2", "thumbs_up", 1.0, "user"),
    ]
    assert column(result, "gold") == {"c2": 0.75, "r2": None}
    assert result.log["session_id"].null_count() == 0
    assert result.summary["skipped"] == {
        "a call inside of an evaluation": 2,
        "a call of a scorer": 2,
        "a call of an op around its answer": 2,
        "a model call that users were not shown: its trace put out another text": 1,
        "the feedback 'csat' is not mapped": 1,
        "the reaction '🎣' is neither up nor down: give it a meaning by --positive or --negative": 1,
    }


def test_calls_and_feedback_that_the_sdk_of_weave_wrote():
    path = FIXTURES.parent / "cases" / "weave_sdk.jsonl"
    result = import_log("auto", path, mapping=[("rating", "csat")], scale=(1, 5))
    assert dict(zip(result.log["response"], result.log["prompt"], strict=True)) == {
        "Trout.": "system: Be brief.\nuser: Name a fish.",
        "Wren.": "And a bird?",
    }
    assert result.log.sort("response")["feedback"].to_list() == [None, 1.0]
    assert result.log.sort("response")["rating"].to_list() == [None, 5.0]
    assert result.log.sort("response")["judge"].to_list() == [None, 1.0]
    assert result.summary["skipped"] == {
        "a call of a scorer": 1,
        "a call of an op around its answer": 1,
    }


def test_types_of_ones_own_and_emoji_of_ones_own_are_mapped():
    by_type = fixture(FILE, mapping=[("rating", "csat")], scale=(1, 5))
    assert column(by_type, "rating") == {"c2": 2.0, "r2": None}
    by_key = fixture(FILE, mapping=[("rating", "csat.score")], scale=(1, 5))
    assert by_key.log.equals(by_type.log)
    fish = fixture(FILE, positive=["🎣"])
    assert column(fish, "feedback") == {"c2": 1.0, "r2": 1.0}  # it came after the thumb


def test_a_table_of_the_ui(tmp_path):
    root, second = records("r1", "r2")
    rows = []
    for call in (root, second):
        inputs = {f"inputs.{k}": v for k, v in call["inputs"].items() if k != "self"}
        output = call["output"]
        own = {"output": output} if isinstance(output, str) else {"output.answer": output["answer"]}
        feedback = call["summary"]["weave"].get("feedback")
        own["summary.weave.feedback"] = json.dumps(feedback) if feedback else None
        rows.append(
            {k: call[k] for k in ("id", "op_name", "trace_id", "started_at")} | inputs | own
        )
    columns = sorted({name for row in rows for name in row})
    pl.DataFrame([{c: row.get(c) for c in columns} for row in rows]).write_csv(tmp_path / "c.csv")
    result = import_log("auto", tmp_path / "c.csv", **RATED)
    assert column(result, "prompt") == {"r1": "Name a fish.", "r2": "And a bird?"}
    assert column(result, "response") == {"r1": "Trout.", "r2": "Wren."}
    assert column(result, "feedback") == {"r1": 0.0, "r2": None}


def test_columns_of_single_reactions_are_counted(tmp_path):
    call = {k: v for k, v in records("r2")[0].items() if k != "summary"}
    call["summary.weave.feedback.wandb.reaction.1.payload.emoji"] = "👍"
    result = import_log("weave", lines(tmp_path / "c.jsonl", [call]))
    assert result.summary["skipped"] == {
        "feedback in columns of a table is not whole: export as JSONL": 1
    }


def test_calls_below_a_scorer_or_in_an_evaluation_were_seen_by_nobody(tmp_path):
    root, first, _, second = records("r1", "c1", "s1", "c2")
    first["attributes"]["weave"]["kind"] = "scorer"  # of any name
    inside = {**second, "id": "d", "parent_id": "c1"}
    other = {**root, "id": "e", "trace_id": "e"}
    other["attributes"] = {"weave": {}, "_weave_eval_meta": {"evaluation_run_id": "x"}}
    result = import_log("weave", lines(tmp_path / "c.jsonl", [inside, second, first, root, other]))
    assert column(result, "response") == {"c2": "Trout."}
    assert result.summary["skipped"]["a call of a scorer"] == 2
    assert result.summary["skipped"]["a call inside of an evaluation"] == 1


def test_shown_names_the_op_that_users_saw():
    assert column(fixture(FILE, **RATED, shown=["Bot.predict"]), "response") == {"r2": "Wren."}


def test_what_is_wrong_is_rejected_or_counted(tmp_path):
    root, second, thumb = records("r1", "r2", "f7")
    failed = {**second, "id": "x", "trace_id": "x", "exception": "timeout", "output": None}
    failed["summary"] = {"weave": {"feedback": [thumb]}}
    mute = {**second, "id": "y", "trace_id": "y", "output": {}}
    odd = {**root, "id": "z", "trace_id": "z", "inputs": {"a": {}, "b": 1}}
    odd["summary"] = {"weave": {"feedback": [{"id": "g", "payload": {}}]}}
    lost = {**thumb, "weave_ref": "weave:///ann/shop/call/lost", "id": "f8"}
    thing = {**thumb, "weave_ref": "weave:///ann/shop/object/p:v1", "id": "f9"}
    other = {"traceId": "t", "name": "x", "dataType": "NUMERIC", "source": "API", "value": 1}
    found = [second, thumb, failed, mute, odd, lost, thing, second, other, json.dumps(root)[:-9]]
    result = import_log("weave", lines(tmp_path / "c.jsonl", found))
    assert column(result, "feedback") == {"r2": 1.0}
    assert [line for line, _ in rejected(result)] == [5, 5, 6, 9, 10]
    reasons = " ".join(reason for _, reason in rejected(result))
    assert "name its path by --map prompt=PATH" in reasons
    assert "needs a feedback_type" in reasons
    assert "but of langfuse" in reasons
    assert result.summary["skipped"] == {
        "a call of an op around its answer": 1,
        "a call that ended in an exception": 1,
        "feedback on a call that users did not see": 1,
        "feedback on an object that is no call": 1,
    }
    assert result.summary["duplicates"]["responses"] == 1
    with pytest.raises(TruewardError, match="export all calls with their feedback"):
        import_log("auto", lines(tmp_path / "f.jsonl", [thumb]))


def test_texts_at_another_place_and_users(tmp_path):
    call = records("r2")[0] | {"inputs": {"state": {"said": "Hi"}}, "output": {"out": ["Ho"]}}
    call["attributes"]["user_id"] = "ann"
    mapping = [("prompt", "inputs.state.said"), ("response", "output.out[0]")]
    path = lines(tmp_path / "c.jsonl", [call])
    result = import_log("weave", path, mapping=[*mapping, ("user", "attributes.user_id")])
    assert column(result, "prompt") == {"r2": "Hi"}
    assert result.log["user_id"].null_count() == 0
