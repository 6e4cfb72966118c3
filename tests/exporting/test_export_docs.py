"""The commands of docs/export.md run as they stand, on a tiny model in the place of the real one."""

import re
import shlex
from pathlib import Path

import pytest
from helpers.commands import run

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
LINES = [
    shlex.split(line, comments=True)[1:]
    for block in BLOCKS
    for line in block.splitlines()
    if line.startswith("trueward ") and "--url" not in line  # a server is not at hand
]


def test_every_command_of_the_page_runs_in_the_order_of_the_page(
    table, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("transformers", reason="language models need the extra `text`")
    tiny = pytest.importorskip("helpers.tiny")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "m"))
    tiny.build("qwen3", tmp_path / "Qwen" / "Qwen3-0.6B")
    tiny.build("bert", tmp_path / "BAAI" / "bge-small-en-v1.5")
    table.frame.write_parquet("log.parquet")
    capsys.readouterr()
    assert [words[0] for words in LINES[:3]] == ["fit", "export", "verify-export"]
    for words in LINES:
        code, said, err = run(words, capsys)
        assert "it/s" not in err  # the bars of the libraries below
        assert code == 0, f"{' '.join(words)}\n{said}\n{err}"
