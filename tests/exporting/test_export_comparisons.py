"""Models of comparisons go through the command line, from fit to verify-export and report."""

import json
from pathlib import Path

import polars as pl
import pytest
from helpers.commands import run

LM = Path(__file__).parents[1] / "golden" / "data" / "lm" / "llama"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A log of two responses a prompt, some rated, and comparisons of them by text."""
    folder = tmp_path_factory.mktemp("compared")
    good, bad = "Open the settings and choose Undo", "I do not know, ask somebody else"
    rows = [
        {"prompt": f"How do I undo step {k}?", "response": f"{text} {k}.", "feedback": said}
        for k in range(60)
        for text, said in ((good, 1.0 if k % 3 == 0 else None), (bad, 0.0 if k % 4 == 0 else None))
    ]
    pl.DataFrame(rows).write_ndjson(folder / "log.jsonl")
    sides = [
        (r["response"], s["response"], r["prompt"])
        for r, s in zip(rows[::2], rows[1::2], strict=True)
    ]
    turned = [(b, a, p) if k % 9 == 0 else (a, b, p) for k, (a, b, p) in enumerate(sides)]
    pairs = pl.DataFrame(turned, schema=["chosen", "rejected", "prompt"], orient="row")
    pairs.write_ndjson(folder / "battles.jsonl")
    return folder


@pytest.mark.parametrize(
    ("method", "log"),
    [
        pytest.param("bradley_terry", [], marks=pytest.mark.battery),
        ("joint", ["log.jsonl"]),
    ],
)
def test_a_model_of_comparisons_goes_all_the_way(method, log, made, monkeypatch, capsys):
    monkeypatch.chdir(made)

    def done(*words):
        code, out, err = run([*words], capsys)
        assert code == 0, f"{words}: {out}{err}"
        return out + err

    rm = f"rm-{method}"
    fast = ["--epochs", "3", "--seed", "0", "--backbone", str(LM)]
    done("fit", method, *log, "--pairs", "battles.jsonl", "--out", rm, *fast)
    scored = done("evaluate", rm, "--pairs", "battles.jsonl", "--json")
    assert json.loads(scored[: scored.rindex("}") + 1])["metrics"]["accuracy"]["value"] > 0.8
    done("training-data", "trl-pairs", rm, "log.jsonl", "--out", f"{method}.jsonl", "--least", "0")
    first = json.loads((made / f"{method}.jsonl").read_text("utf-8").splitlines()[0])
    assert {"prompt", "chosen", "rejected"} <= first.keys()
    assert "Open the settings" in json.dumps(first["chosen"])
    done("export", rm, f"{rm}-export", "--allow-remote-code", "--dtype", "float32")
    done(
        "verify-export",
        f"{rm}-export",
        "--model",
        rm,
        "--allow-remote-code",
        "--texts",
        "log.jsonl",
    )
    done("report", rm, "--out", f"{method}.html")
    assert method in (made / f"{method}.html").read_text("utf-8")


def test_the_page_has_the_commands_in_this_order():
    page = (Path(__file__).parents[2] / "docs" / "comparisons.md").read_text("utf-8")
    block = page.partition("## From battles and thumbs")[2].split("```")[1]
    words = [line.split() for line in block.strip().splitlines()[1:]]
    commands = ["fit", "evaluate", "training-data", "export", "verify-export", "report"]
    assert [w[1] for w in words] == commands
    assert words[0][2:7] == ["joint", "log.jsonl", "--pairs", "battles.jsonl", "--out"]
    assert words[3][4:] == ["--allow-remote-code", "--dtype", "float32"]
