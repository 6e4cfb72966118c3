"""Comparisons of a log: layouts that others publish, pairs by row number, and what is left out."""

from dataclasses import replace

import polars as pl
import pytest
import torch

import trueward as tw
from trueward.data.capabilities import LogCapabilities
from trueward.data.comparisons import Pairs
from trueward.data.feedback import Feedback
from trueward.data.pair_tensors import style

ASK = {"role": "user", "content": "Hi"}


def answer(text):
    return {"role": "assistant", "content": text}


def log_of_two_prompts(**more):
    rows = {
        "prompt": ["a", "a", "a", "b", "b"],
        "response": ["1", "2", "3", "1", "4"],
        "feedback": [1, None, 0, 1, None],
    }
    return pl.DataFrame({**rows, **more})


def pairs_of(rows, names=("prompt", "chosen", "rejected"), **how):
    return tw.read_log(
        log_of_two_prompts(), pairs=pl.DataFrame(rows, schema=list(names), orient="row"), **how
    ).pairs


def sides(log):
    """(prompt, winner, loser) of every pair."""
    texts = log.frame["response"]
    own = zip(log.pairs.frame["winner"], log.pairs.frame["loser"], strict=True)
    return [(log.frame["prompt"][w], texts[w], texts[lo]) for w, lo in own]


@pytest.mark.parametrize(
    "rows",
    [
        {"prompt": ["Hi"], "chosen": ["Hello"], "rejected": ["No"]},
        {"prompt": ["Hi"], "chosen": [[answer("Hello")]], "rejected": [[answer("No")]]},
        {"prompt": [[ASK]], "chosen": [[answer("Hello")]], "rejected": [[answer("No")]]},
        {"chosen": [[ASK, answer("Hello")]], "rejected": [[ASK, answer("No")]]},
        {
            "prompt": ["Hi"],
            "chosen": [[ASK, answer("Hello")]],
            "rejected": [[ASK, answer("No")]],
            "score_chosen": [8.0],
            "score_rejected": [3.0],
        },
        {
            "chosen": ["\n\nHuman: Hi\n\nAssistant: Hello"],
            "rejected": ["\n\nHuman: Hi\n\nAssistant: No"],
        },
        {
            "model_a": ["x"],
            "model_b": ["y"],
            "winner": ["model_b"],
            "conversation_a": [[ASK, answer("No")]],
            "conversation_b": [[ASK, answer("Hello")]],
        },
        {
            "prompt": ["Hi"],
            "response_a": ["Hello"],
            "response_b": ["No"],
            "winner_model_a": [1],
            "winner_model_b": [0],
            "winner_tie": [0],
        },
        {
            "prompt": ["Hi"],
            "response_0": ["No"],
            "response_1": ["Hello"],
            "better_response_id": [1],
        },
    ],
    ids="texts messages conversational implicit ultrafeedback transcript arena kaggle numbered".split(),  # noqa: SIM905
)
def test_every_published_layout_gives_the_same_pair(rows):
    log = tw.read_log(None, pairs=pl.DataFrame(rows, strict=False))
    assert sides(log) == [("Hi", "Hello", "No")]
    assert log.regime == "pairs"
    assert log.frame["feedback"].null_count() == 2


def test_a_conversation_is_cut_after_the_turns_that_both_sides_share():
    long = [ASK, answer("Hello"), {"role": "user", "content": "More?"}]
    rows = {"chosen": [[*long, answer("Yes")]], "rejected": [[*long, answer("No")]]}
    log = tw.read_log(None, pairs=pl.DataFrame(rows))
    assert sides(log) == [("user: Hi\nassistant: Hello\nuser: More?", "Yes", "No")]


def test_battles_keep_models_ties_users_and_who_was_shown_first():
    rows = {
        "model_a": ["x", "x", "y"],
        "model_b": ["y", "y", "x"],
        "winner": ["model_a", "tie (bothbad)", "model_b"],
        "judge": ["ann", "ann", "bob"],
        "conversation_a": [[ASK, answer(t)] for t in ("1", "2", "3")],
        "conversation_b": [[ASK, answer(t)] for t in ("4", "5", "6")],
    }
    log = tw.read_log(None, pairs=pl.DataFrame(rows))
    assert log.pairs.frame["tie"].to_list() == [0, 1, 0]
    assert log.pairs.frame["position"].to_list() == [1, 1, -1]
    assert log.pairs.frame["user_id"].to_list() == ["ann", "ann", "bob"]
    assert [log.frame["model"][w] for w in log.pairs.frame["winner"]] == ["x", "x", "x"]


def test_pairs_of_an_import_name_responses_by_id(tmp_path):
    pl.DataFrame({"winner_id": ["r2"], "loser_id": ["r0"], "source": ["user"]}).write_parquet(
        tmp_path / "pairs.parquet"
    )
    table = log_of_two_prompts(response_id=[f"r{i}" for i in range(5)])
    log = tw.read_log(table, pairs=tmp_path)
    assert sides(log) == [("a", "3", "1")]
    with pytest.raises(tw.TruewardError, match="no column response_id"):
        tw.read_log(log_of_two_prompts(), pairs=tmp_path)


def test_pairs_that_cannot_be_used_are_counted_by_reason_and_the_rest_is_kept():
    names = ("prompt", "chosen", "rejected", "user_id", "weight")
    rows = [
        ("a", "1", "2", "ann", 1.0),
        ("a", "1", "2", "ann", 1.0),  # repeated
        ("a", "2", "3", "bob", 1.0),
        ("a", "3", "2", "bob", 1.0),  # both ways
        ("a", "1", "1", "ann", 1.0),  # itself
        ("a", "1", "9", "ann", 1.0),  # unknown
        ("c", "1", "2", "ann", 1.0),  # unknown prompt
        ("b", "1", "4", "ann", 0.0),  # no weight
        ("b", "4", "1", None, 1.0),
        ("b", "4", "1", None, 1.0),  # two unknown users may agree
    ]
    pairs = pairs_of(rows, names)
    assert pairs.left_out == {
        "the log does not have one of their responses, word by word": 2,
        "they compare a response with itself": 1,
        "their weight is not above 0": 1,
        "one user decided them both ways": 2,
        "they repeat what the same user said": 1,
    }
    assert len(pairs) + sum(pairs.left_out.values()) == len(rows)
    assert pairs.frame["winner"].to_list() == [0, 4, 4]
    assert pairs.notes()[0].startswith("2 of 10 comparisons of ")


def test_ids_of_two_prompts_and_equal_texts_are_left_out():
    table = log_of_two_prompts(response_id=[f"r{i}" for i in range(5)])
    table = table.with_columns(response=pl.Series(["1", "1", "3", "1", "4"]))
    ids = {"winner_id": ["r0", "r0", "r2"], "loser_id": ["r3", "r1", "r0"]}
    assert tw.read_log(table, pairs=pl.DataFrame(ids)).pairs.left_out == {
        "their responses answer two prompts": 1,
        "their two responses are the same text": 1,
    }


def test_no_usable_pair_is_an_error_that_says_why():
    with pytest.raises(tw.TruewardError, match=r"no comparison that can be used \(1: the log does"):
        pairs_of([("a", "1", "9")])
    with pytest.raises(tw.TruewardError, match="repair or drop"):
        pairs_of([("a", "1", "2", "sideways")], ("prompt", "chosen", "rejected", "position"))
    with pytest.raises(tw.TruewardError, match="chosen"):
        tw.read_log(log_of_two_prompts(), pairs=pl.DataFrame({"prompt": ["a"], "better": ["1"]}))


def test_few_pairs_one_winning_side_and_gold_of_a_judge_are_told():
    names = ("prompt", "chosen", "rejected", "position", "source", "gold")
    few = pairs_of([("a", "1", "2", "first", "judge", 1)] * 3, names)
    assert few.frame["gold"].to_list() == [0, 0, 0]
    told = " ".join(few.notes())
    assert "3 comparisons by a judge are marked gold" in told
    assert "source judge has 3 comparisons, and 20 are needed" in told
    many = pairs_of([("a", "1", "2", "left", "battle", None)] * 20, names)
    assert "all 20 comparisons of source battle" in many.notes()[0]


def test_rejected_responses_with_the_higher_score_are_left_out_and_equal_scores_are_ties():
    names = ("prompt", "chosen", "rejected", "score_chosen", "score_rejected")
    rows = [("a", "1", "2", 5.0, 1.0), ("a", "2", "3", 4.0, 4.0), ("a", "1", "3", 1.0, 2.0)]
    pairs = pairs_of(rows, names)
    assert pairs.frame["tie"].to_list() == [0, 1]
    assert pairs.left_out == {"the rejected response has the higher score": 1}


# by row number
def four():
    return Pairs.of(torch.tensor([5, 0, 2, 0]), torch.tensor([4, 1, 0, 2]))


def test_pairs_follow_their_rows_and_vanish_without_one_of_them():
    pairs = four()
    assert pairs.winner.tolist() == [0, 0, 2, 5]
    part = pairs[torch.tensor([2, 0, 4])]
    assert list(zip(part.winner.tolist(), part.loser.tolist(), strict=True)) == [(0, 1), (1, 0)]
    assert len(pairs[torch.arange(0)]) == 0
    assert pairs[torch.tensor([0, 0, 1, 1])].loser.tolist() == [2], "of a repeated row the first"


def test_any_order_of_rows_and_of_pairs_gives_the_same_feedback():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(6, 2, generator=g)
    data = Feedback(x, torch.zeros(6), torch.zeros(6), group=torch.arange(6) // 3, pairs=four())
    i = torch.tensor([4, 2, 0, 5, 1, 3])
    moved = data[i]
    back = moved[moved.row_order()], data[data.row_order()]
    for name, column in back[0].pairs.columns().items():
        assert name == "user" or torch.equal(column, getattr(back[1].pairs, name)), name
    assert torch.equal(back[0].x, back[1].x)


def test_wrong_pairs_are_refused():
    with pytest.raises(tw.TruewardError, match="row 1 twice"):
        Pairs.of(torch.tensor([1]), torch.tensor([1]))
    with pytest.raises(tw.TruewardError, match="rows from 0 to 2, but one names row 5"):
        Feedback(torch.zeros(3, 1), torch.zeros(3), pairs=four())
    with pytest.raises(tw.TruewardError, match="tie has 2"):
        Pairs.of(torch.tensor([1]), torch.tensor([0]), tie=torch.zeros(2))


def test_style_counts_characters_and_markdown():
    texts = pl.Series(["", "# One\n- two\n1. three **four** five", "plain"])
    assert style(texts)[:, 1].expm1().round().tolist() == [0, 4, 0]
    assert style(texts)[:, 0].expm1().round().tolist() == [0, 34, 5]


def test_inspect_takes_comparisons_alone_as_a_log_of_its_own():
    rows = {"prompt": ["a", "b", "c"], "chosen": ["1", "2", "3"], "rejected": ["4", "5", "6"]}
    inspection = tw.inspect(tw.read_log(None, pairs=pl.DataFrame(rows)))
    assert not [f for f in inspection.findings if f.severity == "error"]
    assert "pairs" in str(inspection).splitlines()[0]


def test_a_log_and_its_tensors_have_the_same_capabilities():
    names = ("prompt", "chosen", "rejected", "position")
    rows = [("a", "1", "2", "first"), ("a", "2", "3", "second"), ("b", "4", "1", None)]
    table = pl.DataFrame(rows, schema=list(names), orient="row")
    log = tw.read_log(log_of_two_prompts(), pairs=table)
    data = tw.encode(log, cache=False)
    assert LogCapabilities.from_log(log) == LogCapabilities.from_feedback(data)
    assert data.pairs.styles == ("length", "markdown")
    assert "pairs" not in replace(data, pairs=None).columns()
