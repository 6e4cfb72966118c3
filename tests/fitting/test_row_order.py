"""The order of the rows of a log changes nothing: neither split, nor folds, nor batches, nor sums."""

import polars as pl
import pytest
import torch

import trueward as tw
from trueward.data.feedback import Feedback
from trueward.data.row_order import row_digests
from trueward.fitting.prepared import in_row_order
from trueward.fitting.sweep import FitJob, fit_many

N = 480
QUICK = {"epochs": 2, "nuisance_epochs": 1, "folds": 2, "hidden": (16,)}


def log():
    """Three answers a prompt, 40 users, weights, context, and gold labels on a third."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(N, 12, generator=g)
    r = (x[:, 0] + 0.3 * torch.randn(N, generator=g) > 0).float()
    o = (torch.rand(N, generator=g) < torch.sigmoid(x[:, 1] + r)).float()
    return Feedback(
        x,
        r * o,
        o,
        z=torch.rand(N, 2, generator=g),
        gold=torch.where(torch.rand(N, generator=g) < 0.3, r, torch.nan),
        group=torch.arange(N) // 3,
        user=torch.arange(N) % 40,
        weight=0.5 + torch.rand(N, generator=g),
    )


@pytest.fixture(scope="module")
def moved():
    return torch.randperm(N, generator=torch.Generator().manual_seed(1))


def fitted(method, data, **given):
    return tw.fit(method, *data.split(0.25, seed=3), **{**QUICK, **given})


def reward(model):
    scores = model.score_features(log().x)
    return scores.low if scores.reward is None else scores.reward


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("naive", {}),
        ("causalrm", {}),
        ("causalrm", {"users": "on", "nuisance_width": 4}),
        ("three_outcome", {}),
        ("anchored", {}),
        ("anchored", {"nuisance_width": 4}),
        ("auto", {}),
        ("bpr", {}),
        ("channels", {"channels": ("copy", "like"), "members": 2}),
    ],
)
def test_a_permuted_log_gives_the_same_model_to_the_bit(method, given, moved):
    b = log()
    if method == "bpr":
        b = Feedback(b.x, b.y, group=b.group)
    if method == "channels":
        active = b.o * (b.y + b.z[:, 0] > 0.5).float()
        b = Feedback(b.x, b.y, b.o, channels=tw.Columns(copy=active, like=b.y), group=b.group)
    one, other = fitted(method, b, **given), fitted(method, b[moved], **given)
    assert torch.equal(reward(one), reward(other))
    assert one.report == other.report


def test_rows_without_prompts_too(moved):
    b = log()
    b = Feedback(b.x, b.y, b.o)
    assert torch.equal(reward(fitted("dr", b)), reward(fitted("dr", b[moved])))


def test_another_seed_gives_another_model(moved):
    b = log()
    one, other = fitted("naive", b), fitted("naive", b[moved], seed=1)
    assert not torch.allclose(reward(one), reward(other), atol=1e-3)


def test_many_fits_at_once_too(moved):
    b = log()
    splits = [d.split(0.25, seed=3) for d in (b, b[moved])]
    jobs = [FitJob(m, *parts) for parts in splits for m in ("ips", "anchored")]
    models = fit_many(jobs, **QUICK)
    for one, other in zip(models[:2], models[2:], strict=True):
        assert torch.allclose(reward(one), reward(other), atol=1e-6)


def test_an_interrupted_fit_resumes_from_a_permuted_log(moved, tmp_path):
    b = log()

    def stop(stage, *_):
        if stage == "reward":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted("dr", b, checkpoint=tmp_path / "c", progress=stop)
    stages = []
    resumed = fitted(
        "dr", b[moved], checkpoint=tmp_path / "c", progress=lambda stage, *_: stages.append(stage)
    )
    assert set(stages) == {"reward"}  # the nuisances are not fitted again
    assert torch.equal(reward(resumed), reward(fitted("dr", b)))


def test_calibration_on_permuted_gold_rows_is_the_same(moved):
    b = log()
    model = fitted("naive", b)
    one, other = (model.calibrated(d, seed=5) for d in (b, b[moved]))
    assert one.report["calibration"] == other.report["calibration"]
    a, c = (m.score_features(b.x).preferred for m in (one, other))
    assert torch.equal(a, c)


def test_scores_have_the_order_of_the_rows_that_are_scored(moved):
    b = log()
    model = fitted("naive", b)
    whole, part = (model.score_features(x).reward for x in (b.x, b.x[moved]))
    assert torch.allclose(whole[moved], part, atol=1e-6)


def test_a_log_of_texts_is_split_and_numbered_alike_in_any_order():
    g = torch.Generator().manual_seed(2)
    n = 90
    frame = pl.DataFrame(
        {
            "prompt": [f"how do i {i // 3}" for i in range(n)],
            "response": [f"so {i * i % 17} and {i}" for i in range(n)],
            "feedback": [float(i % 2) if i % 3 else None for i in range(n)],
            "user_id": [f"u{i % 7}" if i % 5 else None for i in range(n)],
            "context.hour": torch.rand(n, generator=g).tolist(),
            "context.app": ["web" if i % 4 else "phone" for i in range(n)],
        }
    )
    order = torch.randperm(n, generator=g).tolist()
    logs = [tw.encode(tw.read_log(f), cache=False) for f in (frame, frame[order])]
    models = [tw.fit("ips", *data.split(0.3), **QUICK) for data in logs]
    a, c = (m.score_features(logs[0].x).reward for m in models)
    assert torch.allclose(a, c, atol=1e-6)


def test_features_in_another_order_are_read_without_a_copy():
    b = Feedback(
        torch.tensor([[3.0, 30.0], [1.0, 10.0], [2.0, 20.0]]), torch.tensor([3.0, 1.0, 2.0])
    )
    ordered, order = in_row_order(b, row_digests(b.x))
    x = ordered.x
    assert order.tolist() == [1, 2, 0]
    assert ordered.y.tolist() == [1, 2, 3]
    assert x.x is b.x
    assert (len(x), tuple(x.shape), x.dtype, x.device) == (3, (3, 2), b.x.dtype, b.x.device)
    assert x[torch.tensor([2, 0])].tolist() == [[3, 30], [1, 10]]
    assert x[:, :1].tolist() == [[1], [2], [3]]
    assert [part.tolist() for part in x.split(2)] == [[[1, 10], [2, 20]], [[3, 30]]]
    assert x.to(torch.float64).tolist() == [[1, 10], [2, 20], [3, 30]]


def test_rows_in_canonical_order_stay_as_they_are():
    b = Feedback(torch.tensor([[1.0], [2.0]]), torch.zeros(2))
    assert in_row_order(b, row_digests(b.x))[0] is b
