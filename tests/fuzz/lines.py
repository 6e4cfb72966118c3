"""Configs, command lines and exports of products: good ones, with some things wrong."""

from __future__ import annotations

import json
from pathlib import Path

import typer
import yaml
from fuzz import values
from fuzz.command import Case
from fuzz.tables import MODEL, as_csv, good
from golden.benchmarks import CONFIG
from hypothesis import strategies as st

from trueward.cli.app import app
from trueward.importers import sources

FIXTURES = Path(__file__).parents[1] / "fixtures"
PRODUCTS = [[p] for p in sorted((FIXTURES / "sources").iterdir()) if p.is_file()]
PRODUCTS += [[p] for p in sorted((FIXTURES / "cases").glob("*.*"))]
PRODUCTS += [sorted((FIXTURES / "cases" / "chatgpt_export").iterdir())]
PRODUCTS += [
    [FIXTURES / "sources" / name for name in names]
    for names in (
        ("langfuse_observations.jsonl", "langfuse_scores.jsonl"),
        ("generic_responses.jsonl", "generic_events.jsonl"),
        ("openwebui_chats.jsonl", "openwebui_feedback.json"),
    )
]


@st.composite
def _spoilt(draw, path):
    """The content of a fixture with some records changed, or some bytes."""
    content = path.read_bytes()
    if path.suffix == ".csv" or draw(st.integers(0, 5)) == 0:
        return draw(values.damaged(content))
    if path.suffix == ".json":
        return values.dumped(draw(values.mutated(json.loads(content))))
    records = [json.loads(line) for line in content.splitlines() if line.strip()]
    return (
        values.dumped_lines(draw(values.mutated([records]))[:1] or [[]])
        if not records
        else (values.dumped_lines(_listed(draw(values.mutated(records)))))
    )


def _listed(tree):
    return tree if isinstance(tree, list) else [tree]


OPTIONS = (
    ("--scale", "1:5"),
    ("--scale", "1:inf"),
    ("--scale", "nan:1"),
    ("--redact",),
    ("--strict",),
    ("--json",),
    ("--positive", "copy"),
    ("--positive", "rating>=4"),
    ("--negative", "rating<=x"),
    ("--map", "thumbs=user-feedback"),
    ("--map", "prompt=inputs.q"),
    ("--map", "rating=quality"),
    ("--shown", "answer"),
    ("--logged", "copy"),
    ("--dates", "%d.%m.%Y"),
    ("--dates", "%"),
    ("--encoding", "utf-16"),
    ("--encoding", "nonsense"),
    ("--separator", ";"),
)


@st.composite
def imports(draw):
    """An export of a product with something wrong in it."""
    paths = draw(st.sampled_from(PRODUCTS))
    spoilt = draw(st.integers(0, len(paths) - 1))
    files = {
        p.name: draw(_spoilt(p)) if i == spoilt else p.read_bytes() for i, p in enumerate(paths)
    }
    source = draw(st.sampled_from(("auto",) * 7 + (*sorted(sources()), "nonsense")))
    chosen = draw(st.lists(st.sampled_from(OPTIONS), max_size=2, unique_by=lambda o: o[0]))
    more = [word for option in chosen for word in option]
    words = ("import", source, *("{d}/" + name for name in files), "--out", "{d}/out", *more)
    return Case(words, files, ("out",))


FIT = {"val": 0.25, "epochs": 1, "seed": 1, "members": 1, "o": {"lr": 0.01, "batch_size": 16}}
TAGS = (
    b"!!python/object/apply:os.system ['true']",
    b"!!python/name:os.system",
    b"!!binary abc",
    b"!!timestamp x",
    b"!!set {a, b}",
    b"!!omap [a: 1]",
    b"!!float x",
    b"!!int 0x",
    b"!nonsense 1",
    b"2026-02-30",
    b"9999-12-31T23:59:59-23:59",
    b"1:2:3:99",
    b"9" * 5000,
    b".inf",
    b".nan",
    b"[" * 3000,
    b"{" * 200,
    b"&a [*a]",
    b"&a {b: *a}",
    b"<<: [1]",
    b"<<: {a: 1}",
    b"? [a]\n: 1",
    b"%YAML 9.9\n---\na: 1",
    b"a: 1\n---\nb: 2",
    b"a: &x [1,1,1,1,1,1,1,1,1]\n"
    + b"".join(
        b"%c: &%c%c [%s]\n"
        % (c, c, c, b",".join([b"*%s" % (b"x" if c == 98 else bytes((c - 1, c - 1)))] * 9))
        for c in range(98, 110)
    ),
    b"'unclosed",
    b"\t- a",
    b"\x00",
    b"\xff\xfe",
    b"",
)


@st.composite
def _yaml(draw, tree):
    """A document of a tree with changes, or with an odd value for one of its keys."""
    kind = draw(st.sampled_from(("tree", "tree", "tree", "tag", "document", "bytes")))
    if kind == "document":
        return draw(st.sampled_from(TAGS))
    if kind == "tag":
        rest = yaml.safe_dump(dict(tree)).encode()
        key = draw(st.sampled_from(sorted(tree))).encode()
        return rest + key + b": " + draw(st.sampled_from(TAGS)) + b"\n"
    if kind == "bytes":
        return draw(values.damaged(yaml.safe_dump(tree).encode()))
    try:
        return yaml.safe_dump(draw(values.mutated(tree)), allow_unicode=True).encode(
            "utf-8", "surrogatepass"
        )
    except (yaml.YAMLError, RecursionError):
        return b"a: 1"


SLOW = ("epochs", "members", "folds", "trials", "rank", "rows")


@st.composite
def configs(draw):
    """A config of a command, or of a benchmark."""
    if draw(st.booleans()):
        files = {"run.yaml": draw(_yaml(yaml.safe_load(CONFIG)))}
        # the config is read first; then the limit of no jobs is refused
        words = ("benchmark", "run", "{d}/run.yaml", "--out", "{d}/runs", "--limit", "0")
        return Case(words, files)
    if draw(st.integers(0, 2)):
        tree = {"map": {"prompt": "prompt"}, "positive": [1], "negative": [0], "json": True}
        files = {"run.yaml": draw(_yaml(tree)), "log.csv": as_csv(good(6))}
        return Case(("--config", "{d}/run.yaml", "inspect", "{d}/log.csv"), files)
    tree = draw(values.mutated(FIT, keys=("val", "seed", "o")))
    tree = {k: v for k, v in tree.items() if k not in SLOW} if isinstance(tree, dict) else tree
    try:
        text = yaml.safe_dump(tree).encode("utf-8", "surrogatepass")
    except (yaml.YAMLError, RecursionError):
        text = b""
    files = {"run.yaml": text, "log.csv": as_csv(good(30))}
    words = (
        "--config",
        "{d}/run.yaml",
        "fit",
        "naive",
        "{d}/log.csv",
        "--out",
        "{d}/rm",
        "--epochs",
        "1",
    )
    return Case(words, files, ("rm",))


# a good line of each command, which takes a moment
LINES = {
    "inspect": "inspect {d}/log.csv",
    "simulate": "simulate {d}/rated.csv {d}/world",
    "encode": "encode {d}/log.csv",
    "fit": "fit naive {d}/log.csv --out {d}/rm --epochs 1",
    "score": "score {d}/model {d}/log.csv --out {d}/s.csv",
    "evaluate": "evaluate {d}/model {d}/test.csv",
    "calibrate": "calibrate {d}/model {d}/log.csv --out {d}/rm --feedback",
    "sensitivity": "sensitivity {d}/model {d}/log.csv",
    "plan": "plan {d}/model {d}/log.csv --width 0.1 --out {d}/labels.csv",
    "bounds": "bounds {d}/model {d}/log.csv",
    "training-data": "training-data trl-kto {d}/model {d}/log.csv --out {d}/out.jsonl",
    "export": "export {d}/model {d}/out --allow-remote-code --reference {d}/log.csv",
    "methods": "methods",
    "ask check": "ask check {d}/log.csv",
    "ask plan": "ask plan {d}/log.csv",
    "label page": "label page {d}/log.csv --out {d}/label.html",
    "label tasks": "label tasks {d}/log.csv --to argilla --out {d}/tasks.json",
    "import": "import generic {d}/log.jsonl --out {d}/out",
}
WRITES = {
    "simulate": ("world",),
    "fit": ("rm",),
    "score": ("s.csv",),
    "calibrate": ("rm",),
    "training-data": ("out.jsonl",),
    "export": ("out",),
    "import": ("out",),
    "plan": ("labels.csv",),
    "label page": ("label.html",),
    "label tasks": ("tasks.json",),
}
# what takes the time that is asked for, and where else to write
LONG = {
    "--epochs",
    "--members",
    "--rank",
    "--out",
    "--tune",
    "--install-completion",
    "--show-completion",
}
LONG |= {
    "--draws",
    "--repeats",
    "--help",
    "--nuisance-backbone",
    "--draw",
    "--world",
    "--to",
    "--write",
}


def _flags(name):
    command = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word]
    return [
        (flag, p.is_flag)
        for p in command.params
        for flag in p.opts
        if flag.startswith("-") and flag not in LONG
    ]


FLAGS = {name: _flags(name) for name in LINES}
ODD = (
    "",
    "nan",
    "inf",
    "-1",
    "0",
    "1",
    "0.5",
    "1e400",
    "1:5",
    "5:1",
    "1:inf",
    "a=b",
    "=",
    "a=",
    "x" * 300,
)
ODD += (
    "prompt=response",
    "{d}/log.csv",
    "{d}/nothing",
    "{d}",
    "/dev/null",
    "\x1b[2J",
    "lr=nan",
    "lr=1e9",
)
ODD += (
    "batch_size=0",
    "hidden=a",
    "precision=bfloat16",
    "2",
    "99999999999999999999",
    ">=1",
    "[",
    "é",
    "-",
)


@st.composite
def command_lines(draw):
    """A good line with one to three options of its command, whose values are odd."""
    name = draw(st.sampled_from(sorted(LINES)))
    words = LINES[name].split()
    for flag, alone in draw(st.lists(st.sampled_from(FLAGS[name]), min_size=1, max_size=3)):
        words += [flag] if alone else [flag, draw(st.sampled_from(ODD))]
    if draw(st.integers(0, 9)) == 0:
        words.pop(draw(st.integers(0, len(words) - 1)))
    table = good(30)
    rated = {k: table[k] for k in ("prompt", "response")} | {"rating": [i % 5 for i in range(30)]}
    files = {
        "log.csv": as_csv(table),
        "test.csv": as_csv({**rated, "label": [i % 2 for i in range(30)]}),
        "rated.csv": as_csv(rated),
        "log.jsonl": values.dumped_lines(
            [{"response_id": f"r{i}", "prompt": "p", "response": f"{i}"} for i in range(5)]
        ),
    }
    if "{d}/model" in words:
        files[MODEL] = b""
    return Case(tuple(words), files, WRITES.get(name, ()))
