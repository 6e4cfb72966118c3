"""evaluate --pairs from a shell: the commands of docs/pairs.md, and what it refuses."""

import json
import re
import shlex
from pathlib import Path

import polars as pl
import pytest
from helpers.commands import run

from trueward.data.log_reading import read_log
from trueward.evaluation.preference_scores import SECTIONS, SUBSETS
from trueward.features import encode
from trueward.fitting.fit import fit
from trueward.simulation import helpdesk, simulate

PAGE = (Path(__file__).parents[2] / "docs" / "pairs.md").read_text("utf-8")
COMMANDS = re.findall(r"^trueward (evaluate .*)$", PAGE, re.MULTILINE)
GOOD, BAD = "Open the settings and choose **Undo**.", "I do not know."


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A fitted model and a file of every benchmark, under the names of the page."""
    folder = tmp_path_factory.mktemp("pairs")
    simulate(helpdesk(40, seed=2), rate=0.4, seed=2).write(folder / "world")
    log = read_log(str(folder / "world" / "log.parquet"))
    fit("naive", *encode(log).split(0.2), epochs=1).save(folder / "rm")
    keys = [(s, str(n)) for s in SUBSETS[:-1] for n in range(2)]
    keys += [("Ties", f"{kind}:{n}") for n in range(2) for kind in ("ref", "tied")]
    pl.DataFrame(
        [
            {
                "id": key,
                "prompt": f"How do I undo {key} in {subset}?",
                "chosen": [GOOD] * right,
                "rejected": [BAD, f"{BAD} Ask {key}.", "Wait."],
                "num_correct": right,
                "total_completions": right + 3,
                "subset": subset,
            }
            for subset, key in keys
            for right in [2 if key.startswith("tied") else 1]
        ]
    ).write_parquet(folder / "reward_bench_2.parquet")
    subsets = [name for names in SECTIONS.values() for name in names]
    pl.DataFrame(
        {
            "id": range(23),
            "prompt": [f"How do I undo in {s}?" for s in subsets],
            "chosen": [GOOD] * 23,
            "rejected": [BAD] * 23,
            "subset": subsets,
        }
    ).write_ndjson(folder / "reward_bench.jsonl")
    domains = ("chat", "code", "math", "safety-refuse", "safety-response")
    rows = [
        {
            "id": n,
            "prompt": f"Undo {d} {n}?",
            "chosen": [GOOD] * 3,
            "rejected": [BAD] * 3,
            "domain": d,
        }
        for d in domains
        for n in range(2)
    ]
    (folder / "total_dataset.json").write_text(json.dumps(rows), "utf-8")
    columns = {
        "pair_id": ["a", "b"],
        "source": ["livebench-math"] * 2,
        "question": ["Undo?", "Redo?"],
    }
    columns |= {"response_A": [GOOD] * 2, "response_B": [BAD] * 2, "label": ["A>B", "B>A"]}
    pl.DataFrame(columns).write_ndjson(folder / "judgebench.jsonl")
    return folder


def told(made, capsys, words, code):
    got, out, err = run(words, capsys)
    assert got == code, out + err
    assert "Traceback" not in err
    return out if code == 0 else err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_prints_the_score(command, made, capsys, monkeypatch):
    monkeypatch.chdir(made)
    out = told(made, capsys, shlex.split(command), 0)
    if "--json" in command:
        found = json.loads(out)
        assert found["score"]["value"] in (0, 0.5, 1)
        assert "length_controlled" in found
    else:
        assert re.search(r"^score +-?[01]\.\d{4}", out, re.MULTILINE), out
        assert "length_controlled" in out


def test_the_page_has_a_command_for_every_benchmark():
    named = {shlex.split(c)[shlex.split(c).index("--as") + 1] for c in COMMANDS}
    assert named == {"rewardbench2", "rewardbench", "rm-bench", "judgebench"}


JUDGE = ("--pairs", "judgebench.jsonl")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((*JUDGE, "--as", "rm-bench"), 1, "use --as judgebench"),
        (JUDGE, 1, "has no columns `prompt`, `chosen` and `rejected`"),
        (("world/test.parquet", *JUDGE, "--as", "judgebench"), 2, "only one of them"),
        ((*JUDGE, "--as", "judgebench", "--draws", "50"), 2, "--draws needs a test table"),
        ((*JUDGE, "--as", "judgebench", "--cluster", "user"), 2, "--cluster needs a test table"),
        ((*JUDGE, "--as", "judgebench", "--future"), 2, "--future needs --log"),
        (("--pairs", "none.jsonl", "--as", "judgebench"), 1, "there is no file none.jsonl"),
    ],
)
def test_a_wrong_command_is_answered_in_one_sentence(words, code, said, made, capsys, monkeypatch):
    monkeypatch.chdir(made)
    err = told(made, capsys, ["evaluate", "rm", *words], code)
    assert said in err
    assert len(err.strip().splitlines()) == 1
