"""An import that would be empty is an error with the option to paste, and replaces nothing."""

from __future__ import annotations

import json

import pytest
from helpers.commands import run
from helpers.product_exports import FIXTURES, column, lines

from trueward.core.errors import TruewardError, UsageError
from trueward.importers import import_log, pipeline


def langfuse(path, values, name="user-feedback"):
    """Generations that were shown, each with a score of the user unless its value is ``...``."""
    rows = []
    for i, value in enumerate(values):
        rows.append({"id": f"g{i}", "trace_id": f"t{i}", "type": "GENERATION", "input": f"q{i}"})
        rows[-1] |= {"output": f"a{i}", "start_time": "2026-03-02 09:15:01.120", "project_id": "p"}
        if value is not ...:
            score = {"id": f"s{i}", "trace_id": f"t{i}", "name": name, "source": "API"}
            kind = "NUMERIC" if isinstance(value, int) else "CATEGORICAL"
            given = "value" if kind == "NUMERIC" else "string_value"
            empty = {"value": None, "string_value": None, "observation_id": f"g{i}"}
            rows.append(score | empty | {"data_type": kind, given: value})
    return lines(path, rows)


@pytest.fixture
def command(capsys):
    return lambda *words: run(list(map(str, words)), capsys)


def feedback(result):
    return result.log.sort("response_id")["feedback"].to_list()


def test_words_and_emoji_of_thumbs_count(tmp_path):
    words = [
        "\U0001f44d\U0001f3fe",
        "thumbs up",
        "Upvote",
        "helpful",
        "\U0001f44e",
        "not helpful",
        ...,
    ]
    path = langfuse(tmp_path / "e.jsonl", words)
    assert feedback(import_log("langfuse", path)) == [1.0] * 4 + [0.0] * 2 + [None]


def test_an_unknown_value_of_a_thumb_is_given_by_the_user(tmp_path):
    path = langfuse(tmp_path / "e.jsonl", ["up", "meh", "wow", "nah"])
    result = import_log("langfuse", path)
    assert feedback(result) == [1.0, None, None, None]
    assert [r for r in result.tables.rejected["reason"] if "'meh'" in r and "--unrated" in r]
    given = {"positive": ["wow"], "negative": ["nah"], "unrated": ["meh"]}
    result = import_log("langfuse", path, **given)
    assert feedback(result) == [1.0, None, 1.0, 0.0]
    assert result.summary["skipped"] == {"a thumb whose value means no feedback": 1}
    assert not result.tables.rejected.height


def test_the_command_takes_words_beside_channels(tmp_path, command):
    path = langfuse(tmp_path / "e.jsonl", ["wow", "nah", "wow"])
    words = ("import", "langfuse", path, "--out", tmp_path / "log")
    code, _, err = command(*words)
    assert code == 1
    assert "'wow' (2), 'nah' (1)" in err
    code, out, err = command(*words, "--positive", "wow", "--negative", "nah")
    assert code == 0, err
    assert "3 with feedback" in out


def test_a_value_that_never_occurs_is_refused(tmp_path):
    path = langfuse(tmp_path / "e.jsonl", ["up", "down"])
    with pytest.raises(UsageError, match=r"'uup' is no channel.*'down' \(1\), 'up' \(1\)"):
        import_log("langfuse", path, positive=["uup"])


def test_zero_is_neutral_where_minus_one_occurs(tmp_path):
    path = langfuse(tmp_path / "e.jsonl", [1, 0, -1])
    assert feedback(import_log("langfuse", path)) == [1.0, None, 0.0]
    path = langfuse(tmp_path / "e.jsonl", [1, 0, 1])
    assert feedback(import_log("langfuse", path)) == [1.0, 0.0, 1.0]


def test_the_meaning_of_zero_is_settled_in_one_reading(tmp_path, monkeypatch):
    path = langfuse(tmp_path / "e.jsonl", [0, 1, -1, 0])
    read = []
    stage = pipeline.stage
    monkeypatch.setattr(pipeline, "stage", lambda *given: read.append(given) or stage(*given))
    result = import_log("langfuse", path)
    assert len(read) == 1
    assert feedback(result) == [None, 1.0, 0.0, None]
    assert result.summary["skipped"] == {"a thumb whose value means no feedback": 2}
    assert result.tables.channels == {"thumbs_down": 1, "thumbs_up": 1}
    declared = import_log("langfuse", path, negative=["0"])
    assert feedback(declared) == [0.0, 1.0, 0.0, 0.0]


def test_a_mapped_name_that_never_occurs_is_refused_with_the_names_there_are(tmp_path, command):
    path = langfuse(tmp_path / "e.jsonl", ["up", "down"], name="thumb")
    out = tmp_path / "log"
    code, _, err = command("import", "langfuse", path, "--out", out, "--map", "thumbs=thump")
    assert code == 1
    assert "--map thumbs=thump" in err
    assert "'thumb' (2)" in err
    assert "write --map thumbs=thumb" in err
    assert not out.exists()


def test_scores_that_are_not_mapped_are_no_success(tmp_path, command):
    path = langfuse(tmp_path / "e.jsonl", ["up", "down", ...], name="my thumb")
    code, _, err = command("import", "langfuse", path, "--out", tmp_path / "log")
    assert code == 1
    assert "'my thumb' (2)" in err
    assert "--map 'thumbs=my thumb'" in err
    assert not (tmp_path / "log").exists()


def test_an_export_without_any_score_is_imported(tmp_path):
    path = langfuse(tmp_path / "e.jsonl", [..., ...])
    result = import_log("langfuse", path)
    assert feedback(result) == [None, None]
    assert any("no response has feedback" in note for note in result.notes)


def test_judges_alone_are_no_feedback_and_no_error():
    observations, scores = "langfuse_observations.jsonl", "langfuse_scores.jsonl"
    result = import_log("langfuse", [FIXTURES / observations, FIXTURES / scores])
    assert column(result, "judge")["obs-02"] == 0.9


def test_a_log_with_feedback_is_not_replaced_by_one_without(tmp_path):
    rated = langfuse(tmp_path / "rated.jsonl", ["up", ...])
    silent = langfuse(tmp_path / "silent.jsonl", [..., ...])
    out = tmp_path / "log"
    import_log("langfuse", rated, out)
    with pytest.raises(UsageError, match="has a log with feedback on 1 responses"):
        import_log("langfuse", silent, out)
    assert json.loads((out / "summary.json").read_text())["rated"] == 1
    import_log("langfuse", silent, tmp_path / "other")
    import_log("langfuse", rated, tmp_path / "other")  # the other way round is fine
    with pytest.raises(TruewardError):
        import_log("langfuse", langfuse(tmp_path / "x.jsonl", ["up"], name="z"), out)
