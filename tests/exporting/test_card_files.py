"""The cards of an exported folder, which anybody may have edited."""

import pytest

from trueward.exporting.verify_rules import RuleBroken, check_cards


@pytest.mark.parametrize(
    ("front", "reason"),
    [
        ("date: 2026-02-30", "not valid YAML: day is out of range"),
        ("a: [", "not valid YAML: while parsing"),
        ("- trueward", "expected library_name: trueward"),
    ],
)
def test_front_matter_that_cannot_be_read_breaks_the_rule_in_one_sentence(tmp_path, front, reason):
    (tmp_path / "README.md").write_text(f"---\n{front}\n---\n# A model\n")
    with pytest.raises(RuleBroken, match=reason) as broken:
        check_cards(tmp_path, {}, "trueward")
    assert "\n" not in str(broken.value)
