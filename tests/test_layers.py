"""Data flows one way: a module imports only from its own layer and those below."""

import ast
from pathlib import Path

import trueward

ROOT = Path(trueward.__file__).parent
LAYERS = [
    {"errors", "streams", "files", "options", "threads", "coverage", "processes", "segment"},
    {"data", "losses"},
    {"readers", "log"},
    {"sources"},
    {"features"},
    {
        "samplers",
        "method",
        "estimable",
        "nuisances",
        "flip_rates",
        "anchor",
        "activity",
        "outcomes",
    },
    {"methods", "card", "support", "pairs"},
    {
        "train",
        "inputs",
        "step",
        "slices",
        "runs",
        "nets",
        "checkpoints",
        "engine",
        "crossfit",
        "composed",
        "tuned",
    },
    {"calibration", "checks", "model", "fit", "sweep", "started", "tune"},
    {
        "figures",
        "metrics",
        "bootstrap",
        "evaluate",
        "influence",
        "audit",
        "evidence",
        "planning",
        "reweight",
        "sensitivity",
        "refute",
        "inspect",
        "worlds",
    },
    {"benchmark"},
    {"demo", "report", "export", "rlhf", "cli", "__main__"},
]
RANK = {name: i for i, layer in enumerate(LAYERS) for name in layer}


def imported(path):
    here = path.relative_to(ROOT).parts
    tree = ast.parse(path.read_text())
    typing_only = {
        id(n)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for n in ast.walk(block)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or id(node) in typing_only:
            continue
        parts = (node.module or "").split(".") if node.module else []
        if node.level:
            parts = [*here[: len(here) - node.level], *parts]
        elif parts[:1] == ["trueward"]:
            parts = parts[1:]
        else:
            continue
        yield from [parts[0]] if parts else [a.name for a in node.names]


def test_every_module_has_a_layer():
    names = {p.relative_to(ROOT).parts[0].removesuffix(".py") for p in ROOT.rglob("*.py")}
    assert names - {"__init__"} <= set(RANK)


def test_imports_point_down():
    for path in ROOT.rglob("*.py"):
        here = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if here == "__init__":
            continue
        for there in imported(path):
            # `methods()` walks the package above it: discovery is the one look upwards
            if (here, there) == ("method", "methods"):
                continue
            assert RANK[there] <= RANK[here], f"{path.name} imports {there}, which is above it"


def test_heavy_libraries_are_loaded_only_by_leaves():
    for path in ROOT.rglob("*.py"):
        top = [
            n
            for n in ast.parse(path.read_text()).body
            if isinstance(n, ast.Import | ast.ImportFrom)
        ]
        names = {a.name.split(".")[0] for n in top if isinstance(n, ast.Import) for a in n.names}
        names |= {(n.module or "").split(".")[0] for n in top if isinstance(n, ast.ImportFrom)}
        if (
            path.parent.name == "shipped"
        ):  # exported folders carry it, and the library never imports it
            continue
        heavy = {"transformers", "accelerate", "peft", "trl", "fastapi", "altair", "ray", "pandas"}
        assert not names & heavy, path.name
