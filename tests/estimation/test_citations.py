"""Every section of the mathematics page that a docstring or a card cites exists."""

import re
from pathlib import Path

import trueward

PACKAGE = Path(trueward.__file__).parent
ROOT = PACKAGE.parents[1]
CITATION = re.compile(r"methods\s+(\d+(?:\.\d+)?)(?:\s+to\s+(\d+\.\d+))?")


def sections():
    text = (ROOT / "docs" / "mathematics.md").read_text("utf-8")
    return set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?) ", text, re.MULTILINE))


def citations():
    for path in PACKAGE.rglob("*.py"):
        for found in CITATION.finditer(path.read_text("utf-8")):
            yield from ((path.name, number) for number in found.groups() if number)


def test_cited_sections_exist():
    cited = set(citations())
    assert {("anchored.py", "4.2"), ("causalrm.py", "2.9")} <= cited
    assert {number for _, number in cited} <= sections()


def test_sections_are_numbered_in_order():
    numbers = re.findall(
        r"^### (\d+)\.(\d+) ", (ROOT / "docs" / "mathematics.md").read_text("utf-8"), re.MULTILINE
    )
    pairs = [(int(a), int(b)) for a, b in numbers]
    assert pairs == sorted(pairs)
    assert all(b == 1 for (a, b), before in zip(pairs[1:], pairs, strict=False) if a != before[0])


def test_no_method_leaves_a_question_mark():
    marked = [
        p.name for p in (PACKAGE / "estimators").glob("*.py") if "[?]" in p.read_text("utf-8")
    ]
    assert marked == []
