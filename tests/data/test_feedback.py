"""Row-aligned tensors: columns, rows, alignment, and the names a log has."""

import pytest
import torch

from trueward.core.errors import TruewardError
from trueward.data.capabilities import LogCapabilities
from trueward.data.export_scope import ExportScope
from trueward.data.feedback import Columns, Feedback, Labelled


def feedback(n=6, **columns):
    y = torch.tensor([1.0, 0, 0, 1, 0, 1])[:n]
    o = torch.tensor([1.0, 1, 0, 1, 0, 1])[:n]
    return Feedback(x=torch.arange(2.0 * n).view(n, 2), y=y, **({"o": o} | columns))


def test_columns_are_read_by_name_and_by_row():
    columns = Columns(a=torch.arange(3), b=torch.ones(3, 2))
    assert columns.a is columns["a"]
    at = columns[torch.tensor([[0, 2]])]
    assert at.a.tolist() == [[0, 2]]
    assert at.b.shape == (1, 2, 2)
    assert (columns | {"a": torch.zeros(3)}).a.sum() == 0
    with pytest.raises(AttributeError, match=r"no column 'c' among \['a', 'b'\]"):
        _ = columns.c


def test_a_batch_has_the_rows_of_every_column():
    b = feedback(gold=torch.arange(6.0), channels=Columns(copy=torch.arange(6.0)))
    rows = torch.tensor([4, 1])
    assert b[rows].gold.tolist() == [4.0, 1.0]
    assert b[rows].channels["copy"].tolist() == [4.0, 1.0]
    assert b[rows].z is None
    assert len(b[rows]) == 2


@pytest.mark.parametrize("name", ["o", "z", "gold", "group", "user", "weight", "gold_weight"])
def test_a_column_of_another_length_is_refused_by_name(name):
    with pytest.raises(TruewardError, match=f"6 rows of x, but {name} has 5"):
        feedback(**{name: torch.ones(5)})


def test_a_log_of_clicks_cannot_say_what_was_seen():
    assert feedback().seen.tolist() == [1, 1, 0, 1, 0, 1]
    with pytest.raises(TruewardError, match="clicks only"):
        _ = feedback(o=None).seen


def test_gold_labels_are_found_by_row():
    gold = torch.tensor([torch.nan, 1, torch.nan, 0, torch.nan, torch.nan])
    assert feedback(gold=gold).audited.tolist() == [1, 3]
    assert feedback().audited.tolist() == []


def test_a_gold_label_represents_its_rows_weight_over_its_chance_to_be_labelled():
    nan = torch.nan
    columns = {"gold": torch.tensor([nan, 1, nan, 0, nan, nan]), "weight": torch.arange(1.0, 7)}
    assert feedback(**columns).label_weight.tolist() == [0, 2, 0, 4, 0, 0]
    columns["gold_weight"] = torch.tensor([nan, 3, nan, 5, nan, nan])
    b = feedback(**columns)
    assert b.label_weight.tolist() == [0, 6, 0, 20, 0, 0]
    assert b.row_weight.tolist() == [1, 2, 3, 4, 5, 6]
    assert feedback().row_weight.tolist() == [1.0] * 6
    assert feedback().label_weight.tolist() == [0.0] * 6
    assert "gold_weight" in b.columns()
    with pytest.raises(TruewardError, match="1 of 2 such rows have none"):
        _ = feedback(**columns | {"gold_weight": torch.tensor([nan, 3] + [nan] * 4)}).label_weight


def test_a_split_keeps_prompts_whole():
    group = torch.tensor([0, 0, 1, 1, 2, 2])
    train, validation = feedback(group=group).split(0.34)
    assert (len(train), len(validation)) == (4, 2)
    assert not set(train.group.tolist()) & set(validation.group.tolist())


def test_moving_to_the_same_device_is_free():
    b = feedback()
    assert b.to(torch.device("cpu")) is b
    assert b.to(torch.device("meta")).x.device.type == "meta"


def test_labelled_rows_are_taken_alike():
    truth = Labelled(x=torch.ones(3, 2), r=torch.tensor([0.0, 1, 1]), backbone="{}")
    assert truth[torch.tensor([0, 2])].r.tolist() == [0, 1]
    assert truth[torch.tensor([0])].backbone == "{}"
    assert len(truth) == 3


def test_capabilities_count_rows_ratings_and_prompts():
    fires = torch.tensor([1.0] * 5 + [0.0])
    b = feedback(
        group=torch.tensor([0, 0, 1, 1, 2, 2]),
        gold=torch.tensor([1.0] + [torch.nan] * 5),
        channels=Columns(copy=fires, like=fires),
        eta=Columns(propensity=torch.ones(6)),
    )
    found = LogCapabilities.from_feedback(b)
    assert (found.rows, found.rated, found.good, found.prompts, found.gold) == (6, 4, 3, 3, 1)
    assert {"o", "gold", "group", "channels", "channel.copy", "propensity"} <= found.columns
    assert found.channels == ("copy", "like")
    assert {"unrated", "two channels"} <= found.offers
    constant = LogCapabilities.from_feedback(
        feedback(channels=Columns(copy=torch.ones(6), like=fires))
    )
    assert constant.constant_channels == {"copy"}
    assert "two channels" not in constant.offers


def test_clicks_are_ratings_of_one_kind():
    found = LogCapabilities.from_feedback(feedback(o=None))
    assert (found.rated, found.good) == (3, 3)
    assert "clicks" in found.columns
    assert "unrated" not in found.offers


def test_an_export_of_rated_responses_offers_no_unrated_ones():
    assert "unrated" in LogCapabilities.from_feedback(feedback()).offers
    scope = ExportScope("rated_only")
    assert "unrated" not in LogCapabilities.from_feedback(feedback(export_scope=scope)).offers
