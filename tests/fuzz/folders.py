"""Saved models, exports, backbones and benchmark folders with something wrong in them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from fuzz import values
from fuzz.command import Case
from fuzz.tables import as_csv, good
from hypothesis import strategies as st

DATA = Path(__file__).parents[1] / "golden" / "data"
MODELS = ("texts-naive", "texts-calibrated", "texts-anchored", "texts-calibrated-as-chosen")
EXPORTS = ("scorer", "stock", "encoder", "code-composed")
LOG = {"log.csv": as_csv(good(6))}


def read_folder(folder, name):
    """Every file of a folder, under another name for the folder."""
    return {
        f"{name}/{p.relative_to(folder).as_posix()}": p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "__pycache__" not in p.parts
    }


def sealed(record):
    """A record with the digest that it should have."""
    record = {k: v for k, v in record.items() if k != "digest"}
    text = json.dumps(record, sort_keys=True)
    return record | {"digest": hashlib.sha256(text.encode()).hexdigest()}


@st.composite
def models(draw):
    """A model whose record or tensors are changed, with or without the digests that then are right."""
    files = read_folder(DATA / "models" / draw(st.sampled_from(MODELS)), "model")
    record, tensors = "model/model.json", "model/model.safetensors"
    match draw(st.sampled_from(("record",) * 6 + ("fields", "bytes", "tensors", "missing"))):
        case "record":
            tree = draw(values.mutated(json.loads(files[record])))
            files[record] = values.dumped(sealed(tree) if isinstance(tree, dict) else tree)
        case "fields":
            tree = json.loads(files[record])
            tree[draw(st.sampled_from(sorted(tree)))] = draw(values.trees)
            files[record] = values.dumped(sealed(tree))
        case "bytes":
            files[record] = draw(values.damaged(files[record]))
        case "tensors":
            files[tensors] = draw(values.damaged(files[tensors]))
            if draw(st.integers(0, 3)):
                tree = json.loads(files[record])
                tree["sha256"] = hashlib.sha256(files[tensors]).hexdigest()
                files[record] = values.dumped(sealed(tree))
        case _:
            files.pop(draw(st.sampled_from((record, tensors))))
    files |= LOG
    match draw(
        st.sampled_from(
            ("score",) * 4
            + ("evaluate", "export", "sensitivity", "calibrate")
            + ("training-data", "bounds", "report")
        )
    ):
        case "score":
            return Case(
                ("score", "{d}/model", "{d}/log.csv", "--out", "{d}/s.csv"), files, ("s.csv",)
            )
        case "evaluate":
            return Case(("evaluate", "{d}/model", "{d}/log.csv", "--map", "label=feedback"), files)
        case "export":
            words = ("export", "{d}/model", "{d}/out", "--reference", "{d}/log.csv")
            return Case((*words, "--allow-remote-code"), files, ("out",))
        case "sensitivity":
            return Case(("sensitivity", "{d}/model", "{d}/log.csv", "--json"), files)
        case "calibrate":
            words = ("calibrate", "{d}/model", "{d}/log.csv", "--out", "{d}/rm", "--feedback")
            return Case((*words, "--chosen"), files, ("rm",))
        case "bounds":
            return Case(("bounds", "{d}/model", "{d}/log.csv"), files)
        case "report":
            words = ("report", "{d}/model", "{d}/log.csv", "--out", "{d}/page.html")
            return Case(words, files, ("page.html",))
        case _:
            words = ("training-data", "trl-pairs", "{d}/model", "{d}/log.csv")
            return Case((*words, "--out", "{d}/out.jsonl"), files, ("out.jsonl",))


@st.composite
def _changed_file(draw, files, endings):
    """Change one file of a folder, as JSON where it is."""
    name = draw(st.sampled_from(sorted(f for f in files if f.endswith(endings))))
    match draw(st.sampled_from(("tree", "tree", "tree", "bytes", "missing"))):
        case "tree" if name.endswith(".json"):
            files[name] = values.dumped(draw(values.mutated(json.loads(files[name]))))
        case "missing":
            files.pop(name)
        case _:
            files[name] = draw(values.damaged(files[name]))
    return files


@st.composite
def exports(draw):
    """An export with a changed file; its code is never changed, and not run unless it is the user's wish."""
    files = read_folder(DATA / "exports" / draw(st.sampled_from(EXPORTS)), "out")
    files = draw(_changed_file(files, (".json", ".safetensors", ".jinja", ".txt")))
    more = draw(st.sampled_from(((), ("--json",))))
    return Case(("verify-export", "{d}/out", *more), files)


@st.composite
def backbones(draw):
    """The folder of a tiny language model with a changed file."""
    kind = draw(st.sampled_from(("llama", "bert")))
    files = read_folder(DATA / "lm" / kind, "lm")
    files = draw(_changed_file(files, (".json", ".safetensors", ".jinja")))
    options = (
        "",
        "",
        ",layer=-2",
        ",pooling=mean",
        ",layer=99",
        ",max_length=0",
        ",layer=x",
        ",a=b",
    )
    backbone = "{d}/lm,dtype=float32" + draw(st.sampled_from(options))
    return Case(("encode", "{d}/log.csv", "--backbone", backbone), files | LOG)


@st.composite
def benchmark_folders(draw):
    """The folder of a finished run with a changed file."""
    files = read_folder(DATA / "benchmark_folder", "runs")
    files = draw(_changed_file(files, (".json",)))
    more = draw(st.sampled_from(((), ("--json",))))
    words = ("benchmark", "table", "{d}/runs", "--out", "{d}/table", *more)
    return Case(words, files, ("table",))
