"""An install without extras: a missing one is a sentence that installs it, and nothing is left."""

import json
import shutil
import sys

import polars as pl
import pytest
from golden.world import DATA
from helpers.commands import run, table

MODEL = str(DATA / "models" / "texts-naive")
LM = str(DATA / "lm" / "llama")
# package that is missing, the extra that has it, and a command
CASES = {
    "encode a language model": ("transformers", "text", "encode {log} --backbone {lm}"),
    "fit on a language model": (
        "transformers",
        "text",
        "fit naive {log} --out {d}/rm --backbone {lm}",
    ),
    "align": (
        "trl",
        "rlhf",
        "align --policy {d}/policy_lm --reward {model} --prompts {log} --reference {log} --out {d}/rm",
    ),
    "a figure": ("altair", "report", "sensitivity {model} {log} --figure {d}/curve.svg"),
    "a report": ("vl_convert", "report", "report {model} --log {log} --out {d}/page.html"),
    "redact": ("phonenumbers", "redact", "import generic {rows} --out {d}/out --redact"),
    "query files": ("adbc_driver_duckdb", "sql", "inspect {query}"),
    "query without a driver manager": (
        "adbc_driver_manager",
        "sql",
        "import auto {query} --out {d}/out",
    ),
    "query SQLite": ("adbc_driver_sqlite", "sql", "inspect {query} sqlite"),
    "query PostgreSQL": ("adbc_driver_postgresql", "sql", "inspect {query} postgresql"),
    "a workbook": ("fastexcel", "excel", "inspect {d}/log.xlsx"),
    "several processes": (
        "accelerate",
        "text",
        "fit naive {log} --out {d}/rm --tune lora --backbone {lm}",
    ),
}


@pytest.fixture
def without(monkeypatch):
    """Make imports of a package fail, as where it is not installed."""

    def missing(package):
        for name in [n for n in sys.modules if n.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)

    return missing


@pytest.mark.parametrize("name", CASES)
def test_a_missing_extra_is_a_sentence_that_installs_it(
    name, tmp_path, capsys, monkeypatch, without
):
    package, extra, line = CASES[name]
    log = table(tmp_path / "log.csv")
    (tmp_path / "query.sql").write_text(f"select * from read_csv('{log}')")
    (tmp_path / "log.xlsx").write_bytes(b"PK\x03\x04")
    (tmp_path / "rows.jsonl").write_text('{"response_id": "a", "prompt": "p", "response": "r"}\n')
    (tmp_path / "rows.db").touch()
    if "policy_lm" in line:
        copied = shutil.copytree(LM, tmp_path / "policy_lm")
        about = json.loads((copied / "config.json").read_text())
        about["architectures"] = ["LlamaForCausalLM"]
        (copied / "config.json").write_text(json.dumps(about))
    if line.endswith(("sqlite", "postgresql")):
        line, _, kind = line.rpartition(" ")
        place = f"{tmp_path}/rows.db" if kind == "sqlite" else "localhost/rows"
        monkeypatch.setenv("TRUEWARD_DATABASE", f"{kind}://{place}")
    if name == "several processes":
        from trueward.core import processes

        monkeypatch.setenv("WORLD_SIZE", "2")
        processes._process_group.cache_clear()
    places = {"d": tmp_path, "log": log, "lm": LM, "model": MODEL}
    places |= {"query": tmp_path / "query.sql", "rows": tmp_path / "rows.jsonl"}
    before = sorted(tmp_path.iterdir())
    without(package)
    code, _, err = run(line.format(**places).split(), capsys)
    assert code in {1, 2}
    assert f"pip install 'trueward[{extra}]'" in err
    assert err.count("error: ") == 1
    assert "Traceback" not in err
    assert sorted(tmp_path.iterdir()) == before


def test_what_needs_no_extra_runs_without_any(tmp_path, capsys, without):
    extras = (
        "transformers",
        "peft",
        "accelerate",
        "trl",
        "altair",
        "vl_convert",
        "phonenumbers",
        "duckdb",
    )
    for package in (*extras, "adbc_driver_manager", "fastexcel"):
        without(package)
    log = table(tmp_path / "log.csv")
    for words in (["inspect", log], ["score", MODEL, log, "--out", str(tmp_path / "scored.csv")]):
        code, _, err = run(words, capsys)
        assert code == 0, err
    assert pl.read_csv(tmp_path / "scored.csv").height == 180
