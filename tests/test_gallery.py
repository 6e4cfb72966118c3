"""The pages of the gallery are what its scripts print."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GALLERY = ROOT / "examples" / "gallery"
SCRIPTS = sorted(p for p in GALLERY.glob("*.py") if p.name != "run.py")


@pytest.fixture(scope="module")
def runner():
    spec = importlib.util.spec_from_file_location("gallery_runner", GALLERY / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_a_page_has_every_cell_of_its_script_in_order(runner, script):
    page, at = script.with_suffix(".md").read_text("utf-8"), 0
    for is_code, text in runner.cells(script.read_text("utf-8")):
        at = page.index(f"```python\n{text}\n```" if is_code else text, at)


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "gallery.md").read_text("utf-8")
    for script in SCRIPTS:
        assert f"(../examples/gallery/{script.stem}.md)" in index


def test_a_cell_is_text_or_code(runner):
    script = '"""Title"""\n\n# %% [markdown]\n# One\n#\n# two\n\n# %%\nprint(1)\n'
    assert runner.cells(script) == [(False, "# Title"), (False, "One\n\ntwo"), (True, "print(1)")]


@pytest.mark.battery
def test_the_outputs_are_those_of_the_scripts():
    command = [sys.executable, str(GALLERY / "run.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
