"""SECURITY.md keeps its promises: each names a test that exists, and some are shown here."""

import ast
import functools
import json
import pickle
import re
from pathlib import Path

import polars as pl
import pytest
from helpers.commands import run, table

import trueward
from trueward.core.errors import TruewardError
from trueward.model.folder import _digest, _sha256
from trueward.model.reward_model import load

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
SOURCES = sorted(Path(trueward.__file__).parent.rglob("*.py"))


@functools.cache
def parsed(path):
    return ast.parse(path.read_text("utf-8"))


KINDS = {
    *("log", "config", "`.sql`", "model", "backbone", "feature file", "export", "request"),
    *("server", "output"),
}


def sources_with(words):
    """Yield the modules whose text has one of these words, and what they are."""
    for path in SOURCES:
        if re.search(words, path.read_text("utf-8")):
            yield path, parsed(path)


def rows(heading):
    """Return the cells of the table below a heading, without its head."""
    lines = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    cells = [[c.strip() for c in line.strip("|").split(" | ")] for line in lines if line[:1] == "|"]
    return [[c.strip("| ") for c in row] for row in cells[2:]]


PROMISES = rows("Promises and their tests")


@pytest.mark.parametrize("promise", PROMISES, ids=lambda row: row[1][:60])
def test_every_promise_names_a_test_that_exists(promise):
    kind, sentence, where = promise
    assert kind in KINDS
    assert sentence.endswith(".")
    file, _, name = where.strip("`").partition("::")
    tree = parsed(ROOT / file)
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_kind_of_file_has_a_promise_and_every_promise_a_test_of_its_own():
    kinds = [row[0] for row in rows("What each kind of file may do")]
    assert len(kinds) == len(KINDS)
    assert {row[0] for row in PROMISES} == KINDS
    assert len({row[2] for row in PROMISES}) == len(PROMISES)


def calls(tree):
    """Yield the dotted name of everything that a module calls, with its keywords."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            keywords = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            yield ast.unparse(node.func), keywords


FORBIDDEN = re.compile(
    r"(eval|exec|__import__|os\.(system|popen|exec\w*)|(pickle|joblib|dill|marshal|shelve)\.\w+"
    r"|yaml\.(load|unsafe_load|full_load)\w*)"
)
WORDS = (
    r"\b(eval|exec|__import__|system|popen|exec\w*|pickle|joblib|dill|marshal|shelve|load|unsafe_load)\("
    r"|pickle|joblib|dill|marshal|shelve|yaml|shell|trust_remote_code"
)


def test_no_file_is_run_as_code():
    for path, tree in sources_with(WORDS):
        for name, keywords in calls(tree):
            assert not FORBIDDEN.fullmatch(name), (path, name)
            assert not keywords.get("shell"), (path, name)
            assert not keywords.get("allow_pickle"), (path, name)
            if name == "torch.load":
                assert keywords["weights_only"] is True, path
            if "trust_remote_code" in keywords and path.name != "loaded_classifier.py":
                assert keywords["trust_remote_code"] is False, (path, name)


NETWORK = {"urllib.request", "http.client", "requests", "httpx", "aiohttp", "ftplib", "smtplib"}


def test_only_one_module_speaks_to_servers():
    found = set()
    for path, tree in sources_with("|".join(map(re.escape, NETWORK)) + r"|urllib|from http"):
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {path.name for name in names if name in NETWORK}
    assert found == {"http_json.py"}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder with a model and the texts of a log, some of which are formulas."""
    from trueward.cli.app import main

    folder = tmp_path_factory.mktemp("fitted")
    log = table(folder / "log.parquet")
    with pytest.raises(SystemExit):
        main(["fit", "naive", log, "--epochs", "1", "--out", str(folder / "rm")])
    return folder


def test_a_score_holds_no_formula_and_comes_back_as_it_was(fitted, tmp_path, capsys):
    texts = {"prompt": ["=1+1", "+2", "what?"], "response": ["@SUM(A1)", "-x", "'=y"]}
    pl.DataFrame(texts).write_ndjson(tmp_path / "texts.jsonl")
    out = tmp_path / "scores.csv"
    code, _, err = run(
        ["score", str(fitted / "rm"), str(tmp_path / "texts.jsonl"), "--out", str(out)], capsys
    )
    assert code == 0, err
    shown = pl.read_csv(out)
    assert shown["prompt"].to_list() == ["'=1+1", "'+2", "what?"]
    assert shown["response"].to_list() == ["'@SUM(A1)", "'-x", "''=y"]
    assert shown["formula_cells"].to_list() == [2, 2, 1]
    again = tmp_path / "again.jsonl"
    assert run(["score", str(fitted / "rm"), str(out), "--out", str(again)], capsys)[0] == 0
    frame = pl.read_ndjson(again)
    assert {name: frame[name].to_list() for name in texts} == texts
    plain = [
        "score",
        str(fitted / "rm"),
        str(out),
        "--out",
        str(tmp_path / "b.csv"),
        "--no-safe-csv",
    ]
    assert run(plain, capsys)[0] == 0
    assert "formula_cells" not in (tmp_path / "b.csv").read_text()


class _Runs:
    def __reduce__(self):
        return (pytest.fail, ("the pickle ran",))


def test_a_pickle_in_a_model_folder_is_refused(fitted, tmp_path):
    (tmp_path / "rm").mkdir()
    (tmp_path / "rm" / "model.safetensors").write_bytes(pickle.dumps(_Runs()))
    record = json.loads((fitted / "rm" / "model.json").read_text())
    record["sha256"] = _sha256(tmp_path / "rm" / "model.safetensors")
    record["digest"] = _digest(record)
    (tmp_path / "rm" / "model.json").write_text(json.dumps(record))
    with pytest.raises(TruewardError, match="is a damaged reward model"):
        load(tmp_path / "rm")
