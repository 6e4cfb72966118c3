"""The prepared measurement for a GPU runs whole on a CPU, with small shapes."""

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="the script takes the extras `text` and `rlhf`")
pytest.importorskip("peft", reason="the script takes the extras `text` and `rlhf`")


@pytest.mark.filterwarnings("ignore")  # deprecations between the libraries
def test_every_part_is_measured_and_what_had_no_time_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    import gpu

    gpu.main(["--size", "tiny", "--out", str(tmp_path / "gpu.json")])
    record = json.loads((tmp_path / "gpu.json").read_text())
    said = capsys.readouterr().out
    parts = ["encode", "tune", "fit", "export", "grpo"]
    assert list(dict.fromkeys(r["part"] for r in record["rows"])) == parts
    assert all(r["value"] is not None and math.isfinite(r["value"]) for r in record["rows"]), said
    value = {r["what"]: r["value"] for r in record["rows"]}
    assert value["export in bfloat16: rms difference"] < 0.1  # sd; 2^-8 a product, over two layers
    assert value["answers of a step"] == 4
    table, _, printed = said.partition("\n{\n")
    assert json.loads("{\n" + printed) == record
    assert all(f"| {part} | " in table for part in parts)
    record = gpu.measure(gpu.SIZES["tiny"], ["fit", "grpo"], minutes=0)
    assert (record["rows"], record["not_begun"]) == ([], ["fit", "grpo"])
    assert "Not begun, for lack of time: fit, grpo." in gpu.table(record)
