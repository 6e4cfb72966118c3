"""Blocks of code in README.md and docs/: commands are understood, Python runs or is marked as not run.

A block of Python runs where a test below, or one in `ELSEWHERE`, executes it. Any other has a comment
before it, ``<!-- not run: reason -->``. Commands of the pages in `ELSEWHERE` are run there; those of
every page are read by the parser of the command line.
"""

import ast
import functools
import re
import shlex
import typing
from pathlib import Path

import polars as pl
import pytest
import typer

import trueward as tw
from trueward.cli.app import ANYWHERE, app
from trueward.cli.clusters import with_address
from trueward.cli.pipelining import _values

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *(f"docs/{p.name}" for p in sorted(ROOT.glob("docs/*.md")))]
BLOCK = re.compile(
    r"^(?:<!-- not run: ([^\n]+) -->\n)?```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE
)
#: Pages whose blocks another test executes.
ELSEWHERE = {
    "docs/add_a_method.md": "tests/test_docs.py",
    "docs/bounds.md": "tests/cli/test_bounds_command.py",
    "docs/export.md": "tests/exporting/test_export_docs.py",
    "docs/identify.md": "tests/test_docs.py",
    "docs/pairs.md": "tests/cli/test_pairs_command.py",
    "docs/python.md": "tests/notebooks/test_python_page.py",
    "docs/quickstart.md": "benchmarks/quickstart_page.py",
    "docs/walks.md": "benchmarks/walks.py",
}
#: Pages whose Python runs here, in the order of the page.
HERE = ("align", "asking", "comparisons", "monitor")
#: The same in the batteries: they fit often, draw charts, or load TRL.
SLOW = ("builtin_judge", "refute", "report", "rlhf")
FIRST = ("README.md", "docs/quickstart.md")  # they fit `auto`


def blocks(page):
    """(why it is not run or "", language, text) of every block of a page."""
    text = (ROOT / page).read_text("utf-8")
    return [(m[1] or "", m[2], m[3]) for m in BLOCK.finditer(text)]


def commands(page):
    """The commands of trueward on a page, without prompts, comments, redirections and what explains them."""
    for _, language, text in blocks(page):
        if language in ("python", "pycon", "json", "sql", "xml", "yaml"):
            continue
        lines = iter(text.splitlines())
        for line in lines:
            found = re.match(r"\s*(?:\$ )?trueward (?!\.\.\.)(.*)$", line)
            if found is None or page == "docs/cli.md":
                continue
            words = found[1]
            while words.endswith("\\"):
                words = words[:-1] + next(lines)
            if language == "text":  # what a command does stands after two spaces
                words = re.split(r" {2,}(?=[^-\s])", words)[0]
            yield re.split(r" (?:[|>&;#]|\d>|\|\|)(?: |&|$)| #", words)[0]


def read(command):
    """The values that the command line would read."""
    words = shlex.split(
        re.sub(r" --config \S+", "", command), comments=True
    )  # its file is not here
    words = with_address(w for w in words if w not in ANYWHERE)
    return _values(command_line(), words)


@functools.cache
def command_line():
    return typer.main.get_command(app)


LINES = sorted({(page, command) for page in PAGES for command in commands(page)})


def test_pages_have_commands_and_their_explanations_are_no_words_of_them():
    found = [command for page, command in LINES if page == "docs/benchmark_command.md"]
    assert "benchmark table runs/" in found
    assert len(LINES) > 100


@pytest.mark.parametrize("page", sorted({page for page, _ in LINES}))
def test_the_command_line_understands_every_command_of_a_page(page):
    for _, command in (line for line in LINES if line[0] == page):
        try:
            read(command)
        except Exception as e:  # noqa: BLE001 - of click, or ours
            said = e.format_message() if hasattr(e, "format_message") else str(e)
            pytest.fail(f"{page}: trueward {command}\n{said}")


def test_a_wrong_option_on_a_page_would_be_found():
    for wrong in (
        "fit naive log.parquet --out rm --epoch 3",
        "fit naive",
        "evaluat rm test.parquet",
    ):
        with pytest.raises(Exception, match=r"epoch|Missing|evaluat"):
            read(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_python_is_executed_by_a_test_or_marked(page):
    name = page.removeprefix("docs/").removesuffix(".md")
    for why, language, text in blocks(page):
        if language == "python":
            ast.parse(text)
            executed = page in ELSEWHERE or page in FIRST or name in HERE + SLOW
            assert executed or why, f"{page}: {text}"


def test_the_tests_that_execute_pages_are_there_and_name_them():
    for page, test in ELSEWHERE.items():
        assert Path(page).stem in (ROOT / test).read_text("utf-8"), (page, test)


class Trainer(typing.NamedTuple):
    """In the place of TRL's trainer: calls the reward once."""

    model: str
    reward_funcs: typing.Any
    train_dataset: typing.Any = None


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the pages name: logs, tests, pairs, and a model."""
    from helpers.commands import ROWS

    folder = tmp_path_factory.mktemp("pages")
    log = pl.DataFrame(ROWS)
    day = pl.datetime(2026, 1, 5, 9) + pl.duration(minutes=pl.int_range(pl.len()))
    log = log.with_columns(time=day.dt.replace_time_zone("UTC"))  # one week
    for name, rows in {"log": log, "chat_log": log, "train": log[:90], "new": log[90:]}.items():
        rows.write_parquet(folder / f"{name}.parquet")
    labels = log.select("prompt", "response", label=(pl.int_range(pl.len()) % 2).cast(pl.Float64))
    labels.write_parquet(folder / "test.parquet")
    battle = {"prompt": log["prompt"][0], "winner": "model_a"}
    battle |= {"response_a": log["response"][0], "response_b": log["response"][1]}
    (folder / "battles.jsonl").write_text(pl.DataFrame([battle] * 4).write_ndjson(), "utf-8")
    data = tw.encode(tw.read_log(log), cache=False)
    model = tw.fit("naive", *data.split(0.25), epochs=1, hidden=(), members=2)
    model.save(folder / "rm")
    return folder, data


@pytest.mark.parametrize(
    "name", [*HERE, *(pytest.param(name, marks=pytest.mark.battery) for name in SLOW)]
)
def test_the_python_of_a_page_runs(name, place, tmp_path, monkeypatch, capsys):
    import shutil

    folder, data = place
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    if name == "rlhf":
        trl = pytest.importorskip("trl")
        monkeypatch.setattr(trl, "GRPOTrainer", Trainer, raising=False)
    log = tw.read_log("log.parquet")
    given = {"tw": tw, "log": log, "data": data, "prompts": log.frame["prompt"].to_list()}
    given |= {"rm": tw.load("rm"), "test": tw.read_test("test.parquet")}
    ran = 0
    for why, language, text in blocks(f"docs/{name}.md"):
        if language == "python" and not why:
            exec(compile(text, f"docs/{name}.md", "exec"), given)
            ran += 1
    assert ran
    if name == "rlhf":
        rewards = given["trainer"].reward_funcs(prompts=["Hi"], completions=["Hello."])
        assert len(rewards) == 1


@pytest.mark.battery
@pytest.mark.parametrize("page", FIRST)
def test_the_python_of_the_first_pages_runs(page, place, tmp_path, monkeypatch):
    import shutil

    shutil.copytree(place[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    given = {}
    for _, language, text in blocks(page):
        if language == "python":
            exec(compile(text, page, "exec"), given)
    assert (tmp_path / "rm" / "model.json").is_file()
