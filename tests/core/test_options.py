"""Options are read from text, checked against type and range, and written as they are read."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from trueward.core.errors import UsageError
from trueward.core.options import Opt, Option, check_names, check_values, format_value, options


@dataclass(frozen=True)
class Config:
    rate: Annotated[float, Opt("learning rate", 0, 1, open_low=True)] = 0.1
    epochs: Annotated[int, Opt("passes over the data", 1)] = 3
    shuffle: bool = True
    hidden: Annotated[tuple[int, ...], Opt("width of each layer", 1)] = (8, 4)
    clip: Annotated[float | None, Opt("largest weight", 0)] = None
    prior: Annotated[float | Literal["auto"], Opt("share of good rows", 0, 1)] = "auto"
    name: str = ""


OPTIONS = options(Config)


def test_options_come_in_the_order_of_the_fields_with_their_defaults():
    assert list(OPTIONS) == [f.name for f in dataclasses.fields(Config)]
    assert {k: o.default for k, o in OPTIONS.items()} == dataclasses.asdict(Config())


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rate", "0.5", 0.5),
        ("epochs", "7", 7),
        ("shuffle", "False", False),
        ("hidden", "16,8", (16, 8)),
        ("hidden", "16 8", (16, 8)),
        ("clip", "none", None),
        ("clip", "2", 2.0),
        ("prior", "auto", "auto"),
        ("prior", "0.3", 0.3),
        ("name", "none", "none"),
    ],
)
def test_text_becomes_a_value_of_the_type(name, text, value):
    assert OPTIONS[name].parse(text, "test") == value


@pytest.mark.parametrize(
    ("name", "text"),
    [("rate", "fast"), ("epochs", "2.5"), ("shuffle", "yes"), ("hidden", "a,b"), ("prior", "best")],
)
def test_text_of_another_type_is_refused_with_option_and_value(name, text):
    with pytest.raises(UsageError) as e:
        OPTIONS[name].parse(text, "test")
    assert f"test: option {name} takes {OPTIONS[name].accepts}, not {text!r}" == str(e.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0.0},
        {"rate": 1.5},
        {"rate": math.nan},
        {"rate": True},
        {"epochs": 0},
        {"epochs": 2.0},
        {"shuffle": 1},
        {"hidden": (8, 0)},
        {"hidden": 8},
        {"clip": -1.0},
        {"prior": "best"},
    ],
)
def test_values_of_the_wrong_type_or_out_of_range_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(UsageError, match=f"test: option {name} takes"):
        check_values(Config(**wrong), "test")


def test_values_within_the_ranges_pass():
    check_values(Config(rate=1, hidden=(), clip=0.0, prior=1.0), "test")


def test_ranges_are_in_interval_notation():
    assert OPTIONS["rate"].accepts == "a number in (0, 1]"
    assert OPTIONS["epochs"].accepts == "a whole number in [1, ∞)"
    assert Opt("", high=2, open_high=True).range() == "(-∞, 2)"
    assert OPTIONS["clip"].accepts == "a number or none in [0, ∞)"


@pytest.mark.parametrize("name", [n for n in OPTIONS if n != "name"])
def test_a_formatted_value_is_read_back(name):
    default = OPTIONS[name].default
    assert OPTIONS[name].parse(format_value(default), "test") == default


def test_an_unknown_name_is_refused_with_the_nearest_one():
    check_names({"rate": 1}, OPTIONS, "test")
    with pytest.raises(UsageError, match="test has no option 'epoch': did you mean epochs"):
        check_names({"epoch": 1}, OPTIONS, "test")


@pytest.mark.parametrize("text", ["", "()", "none", " ( ) "])
def test_an_empty_value_is_the_empty_tuple(text):
    """`-o hidden=` is a linear head."""
    assert Option("hidden", (tuple[int, ...],), (256, 64)).parse(text, "fit") == ()
    assert Option("hidden", (tuple[int, ...],), ()).parse("(8, 4)", "fit") == (8, 4)
    assert Option("channels", (tuple[str, ...],), ()).parse("None,Copy", "fit") == ("None", "Copy")
    with pytest.raises(UsageError):
        Option("name", (str, int), "a").parse("", "fit")
