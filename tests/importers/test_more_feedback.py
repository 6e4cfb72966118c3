"""Feedback at other places and in other words: comparisons, steps of a turn, flags."""

import csv

import pytest
from helpers.chat_records import chat_gpt
from helpers.product_exports import column, lines

from trueward.core.errors import TruewardError
from trueward.importers import import_log


def text(words):
    return {"content_type": "text", "parts": [words]}


def conversation(*more, current="b"):
    nodes = [chat_gpt("a", None, "user", text("Fruit?"))]
    nodes += [chat_gpt("b", "a", "assistant", text("Fig.")), *more]
    return {"conversation_id": "c", "title": "t", "current_node": current, "mapping": dict(nodes)}


def rating(about, value, time="2026-01-01T00:00:00", name=None):
    ids = {"message_id": about, "conversation_id": "c", "user_id": "u", "id": name or about}
    return ids | {"rating": value, "content": "{}", "create_time": time}


def comparison(choice, new="d", original="b"):
    said = {"completion_comparison_rating": choice, "new_completion_placement": "not-applicable"}
    said |= {"new_turn": [{"id": new}], "original_turn": [{"id": original}]}
    ids = {"id": "k", "user_id": "u", "create_time": "2026-01-01T00:00:00", "metadata": {}}
    return ids | {"input": {"conversation_id": "c"}, "output": {"feedback_step_2": said}}


@pytest.mark.parametrize(
    ("choice", "pairs"),
    [("new", [("d", "b")]), ("original", [("b", "d")]), ("same", [("b", "d")])],
)
def test_chat_gpt_comparisons_of_two_answers(choice, pairs, tmp_path):
    chat = conversation(chat_gpt("d", "a", "assistant", text("Plum.")), current="d")
    result = import_log("auto", lines(tmp_path / "c.jsonl", [chat, comparison(choice)]))
    found = result.pairs.select("winner_id", "loser_id").rows()
    assert found == [(f"chatgpt:c/{won}", f"chatgpt:c/{lost}") for won, lost in pairs]
    assert result.pairs["tie"].to_list() == [float(choice == "same")]
    assert len(set(result.pairs["user_id"])) == 1
    assert result.pairs["user_id"].null_count() == 0
    assert result.tables.events.filter(channel="preferred").height == 2


def test_chat_gpt_comparisons_that_cannot_be_read(tmp_path):
    rows = [
        conversation(),
        comparison("new"),
        comparison("better", "b", "b"),
        rating("b", "thumbs_up"),
    ]
    result = import_log("auto", lines(tmp_path / "c.jsonl", rows))
    assert result.tables.rejected["line"].to_list() == [2, 3]
    assert column(result, "feedback") == {"b": 1.0}


def test_chat_gpt_other_files_of_the_export_are_skipped(tmp_path):
    lines(tmp_path / "user.jsonl", [{"id": "u", "email": "a@b.org", "chatgpt_plus_user": False}])
    shared = {"id": "s", "conversation_id": "c", "title": "t", "is_anonymous": True}
    lines(tmp_path / "shared_conversations.jsonl", [shared])
    lines(tmp_path / "conversations.jsonl", [conversation(), rating("b", "thumbs_down")])
    result = import_log("auto", tmp_path)
    assert column(result, "feedback") == {"b": 0.0}
    assert result.summary["skipped"] == {"another file of the export (user, shared links)": 2}
    assert not result.tables.rejected.height


def test_chat_gpt_a_rating_of_a_step_is_about_the_answer_after_it(tmp_path):
    call = chat_gpt("e", "d", "assistant", text("search('fig')"), recipient="browser")
    tool = chat_gpt("f", "e", "tool", {"content_type": "tether_quote", "text": "Figs."})
    more = [chat_gpt("d", "b", "user", text("Sure?")), call, tool]
    more.append(chat_gpt("g", "f", "assistant", text("Yes.")))
    rows = [conversation(*more, current="g"), rating("e", "thumbs_down"), rating("zz", "thumbs_up")]
    result = import_log("auto", lines(tmp_path / "c.jsonl", rows))
    assert column(result, "feedback") == {"b": None, "g": 0.0}
    assert result.tables.rejected["line"].to_list() == [3]


def test_chat_gpt_the_later_of_two_ratings_counts(tmp_path):
    later = rating("b", "thumbs_down", "2026-01-02T00:00:00", "y")
    rows = [conversation(), later, rating("b", "thumbs_up", name="x")]
    result = import_log("auto", lines(tmp_path / "c.jsonl", rows))
    assert column(result, "feedback") == {"b": 0.0}


def flagged(path, *flags):
    rows = [[f"q{i}", f"a{i}", flag, f"2026-03-02 09:00:0{i}"] for i, flag in enumerate(flags)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["prompt", "output", "flag", "timestamp"], *rows])
    return path


def test_gradio_flags_in_words_of_the_application(tmp_path):
    path = flagged(tmp_path / "log.csv", "\N{THUMBS UP SIGN}", "Not helpful", "Silly", "Odd")
    result = import_log("gradio", path)
    assert result.log["feedback"].to_list() == [1.0, 0.0, None, None]
    assert result.summary["skipped"]["the flag 'Silly' has no known meaning"] == 1
    result = import_log("gradio", path, negative=["silly"], unrated=["odd"])
    assert result.log["feedback"].to_list() == [1.0, 0.0, 0.0, None]


def test_gradio_flags_without_a_known_meaning_are_asked_about(tmp_path):
    path = flagged(tmp_path / "log.csv", "Silly", "Odd", "Silly")
    with pytest.raises(TruewardError, match=r"'silly' .2., 'odd' .1.\. Give their meaning"):
        import_log("gradio", path)
