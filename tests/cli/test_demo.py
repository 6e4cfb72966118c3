"""The demo recovers more than naive and writes its page.

Where TRUEWARD_DEMO names a folder with `demo.html` and `demo.json`, what `trueward demo --json` of another
environment gave there is tested in place of a run here: `.ci/run` does so with the built wheel.
"""

import json
import os
import re
from pathlib import Path

import pytest
from helpers.commands import run


@pytest.fixture
def demo(tmp_path, capsys):
    """Folder with the page and the metrics of the demo."""
    if given := os.environ.get("TRUEWARD_DEMO"):
        return Path(given)
    code, out, err = run(["demo", "--out", str(tmp_path / "demo.html"), "--json"], capsys)
    assert code == 0, err
    (tmp_path / "demo.json").write_text(out)
    return tmp_path


def test_the_demo_recovers_more_than_naive_and_writes_its_page(demo):
    found = json.loads((demo / "demo.json").read_text())
    assert list(found) == ["oracle", "naive", "ips", "causalrm", "implicitrm", "anchored"]
    assert found["oracle"]["r2"]["value"] > found["causalrm"]["r2"]["value"]
    assert found["causalrm"]["r2"]["low"] > found["naive"]["r2"]["value"]
    assert found["anchored"]["r2"]["value"] > found["causalrm"]["r2"]["value"]
    page = (demo / "demo.html").read_text()
    assert "oracle" in page
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page), "the page is self-contained"
