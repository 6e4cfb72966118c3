"""The example in which a policy's true quality is known: its scripts run, and its oracle teaches."""

import json
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

for needed in ("trl", "altair", "vl_convert"):
    pytest.importorskip(needed, reason="the example takes the extras `rlhf` and `report`")

EXAMPLE = Path(__file__).parents[2] / "examples" / "rlhf_truth"
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    names = ("best", "policy", "rewards", "page", "run", "seeds", "sizes")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import run

    yield run
    for name in names:
        sys.modules.pop(name, None)


def test_the_scripts_run_from_nothing_to_a_page_and_go_on_where_they_were(
    example, tmp_path, capsys
):
    words = ["--out", str(tmp_path / "run"), "--size", "tiny", "--log", "desk", "--jobs", "1"]
    words += ["--arms", "naive", "truth", "--page", str(tmp_path / "page.md")]
    example.main([*words, "--seeds", "1"])
    for arm in ("naive", "truth"):
        file = tmp_path / f"run/results/{arm}-0.json"
        found = json.loads(file.read_text())
        assert [s["step"] for s in found["steps"]] == [1, 2, 3]
        assert all("rewards/truth/mean" in s and "kind/foreign" in s for s in found["steps"])
        assert 0 <= found["final"]["quality"] <= 1
        assert sum(found["final"]["kinds"].values()) == pytest.approx(1)
        found["seed"] = 1  # as if a second seed had been trained elsewhere
        found["final"]["quality"] = 1 - found["final"]["quality"]
        file.with_name(f"{arm}-1.json").write_text(json.dumps(found))
    capsys.readouterr()
    example.main(words)
    assert capsys.readouterr().err == ""  # nothing was left to do
    for name in ("naive-0", "naive-1", "truth-0", "truth-1"):
        best = json.loads((tmp_path / f"run/best/{name}.json").read_text())
        assert list(best["best_of_n"]) == ["1", "2", "4"]
    page = (tmp_path / "page.md").read_text()
    assert "over 2 logs" in page
    assert "| `naive` |" in page
    assert "| `truth` |" in page
    assert (tmp_path / "page.svg").read_text().startswith("<svg")
    assert (tmp_path / "page_proxy.svg").exists()
    with pytest.raises(SystemExit, match="other settings"):
        example.main([*words, "--alpha", "0.9"])


def test_the_truth_as_a_reward_is_what_the_world_says_of_its_own_answers(example):
    world = example.desk(50, 3, example.SIZES["small"])
    from rewards import truth

    from trueward.simulation.helpdesk import RATINGS

    chats = [
        ([{"role": "user", "content": p}], [{"role": "assistant", "content": r}])
        for p, r in world.select("prompt", "response").iter_rows()
    ]
    told = {}
    prompts, completions = map(list, zip(*chats, strict=True))
    found = truth(prompts, completions, log_metric=told.__setitem__)
    assert found == [sum(RATINGS[k][3:]) for k in world["kind"]]
    assert told["kind/foreign"] == 0
    assert told["kind/terse"] == pytest.approx((world["kind"] == "terse").mean())


def test_the_best_of_n_is_a_mean_over_all_choices_of_n_answers(example):
    from best import best_of

    rng = np.random.default_rng(0)
    reward, quality = rng.random((3, 6)), rng.random((3, 6))
    for n in (1, 2, 4, 6):
        picked = [
            [q[max(c, key=r.__getitem__)] for c in combinations(range(6), n)]
            for r, q in zip(reward, quality, strict=True)
        ]
        np.testing.assert_allclose(best_of(reward, quality, n), np.mean(picked, axis=1))


def test_differences_from_naive_are_within_a_seed(example):
    from seeds import clear, gains

    found = {
        "naive": [{"seed": 0, "v": 1.0}, {"seed": 1, "v": 5.0}],
        "causalrm": [{"seed": 1, "v": 7.0}, {"seed": 0, "v": 3.1}, {"seed": 2, "v": 0.0}],
        "truth": [{"seed": 0, "v": 9.0}, {"seed": 1, "v": 13.0}],
    }
    assert gains(found, "causalrm", lambda r: r["v"]) == pytest.approx([2.0, 2.1])
    # 2.05 with a half width of 12.7 * .0707 / sqrt(2) = .64; the truth is no learned reward
    assert clear(found, lambda r: r["v"]) == "`causalrm` (+2.050), of 1 compared"


def test_a_log_can_be_of_what_the_policy_writes(example, tmp_path):
    size = replace(example.SIZES["tiny"], logged=3)
    example.start(tmp_path, size)
    found = example.logged(tmp_path, size, 0, "policy")
    assert len(found) == 12
    assert set(found.columns) == {"prompt", "prompt_id", "response", "rating"}
    assert found["prompt"].n_unique() == 3
    assert found["rating"].to_list() == [0] * 12  # six steps of learning teach nobody to write
    assert example.logged(tmp_path, size, 0, "policy").equals(found)


@pytest.mark.battery
def test_a_policy_that_is_paid_by_the_truth_gets_better(example, tmp_path):
    desk = {"questions": 400, "vocabulary": 900, "products": 1, "tasks": 1}
    size = replace(example.SIZES["small"], **desk, width=64, layers=2, steps=150, align_steps=25)
    size = replace(size, asked=128, prompts=4, group=8, lr=1e-3)
    example.start(tmp_path, size)
    before = json.loads((tmp_path / "start.json").read_text())["quality"]
    example.job(tmp_path, "truth", 0, size, 0.5, 0.005, "desk")
    after = json.loads((tmp_path / "results/truth-0.json").read_text())["final"]["quality"]
    # one of 128 answers is good or not: the standard error of a difference is below .065
    assert after > before + 0.13
