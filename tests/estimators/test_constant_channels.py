"""Channels without variation are left out, counted alike by inspect, auto and channels."""

from __future__ import annotations

import polars as pl
import pytest

from trueward.core.errors import TruewardError
from trueward.data.capabilities import NEGATIVE_CHANNELS, LogCapabilities
from trueward.data.log_reading import read_log
from trueward.estimation.requirements import lacking
from trueward.estimators._registry import make
from trueward.estimators.channels import Channels
from trueward.features import encode
from trueward.fitting.fit import fit
from trueward.importers.channels import CHANNELS

N = 240


def log(**channels):
    """A log whose every third response is rated, good or bad in turns."""
    rows = {"prompt": [f"p{i}" for i in range(N)], "response": [f"answer {i}" for i in range(N)]}
    rows["feedback"] = [float(i % 2) if i % 3 == 0 else None for i in range(N)]
    return read_log(pl.DataFrame(rows | {f"channel.{k}": v for k, v in channels.items()}))


EVERY = [1.0] * N
SOME = [1.0 if i % 3 else None for i in range(N)]
EVEN = [float(i % 2 == 0) for i in range(N)]
FOURTH = [float(i % 4 == 0) for i in range(N)]  # fires only where EVEN does
ODD = [float(i % 2) for i in range(N)]  # never fires where EVEN does


def test_constant_channels_are_left_out_and_auto_fits_the_ratings():
    table = log(kept=EVERY, went_on=SOME)
    capabilities = LogCapabilities.from_log(table)
    assert capabilities.constant_channels == {"kept", "went_on"}
    assert "two channels" not in capabilities.offers
    method, sentences = make("auto", {}).resolve(capabilities)
    assert method.name == "three_outcome"
    assert sentences[-1] == (
        "Left out: channel.kept, channel.went_on, which have one value wherever logged, so they do not "
        "separate answers."
    )
    lack = lacking(make("channels", {}), capabilities)
    assert "vary (of one value here: kept, went_on)" in lack
    train, val = encode(table, cache=False).split(0.2)
    model = fit("auto", train, val, epochs=1)
    assert model.method == "three_outcome"
    with pytest.raises(TruewardError, match=r"two channel\.\* columns that vary"):
        fit("channels", train, val, epochs=1)


def test_auto_takes_the_channels_that_vary():
    table = log(kept=EVERY, copy=EVEN, like=FOURTH)
    capabilities = LogCapabilities.from_log(table)
    data = encode(table, cache=False)
    assert LogCapabilities.from_feedback(data) == capabilities  # inspect and auto count the same
    for name in ("auto", "channels"):
        method, sentences = make(name, {}).resolve(capabilities)
        assert method.names == ("copy", "like")
        assert sentences[-1].startswith("Left out: channel.kept, which has one value")


def test_the_advice_about_a_constant_channel_can_be_followed():
    train, val = encode(log(kept=EVERY, copy=EVEN, like=FOURTH), cache=False).split(0.2)
    with pytest.raises(TruewardError, match=r"always fires .*-o channels=copy,like"):
        fit("channels", train, val, channels=("copy", "like", "kept"), epochs=1)
    assert fit("channels", train, val, channels=("copy", "like"), epochs=1)


@pytest.mark.parametrize(
    "channels", [{"copy": EVEN, "like": ODD}, {"regenerate": EVEN, "repair": FOURTH}]
)
def test_auto_does_without_channels_that_are_never_joint_or_fire_for_bad_answers(channels):
    assert make("auto", {}).resolve(LogCapabilities.from_log(log(**channels)))[0].name == (
        "three_outcome"
    )


def test_channels_of_bad_answers_are_those_of_the_importers():
    negative = {k for k, c in CHANNELS.items() if c.kind == "implicit" and c.polarity == "-"}
    assert negative == NEGATIVE_CHANNELS
    assert isinstance(make("channels", {}), Channels)
