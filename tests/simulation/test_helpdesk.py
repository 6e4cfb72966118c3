"""The generated help desk: varied texts, with labels that are learnable but not from one word."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from trueward.core.errors import TruewardError, UsageError
from trueward.simulation import helpdesk, simulate
from trueward.simulation.helpdesk import ANSWERS, RATINGS, SHARES
from trueward.simulation.helpdesk_truth import kind_of, quality


@pytest.fixture(scope="module")
def world():
    return helpdesk()


@pytest.fixture(scope="module")
def good(world):
    return (world["rating"] > 2).cast(pl.Float64).to_numpy()


def test_every_question_is_different_and_has_different_answers(world):
    assert world.columns == ["prompt", "response", "rating", "prompt_id", "kind"]
    assert len(world) == 6000
    assert world["prompt"].n_unique() == world["prompt_id"].n_unique() == 1500
    assert world.select(pl.struct("prompt", "response").n_unique()).item() == 6000
    assert world["rating"].dtype == pl.Int64
    assert sorted(world["rating"].unique()) == [0, 1, 2, 3, 4]


def test_texts_have_no_placeholders_and_are_ascii(world):
    text = pl.concat([world["prompt"], world["response"]])
    assert not text.str.contains(r"[{}]").any()
    assert text.str.len_chars().min() >= 5
    assert (text.str.len_bytes() == text.str.len_chars()).all()
    assert (text == text.str.strip_chars()).all()


def test_the_kinds_have_shares_ratings_and_words():
    assert set(ANSWERS) == set(SHARES) == set(RATINGS)
    assert sum(SHARES.values()) == pytest.approx(1)
    for chances in RATINGS.values():
        assert sum(chances) == pytest.approx(1)


def test_the_kinds_come_in_the_order_of_their_quality(world):
    mean = dict(world.group_by("kind").agg(pl.col("rating").mean()).iter_rows())
    assert mean["complete"] > 3.5 > mean["terse"] > 2.7 > mean["partial"] > mean["off_topic"]
    assert mean["off_topic"] > mean["refusing"] > mean["rude"]
    assert min(world["kind"].value_counts()["count"]) > 100


def test_the_kind_does_not_determine_the_label(world, good):
    share = {k: chances[3] + chances[4] for k, chances in RATINGS.items()}
    known = roc_auc_score(good, world["kind"].replace_strict(share).to_numpy())
    assert 0.93 < known < 0.97


def test_a_text_model_learns_it_and_the_length_does_not_give_it_away(world, good):
    prompt = world["prompt_id"].str.slice(1).cast(pl.Int64).to_numpy()
    train, test = prompt < 1200, prompt >= 1200
    x = TfidfVectorizer(ngram_range=(1, 2), min_df=3).fit_transform(world["response"].to_list())
    model = LogisticRegression(C=3, max_iter=500).fit(x[train], good[train])
    words = roc_auc_score(good[test], model.predict_proba(x[test])[:, 1])
    assert words > 0.84
    length = world["response"].str.len_chars().to_numpy()
    alone = roc_auc_score(good, length)
    assert max(alone, 1 - alone) < 0.7


def test_no_single_word_gives_the_answer_away(world, good):
    said = [set(t.lower().split()) for t in world["response"]]
    common = [w for w in set().union(*said) if sum(w in s for s in said) > 300]
    for word in common:
        accuracy = np.mean(np.array([word in s for s in said]) == (good > 0))
        assert 0.2 < accuracy < 0.8, word


def test_a_larger_world_begins_with_the_smaller_and_the_seed_decides(world):
    assert_frame_equal(helpdesk(50), world.head(200))
    assert not helpdesk(50, seed=1)["prompt"].equals(world["prompt"].head(200))
    assert len(helpdesk(30, answers=7)) == 210


def test_sizes_out_of_range_are_errors():
    with pytest.raises(UsageError, match="n_prompts=0"):
        helpdesk(0)
    with pytest.raises(UsageError, match="answers=0"):
        helpdesk(5, answers=0)


def test_it_makes_a_world_with_both_classes_logged(world):
    made = simulate(world, gold=100, rho_01=0.1, rho_10=0.2)
    assert made.scenario["threshold"] == 2
    assert 0.4 < made.scenario["realised"]["prior"] < 0.55
    assert made.scenario["merged_duplicates"] == 0


# --- the truth of any text ----------------------------------------------------------------------


def test_kind_of_recovers_the_kind_of_every_answer(world):
    texts = helpdesk(400, seed=11)
    found = [kind_of(p, r) for p, r in texts.select("prompt", "response").iter_rows()]
    assert found == texts["kind"].to_list()
    share = {k: chances[3] + chances[4] for k, chances in RATINGS.items()}
    for prompt, response, kind in world.head(40).select("prompt", "response", "kind").iter_rows():
        assert quality(prompt, response) == share[kind]


QUESTION = "How do I reset my password in Parcelo?"
STEPS = (
    "open the Parcelo sign-in page and choose Forgot password",
    "enter the address of your account and send the form",
    "open the link in the message within thirty minutes; look in the spam folder too",
    "pick a new password of at least twelve characters",
    "sign out everywhere under Account Settings so that old devices lose access",
)
SHORT = "Use Forgot password on the sign-in page; the link is valid for thirty minutes."
LIST = [s[0].upper() + s[1:] + "." for s in STEPS]
VAGUE = "Parcelo has a number of options for this"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (" ".join(LIST), "complete"),
        (f" {' '.join(LIST[:4])}\n", "complete"),  # the last may be missing, and space is ignored
        ("Good question.\n" + "\n".join(f"- {s[:-1]}" for s in LIST), "complete"),
        (f"Happy to help. {SHORT} It takes effect at once.", "terse"),
        (f"{LIST[0]} {VAGUE}.", "partial"),
        (f"1. {VAGUE}.\n2. It is often a matter of the right permissions.", "vague"),
        ("I am only an assistant. I would rather not guess.", "refusing"),
        (f"It is really not that hard. {SHORT}", "rude"),
        ("Members in Dispatch Board, Invite, choose a role, send.", "off_topic"),
        (" ".join(LIST).replace("Parcelo", "Ledgerly"), "foreign"),  # not its settings
        (f"For Ledgerly. {SHORT}", "wrong_product"),
        (" ".join(LIST)[:150], "truncated"),
        (" ".join([LIST[1], LIST[0], *LIST[2:]]), "foreign"),  # out of order
        (" ".join([*LIST, LIST[4]]), "foreign"),  # twice
        (f"{SHORT} {SHORT}", "foreign"),
        (" ".join(LIST[:3]), "truncated"),
        (f"{' '.join(LIST[:3])} Have a good day!", "foreign"),
        ("Good question. Good question.", "foreign"),
        ("", "foreign"),
        ("Lorem ipsum.", "foreign"),
    ],
)
def test_kind_of_other_texts(text, kind):
    assert kind_of(QUESTION, text) == kind
    assert (quality(QUESTION, text) == 0) == (kind in ("foreign", "rude"))


def test_a_question_outside_the_help_desk_is_an_error():
    with pytest.raises(TruewardError, match="one product and one task"):
        quality("What is two plus five?", "seven")
