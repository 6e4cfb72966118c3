"""Every method declares how its reward follows from its heads or its nuisances."""

from dataclasses import replace

import pytest
import torch
from helpers.toy import every_variant, logits, toy

from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns
from trueward.estimation.nuisance_types import Computed
from trueward.estimation.reward_form import (
    Evidence,
    EvidenceRegression,
    HeadLogit,
    MeanProbability,
    SegmentPlacement,
    SelectionMixture,
    TargetColumn,
)
from trueward.estimation.signals import LogSignals
from trueward.estimators._registry import make

VARIANTS = every_variant()
all_variants = pytest.mark.parametrize(
    "method", [m for _, m in VARIANTS], ids=[i for i, _ in VARIANTS]
)


@all_variants
def test_the_reward_is_what_the_form_declares(method):
    form, out = method.reward_form(), logits(method, 7)
    assert torch.equal(method.reward(out), form.logit(out))
    assert method.composed == form.composed
    if isinstance(form, HeadLogit):
        assert method.heads[form.head] == "x"
        assert form.level is None or method.heads[form.level] == "one"
    elif isinstance(form, MeanProbability):
        assert [method.heads[k] for k in form.heads] == ["x", "x"]
    else:
        nuisances = {nu.name: nu for nu in method.nuisances}
        if isinstance(form, TargetColumn):
            assert any("target" in getattr(nu, "columns", ()) for nu in method.nuisances)
            return
        assert isinstance(nuisances[form.nuisance], Computed)
        assert "target" in nuisances[form.nuisance].columns
        read = (
            form.chances
            if isinstance(form, (SegmentPlacement, SelectionMixture))
            else sum((e.nuisances for e in form.evidence), ())
        )
        assert set(read) <= set(nuisances)


@pytest.mark.parametrize(
    ("name", "options", "form"),
    [
        ("naive", {}, HeadLogit()),
        ("uprl", {}, HeadLogit("reward")),
        ("uprl", {"score": "point"}, HeadLogit("point")),
        ("channels", {"channels": ("copy", "like")}, HeadLogit(level="level")),
        ("channels", {"channels": ("copy", "like"), "form": "ratio"}, TargetColumn()),
        ("codis", {}, MeanProbability(("reward", "peer"))),
        ("three_outcome", {}, SelectionMixture()),
        ("three_outcome", {"form": "two_step"}, SegmentPlacement()),
        ("three_outcome", {"form": "joint"}, HeadLogit()),
        ("anchored", {"signals": "none"}, EvidenceRegression()),
        (
            "anchored",
            {"signals": ("clicks", "channel.copy")},
            EvidenceRegression(
                evidence=(
                    Evidence("noisy", "odds", ("noisy",)),
                    Evidence("channel.copy", "odds", ("channel.copy",)),
                )
            ),
        ),
    ],
)
def test_forms_of_some_methods(name, options, form):
    assert make(name, options).reward_form() == form


def test_a_learned_level_is_added_to_the_logit_of_its_head():
    out = Columns(reward=torch.tensor([1.0, -2.0]), level=torch.tensor([0.5, 0.5]))
    assert HeadLogit(level="level").logit(out).tolist() == [1.5, -1.5]


def test_evidence_of_two_thumbs_follows_from_the_two_chances():
    q, p = torch.tensor([0.8, 0.3]).double(), torch.tensor([0.5, 0.1]).double()
    eta = Columns(noisy=q, responds=p, place=torch.tensor([0.5, 0.9]).double())
    pair = ("noisy", "responds")
    up = Evidence("up", "up", pair).log_odds(eta)
    down = Evidence("down", "down", pair).log_odds(eta)
    torch.testing.assert_close(up, torch.log(p * q / (1 - p)))
    torch.testing.assert_close(down, torch.log(p * (1 - q) / (1 - p)))
    place = Evidence("place", "place", pair).log_odds(eta)
    torch.testing.assert_close(place, torch.tensor([1.0, 9.0]).double().log())


@pytest.mark.parametrize(
    ("columns", "names", "pieces"),
    [
        ({}, ("ratings", "reactions"), ["noisy", "up", "down", "three_outcome"]),
        ({"o": torch.ones(6)}, ("ratings",), ["noisy"]),
        ({"o": None, "y": torch.arange(6) % 2.0}, ("clicks",), ["noisy"]),
    ],
)
def test_signals_of_a_log_and_the_evidence_they_give(columns, names, pieces):
    log = replace(toy(), channels=Columns(copy=torch.ones(6)), **columns)
    signals = LogSignals.of(LogCapabilities.from_feedback(log))
    assert signals.names == (*names, "channel.copy")
    assert [e.name for e in signals.evidence] == [*pieces, "channel.copy"]
    eta = Columns({nu.name: torch.full((6,), 0.5) for nu in signals.nuisances})
    assert list(signals.log_odds(eta)) == [
        k for k in [*pieces, "channel.copy"] if k != "three_outcome"
    ]
