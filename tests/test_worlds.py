"""Simulated worlds: who reacts, what is flipped, what is logged, and what is kept apart."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal, assert_series_equal

from trueward.errors import TruewardError, UsageError
from trueward.worlds import MECHANISMS, simulate, water_fill
from trueward.worlds.noise import flips
from trueward.worlds.selection import Rated, mechanism_named

SHARES = (0.04, 0.065, 0.20, 0.41, 0.285)  # of the ratings 0 to 4, n = 1000 rows


def rows_of(ratings):
    """Rated rows on 200 prompts or fewer, all different."""
    n = len(ratings)
    return pl.DataFrame(
        {
            "prompt": [f"question {i % max(2, n // 5)}" for i in range(n)],
            "response": [f"answer {i}{'!' * (i % 7)}" for i in range(n)],
            "rating": list(ratings),
        }
    )


@pytest.fixture(scope="module")
def rated():
    return rows_of(np.random.default_rng(0).choice(5, size=2000, p=SHARES).tolist())


def graded():
    """The 1000 rows of the reference shares, on [1, 5]."""
    rating = np.repeat(np.arange(5), np.round(1000 * np.array(SHARES)).astype(int)) + 1.0
    return Rated(rating, (rating > 3).astype(float), lambda: np.zeros((1000, 1)))


def chance_by_rating(alpha, rate):
    r = graded()
    p = MECHANISMS["rating"](r, alpha, rate, np.random.default_rng(0)).propensity
    return r, p, [p[r.rating == k].mean() for k in range(1, 6)]


# --- water-filling -------------------------------------------------------------------------------


def test_the_heaviest_row_saturates_and_the_others_share_the_rest():
    # Half of 4 rows is 2: k = 2/13 would give the first 20/13 > 1, so it is 1 and k = 1/3.
    np.testing.assert_allclose(water_fill(np.array([10.0, 1, 1, 1]), 0.5), [1, 1 / 3, 1 / 3, 1 / 3])


def test_no_row_saturates_when_none_needs_to():
    np.testing.assert_allclose(water_fill(np.array([1.0, 2, 5]), 0.2), [0.075, 0.15, 0.375])


def test_a_rate_of_one_takes_every_row():
    np.testing.assert_array_equal(water_fill(np.array([1e-9, 3.0, 2.0]), 1.0), [1, 1, 1])


@pytest.mark.parametrize("seed", range(20))
def test_water_filling_keeps_the_rate_the_order_and_the_bound(seed):
    rng = np.random.default_rng(seed)
    w = np.exp(rng.normal(0, 3, size=int(rng.integers(1, 200))))
    rate = float(rng.uniform(0.01, 1))
    p = water_fill(w, rate)
    assert p.max() <= 1
    assert p.mean() == pytest.approx(rate, abs=1e-9)
    below = p < 1
    if below.any():  # min(1, k w) with one k
        k = p[below] / w[below]
        np.testing.assert_allclose(k, k[0], rtol=1e-9)
        assert (k[0] * w[~below] >= 1 - 1e-9).all()


@pytest.mark.parametrize(
    ("weights", "rate"),
    [([1.0, 0.0, 0.0], 0.5), ([1.0, -1.0], 0.5), ([1.0, np.nan], 0.5), ([1.0], 0.0), ([1.0], 1.5)],
)
def test_weights_that_cannot_reach_the_rate_are_refused(weights, rate):
    with pytest.raises(UsageError):
        water_fill(np.array(weights), rate)


# --- mechanisms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alpha", "rate", "expected", "ratio"),
    [
        (0.5, 0.2, (0.023, 0.045, 0.091, 0.182, 0.363), 3.6),
        (0.5, 0.5, (0.057, 0.114, 0.227, 0.454, 0.908), 3.6),
        (0.2, 0.2, (0.001, 0.004, 0.021, 0.107, 0.533), 18.8),
        (0.2, 0.5, (0.004, 0.019, 0.095, 0.475, 1.0), 10.3),
        (0.1, 0.2, (0.000, 0.001, 0.006, 0.061, 0.610), 69),
        (0.05, 0.2, (0.000, 0.000, 0.002, 0.033, 0.654), 264),
    ],
)
def test_the_reference_shares_give_the_reference_chances(alpha, rate, expected, ratio):
    r, p, by_rating = chance_by_rating(alpha, rate)
    np.testing.assert_allclose(by_rating, expected, atol=0.00051)
    found = p[r.label > 0].mean() / p[r.label == 0].mean()
    assert found == pytest.approx(ratio, rel=0.015)


def test_under_strong_selection_most_thumbs_down_are_wrong():
    r, p, _ = chance_by_rating(0.2, 0.2)
    bad = (p * (r.label == 0)).sum() * (1 - 0.2)
    wrong = (p * (r.label == 1)).sum() * 0.1
    assert bad / (bad + wrong) == pytest.approx(0.16, abs=0.005)


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_every_mechanism_meets_its_rate_with_chances_of_at_most_one(name, rated):
    world = simulate(rated, mechanism=name, rate=0.3)
    p = world.truth["propensity"].to_numpy()
    assert p.min() >= 0
    assert p.max() <= 1
    of = world.truth["propensity.copy"] if name == "two_channel" else world.truth["propensity"]
    assert of.mean() == pytest.approx(0.3)


def test_all_mechanisms_are_found_by_name_with_hyphens_or_underscores():
    assert set(MECHANISMS) == {
        "mcar", "rating", "annoyed", "u_shaped", "label", "mar", "context", "implicit",
        "two_channel",
    }  # fmt: skip
    assert mechanism_named("u-shaped") == mechanism_named("u_shaped") == "u_shaped"
    with pytest.raises(UsageError, match=r"no mechanism 'nonsense'.*mcar, rating"):
        mechanism_named("nonsense")


def test_alpha_one_is_no_selection(rated):
    for name in ("rating", "annoyed", "u_shaped", "label", "mar", "context"):
        p = simulate(rated, mechanism=name, alpha=1.0).truth["propensity"]
        np.testing.assert_allclose(p, 0.2)


def test_label_selection_has_two_chances_in_the_ratio_alpha_squared(rated):
    truth = simulate(rated, mechanism="label", alpha=0.5).truth
    m = truth.group_by("label").agg(pl.col("propensity").unique()).sort("label")["propensity"]
    (m_0,), (m_1,) = m.to_list()
    assert m_0 == pytest.approx(0.25 * m_1)


def test_signs_of_the_selections_on_ratings(rated):
    def mean_chances(name):
        truth = simulate(rated, mechanism=name, rate=0.1).truth
        return (
            truth.group_by("rating")
            .agg(pl.col("propensity").mean())
            .sort("rating")["propensity"]
            .to_list()
        )

    liked, annoyed, strong = (mean_chances(m) for m in ("rating", "annoyed", "u_shaped"))
    np.testing.assert_allclose(np.divide(liked[1:], liked[:-1]), 2)
    np.testing.assert_allclose(np.divide(annoyed[1:], annoyed[:-1]), 0.5)
    np.testing.assert_allclose(np.array(strong) / strong[2], [4, 2, 1, 2, 4])


def test_context_alone_decides_and_is_logged(rated):
    world = simulate(rated, mechanism="context", alpha=0.5)
    assert world.log.schema["context.device"] == pl.String
    assert world.log.schema["context.position"] == pl.Float64
    both = world.log.hstack(world.truth)
    cost = both["context.device"].replace_strict({"desktop": 0.0, "tablet": 1.0, "phone": 2.0})
    k = both["propensity"] / 0.5 ** (cost + (both["context.position"] - 1) / 2)
    np.testing.assert_allclose(k, k[0])


def test_features_decide_under_mar_and_may_be_given(rated):
    x = np.zeros((2000, 2))
    x[:, 0] = np.arange(2000)  # the second column is constant and left out
    truth = simulate(rated, mechanism="mar", alpha=0.5, features=x).truth
    row = truth.select(pl.col("propensity").log()).to_numpy().ravel()
    steps = np.diff(row)
    assert (steps > 0).all() or (steps < 0).all()
    own = simulate(rated, mechanism="mar", alpha=0.5).truth["propensity"]
    assert own.n_unique() > 10


# --- noise ---------------------------------------------------------------------------------------


def test_flips_meet_their_rates_on_observed_rows_only():
    rng = np.random.default_rng(1)
    label, observed = (rng.random(100_000) < 0.6) * 1.0, rng.random(100_000) < 0.5
    flipped = flips(label, observed, 0.1, 0.25, np.random.default_rng(2))
    assert not flipped[~observed].any()
    assert flipped[observed & (label == 1)].mean() == pytest.approx(0.1, abs=0.006)
    assert flipped[observed & (label == 0)].mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (0.9, 0.2), (-0.1, 0.0), (0.0, 1.0)])
def test_noise_that_turns_feedback_around_is_refused(a, b, rated):
    with pytest.raises(UsageError, match="rho_01"):
        simulate(rated, rho_01=a, rho_10=b)


# --- the world -----------------------------------------------------------------------------------


def test_the_log_is_the_truth_seen_through_selection_and_noise(rated):
    world = simulate(rated, rho_01=0.1, rho_10=0.2, rate=0.5)
    log, truth = world.log, world.truth
    assert log.columns == ["prompt", "response", "prompt_id", "feedback"]
    assert len(log) == len(truth)
    quality = dict(rated.select("response", "rating").iter_rows())
    assert truth["rating"].to_list() == [quality[a] for a in log["response"]]
    assert truth["label"].to_list() == [float(r > 2) for r in truth["rating"]]
    assert_series_equal(log["feedback"].is_not_null(), truth["observed"] == 1, check_names=False)
    wrong = (log["feedback"] != truth["label"]).fill_null(value=False)
    assert_series_equal(wrong, truth["flipped"] == 1, check_names=False)
    assert truth["flipped"].sum() > 0


def test_the_test_set_is_clean_complete_and_of_other_prompts(rated):
    world = simulate(rated)
    assert world.test.columns == ["prompt", "response", "prompt_id", "label", "rating"]
    assert world.test.null_count().sum_horizontal().item() == 0
    assert not set(world.test["prompt"]) & set(world.log["prompt"])
    assert len(world.test) + len(world.log) == len(rated)
    assert world.scenario["test_prompts"] == round(0.2 * rated["prompt"].n_unique())
    assert world.test["label"].to_list() == [float(r > 2) for r in world.test["rating"]]


def test_one_text_under_two_ids_stays_on_one_side(rated):
    ids = rated.with_columns(pl.int_range(len(rated)).alias("prompt_id"))
    world = simulate(ids)
    assert not set(world.test["prompt"]) & set(world.log["prompt"])
    assert world.log.schema["prompt_id"] == pl.String


def test_the_streams_are_independent(rated):
    base = simulate(rated, rho_01=0.1, rho_10=0.1, gold=50, mechanism="context")
    noisier = simulate(rated, rho_01=0.2, rho_10=0.3, gold=50, mechanism="context")
    audited = simulate(rated, rho_01=0.1, rho_10=0.1, gold=90, mechanism="context")
    rarer = simulate(rated, rho_01=0.1, rho_10=0.1, gold=50, mechanism="context", rate=0.1)
    same = ["label", "rating", "propensity", "observed"]
    assert_frame_equal(base.truth.select(same), noisier.truth.select(same))
    assert_series_equal(base.log["gold"], noisier.log["gold"])
    assert_frame_equal(base.truth, audited.truth)
    assert_frame_equal(base.log.drop("gold"), audited.log.drop("gold"))
    assert_frame_equal(base.test, rarer.test)
    here = ["context.device", "context.position", "gold"]
    assert_frame_equal(base.log.select(here), rarer.log.select(here))
    both = (base.truth["observed"] == 1) & (rarer.truth["observed"] == 1)
    assert_series_equal(base.truth["flipped"].filter(both), rarer.truth["flipped"].filter(both))
    # More noise keeps the flips of less, and a larger audit the rows of a smaller.
    assert (noisier.truth["flipped"] >= base.truth["flipped"]).all()
    assert audited.log.filter(base.log["gold"].is_not_null())["gold"].null_count() == 0


def test_selection_and_noise_are_uncorrelated(rated):
    big = rows_of(np.random.default_rng(3).choice(5, size=20_000, p=SHARES).tolist())
    truth = simulate(big, mechanism="mcar", rate=0.5, rho_01=0.3, rho_10=0.3).truth
    seen = truth.filter(pl.col("observed") == 1)
    assert seen["flipped"].mean() == pytest.approx(0.3, abs=0.015)


def test_the_seed_decides_everything(rated):
    one, again = (simulate(rated, gold=20, rho_01=0.1, seed=4) for _ in range(2))
    other = simulate(rated, gold=20, rho_01=0.1, seed=5)
    assert_frame_equal(one.log, again.log)
    assert one.scenario == again.scenario
    assert not one.log["prompt"].equals(other.log["prompt"])


def test_gold_is_drawn_uniformly_over_all_rows(rated):
    counts, share = np.zeros(2), []
    for seed in range(30):
        world = simulate(rated, gold=100, alpha=0.2, seed=seed)
        audited = world.log["gold"].is_not_null()
        assert audited.sum() == 100
        truth = world.truth.filter(audited)
        assert_series_equal(world.log["gold"].drop_nulls(), truth["label"], check_names=False)
        counts += [truth["observed"].sum(), 100]
        share.append(truth["label"].mean() - world.truth["label"].mean())
    # 3000 audited rows: a fifth of them rated, as of all rows, although the rated are much better.
    assert counts[0] / counts[1] == pytest.approx(0.2, abs=0.025)
    assert np.mean(share) == pytest.approx(0, abs=0.03)
    assert "gold" not in simulate(rated).log.columns


def test_a_log_of_clicks_has_no_zeros(rated):
    world = simulate(rated, mechanism="implicit")
    assert world.scenario["rate"] == 0.5
    assert world.log["feedback"].drop_nulls().unique().to_list() == [1.0]
    truth = world.truth
    assert_series_equal(truth["activity"] * truth["label"], truth["observed"], check_names=False)
    assert_series_equal(world.log["feedback"].fill_null(0.0), truth["observed"], check_names=False)
    assert truth["activity"].mean() == pytest.approx(0.5, abs=0.03)


def test_two_channels_are_independent_given_a_good_response(rated):
    big = rows_of(np.random.default_rng(3).choice(5, size=20_000, p=SHARES).tolist())
    world = simulate(big, mechanism="two-channel", rate=0.4, alpha=0.7)
    log, truth = world.log, world.truth
    assert "feedback" not in log.columns
    for k in ("copy", "like"):
        expected = truth["label"] * truth[f"activity.{k}"]
        assert_series_equal(log[f"channel.{k}"], expected, check_names=False)
    expected = (truth["propensity.copy"] * truth["propensity.like"]).mean()
    found = (truth["activity.copy"] * truth["activity.like"]).mean()
    assert found == pytest.approx(expected, abs=0.01)
    assert truth["propensity.like"].mean() == pytest.approx(0.2)
    with pytest.raises(UsageError, match="no label noise"):
        simulate(rated, mechanism="two_channel", rho_01=0.1)


def test_repeated_rows_are_averaged_and_counted(rated):
    again = rated.head(100).with_columns(pl.lit(0).alias("rating"))
    world = simulate(pl.concat([rated, again.cast(rated.schema)]))
    assert world.scenario["merged_duplicates"] == 100
    assert len(world.log) + len(world.test) == len(rated)
    quality = dict(rated.select("response", "rating").iter_rows())
    first = set(again["response"])
    for answer, rating in world.test.select("response", "rating").iter_rows():
        assert rating == quality[answer] / (2 if answer in first else 1)


def test_the_threshold_is_the_median_of_the_distinct_levels():
    # Levels 1, 2, 3 and 10 have the median 2.5, whatever their frequency.
    world = simulate(rows_of([1, 1, 1, 1, 2, 3, 10, 10] * 10))
    assert world.scenario["threshold"] == 2.5
    assert simulate(rows_of([1, 2, 3, 10] * 10), threshold=5).scenario["threshold"] == 5
    labels = rows_of([0.0, 1.0] * 20).rename({"rating": "label"})
    assert simulate(labels).truth["label"].to_list() == simulate(labels).truth["rating"].to_list()


def test_the_scenario_says_what_was_realised(rated):
    scenario = simulate(rated, rho_01=0.1, rho_10=0.2).scenario
    real = scenario["realised"]
    assert real["mean_propensity"] == pytest.approx(0.2)
    assert real["rate"] == pytest.approx(0.2, abs=0.03)
    assert real["m_1/m_0"] == pytest.approx(3.6, abs=0.3)
    assert real["rho_01"] == pytest.approx(0.1, abs=0.05)
    assert scenario["mechanism"] == "rating"


# --- writing -------------------------------------------------------------------------------------


def test_a_world_is_written_whole_and_replaced_whole(rated, tmp_path):
    world = simulate(rated, gold=10)
    folder = world.write(tmp_path / "new" / "world")
    names = {p.name for p in folder.iterdir()}
    assert names == {"log.parquet", "test.parquet", "truth.parquet", "scenario.json"}
    assert_frame_equal(pl.read_parquet(folder / "log.parquet"), world.log)
    assert_frame_equal(pl.read_parquet(folder / "test.parquet"), world.test)
    assert_frame_equal(pl.read_parquet(folder / "truth.parquet"), world.truth)
    assert json.loads((folder / "scenario.json").read_text()) == world.scenario
    simulate(rated, seed=1).write(folder)
    assert json.loads((folder / "scenario.json").read_text())["seed"] == 1
    assert [p.name for p in folder.parent.iterdir()] == ["world"]


def test_a_folder_with_other_things_in_it_is_left_alone(rated, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(TruewardError, match=r"notes\.txt"):
        simulate(rated).write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(TruewardError, match=r"notes\.txt"):
        simulate(rated).write(tmp_path / "notes.txt")


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mechanism": "nonsense"}, "no mechanism 'nonsense'"),
        ({"alpha": 0.0}, "alpha must lie in"),
        ({"alpha": 1.5}, "alpha must lie in"),
        ({"alpha": float("nan")}, "alpha must lie in"),
        ({"rate": 0.0}, "rate of feedback"),
        ({"rate": 1.1}, "rate of feedback"),
        ({"test_share": 1.0}, "test_share"),
        ({"gold": 100_000}, "gold=100000"),
        ({"gold": -1}, "gold=-1"),
    ],
)
def test_settings_out_of_range_are_refused(options, words, rated):
    with pytest.raises(UsageError, match=words):
        simulate(rated, **options)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (rows_of([1.0, 2, float("nan"), 4]), "row 3, column rating: wanted a finite number"),
        (rows_of([1.0, float("inf"), 3, 4]), "row 2, column rating"),
        (rows_of([1, None, 3, 4]), "row 2, column rating"),
        (rows_of([2, 2, 2, 2]), "all 4 rows have the rating 2"),
        (rows_of([1, 2]).with_columns(prompt=pl.lit("a")), "at least 2 prompts"),
        (rows_of([1, 2]).drop("response"), "no response"),
        (rows_of([1, 2]).drop("rating"), r"no rating \(or label\)"),
        (rows_of([1, 2]).head(0), "no rows"),
        (rows_of([1, 2]).with_columns(rating=pl.lit("good")), "must hold numbers"),
        (rows_of([1, 2]).with_columns(prompt=pl.lit(3)), "column prompt must hold text"),
        (rows_of([0, 7]).rename({"rating": "label"}), "row 2, column label"),
    ],
)
def test_tables_that_cannot_make_a_world_are_refused(frame, words):
    with pytest.raises(TruewardError, match=words):
        simulate(frame)


def test_a_threshold_that_leaves_one_class_is_refused(rated):
    with pytest.raises(TruewardError, match="every response is bad"):
        simulate(rated, threshold=9)


def test_features_of_another_table_are_refused(rated):
    with pytest.raises(TruewardError, match="one row for each of the 2000"):
        simulate(rated, mechanism="mar", features=np.zeros((3, 2)))
    x = np.ones((2000, 2))
    x[1, 0] = np.nan
    with pytest.raises(TruewardError, match="row 2 of the features"):
        simulate(rated, mechanism="mar", features=x)


def test_dialogues_that_open_without_a_prompt_are_not_one_prompt():
    turns = pl.DataFrame(
        {
            "prompt": ["", "Hi.", "", "Hello.", "", "Hey."],
            "response": ["Hi.", "How are you?", "Hello.", "Fine?", "Hey.", "Well?"],
            "prompt_id": ["a", "a", "b", "b", "c", "c"],
            "rating": [1.0, 2.0, 3.0, 4.0, 1.0, 4.0],
        }
    )
    world = simulate(turns, rate=1.0, alpha=1.0, test_share=0.34, seed=1)
    assert len(world.test) == 2
    assert world.test["prompt_id"].n_unique() == 1
