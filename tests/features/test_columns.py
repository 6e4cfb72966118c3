"""The columns of a log or a test as tensors."""

import json

import polars as pl
import pytest
from helpers.text_logs import text_log

from trueward.data.truth import Test
from trueward.features import encode
from trueward.features.columns import encode_context, group_codes

MAX_CATEGORIES = 50  # one-hot columns of a context column


def test_a_log_is_encoded_as_feedback():
    table = text_log(
        ["p"] * 4,
        ["a", "b", "c", "d"],
        feedback=[1.0, 0.0, None, 1.0],
        prompt_id=["b", "a", "b", "c"],
        user_id=["u", None, "v", "u"],
        gold=[None, 1.0, None, 0.0],
        weight=[1.0, 2.0, None, 3.0],
        propensity=[0.1, 0.2, 0.3, 0.4],
        **{"channel.copy": [1.0, None, 0.0, None]},
    )
    data = encode(table)
    assert data.y.tolist() == [1, 0, 0, 1]
    assert data.o.tolist() == [1, 1, 0, 1]
    assert data.group.tolist() == [1, 0, 1, 2]
    assert data.user.tolist() == [0, -1, 1, 0]
    assert data.weight.tolist() == [1, 2, 1, 3]
    assert data.eta.propensity.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert data.gold.isnan().tolist() == [True, False, True, False]
    assert data.channels["copy"].isnan().tolist() == [False, True, False, True]
    assert data.z is None
    assert json.loads(data.backbone)["name"] == "wordllama"


def test_a_clicks_only_log_has_no_observation_indicator():
    data = encode(text_log(["p"] * 2, ["a", "b"], feedback=[1.0, None], prompt_id=["a", "b"]))
    assert data.o is None
    assert data.y.tolist() == [1, 0]


def test_a_test_is_encoded_as_labelled():
    frame = pl.DataFrame(
        {
            "prompt": ["p", "q"],
            "response": ["a", "b"],
            "prompt_id": ["1", "2"],
            "label": [1.0, 0.0],
            "rating": [5.0, 2.0],
        }
    )
    truth = encode(Test(frame, "test.csv"))
    assert truth.r.tolist() == [1, 0]
    assert truth.rating.tolist() == [5, 2]
    assert truth.group.tolist() == [0, 1]


def test_context_numbers_are_standardised_and_categories_one_hot():
    frame = pl.DataFrame(
        {
            "context.position": [1.0, 3.0, None],
            "context.device": ["phone", "desk", "phone"],
            "context.same": [2.0, 2.0, 2.0],
        }
    )
    z = encode_context(frame)
    # position: mean 2, standard deviation 1; a missing value is 0 and has an indicator
    assert z.tolist() == [[-1, 0, 1, 0, 0], [1, 0, 0, 1, 0], [0, 1, 1, 0, 0]]


def test_rare_categories_share_a_column():
    names = [str(i) for i in range(MAX_CATEGORIES)] * 2 + ["rare", "rarer", None]
    z = encode_context(pl.DataFrame({"context.city": names}))
    assert z.shape == (len(names), MAX_CATEGORIES + 2)
    assert z.sum(1).tolist() == [1] * len(names)
    assert z[-3:, -2].tolist() == [1, 1, 0]
    assert z[-3:, -1].tolist() == [0, 0, 1]


def test_the_number_of_an_id_does_not_depend_on_the_order_of_the_rows():
    assert group_codes(pl.Series(["b", None, "a", "b", None])).tolist() == [1, -1, 0, 1, -2]
    assert group_codes(pl.Series([None, "a", "b", "b", None])).tolist() == [-1, 0, 1, 1, -2]
