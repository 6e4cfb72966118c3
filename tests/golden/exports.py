"""Exports of every kind: how they are made, and their scores by the libraries that load them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import torch
from golden import cases, world
from golden.world import DATA, done

import trueward as tw

CODE = "--allow-remote-code"
# name -> method, where the features are from, options of the fit, options of the export
KINDS = {
    "stock": ("naive", "llama", {"hidden": ()}, []),
    "stock distilled": ("naive", "llama", {"members": 2}, ["--distil"]),
    "stock bfloat16": ("naive", "llama", {"hidden": ()}, ["--dtype", "bfloat16"]),
    "code": ("naive", "llama", {"members": 2}, [CODE]),
    "code composed": ("anchored", "llama", {"signals": ("ratings",), "nuisance_width": 4}, [CODE]),
    "encoder": ("naive", "bert", {"hidden": (3,)}, []),
    "scorer": ("naive", "wordllama", {"hidden": (2,), "lr": 0.003}, [CODE]),
}


def backbone(features, place):
    """The name of the features, for a fit; a language model is copied to ``place``."""
    if features == "wordllama":
        return features
    return f"{shutil.copytree(DATA / 'lm' / features, place / 'lm')},dtype=float32"


def written(name, place):
    """Fit, save and export a model; gives the export's folder and the model."""
    method, features, chosen, words = KINDS[name]
    train, val = tw.encode(world.log_of_texts(), backbone=backbone(features, place)).split(0.25)
    model = tw.fit(method, train, val, **{**cases.TINY, **chosen})
    model.save(place / "rm")
    world.log_of_texts(210).frame.write_parquet(place / "log.parquet")
    done("export", place / "rm", place / "out", "--reference", place / "log.parquet", *words)
    return place / "out", model


def structure(folder):
    """Its files, and the keys of every JSON file that it has."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    keys = {f: _keys(json.loads((folder / f).read_text("utf-8"))) for f in files if _read(f)}
    return {"files": files, "keys": keys}


def _read(file):
    return file.endswith(".json") and file != "tokenizer.json"


def _keys(tree, at=""):
    """Every key and the keys below, as paths; entries of a list are not told apart."""
    if isinstance(tree, list):
        return sorted({k for v in tree for k in _keys(v, at)})
    if not isinstance(tree, dict):
        return []
    return sorted({w for k, v in tree.items() for w in [f"{at}{k}", *_keys(v, f"{at}{k}.")]})


def verified(name, folder, *more):
    """Rule -> whether it is kept (None: not to be tested here), and the exit code."""
    words = [CODE] if CODE in KINDS[name][3] else []
    code, said, err = world.command("verify-export", folder, "--json", *words, *more)
    assert said, err
    return code, {c["name"]: c["passed"] for c in json.loads(said)["checks"]}


def scores(name, folder):
    """What the texts get from the library that a folder is made for, in float32."""
    if KINDS[name][1] == "wordllama":
        return _of_scorer(folder)
    if KINDS[name][1] == "bert":
        return _of_encoder(folder)
    return _of_classifier(folder, code=CODE in KINDS[name][3])


def _of_scorer(folder):
    """Of a process that has neither this library nor torch."""
    asked = zip(*world.ASKED, strict=True)
    lines = "".join(json.dumps({"prompt": p, "response": r}) + "\n" for p, r in asked)
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); sys.dont_write_bytecode = True; "
        "sys.modules.update(torch=None, trueward=None); import runpy; "
        "runpy.run_module('trueward_scorer', run_name='__main__')"
    )
    words = [sys.executable, "-I", "-c", code]
    ran = subprocess.run(words, input=lines, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line)["reward"] for line in ran.stdout.splitlines()]


def _of_encoder(folder):
    import sentence_transformers

    with torch.random.fork_rng():
        model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    found = model.encode(list(zip(*world.ASKED, strict=True)), show_progress_bar=False)
    return [float(v) for v in found[:, 0]]


def _of_classifier(folder, *, code):
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=code)
    with torch.random.fork_rng():
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=1, trust_remote_code=code, dtype=torch.float32
        ).eval()
    found = []
    for p, r in zip(*world.ASKED, strict=True):
        turns = [{"role": "user", "content": p}, {"role": "assistant", "content": r}]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
        inputs.pop("token_type_ids", None)
        with torch.no_grad():
            found.append(float(model(**inputs).logits[0, 0]))
    return found
