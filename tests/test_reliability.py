"""docs/reliability.md: each promise names a test that exists, and the numbers are those of the batteries."""

import ast
import re
from pathlib import Path

import pytest
from fuzz.cases import KINDS
from fuzz.command import CODES, LONGEST, LONGEST_ERROR
from fuzz.test_fuzz import count
from kill import stops
from kill.jobs import JOBS
from kill.test_kill import STOPS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
PROMISES = re.findall(r"^\| [^|]+ \| ([^|]+) \| `([^|`]+)::([^|`]+)` \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("sentence", "file", "name"), PROMISES, ids=lambda v: v[:60])
def test_every_promise_names_a_test_that_exists(sentence, file, name):
    assert sentence.endswith(".")
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_promise_has_a_test_of_its_own():
    assert len(PROMISES) > 30
    assert len({(file, name) for _, file, name in PROMISES}) == len(PROMISES)


def test_the_page_has_the_limits_of_the_batteries():
    assert CODES == (0, 1, 2, 3)
    assert f"at most {LONGEST_ERROR:,} characters" in PAGE
    assert f"at most {LONGEST:.0f} s and {stops.GIGABYTES} GB of memory" in PAGE
    assert f"within {stops.LONGEST} s of the signal" in PAGE
    assert len(JOBS) == 9
    assert f"| {sum(map(count, KINDS))}, always the same |" in PAGE
    assert f"| {len(STOPS)} | `make kill`" in PAGE
