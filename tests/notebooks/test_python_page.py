"""The Python blocks of docs/python.md run one after the other."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.mark.battery
def test_the_blocks_of_the_page_run(frame, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame.drop("label").write_parquet("chat_log.parquet")
    frame.select("prompt", "response", "label").write_parquet("test.parquet")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    assert (tmp_path / "rm" / "model.json").is_file()
