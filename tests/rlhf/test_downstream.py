"""The study of docs/downstream.md: what a round shows, the values of a cell, and its intervals, by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import downstream
    import downstream_results
    import downstream_worlds

    yield downstream, downstream_worlds, downstream_results
    for name in ("downstream", "downstream_results", "downstream_worlds"):
        sys.modules.pop(name, None)


def pool_of(worlds, prompts=40, answers=4):
    """Answers whose first feature is the label."""
    label = np.tile([0.0, 1.0, 0.0, 1.0], prompts)[: prompts * answers]
    x = torch.stack([torch.from_numpy(label), torch.arange(len(label)) % 3.0], 1).float()
    prompt = np.repeat(np.arange(prompts), answers)
    return worlds.Pool(prompt, label, label, label, x, x.double().numpy())


def test_a_round_shows_what_its_policy_says_and_users_react_by_the_same_propensities(study):
    _, worlds, _ = study
    pool = pool_of(worlds)
    sure = np.tile(
        [0.0, 0.0, 0.0, 1.0], 40
    )  # the policy always gives the fourth answer, which is good
    p = worlds.propensities(pool, "label", 0)
    shown = worlds.show(pool, sure, p, 3, 5, 0, "label", 2)
    assert shown.row.tolist() == [4 * q + 3 for q in range(40) for _ in range(3)]
    assert int(shown.gold.sum()) == 5
    # selection by the label at alpha .5 and rate .2: m_1 = .32 and m_0 = .08 on half good answers
    assert p[:2] == pytest.approx([0.08, 0.32])
    assert 0.2 < shown.rated.mean() < 0.45
    log = worlds.feedback(pool, [shown, shown], gold=True)
    assert len(log) == 240
    assert len(log.audited) == 10
    assert worlds.feedback(pool, [shown], gold=False).gold is None


def test_a_cell_values_every_policy_on_questions_that_no_log_has(study, monkeypatch):
    study, worlds, _ = study
    monkeypatch.setitem(worlds.SHOWN, "helpdesk", (28, 4))
    monkeypatch.setattr(study, "ONCE", {"clean labels": ("oracle", {"epochs": 20}, False)})
    monkeypatch.setattr(study, "RENEWED", {"naive": ("naive", {"epochs": 2}, False)})
    monkeypatch.setattr(study, "GOLD", 8)
    monkeypatch.setattr(study, "DIVERGENCES", (0.1, 0.5))
    monkeypatch.setattr(study, "COLLECTED_AT", 0.1)
    pool = pool_of(worlds)
    found = study.cell("helpdesk", pool, "mcar", 0, 2)
    train, test = worlds.split(pool, "helpdesk", "mcar", 0)
    assert not set(train.prompt) & set(test.prompt)
    assert found["prompts"] == sorted(set(test.prompt.tolist()))
    assert found["base"] == [0.5] * 12
    by = {(r["arm"], r["round"], r["log"]): r for r in found["results"]}
    assert {("naive", 1, "all"), ("naive", 2, "all"), ("naive", 2, "latest")} <= set(by)
    # two good answers of four: P(good) with KL .1 solves p log 2p + (1 - p) log 2(1 - p) = .1, p = .7193
    assert np.mean(by["truth", 1, "all"]["values"]["kl 0.1"]) == pytest.approx(0.7193, abs=1e-3)
    assert np.mean(by["truth", 1, "all"]["values"]["best of 4"]) == pytest.approx(1 - 0.5**4)
    assert np.mean(by["clean labels", 1, "all"]["values"]["best of 4"]) > 0.9
    assert all(0 <= r["shown"] <= 1 for r in found["results"] if r["arm"] == "naive")


def test_intervals_over_prompts_and_over_logs_by_hand(study):
    *_, results = study
    first, second = np.array([0.0, 0.2]), np.array([0.3, 0.3])
    # one log: mean .1, variance over prompts .02, error sqrt(.02 / 2) = .1, t of 1 df = 12.7062
    assert results.over_prompts([first]).value == pytest.approx(0.1)
    assert results.over_prompts([first]).half == pytest.approx(1.27062, abs=1e-4)
    # two logs: error sqrt(.01 + 0) / 2
    assert results.over_prompts([first, second]).half == pytest.approx(0.63531, abs=1e-4)
    # over logs: means .1, .3 and .2, sd .1, t of 2 df = 4.3027
    logs = {"rating": [first, second], "mcar": [np.array([0.2, 0.2])], "mar": []}
    assert results.over_logs(logs).value == pytest.approx(0.2)
    assert results.over_logs(logs).half == pytest.approx(4.3027 * 0.1 / 3**0.5, abs=1e-4)
    # two logs of every mechanism: sd within mechanisms .1 on 2 df, mechanism means .2 and .2
    logs["mcar"] = [np.array([0.2, 0.2])] * 2
    assert results.over_logs(logs).value == pytest.approx(0.2)
    assert results.over_logs(logs).half == pytest.approx(4.3027 * 0.1 * 1**0.5 / 2, abs=1e-4)
    logs["mcar"].pop()
    assert results.between_logs(logs) == (pytest.approx(0.02**0.5), 1)
    assert str(results.over_logs({"mar": [first]})) == "+0.100"
    assert results.over_logs({}) is None
    assert results.over_prompts([]) is None


def test_the_spread_over_seeds_is_read_off_the_published_pages(study):
    *_, results = study
    best, final, _ = results.published(ROOT / "docs" / "rlhf_truth.md")
    assert (best.runs, final.runs) == (20, 6)
    # half-widths .139, .133, .199 of six seeds: t = 2.5706, sd = sqrt(mean square) sqrt(6) / t
    square = (0.139**2 + 0.133**2 + 0.199**2) / 3
    assert final.sd == pytest.approx(square**0.5 * 6**0.5 / 2.5706, abs=1e-4)
    assert final.differences == {"causalrm": 0.075, "three_outcome": 0.062, "anchored": 0.187}
