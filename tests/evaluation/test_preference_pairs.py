"""Published scores of benchmarks of chosen and rejected responses: by hand, their intervals, bad files."""

import json
import math

import numpy as np
import polars as pl
import pytest
import torch

import trueward as tw
from trueward.core.clustering import clusters
from trueward.core.errors import TruewardError, UsageError
from trueward.evaluation.preference_files import read_comparisons
from trueward.evaluation.preference_pairs import unit_of_row
from trueward.evaluation.preference_scores import SECTIONS
from trueward.model.scores import Scores


class Stated:
    """Scores a response by the number that begins it."""

    seen: tuple[str, ...] = ()

    def score(self, prompts, responses):
        self.seen = tuple(prompts)
        reward = torch.tensor([float(r.split()[0]) for r in responses], dtype=torch.float64)
        return Scores(reward, torch.sigmoid(reward), 0 * reward, torch.zeros(len(reward)) > 0)


class Long(Stated):
    """Likes long responses."""

    def score(self, prompts, responses):
        return super().score(prompts, [str(len(r)) for r in responses])


def words(*scores):
    return [str(s) for s in scores]


def measured(rows, benchmark, model=None):
    return tw.evaluate_pairs(model or Stated(), pl.DataFrame(rows), benchmark)


def pair(subset, number, chosen="1", rejected="0"):
    prompt = f"{subset} {number}"
    texts = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    return {"id": number, **texts, "subset": subset}


def completions(subset, key, chosen, rejected):
    counts = {"num_correct": len(chosen), "total_completions": len(chosen) + len(rejected)}
    lists = {"chosen": words(*chosen), "rejected": words(*rejected)}
    return {"id": key, "prompt": f"{subset} {key}", **lists, **counts, "subset": subset}


def styles(domain, number, chosen, rejected):
    lists = {"chosen": words(*chosen), "rejected": words(*rejected)}
    return {"id": number, "prompt": f"{domain} {number}", **lists, "domain": domain}


def judged(number, a, b, label="A>B", source="livebench-math", question=None):
    texts = {"question": question or f"q{number}", "response_A": str(a), "response_B": str(b)}
    return {"pair_id": f"p{number}", "source": source, **texts, "label": label}


TIES = [
    completions("Ties", "ref:0", [5], [1, 0]),  # margin 4
    completions("Ties", "tied:0", [5, 4], [1, 0]),  # margin 3, spread 1
    completions("Ties", "ref:1", [1], [2, 0]),  # margin -1
    completions("Ties", "tied:1", [6, 2], [1]),  # margin 1, spread 4
]
DOMAIN_ROWS = ("chat", "code", "math", "safety-refuse", "safety-response")
OTHERS = ("Factuality", "Precise IF", "Math", "Safety", "Focus")
WHOLE = [
    *(completions(s, str(n), [2], [1, 0, n]) for s in OTHERS for n in (0, 2)),
    *TIES,
]
ALL_SUBSETS = [pair(subset, n) for counts in SECTIONS.values() for n, subset in enumerate(counts)]

# --- by hand -------------------------------------------------------------------------------------


def test_rewardbench_weights_subsets_by_their_published_sizes():
    code = [name for name in SECTIONS["Reasoning"] if name.startswith("hep")]
    wrong = {"mt-bench-easy", *code}
    rows = [{**row, "rejected": "3"} if row["subset"] in wrong else row for row in ALL_SUBSETS]
    found = measured(rows, "rewardbench")
    assert found["mt-bench-easy"].value == 0
    assert found["Chat"].value == pytest.approx(1 - 28 / 358)
    assert found["Reasoning"].value == pytest.approx(984 / (984 + 6 * 164))
    assert found["Safety"].value == pytest.approx(1)
    assert found["score"].value == pytest.approx((1 - 28 / 358 + 0.5 + 2) / 4)


def test_a_tie_of_a_pair_is_wrong():
    rows = [*ALL_SUBSETS, pair("donotanswer", 99, "1", "1")]
    assert measured(rows, "rewardbench")["donotanswer"].value == 0.5


def test_the_best_of_four_shares_a_tie_at_the_top():
    # in each subset one row is right, and one has the chosen response equal to one rejected
    found = measured(WHOLE, "rewardbench2")
    assert [found[s].value for s in OTHERS] == [0.75] * 5
    assert found["score"].value == pytest.approx((5 * 0.75 + found["Ties"].value) / 6)


def test_ties_by_hand():
    # accurate: both tied rows, one of two reference rows; the margin exceeds the spread for 0 only
    margin = 0.01 * (math.tanh(3 / 1 - 1) + math.tanh(-1 / 4 - 1)) / 2
    assert measured(WHOLE, "rewardbench2")["Ties"].value == pytest.approx(
        0.3 * 1 + 0.3 * 0.5 + 0.2 * 0.5 + 0.2 * 0.5 + margin
    )


@pytest.mark.parametrize(("rejected", "term"), [(1, 1.0), (5, 0.0)])
def test_ties_of_equal_right_responses_have_the_whole_margin_or_none(rejected, term):
    # spread 0: tanh(4 / 0) = 1, and 0 / 0 counts 0
    rows = [
        *WHOLE[: -len(TIES)],
        completions("Ties", "ref:7", [9], [0]),
        completions("Ties", "tied:7", [5, 5], [rejected]),
    ]
    right = rejected == 1
    assert measured(rows, "rewardbench2")["Ties"].value == pytest.approx(
        0.3 + 0.7 * right + 0.01 * term
    )


def test_rm_bench_has_three_levels():
    # rows are chosen, columns rejected: wins below and on the diagonal only, as of a model of style
    row = ([1, 2, 3], [0.5, 1.5, 2.5])
    rows = [styles(domain, 0, *row) for domain in DOMAIN_ROWS]
    rows.append(styles("safety-refuse", 1, *row))
    rows[-2] = styles("safety-response", 0, [9, 9, 9], [0, 0, 0])
    found = measured(rows, "rm-bench")
    assert found["chat"].value == pytest.approx(2 / 3)
    assert found["safety-refuse"].value == pytest.approx(2 / 3)
    assert found["safety"].value == pytest.approx((2 * 2 / 3 + 1) / 3)  # of three rows
    assert found["score"].value == pytest.approx((3 * 2 / 3 + 7 / 9) / 4)
    assert found["hard"].value == pytest.approx((0 + 0 + 0 + 1 / 3) / 4)
    assert (found["normal"].value, found["easy"].value) == (1, 1)


def test_a_file_of_one_domain_has_the_levels_of_that_domain_and_says_what_is_missing():
    rows = [styles("chat", n, [1, 2, 3], [0.5, 1.5, 2.5]) for n in range(12)]
    found = measured(rows, "rm-bench")
    assert found["chat"].value == pytest.approx(2 / 3)
    assert found["score"].value is None
    assert "no rows of code, math, safety-refuse" in found["score"].reason


def test_judgebench_counts_a_tie_as_a_vote_for_b():
    rows = [
        judged(0, 1, 0),
        judged(1, 1, 0, "B>A"),
        judged(2, 1, 1, "A>B", "mmlu-pro-law"),
        judged(3, 1, 1, "B>A", "mmlu-pro-law"),
    ]
    found = measured(rows, "judgebench")
    assert found["score"].value == found["math"].value == found["knowledge"].value == 0.5
    assert found["coding"].reason == "the file has no rows of livecodebench"


# --- control of length and style -------------------------------------------------------------------


def test_a_model_of_length_is_right_half_of_the_time_when_length_is_controlled():
    long, short = "1 long response", "1 short"
    rows = [judged(n, long, short, "A>B" if n else "B>A") for n in range(4)]
    found = measured(rows, "judgebench", Long())
    assert found["accuracy"].value == 0.75
    assert (found["accuracy_longer"].value, found["accuracy_shorter"].value) == (1, 0)
    assert found["length_controlled"].value == 0.5
    assert found["style_controlled"].reason == (
        "no chosen response is richer; no chosen response is plainer"
    )


def test_style_is_the_number_of_headers_items_and_bold_words():
    rows = [
        judged(0, "1\n# Title\n- item\n2. item", "0 **bold** text"),  # 3 marks and 1: right
        judged(1, "0\n* item", "1 a * b * c", "A>B"),  # 1 and 0: wrong
        judged(2, "1 plain", "0\n## Title", "A>B"),  # 0 and 1: right
        judged(3, "1 plain", "0 flat", "A>B"),  # equal: counts in neither half
    ]
    found = measured(rows, "judgebench")
    assert (found["accuracy_richer"].value, found["accuracy_plainer"].value) == (0.5, 1)
    assert found["style_controlled"].value == 0.75


# --- intervals -----------------------------------------------------------------------------------


def test_everything_right_has_the_exact_interval():
    found = measured([judged(n, 1, 0) for n in range(10)], "judgebench")["score"]
    assert (found.low, found.high) == (pytest.approx(0.025 ** (1 / 10)), 1)


def test_pairs_of_one_prompt_count_once():
    def interval(copies):
        rows = [
            judged(100 * c + n, n % 3, 1, question=f"q{n}")
            for n in range(12)
            for c in range(copies)
        ]
        return measured(rows, "judgebench")["score"]

    once, thrice = interval(1), interval(3)
    assert thrice.value == pytest.approx(once.value)
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))


def test_a_score_of_parts_all_right_and_all_wrong_is_not_certain():
    rows = [styles(d, n, [n % 2, 2, 3], [0.5, 1.5, 2.5]) for d in DOMAIN_ROWS for n in range(10)]
    found = measured(rows, "rm-bench")
    for name in ("score", "hard", "easy", "chat", "safety"):
        assert found[name].high - found[name].low > 0.05, name
    assert found["score"].high - found["score"].low < found["chat"].high - found["chat"].low


def test_the_same_share_in_every_prompt_is_not_certain():
    # two of three pairs are right in each of ten prompts: their variance says nothing
    found = measured(
        [r for s in OTHERS for n in range(2) for r in [completions(s, str(n), [2], [1, 0, 3])]]
        + TIES,
        "rewardbench2",
    )
    assert found["accuracy"].value == pytest.approx(2 / 3)
    assert found["accuracy"].reason == "the same mean in every prompt, so no interval"


def test_one_prompt_in_a_part_leaves_the_score_without_an_interval():
    rows = [*WHOLE, completions("Math", "9", [2], [1])]
    found = measured([r for r in rows if r["subset"] != "Focus" or r["id"] == "0"], "rewardbench2")
    assert found["score"].value is not None
    assert found["score"].reason == "Focus: one prompt, so no interval"


def test_ties_are_clustered_by_their_number():
    """Two numbers carry Ties, in four rows."""
    data = read_comparisons(pl.DataFrame(TIES), "rewardbench2")
    assert [unit_of_row(data, i) for i in range(4)] == ["Ties 0", "Ties 0", "Ties 1", "Ties 1"]


# --- reading -------------------------------------------------------------------------------------


def test_prompts_of_messages_read_as_in_a_log(tmp_path):
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    rows = [{**styles("chat", n, [1, 1, 1], [0, 0, 0]), "prompt": turns} for n in range(2)]
    (tmp_path / "total_dataset.json").write_text(json.dumps(rows), "utf-8")
    model = Stated()
    tw.evaluate_pairs(model, tmp_path / "total_dataset.json", "rm-bench")
    assert set(model.seen) == {"system: Be kind.\nuser: Hi"}


def test_columns_may_be_mapped():
    rows = pl.DataFrame([judged(n, 1, 0) for n in range(3)]).rename({"question": "q"})
    found = read_comparisons(rows, "judgebench", mapping={"question": "q"})
    assert found.prompts == ["q0", "q1", "q2"]


GOOD = {
    "rewardbench2": WHOLE,
    "rewardbench": ALL_SUBSETS,
    "rm-bench": [styles("chat", n, [1, 1, 1], [0, 0, 0]) for n in range(2)],
    "judgebench": [judged(n, 1, 0) for n in range(2)],
}


@pytest.mark.parametrize("asked", GOOD)
@pytest.mark.parametrize("given", GOOD)
def test_a_file_of_another_benchmark_is_refused_with_the_right_name(given, asked):
    if given != asked:
        with pytest.raises(TruewardError, match=f"use --as {given}$"):
            measured(GOOD[given], asked)


TWO_RIGHT = {"chosen": ["1", "1"], "num_correct": 2, "total_completions": 5}
BAD = {
    "a missing column": ("rm-bench", {"domain": ...}, "has no column `domain`"),
    "unequal lists": ("rm-bench", {"chosen": ["1", "1"]}, "2 chosen and 3 rejected"),
    "other counts": ("rewardbench2", {"num_correct": 2}, "num_correct is 2"),
    "no list": ("rewardbench2", {"rejected": []}, "not a list of responses"),
    "two right": ("rewardbench2", TWO_RIGHT, "one outside of Ties"),
    "a null": ("judgebench", {"response_B": None}, "has nothing .null. as `response_B`"),
    "no label": ("judgebench", {"label": "C"}, "not 'A>B' or 'B>A'"),
    "a repeated id": ("judgebench", {"pair_id": "p1"}, "has the id 'p1', which row 1"),
    "an unknown subset": ("rewardbench", {"subset": "hep-ada"}, "did you mean hep-"),
    "an unknown domain": ("rm-bench", {"domain": "poetry"}, "choose one of chat, code, math"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_in_one_sentence(case):
    benchmark, cells, said = BAD[case]
    rows = [{**GOOD[benchmark][0], **cells}, *GOOD[benchmark][1:]]
    rows = [{k: v for k, v in row.items() if cells.get(k) is not ...} for row in rows]
    with pytest.raises(TruewardError, match=said) as caught:
        measured(rows, benchmark)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (WHOLE[: -len(TIES)], "has no rows of Ties, and the score of RewardBench 2 is the mean"),
        ([r for r in WHOLE if r["id"] != "ref:0" and r["id"] != "tied:1"], "has no N with both"),
        ([*WHOLE, completions("Ties", "tied:9", [1], [0])], "one chosen response under the id"),
        ([*WHOLE, completions("Ties", "9", [1, 1], [0])], "not ref:N or tied:N"),
    ],
)
def test_ties_that_cannot_be_scored_are_refused(rows, said):
    with pytest.raises(TruewardError, match=said):
        measured(rows, "rewardbench2")


def test_an_empty_file_and_an_unknown_benchmark_are_refused(tmp_path):
    (tmp_path / "empty.jsonl").write_text("", "utf-8")
    with pytest.raises(TruewardError, match="but it is empty"):
        tw.evaluate_pairs(Stated(), tmp_path / "empty.jsonl", "judgebench")
    with pytest.raises(UsageError, match="did you mean rm-bench"):
        measured(GOOD["rm-bench"], "rmbench")


def test_a_model_that_identifies_only_an_interval_is_refused():
    class Interval:
        def score(self, prompts, responses):
            return Scores(None, None, torch.zeros(len(prompts)), torch.zeros(len(prompts)) > 0)

    with pytest.raises(TruewardError, match="only an interval"):
        measured(GOOD["judgebench"], "judgebench", Interval())


def test_the_table_and_json_have_every_score():
    found = measured(GOOD["judgebench"], "judgebench")
    assert str(found).splitlines()[0].startswith("judgebench")
    assert all(name in str(found) for name in found)
    assert found.to_json()["coding"]["value"] is None
    assert len(found.warnings) == len(clusters(2).units)  # two prompts are few


@pytest.mark.battery
def test_intervals_cover_the_score_of_all_prompts():
    """400 files of 15 prompts a domain, of unlike difficulty: asked 95 %, an error of chance of .011."""

    class Noisy:
        def __init__(self, seed):
            self.draw = np.random.default_rng(seed).standard_normal

        def score(self, prompts, responses):
            # a quality of the prompt, one of the domain, a liking of style, and noise
            quality = {p: 1.5 * self.draw() for p in dict.fromkeys(prompts)}
            own = dict(zip(DOMAIN_ROWS, (1.0, 0.3, 0.5, 3.5, 2.0), strict=True))
            reward = [
                (own[p.split()[0]] + quality[p]) * (r[0] == "c") + 0.8 * int(r[1]) + self.draw()
                for p, r in zip(prompts, responses, strict=True)
            ]
            values = torch.tensor(reward, dtype=torch.float64)
            return Scores(values, torch.sigmoid(values), 0 * values, torch.zeros(len(values)) > 0)

    def file(n):
        return [
            styles(d, i, ["c0", "c1", "c2"], ["r0", "r1", "r2"])
            for d in DOMAIN_ROWS
            for i in range(n)
        ]

    truth = measured(file(4000), "rm-bench", Noisy(0))
    names = ("score", "hard", "normal", "easy", "chat", "safety")
    hits = {name: [] for name in names}
    rows = file(15)
    for seed in range(1, 401):
        found = measured(rows, "rm-bench", Noisy(seed))
        for name in names:
            hits[name].append(found[name].low <= truth[name].value <= found[name].high)
    for name in names:
        assert 0.92 < np.mean(hits[name]) <= 1, name
    assert 0.93 < np.mean(list(hits.values())) < 0.985
