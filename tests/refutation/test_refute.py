"""Attempts to refute: a sound fit withstands them, and each kind of unsound one is found out."""

import doctest
import importlib
import json
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from helpers.commands import ROWS, N, run, table

from trueward import Refutation, refute
from trueward.core.errors import TruewardError, UsageError
from trueward.data.feedback import Columns, Feedback, Labelled
from trueward.estimation.losses import bce, masked_mean
from trueward.estimation.method import Method
from trueward.refutation import CHECKS
from trueward.refutation.answers import Answers, correlation
from trueward.refutation.log_checks import coarse
from trueward.refutation.refit_checks import _unmoved, permuted, tossed
from trueward.refutation.run import sample
from trueward.refutation.trial import NotApplicableError, Trial, unchanged

FAST = {"epochs": 6}


def world(n=1500, d=16, seed=0, *, rate=0.5, golds=0):
    """Answers that are good where the first of ``d`` features is high; half are rated, none wrongly."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g)
    r = (torch.rand(n, generator=g) < torch.sigmoid(3 * x[:, 0])).float()
    o = (torch.rand(n, generator=g) < rate).float()
    some = torch.randperm(n, generator=g)[:golds]
    gold = torch.full((n,), torch.nan).scatter(0, some, r[some]) if golds else None
    truth = Feedback(x=x, y=r * o, o=o, gold=gold, group=torch.arange(n) // 3)
    return truth, r


def clicks(log):
    """The same log, where nothing says which answers were judged."""
    return replace(log, o=None)


def one(found, name):
    (check,) = [c for c in found.checks if c.name == name]
    return check


class Parrot(Method):
    """L = mean l(s, imputation): it learns from what was made of the labels before, not from feedback."""

    def loss(self, out, b):
        return bce(out.reward, b.eta.imputation).mean()


class Gated(Method):
    """L = mean over rows whose last context value is above 1.5 of l(s, y)."""

    @property
    def heads(self):
        return {"reward": "x", "idle": "xz"}

    def loss(self, out, b):
        error = bce(out.reward, b.y) + 0 * out.idle
        return masked_mean(error, b.o * (b.z[:, -1] > 1.5))


class Threshold(Method):
    """L = mean over rated rows of l(s, y); of few rows, it learns what was made up for each prompt."""

    few: bool = False

    def resolve(self, capabilities):
        return replace(self, few=capabilities.rows < 500), ()

    def loss(self, out, b):
        return masked_mean(bce(out.reward, b.eta.invented if self.few else b.y), b.o)


class Loudest(Method):
    """L = mean l(s, y_k), k the last channel by name."""

    listens: str = ""

    def resolve(self, capabilities):
        return replace(self, listens=max(capabilities.channels)), ()

    def loss(self, out, b):
        return bce(out.reward, b.channels[self.listens]).mean()


# --- a sound fit


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("naive", {}),
        ("three_outcome", {"nuisance_epochs": 6}),
        ("causalrm", {"rho_01": 0.0, "rho_10": 0.0}),
        ("implicitrm", {"identify": "scar"}),
        ("implicitrm", {"identify": "none", "allow_unidentified": True}),
        ("auto", {}),  # which selects anchored
    ],
)
def test_a_sound_fit_is_not_refuted(method, options):
    found = refute(method, world(900, golds=150)[0], **options)
    assert found.passed, str(found)
    assert [c.name for c in found.checks] == list(CHECKS)
    applied = {c.name for c in found.checks if c.passed}
    assert applied >= set(CHECKS) - {"null_channel", "asked_arms"}, str(found)


def test_a_sound_fit_on_clicks_is_not_refuted():
    found = refute("naive", clicks(world()[0]), **FAST)
    assert found.passed, str(found)
    assert "by click" in one(found, "permuted_feedback").sentence


@pytest.mark.parametrize(
    "seed", [*range(2), *(pytest.param(seed, marks=pytest.mark.battery) for seed in range(2, 20))]
)
def test_sound_fits_are_hardly_ever_refuted(seed):
    """A limit is 3 sd of chance, with a second look before it fails: no alarm is due in 20 logs."""
    found = refute("naive", world(900, seed=seed)[0], seed=seed)
    assert found.passed, str(found)


def test_a_log_without_signal_has_nothing_to_be_stable():
    log, _ = world()
    noise = permuted(log, torch.Generator().manual_seed(5))
    found = refute("naive", noise, **FAST)
    assert found.passed, str(found)
    assert one(found, "subset_stability").passed is None
    assert "no signal is significant" in one(found, "subset_stability").sentence


def test_a_method_that_refuses_permuted_feedback_learns_nothing_from_it():
    """With unknown noise rates, causalrm stops where the features do not predict the feedback."""
    found = refute("causalrm", world()[0], only=["permuted_feedback"])
    (check,) = found.checks
    assert check.passed
    assert "refuses permuted feedback" in check.sentence or check.found is not None


# --- leaks


def test_a_feature_that_holds_the_label_is_a_leak():
    log, _ = world()
    coin = (torch.rand(len(log), generator=torch.Generator().manual_seed(1)) < 0.5).float()
    known = torch.where(log.o > 0, log.y, coin)  # what was said, and a coin where nothing was
    found = refute("naive", replace(log, x=torch.cat([log.x, known[:, None]], 1)), **FAST)
    check = one(found, "leaked_label")
    assert check.passed is False
    assert check.found == 1.0
    assert "feature column 17 ranks feedback" in check.sentence
    assert not found.passed


def test_a_feature_that_holds_the_label_upside_down_is_a_leak():
    log, _ = world()
    x = log.x.clone()
    x[:, 4] = -2.0 * log.y
    check = one(refute("naive", replace(log, x=x), only=["leaked_label"]), "leaked_label")
    assert check.passed is False
    assert "feature column 5" in check.sentence


def test_a_context_column_that_holds_the_gold_label_is_a_leak():
    log, r = world(golds=200)
    found = refute("naive", replace(log, z=r[:, None] + 1.0), only=["leaked_label"])
    assert "context column 1 ranks" in found.checks[0].sentence
    assert not found.passed


def test_a_strong_honest_feature_is_no_leak():
    """P(good) = sigmoid(3 x): AUROC of x is about .9, and it is far below .99."""
    check = refute("naive", world()[0], only=["leaked_label"]).checks[0]
    assert check.passed
    assert 0.8 < check.found < 0.95


def test_a_leak_among_few_prompts_is_not_believed():
    log, _ = world(90)
    check = refute("naive", replace(log, x=log.y[:, None] + log.x), only=["leaked_label"]).checks[0]
    assert check.passed is None
    assert "20 prompts with a good" in check.sentence


def test_a_prompt_on_both_sides_of_a_split_is_flagged_with_its_count():
    log, _ = world(600)
    twice = log[torch.cat([torch.arange(600), torch.arange(30)])]
    group = torch.cat([log.group, torch.arange(30) // 3 + 1000])
    check = refute("naive", replace(twice, group=group), only=["duplicate_prompts"]).checks[0]
    assert check.passed is False
    assert check.found == pytest.approx(60 / 630)  # 30 rows and their 30 copies
    assert "60 have the same features" in check.sentence
    same = replace(twice, group=torch.cat([log.group, log.group[:30]]))
    assert refute("naive", same, only=["duplicate_prompts"]).checks[0].passed


def test_a_prompt_text_under_two_ids_is_flagged():
    log, _ = world(600)
    texts = [f"question {k % 190}" for k in log.group.tolist()]  # 200 ids: 10 texts come twice
    check = refute("naive", log, texts=texts, only=["duplicate_prompts"]).checks[0]
    assert check.passed is False
    assert check.found == pytest.approx(60 / 600)  # 10 texts, 2 ids each, 3 rows an id
    assert "0 have the same features and 60 have the same prompt text" in check.sentence


def test_rows_of_coarse_features_look_alike_without_being_copies():
    log, _ = world(600)
    check = refute(
        "naive", replace(log, x=(log.x[:, :4] > 0).float()), only=["duplicate_prompts"]
    ).checks[0]
    assert check.passed is None
    assert coarse(torch.randint(2, (600, 12)).float())  # 12 bits, and telling 600 apart takes 28
    assert not coarse(torch.randn(600, 4))  # 4 columns of 9 bits


# --- fits that do not come from the feedback, or hang on what they should not


def test_a_method_that_knows_the_labels_without_the_feedback_is_refuted():
    """A cached imputation made of all labels: with any feedback the ranking is the same."""
    log, r = world()
    leaky = replace(log, eta=Columns(imputation=r))
    found = refute(Parrot(), leaky, only=["permuted_feedback", "placebo_feedback"], **FAST)
    shuffled, placebo = found.checks
    assert shuffled.passed is False
    assert shuffled.found > 0.85  # the AUROC of the feature itself is about .9
    assert placebo.passed is False
    assert placebo.found > 0.9
    sound = refute("naive", leaky, only=["permuted_feedback", "placebo_feedback"], **FAST)
    assert sound.passed, str(sound)


def test_a_method_that_a_random_context_column_sways_is_refuted():
    log, _ = world(600)
    calm = replace(log, z=torch.full((600, 1), 2.0))
    found = refute(Gated(), calm, only=["random_common_cause"], **FAST)
    assert found.checks[0].passed is False
    assert "a random context column" in found.checks[0].sentence


def test_a_method_that_halves_of_the_log_leave_without_signal_is_refuted():
    """Fitted on 672 of 1200 rows it learns from the feedback; on half of them, from coin tosses.

    In 64 directions two fits to coin tosses agree by .12 or less, one sd, in five of six logs.
    """
    log, _ = world(1200, d=64)
    junk = torch.rand(1200, generator=torch.Generator().manual_seed(3)).round()
    made_up = replace(log, eta=Columns(invented=junk))
    check = refute(Threshold(), made_up, only=["subset_stability"]).checks[0]
    assert check.passed is False, check
    assert check.found < check.limit < 0.2


def test_a_method_that_trusts_any_channel_is_refuted():
    log, r = world()
    heard = replace(log, channels=Columns(click=r, like=r))
    found = refute(Loudest(), heard, only=["null_channel"], **FAST)
    assert found.checks[0].passed is False
    assert "fires at random" in found.checks[0].sentence


def test_the_null_channel_applies_only_to_methods_that_read_channels():
    log, r = world(900, golds=200)
    assert "no channels" in refute("naive", log, only=["null_channel"]).checks[0].sentence
    heard = replace(log, channels=Columns(like=r))
    unread = refute("naive", heard, only=["null_channel"]).checks[0]
    assert unread.passed is None
    assert "would not read another channel" in unread.sentence
    assert refute("anchored", heard, only=["null_channel"], nuisance_epochs=4).checks[0].passed


# --- the parts


def test_permuted_feedback_moves_with_whether_it_was_given():
    log, r = world(90, golds=30)
    log = replace(log, channels=Columns(like=r), eta=Columns(propensity=r / 2, imputation=r))
    new = permuted(log, torch.Generator().manual_seed(0))
    rows = [torch.stack([d.y, d.o, d.channels.like, d.eta.propensity], 1) for d in (log, new)]
    assert sorted(map(tuple, rows[0].tolist())) == sorted(map(tuple, rows[1].tolist()))
    assert not torch.equal(rows[0], rows[1])
    assert torch.equal(new.gold.isnan(), log.gold.isnan())
    assert new.gold.nansum() == log.gold.nansum()
    assert torch.equal(new.x, log.x)
    assert torch.equal(new.eta.imputation, log.eta.imputation)


def test_coins_come_as_often_as_the_signals_they_replace():
    log, r = world(900, golds=300)
    log = replace(log, channels=Columns(like=r))
    new = tossed(log, torch.Generator().manual_seed(0))
    for before, after in ((log.o, new.o), (log.y, new.y), (r, new.channels.like)):
        assert before.sum() == after.sum()
    assert ((new.y > 0) <= (new.o > 0)).all()
    # two independent coins at 1/2 agree in half of 900 rows, give or take 3 sd of 15
    assert abs(int((new.channels.like == r).sum()) - 450) < 45


def test_the_auroc_and_its_error_by_hand():
    """Good 3 and 1, bad 2 and 0: good wins 3 of 4 pairs. Pulls are (1/4)/2 = 1/8 up and down."""
    score = np.array([3.0, 1.0, 2.0, 0.0])
    apart = Answers(
        "feedback", np.arange(4), np.array([1, 1, 0, 0], bool), np.arange(4), np.ones(4)
    )
    value, error = apart.auroc(score)
    assert value == 0.75
    assert error == pytest.approx((4 / 64 * 4 / 3) ** 0.5)
    # rows 2 and 3 are of one prompt, and pull down together: 1/8, -1/4, 1/8
    together = replace(apart, prompt=np.array([0, 1, 1, 2]))
    assert together.auroc(score)[1] == pytest.approx(((1 + 4 + 1) / 64 * 3 / 2) ** 0.5)


def test_a_constant_score_agrees_with_nothing():
    assert correlation(np.zeros(5), np.arange(5.0)) == 0.0
    assert correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 90.0])) == 1.0


def test_a_sample_is_of_whole_prompts_and_keeps_those_with_gold_labels():
    log, _ = world(900)
    gold = torch.full((900,), torch.nan)
    gold[[4, 400]] = 1.0
    some = sample(replace(log, gold=gold), seed=0, most=100)
    assert len(some) == 99  # 33 prompts of 3 rows
    assert (some.group.bincount()[some.group.unique()] == 3).all()
    assert {4 // 3, 400 // 3} <= set(some.group.tolist())
    assert len(sample(log, seed=0, most=900)) == 900


def test_a_long_log_is_sampled_and_the_table_says_so():
    log, _ = world(21_000, d=4)
    found = refute("naive", log, only=["leaked_label"])
    assert (found.rows, found.of) == (19_998, 21_000)
    assert "19,998 of 21,000 rows" in str(found)


def test_the_same_seed_gives_the_same_verdicts_and_progress_says_what_is_fitted():
    log, _ = world(600)
    told = []
    chosen = ["placebo_feedback", "random_common_cause"]
    found = [
        refute("naive", log, only=chosen, progress=lambda stage, *_: told.append(stage), **FAST)
        for _ in range(2)
    ]
    assert found[0] == found[1]
    assert "a placebo, 2 of 2" in told
    assert len(set(told)) == 5  # the log, two placebos, another seed, random columns


def test_the_verdicts_are_a_table_and_plain_data():
    found = refute("naive", world(600)[0], only=["leaked_label", "null_channel"])
    assert isinstance(found, Refutation)
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert plain["passed"] is True
    assert [c["name"] for c in plain["checks"]] == ["leaked_label", "null_channel"]
    assert re.search(r"^leaked_label +pass +0\.\d{3}  <= 0\.990 ", str(found), re.MULTILINE)
    assert re.search(r"^null_channel +n/a +- ", str(found), re.MULTILINE)


# --- what a user can get wrong


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"only": ["permuted_fedback"]}, UsageError, "did you mean permuted_feedback"),
        ({"method": "oracle"}, UsageError, "clean labels"),
        ({"clip": 0.1}, UsageError, "no option 'clip'"),
        ({"method": "channels"}, TruewardError, "two or more channel"),
        ({"texts": ["one"]}, TruewardError, "each of 90 rows, not 1"),
        ({"log": Labelled(torch.zeros(9, 2))}, TruewardError, "was given Labelled"),
    ],
)
def test_a_wrong_request_is_one_sentence(change, error, words):
    asked = {"method": "naive", "log": world(90)[0], **change}
    with pytest.raises(error, match=words):
        refute(asked.pop("method"), asked.pop("log"), **asked)


def test_a_log_where_nothing_is_rated_is_refused():
    log, _ = world(90)
    with pytest.raises(TruewardError, match="at least 2 responses with feedback, and found 0"):
        refute("naive", replace(log, y=0 * log.y, o=0 * log.o))


def test_a_log_that_is_too_short_to_fit_is_refused():
    log = world(12)[0]
    with pytest.raises(TruewardError, match="at least 2 responses rated good, and found 1"):
        refute("naive", replace(log, y=(torch.arange(12) == 0).float(), o=torch.ones(12)))


def test_a_log_too_short_to_be_split_leaves_checks_of_the_log_itself():
    found = refute("naive", replace(world(150)[0], group=torch.arange(150) // 50))
    assert found.passed
    assert "too short to hold out rows to judge by" in one(found, "placebo_feedback").sentence
    assert {c.name for c in found.checks if c.passed} == {"duplicate_prompts"}
    assert "1 of 8 checks" in str(found)


@pytest.fixture
def honest(tmp_path):
    """Answers to 120 prompts, one of three rated good and one bad."""
    thrice = {k: v * 2 for k, v in ROWS.items()}
    thrice["prompt"] = [f"{p} ({i // N})" for i, p in enumerate(thrice["prompt"])]
    return table(tmp_path / "log.parquet", **thrice)


def test_the_command_prints_a_table_or_json(honest, capsys):
    code, out, err = run(["refute", "naive", honest, "--only", "placebo_feedback"], capsys)
    assert code == 0, err
    assert out.startswith("naive on 360 rows: not refuted")
    assert "fitting a placebo, 1 of 2 ..." in err
    words = ["refute", "naive", honest, "--only", "leaked_label, null_channel", "--json"]
    code, out, err = run(words, capsys)
    assert code == 0, err
    assert {c["name"] for c in json.loads(out)["checks"]} == {"leaked_label", "null_channel"}


def test_the_command_exits_1_where_a_check_fails(tmp_path, capsys):
    """180 prompt ids, three of them to a prompt text."""
    log = table(tmp_path / "log.parquet", prompt_id=[f"id {i}" for i in range(N)])
    code, out, err = run(["refute", "naive", log, "--only", "duplicate_prompts"], capsys)
    assert code == 1, err
    assert "refuted by duplicate_prompts" in out
    assert "180 have the same prompt text" in " ".join(out.split())
    assert "error" not in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["niave"], 2, "did you mean naive"),
        (["naive", "--only", "placebo"], 2, "no check is called 'placebo'"),
        (["naive", "-o", "clip=1"], 2, "no option 'clip'"),
        (["oracle"], 2, "true labels"),
        (["anchored"], 1, "a gold column"),
        (["channels"], 1, "two or more channel"),
    ],
)
def test_a_wrong_command_is_one_sentence(honest, capsys, words, code, said):
    got, _out, err = run(["refute", words[0], honest, *words[1:]], capsys)
    assert got == code, err
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"feedback": [None] * N}, "feedback"),
        ({"feedback": [1.0, 0.0, 1.0, *[None] * (N - 3)]}, "at least 2 responses rated bad"),
        ({"prompt": ["Why?"] * N}, "at least 2 prompts"),
    ],
)
def test_a_log_that_cannot_be_fitted_is_one_sentence(tmp_path, capsys, columns, said):
    log = table(tmp_path / "log.parquet", **columns)
    code, _out, err = run(["refute", "naive", log], capsys)
    assert code == 1, err
    assert said in err
    assert err.count("error:") == 1


def test_gold_labels_are_joined(tmp_path, capsys):
    gold = {k: ROWS[k][:60] for k in ("prompt", "response")} | {"gold": [1.0, 0.0] * 30}
    pl.DataFrame(gold).write_csv(tmp_path / "gold.csv")
    log = table(tmp_path / "log.parquet")
    words = ["anchored", log, "--gold", str(tmp_path / "gold.csv"), "--only", "duplicate_prompts"]
    code, _out, err = run(["refute", *words], capsys)
    assert code == 0, err


def test_the_example_of_refute_holds():
    result = doctest.testmod(importlib.import_module("trueward.refutation.run"))
    assert result.attempted
    assert not result.failed


def test_a_fit_whose_own_seeds_disagree_cannot_be_swayed(monkeypatch):
    """Two seeds that agree by .3: any ranking would pass, so the check does not apply."""
    monkeypatch.setattr(Trial, "ranking", property(lambda _: np.arange(5.0)))
    monkeypatch.setattr(Trial, "between_seeds", property(lambda _: 0.3))
    trial = Trial("naive", {}, Threshold(), *[None] * 5, 0, None)
    with pytest.raises(NotApplicableError, match=r"two seeds agree by 0\.30 only"):
        _unmoved(trial, "random_common_cause", "a random column", unchanged)
