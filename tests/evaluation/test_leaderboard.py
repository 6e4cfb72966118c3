"""Models are ranked by battles: strengths, intervals, positions, style, and models that cannot be ranked."""

import json
import math

import numpy as np
import polars as pl
import pytest
import torch

import trueward as tw
from trueward.cli.app import main
from trueward.evaluation.davidson import comparable, strengths
from trueward.evaluation.standings import PER_NAT


def battles(*rows, **more):
    """Rows (a, b, winner, times)."""
    listed = [(a, b, w) for a, b, w, times in rows for _ in range(times)]
    names = ["model_a", "model_b", "winner"]
    return pl.DataFrame(listed, schema=names, orient="row").with_columns(**more)


def scores(board):
    return {s.model: s.score.value for s in board.standings}


def test_two_models_differ_by_the_log_odds_of_a_win():
    """x wins 40 of 60 battles, half of them on either side: log 2, and 1 / sqrt(60 (2/3) (1/3))."""
    board = tw.leaderboard(
        battles(
            ("x", "y", "model_a", 20),
            ("x", "y", "model_b", 10),
            ("y", "x", "model_b", 20),
            ("y", "x", "model_a", 10),
        )
    )
    gap = scores(board)["x"] - scores(board)["y"]
    assert gap / PER_NAT == pytest.approx(math.log(2), abs=1e-6)
    assert [s.win_rate for s in board.standings] == pytest.approx([2 / 3, 1 / 3])
    assert board.effects["position"].value == pytest.approx(0, abs=1e-9)
    error = 1 / math.sqrt(60 * 2 / 9) / 2  # of one strength, half the difference
    x = board.standings[0].score
    assert (x.high - x.low) / (2 * 2.0 * PER_NAT) == pytest.approx(error, rel=0.06)
    assert board.sources == {"battle": 60}
    assert (board.standings[0].best, board.standings[0].worst) == (1, 1)


def test_ties_by_hand():
    """Equal models with 20 wins, 20 losses and 20 ties: P(tie) = 1/3 and no difference."""
    board = tw.leaderboard(
        battles(
            ("x", "y", "model_a", 20), ("x", "y", "model_b", 20), ("y", "x", "tie (bothbad)", 20)
        )
    )
    assert board.ties == pytest.approx(1 / 3, abs=1e-6)
    assert list(scores(board).values()) == pytest.approx([1000, 1000], abs=1e-4)
    assert [(s.best, s.worst) for s in board.standings] == [(1, 2), (1, 2)]


def test_strengths_positions_and_style_are_recovered_together():
    rng = np.random.default_rng(0)
    truth, n = np.linspace(-1, 1, 5), 6000
    i = rng.integers(5, size=n)
    j = (i + rng.integers(1, 5, size=n)) % 5
    z = rng.normal(size=n)
    d = truth[i] - truth[j] + 0.5 + 0.3 * z
    chance = np.exp(np.stack([d / 2, -d / 2, np.full(n, -1.0)], 1))
    edges = (chance / chance.sum(1, keepdims=True)).cumsum(1)
    out = (rng.random(n)[:, None] > edges).sum(1)
    side = np.where(out == 1, -1.0, 1.0)
    winner, loser = np.where(out == 1, j, i), np.where(out == 1, i, j)
    fit = strengths(winner, loser, out == 2, np.stack([side, side * z], 1), np.ones(n), 5)
    error = np.sqrt(np.square(fit.influence).sum(0))
    deviation = np.r_[fit.theta - truth, fit.gamma - [0.5, 0.3]] / error
    assert np.abs(deviation).max() < 3.5
    assert fit.tie == pytest.approx(-1.0, abs=0.15)


def test_a_model_that_won_all_lost_all_or_is_not_linked_gets_no_score_and_a_reason():
    board = tw.leaderboard(
        battles(
            ("x", "y", "model_a", 6),
            ("x", "y", "model_b", 5),
            ("best", "x", "model_a", 3),
            ("last", "y", "model_b", 3),
            ("far", "away", "tie", 2),
        )
    )
    why = {s.model: s.score.reason for s in board.standings if s.score.value is None}
    assert why["best"] == "it won all comparisons"
    assert why["last"] == "it lost all comparisons"
    assert "links it with the others" in why["far"]
    assert set(scores(board)) == {"x", "y", "best", "last", "far", "away"}
    assert "the effect of position is not estimated" in " ".join(board.warnings)  # x always first
    assert board.effects == {}
    tied = tw.leaderboard(battles(("x", "y", "tie", 4)))
    assert {s.score.reason for s in tied.standings} == {"it tied all comparisons"}
    assert comparable(np.array([0]), np.array([1]), np.array([True]), 2).tolist() == [0, 1]


def test_intervals_are_clustered_by_user_and_users_of_one_side_are_named():
    """Ten users say the same twenty times over: the interval is that of ten, not of 200 battles."""
    rows = battles(("x", "y", "model_a", 120), ("x", "y", "model_b", 80))
    users = rows.with_columns(user_id=pl.Series([f"u{i // 20}" for i in range(200)]))
    wide, narrow = (tw.leaderboard(users, cluster=c).standings[0].score for c in ("both", "prompt"))
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    told = " ".join(tw.leaderboard(users).warnings)
    assert (
        "10 users preferred one side in all of their 10 or more comparisons, 200 in total" in told
    )


def test_control_removes_the_advantage_of_long_responses():
    """Model x writes long, and users like length: at equal length it is no better."""
    rng = np.random.default_rng(1)
    n = 1500
    long = rng.random(n) < np.where(np.arange(n) % 2, 0.8, 0.2)  # odd rows: x, even rows: y
    short = rng.random(n) < 0.5
    p = 1 / (1 + np.exp(-1.5 * (long.astype(float) - short)))
    won = rng.random(n) < p
    rows = pl.DataFrame(
        {
            "model_a": np.where(np.arange(n) % 2, "x", "y"),
            "model_b": ["z"] * n,
            "winner": np.where(won, "model_a", "model_b"),
            "prompt": [f"p{i}" for i in range(n)],
            "response_a": np.where(long, "word " * 60, "word"),
            "response_b": np.where(short, "word " * 60, "word"),
        }
    )
    plain, controlled = tw.leaderboard(rows), tw.leaderboard(rows, control=["length"])
    gaps = [s["x"] - s["y"] for s in map(scores, (plain, controlled))]
    assert gaps[0] > 80
    assert abs(gaps[1]) < 60
    assert controlled.effects["length"].low > 0
    assert "more length (log) gains" in str(controlled)
    with pytest.raises(tw.UsageError, match="needs the texts"):
        tw.leaderboard(rows.select("model_a", "model_b", "winner"), control=["length"])
    with pytest.raises(tw.UsageError, match="length and markdown, not 'wit'"):
        tw.leaderboard(rows, control=["wit"])


@pytest.fixture
def log(tmp_path):
    """A log without ratings whose responses have models, and its pairs by id."""
    n = 30
    pl.DataFrame(
        {
            "prompt": [f"p{i // 2}" for i in range(2 * n)],
            "response": [f"answer {i}" for i in range(2 * n)],
            "model": ["x", "y"] * n,
            "response_id": [f"r{i}" for i in range(2 * n)],
            "user_id": [f"u{i // 4}" for i in range(2 * n)],
        }
    ).write_parquet(tmp_path / "log.parquet")
    ids = [(2 * i, 2 * i + 1) if i % 3 else (2 * i + 1, 2 * i) for i in range(n)]
    pairs = pl.DataFrame(
        {"winner_id": [f"r{a}" for a, _ in ids], "loser_id": [f"r{b}" for _, b in ids]}
    )
    pairs.with_columns(source=pl.lit("user")).write_parquet(tmp_path / "pairs.parquet")
    return tmp_path


def test_a_log_with_models_and_its_pairs_makes_a_leaderboard(log, capsys):
    for name in ("summary.json", "dataset.json"):
        (log / name).write_text("{}")
    board = tw.leaderboard(log)
    assert [s.model for s in board.standings] == ["x", "y"]
    assert board.standings[0].win_rate == pytest.approx(2 / 3)
    assert board.sources == {"user": 30}
    with pytest.raises(SystemExit) as e:
        main(
            [
                "leaderboard",
                str(log / "log.parquet"),
                "--pairs",
                str(log / "pairs.parquet"),
                "--json",
            ]
        )
    assert e.value.code == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(board.to_json()))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["log.parquet"], "no columns `chosen` and `rejected`"),
        (["pairs.parquet"], "names no models"),
        (
            ["log.parquet", "--pairs", "pairs.parquet", "--source", "judge"],
            "no comparisons of source 'judge'",
        ),
        (["log.parquet", "--pairs", "none.parquet"], "none.parquet"),
        (["log.parquet", "--pairs", "pairs.parquet", "--control", "tone"], "not 'tone'"),
    ],
)
def test_a_wrong_request_is_one_sentence(log, words, told, capsys, monkeypatch):
    monkeypatch.chdir(log)
    with pytest.raises(SystemExit) as e:
        main(["leaderboard", *words])
    assert e.value.code in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert told in error


def test_one_model_or_no_battle_of_two_is_refused():
    with pytest.raises(tw.TruewardError, match="both sides are one model"):
        tw.leaderboard(battles(("x", "x", "model_a", 3)))
    with pytest.raises(tw.TruewardError, match="not one of model_a"):
        tw.leaderboard(battles(("x", "y", "x", 3)))


@pytest.mark.battery
def test_intervals_cover_strengths_of_battles_that_share_users_and_prompts():
    """300 logs of 40 users and 60 prompts, each with a taste of its own for either model."""
    rng, inside, runs = np.random.default_rng(0), 0, 300
    for _ in range(runs):
        n = 400
        user, prompt = rng.integers(40, size=n), rng.integers(60, size=n)
        taste = rng.normal(0, 0.7, 40)[user] + rng.normal(0, 0.7, 60)[prompt]
        won = rng.random(n) < torch.sigmoid(torch.from_numpy(taste)).numpy()
        rows = pl.DataFrame(
            {
                "model_a": ["x"] * n,
                "model_b": ["y"] * n,
                "winner": np.where(won, "model_a", "model_b"),
                "user_id": [f"u{u}" for u in user],
                "prompt": [f"p{p}" for p in prompt],
                "response_a": [f"{i} x" for i in range(n)],
                "response_b": [f"{i} y" for i in range(n)],
            }
        )
        x = next(s for s in tw.leaderboard(rows).standings if s.model == "x").score
        inside += x.low <= 1000 <= x.high
    assert 0.92 <= inside / runs <= 0.985
