"""Case-control samples of a log: every sum over rows keeps its expectation."""

import numpy as np
import polars as pl
import pytest

import trueward as tw
from trueward.core.errors import UsageError
from trueward.data import sampled_parquet, unrated_sampling
from trueward.data.unrated_sampling import every


def log_of(rated, unrated, **columns):
    n = rated + unrated
    rows = {
        "prompt": [f"question {i % 7}" for i in range(n)],
        "response": [f"answer {i}" for i in range(n)],
        "feedback": [float(i % 2) if i < rated else None for i in range(n)],
    }
    return tw.read_log(pl.DataFrame(rows | columns))


def test_all_systematic_samples_together_give_the_sum_over_all_rows():
    # with share 2/5 the start of a sample falls into one of 5 equal parts of [0, 1)
    value = np.random.default_rng(0).normal(size=23)
    sums = [value[every(23, 2 / 5, (k + 0.5) / 5)].sum() / (2 / 5) for k in range(5)]
    assert np.mean(sums) == pytest.approx(value.sum())


def test_rated_and_gold_rows_are_kept_and_the_others_stand_for_all():
    gold = [1.0 if i in (3, 50) else None for i in range(110)]
    log = log_of(10, 100, gold=gold, weight=[2.0] * 110)
    sample = tw.sample_unrated(log, per_rated=3)
    kept = sample.frame
    assert kept["feedback"].is_not_null().sum() == 10
    assert kept["gold"].is_not_null().sum() == 2
    # 11 rated (one gold row is unrated): 33 of the 99 others, each of weight 2 / (33 / 99)
    rest = kept.filter(pl.col("feedback").is_null() & pl.col("gold").is_null())
    assert rest["weight"].to_list() == pytest.approx([6.0] * 33)
    assert kept["weight"].sum() == pytest.approx(220)


def test_every_prompt_keeps_its_share():
    sample = tw.sample_unrated(log_of(14, 700), per_rated=10)
    rows = sample.frame.filter(pl.col("feedback").is_null()).group_by("prompt").len()["len"]
    assert len(rows) == 7
    assert all(19 <= n <= 21 for n in rows)  # 100 of each, a fifth is kept


def test_the_sample_is_of_the_content_and_not_of_the_order():
    log = log_of(4, 200)
    shuffled = tw.read_log(log.frame.sample(fraction=1, shuffle=True, seed=1))
    first, second = (tw.sample_unrated(x, 5, seed=3).frame["response"] for x in (log, shuffled))
    assert sorted(first) == sorted(second)
    assert sorted(first) != sorted(tw.sample_unrated(log, 5, seed=4).frame["response"])


def test_a_log_of_channels_keeps_the_rows_that_fired():
    n = 60
    rows = {"prompt": ["q"] * n, "response": [str(i) for i in range(n)]}
    fired = [1.0 if i % 20 == 0 else 0.0 for i in range(n)]
    log = tw.read_log(pl.DataFrame(rows | {"channel.copy": fired, "channel.share": fired[::-1]}))
    sample = tw.sample_unrated(log, per_rated=2)
    assert len(sample) == 6 + 12
    assert sample.frame["weight"].sum() == pytest.approx(n)


def test_what_needs_no_sample_is_the_same_log(monkeypatch):
    log = log_of(10, 30)
    assert tw.sample_unrated(log) is log
    assert tw.sample_unrated(log, per_rated=3) is log
    monkeypatch.setattr(unrated_sampling, "WHOLE", 25)
    assert (
        len(tw.sample_unrated(log)) == 30
    )  # 25 rows in all, but at least 2 unrated for each rated one


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), "few"])
def test_a_wrong_number_is_one_sentence(wrong):
    with pytest.raises(UsageError, match="per_rated should be a positive number"):
        tw.sample_unrated(log_of(2, 9), per_rated=wrong)


@pytest.mark.parametrize("given", ["prompt_id", "gold", "gold table", "user_id"])
def test_a_large_file_is_sampled_in_parts_with_the_same_result(tmp_path, monkeypatch, given):
    n = 300
    columns = {
        "prompt_id": {"prompt_id": [f"id{i % 9}" for i in range(n)]},
        "gold": {"gold": [1.0 if i % 50 == 7 else None for i in range(n)]},
        "gold table": {},
        "user_id": {"user_id": [i % 5 for i in range(n)], "weight": [1.5] * n, "model": ["m"] * n},
    }[given]
    frame = (
        log_of(20, n - 20)
        .frame.drop("prompt_id")
        .with_columns(**{k: pl.Series(v) for k, v in columns.items()})
    )
    frame.write_parquet(tmp_path / "log.parquet", row_group_size=40)
    gold = None
    if given == "gold table":
        gold = str(tmp_path / "gold.csv")
        frame[250:260].select("prompt", "response", gold=pl.lit(1.0)).write_csv(gold)
    whole = tw.read_log(tmp_path / "log.parquet")
    whole = tw.sample_unrated(whole.with_gold(gold) if gold else whole, 3)
    monkeypatch.setattr(sampled_parquet, "LARGE", 100)
    monkeypatch.setattr(sampled_parquet, "ROWS", 64)
    parts = sampled_parquet.read_sampled_log(tmp_path / "log.parquet", 3, gold=gold)
    assert parts.frame.equals(whole.frame)
    assert parts.source == whole.source
    assert len(parts) < n / 2


def test_words_of_feedback_are_read_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(sampled_parquet, "LARGE", 10)
    rows = {"prompt": ["q"] * 60, "response": [str(i) for i in range(60)]}
    words = ["up", "down"] * 5 + [None] * 50
    pl.DataFrame(rows | {"feedback": words}).write_parquet(tmp_path / "log.parquet")
    log = sampled_parquet.read_sampled_log(tmp_path / "log.parquet", 2)
    assert (len(log), log.frame["feedback"].sum()) == (30, 5)
