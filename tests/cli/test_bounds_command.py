"""`trueward bounds` from a shell: the commands of its page, and what it says of a wrong column."""

import importlib.util
import json
import re
import shlex
from pathlib import Path

import polars as pl
import pytest
from helpers.commands import run

from trueward.data.log_reading import read_log
from trueward.features import encode
from trueward.fitting.fit import fit

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The logs of the page with 20 users, and naive on one of them."""
    spec = importlib.util.spec_from_file_location("two_models", ROOT / "examples" / "two_models.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    folder = tmp_path_factory.mktemp("bounds")
    for name in ("product", "drawn"):
        log, _ = example.product(20, 0, drawn=name == "drawn")
        log.write_parquet(folder / f"{name}.parquet")
    log.rename({"model": "variant"}).write_parquet(folder / "variant.parquet")
    fit("naive", *encode(read_log(str(folder / "product.parquet"))).split(0.2), epochs=2).save(
        folder / "rm"
    )
    return folder


@pytest.fixture
def told(made, capsys, monkeypatch):
    """Run a command in the folder; give what it printed, or the error with its exit code."""
    monkeypatch.chdir(made)

    def command(words, code=0):
        got, out, err = run(shlex.split(words), capsys)
        assert got == code, out + err
        assert "Traceback" not in err
        return out if code == 0 else err

    return command


def commands_of_the_page():
    text = (ROOT / "docs" / "bounds.md").read_text("utf-8")
    found = re.findall(r"^\$ trueward (bounds [^#\n]*)", text, re.MULTILINE)
    assert len(found) >= 3
    return [c.strip() for c in found]


@pytest.mark.parametrize("words", commands_of_the_page())
def test_the_commands_of_the_page_run(told, words):
    text = told(words)
    if "--json" in words:
        found = json.loads(text)
        assert found["mean"][-1]["gamma"] is None
        assert found["mean"][-1]["low"] < found["mean"][0]["low"] < found["mean"][-1]["high"]
        assert set(found["comparisons"][0]["contrasts"]) >= {"all responses", "within users"}
        return
    assert re.search(r"^worst case", text, re.MULTILINE)
    assert "large minus small" in text or "small minus large" in text
    assert ("users differ in how often" in text) == ("product" in words)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("bounds rm product.parquet --compare modle", 2, "no column 'modle': did you mean model?"),
        ("bounds rm variant.parquet --by variant", 2, "--map model=variant --compare model"),
        ("bounds rm product.parquet --reference lage", 2, "did you mean large?"),
        ("bounds rm one.parquet --compare model", 1, "two models, and the log has one, 'large'"),
        ("bounds rm one.parquet --reference large", 2, "add --compare COLUMN"),
        ("bounds rm product.parquet --rho-01 1.2", 2, "noise rates are 0 or more"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_sentence(told, made, words, code, said):
    log = pl.read_parquet(made / "product.parquet")
    log.filter(model="large").write_parquet(made / "one.parquet")
    err = told(words, code=code)
    assert said in err
    assert len(err.strip().splitlines()) == 1
