"""The walk over a method's nuisances: logged columns stay, others are asked for in order, all are clipped."""

import pytest
import torch
from helpers.toy import toy

from trueward.data.feedback import Columns
from trueward.estimation.nuisance_types import Computed, Derived, Nuisance
from trueward.model.nuisance_columns import fill_nuisances

PROPENSITY = Nuisance(name="propensity", target=lambda b: b.o, clip=0.1)
MEAN = Derived("mean", ("mean_propensity",), lambda b, _seed: ({"mean_propensity": 0.25}, {}))
LEVEL = Computed(
    "level",
    ("level",),
    lambda _train, _val, _seed: ({"shift": torch.tensor(1.0)}, {}),
    lambda at, b: {"level": b.eta.mean_propensity + at["shift"]},
)


class Values:
    """Gives the same values on every split, and records what was asked for."""

    def __init__(self):
        self.names = []

    def probabilities(self, nuisance, splits):
        self.names.append(nuisance.name)
        return [torch.full_like(rows.y, 0.05) for rows in splits]

    def parameters(self, nuisance, splits):
        self.names.append(nuisance.name)
        given = nuisance.compute if isinstance(nuisance, Derived) else nuisance.fit
        values = given(*splits[:1], 0) if isinstance(nuisance, Derived) else given(*splits, 0)
        return {k: torch.as_tensor(v) for k, v in values[0].items()}

    def rows(self, _nuisance, splits):
        return splits


def splits():
    one, two = toy(8), toy(5, seed=1)
    return tuple(d.__class__(d.x, d.y, d.o) for d in (one, two))


def test_every_split_has_the_columns_of_every_nuisance_in_order():
    values = Values()
    train, val = fill_nuisances((PROPENSITY, MEAN, LEVEL), splits(), values)
    assert values.names == ["propensity", "mean", "level"]
    for rows in (train, val):
        assert rows.eta.propensity.unique().tolist() == pytest.approx([0.1])
        assert rows.eta.level.unique().tolist() == pytest.approx([1.25])


def test_a_logged_column_is_clipped_and_not_asked_for():
    values = Values()
    logged = tuple(
        d.__class__(d.x, d.y, d.o, eta=Columns(propensity=0.04 + d.y, mean_propensity=d.y))
        for d in splits()
    )
    train, _ = fill_nuisances((PROPENSITY, MEAN), logged, values)
    assert values.names == []
    assert torch.equal(train.eta.propensity, (0.04 + train.y).clamp(min=0.1))
    assert torch.equal(train.eta.mean_propensity, train.y)


def test_the_last_columns_can_be_left_out():
    values = Values()
    train, _ = fill_nuisances((PROPENSITY, MEAN, LEVEL), splits(), values, apply_last=False)
    assert values.names[-1] == "level"
    assert "level" not in train.eta
