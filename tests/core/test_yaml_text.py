"""YAML of users is read within bounds, and refused with a reason."""

import pytest

from trueward.core.yaml_text import read_yaml

ALIASES = "a0: &a0 [x, x]\n" + "".join(
    f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}, *a{k - 1}, *a{k - 1}, *a{k - 1}]\n" for k in range(1, 12)
)


def test_plain_values_anchors_and_merges_are_read():
    text = "first: &f {seeds: [0, 1]}\nsecond: {<<: *f, rate: 0.1}\n"
    assert read_yaml(text)["second"] == {"seeds": [0, 1], "rate": 0.1}
    assert read_yaml("") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("seed: 2026-02-30", "day is out of range"),
        ('seed: !!int ""', "a value cannot be read"),
        ("seed: !!python/name:os.system", "could not determine a constructor"),
        ("seed: " + "9" * 5000, "Exceeds the limit"),
        ("a: " + "[" * 3000, "nested more than 20 levels"),
        ("a: " + "{b: " * 3000, "nested more than 20 levels"),
        ("a: 1 # " + "long " * 200_000, "longer than 1,000,000 characters"),
        (ALIASES, "more than 100,000 values"),
        ("a: &a [*a]", "contains itself"),
        ("a: [", "while parsing"),
        ("a: *b", "undefined alias"),
        ("a: \x00", "special characters"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_reason(text, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        read_yaml(text)
    assert "\n" not in str(refused.value)
