"""Worlds with thumbs and comparisons: battles of equals, and regenerations after bad responses."""

import numpy as np
import polars as pl
import pytest

import trueward as tw
from trueward.simulation import helpdesk, simulate


@pytest.fixture(scope="module")
def rated():
    return helpdesk(600, seed=3)


def joined(world):
    """The comparisons with the true ratings of both sides."""
    truth = world.truth.select("rating", response_id=world.log["response_id"])
    pairs = world.pairs
    for side in ("winner", "loser"):
        names = {"rating": f"rating_{side}", "response_id": f"{side}_id"}
        pairs = pairs.join(truth.rename(names), on=f"{side}_id", how="left")
    return pairs


def test_battles_are_of_equals_and_their_propensity_is_logged(rated):
    world = simulate(rated, mechanism="battles", alpha=0.5, seed=1)
    pairs = joined(world)
    gap = (pairs["rating_winner"] - pairs["rating_loser"]).abs()
    # P(compared) falls with the gap, by alpha a step of the rating; water-filling keeps it at most 1
    by_gap = pairs.group_by(gap.alias("gap")).agg(pl.col("propensity").unique()).sort("gap")
    assert all(len(p) == 1 for p in by_gap["propensity"])
    chances = by_gap["propensity"].explode().to_list()
    assert chances == sorted(chances, reverse=True)
    assert 0 < chances[-1] < chances[0] <= 1
    # 1 / propensity counts all couples: two responses of a prompt each
    couples = sum(n // 2 for n in world.log["prompt_id"].value_counts()["count"])
    assert (1 / pairs["propensity"]).sum() == pytest.approx(couples, rel=0.1)
    assert 0.5 < (pairs.filter(pl.col("tie") == 0)["position"] > 0).mean() < 0.75
    assert 0 < pairs["tie"].mean() < 0.25


def test_some_users_always_prefer_the_second(rated):
    world = simulate(rated, mechanism="battles", seed=1)
    decided = world.pairs.filter(pl.col("tie") == 0)
    users = decided.group_by("user_id").agg(pl.col("position").max(), pl.len())
    one_sided = users.filter((pl.col("position") < 0) & (pl.col("len") >= 5))
    assert 0 < one_sided.height / users.height < 0.35
    log = tw.read_log(world.log, pairs=world.pairs)
    assert log.pairs.counts == {"battle": world.pairs.height}


def test_a_regeneration_is_a_channel_of_the_first_and_a_comparison_with_the_new(rated):
    world = simulate(rated, mechanism="regenerations", alpha=0.5, seed=1)
    pairs, fired = joined(world), world.log["channel.regenerate"]
    assert fired.sum() == pairs.height == world.scenario["pairs"]
    first = np.where(pairs["position"] > 0, pairs["winner_id"], pairs["loser_id"])
    assert set(first) == set(world.log.filter(fired > 0)["response_id"])
    # bad first responses are regenerated more often, and the new one is then kept more often
    rate = world.truth.with_columns(fired=fired).filter(pl.col("propensity.regenerate") > 0)
    rates = rate.group_by("rating").agg(pl.col("propensity.regenerate").mean()).sort("rating")
    np.testing.assert_allclose(np.diff(np.log2(rates["propensity.regenerate"])), -1)
    assert (pairs["position"] < 0).mean() > 0.6


def test_a_written_world_is_read_with_its_comparisons(rated, tmp_path):
    folder = simulate(rated, mechanism="regenerations", seed=1).write(tmp_path / "world")
    log = tw.read_log(folder / "log.parquet", pairs=folder / "pairs.parquet")
    assert log.pairs.counts["regenerate"] == len(log.pairs)
    assert not log.pairs.left_out
    simulate(rated, mechanism="mcar", seed=1).write(tmp_path / "world")
    assert not (tmp_path / "world" / "pairs.parquet").exists()


def test_prompts_with_one_response_have_no_comparisons():
    table = pl.DataFrame(
        {"prompt": [f"p{i}" for i in range(20)], "response": [f"r{i}" for i in range(20)]}
    )
    table = table.with_columns(rating=pl.Series([1.0, 5.0] * 10))
    for name in ("battles", "regenerations"):
        assert simulate(table, mechanism=name).pairs.height == 0
