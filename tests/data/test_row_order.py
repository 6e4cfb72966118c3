"""The canonical order of rows: by prompt, then by what they hold, whatever order they are given in."""

from dataclasses import replace

import torch

from trueward.data.feedback import Columns, Feedback
from trueward.data.row_order import row_digests


def rows(x, y=None, **columns):
    x = torch.tensor(x)
    return Feedback(x, torch.zeros(len(x)) if y is None else torch.tensor(y), **columns)


def test_rows_are_ordered_by_prompt_then_by_a_digest_of_their_features():
    b = rows([[3.0], [1.0], [2.0], [0.0]], group=torch.tensor([9, 9, 4, 9]))
    assert b.row_order().tolist() == [2, 3, 1, 0]


def test_without_prompts_the_features_alone_give_the_order():
    assert rows([[3.0], [1.0], [2.0]]).row_order().tolist() == [1, 2, 0]


def test_equal_features_are_ordered_by_the_other_columns():
    g = torch.Generator().manual_seed(0)
    b = Feedback(
        torch.ones(60, 3),
        (torch.rand(60, generator=g) < 0.5).float(),
        o=(torch.rand(60, generator=g) < 0.5).float(),
        z=torch.rand(60, 2, generator=g),
        channels=Columns({"copy": torch.where(torch.rand(60, generator=g) < 0.5, 1.0, torch.nan)}),
        group=torch.arange(60) // 30,
    )
    moved = b[torch.randperm(60, generator=g)]
    one, other = b[b.row_order()], moved[moved.row_order()]
    for name in ("y", "o", "z", "group"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert torch.equal(one.channels["copy"].isnan(), other.channels["copy"].isnan())


def test_features_with_equal_digests_are_ordered_by_their_bits():
    # a digest is a sum of cosines times the features: 2^-60 beside 1 is lost in it
    b = rows([[1.0, 2.0**-60], [1.0, 2.0**-61], [1.0, 0.0]])
    assert len(row_digests(b.x).unique()) == 1
    orders = []
    for moved in (b, b[torch.tensor([2, 0, 1])], b[torch.tensor([1, 2, 0])]):
        orders.append(moved.x[moved.row_order()])
    assert torch.equal(orders[0], orders[1])
    assert torch.equal(orders[0], orders[2])


def test_the_number_of_an_unknown_user_gives_no_order():
    b = rows([[1.0], [1.0], [1.0]], [1.0, 0.0, 1.0], user=torch.tensor([-1, -2, 5]))
    other = replace(b[torch.tensor([1, 0, 2])], user=torch.tensor([-1, -2, 5]))
    assert torch.equal(b.y[b.row_order()], other.y[other.row_order()])


def test_the_digest_of_a_row_does_not_depend_on_the_other_rows():
    g = torch.Generator().manual_seed(1)
    for n, kind in ((501, torch.float32), (300, torch.float16), (257, torch.bfloat16)):
        x = torch.randn(n, 37, generator=g).to(kind)
        order = torch.randperm(n, generator=g)
        assert torch.equal(row_digests(x)[order], row_digests(x[order]))
