"""Write the data that the golden tests compare with, from the code as it is now.

Only to be run where a format or a number changes on purpose, and then only for the part that does:

    python tests/golden/make.py imports commands

Stored inputs (log.npz) are never written again. Look at the difference before you commit it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from golden import benchmarks, cases, exports, fits, imports, models, names, outputs, shells, world
from golden.world import DATA


def write(name, value):
    """Write plain data, one entry a line."""
    if isinstance(value, dict):
        entries = [
            f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in value.items()
        ]
        text = "{\n" + ",\n".join(entries) + "\n}\n"
    else:
        text = json.dumps(value, indent=1) + "\n"
    (DATA / name).write_text(text, "utf-8")


def make_commands():
    """The structure of the command line and exit codes."""
    write("commands.json", shells.structure())
    with tempfile.TemporaryDirectory() as place:
        shells.inputs(Path(place))
        codes = {c: world.command(*shells.words_of(c, place))[0] for c in shells.COMMANDS}
    write("exit_codes.json", codes)


def make_imports():
    """The output of every import, a file a case."""
    shutil.rmtree(DATA / "imports", ignore_errors=True)
    (DATA / "imports").mkdir()
    for name, line in imports.CASES.items():
        with tempfile.TemporaryDirectory() as place:
            write(f"imports/{name.replace(' ', '_')}.json", imports.imported(line, Path(place)))


def make_models():
    """Saved models of every kind, with what they say of the same inputs."""
    shutil.rmtree(DATA / "models", ignore_errors=True)
    (DATA / "models").mkdir()
    scores = {}
    with neutral() as place:
        on_text = models.on_texts(place) | models.tuned(place)
        for name, model in (models.on_features(place) | on_text).items():
            folder = DATA / "models" / models.folder_of(name)
            model.save(folder)
            found = model.score(*world.ASKED) if name in on_text else None
            found = found or model.score_features(world.unseen())
            scores[name] = {"texts": name in on_text, **world.plain(found)}
            if name.startswith("texts calibrated"):
                scores[name]["decision"] = models.decided(folder, place)
    write("models.json", world.short(scores))


def make_fits():
    """The numbers of a tiny fit of every form of every method."""
    write("fits.json", {name: world.short(fits.fitted(name)) for name in cases.every()})


def make_exports():
    """Tiny language models, and exported folders of every kind with their scores.

    Folders that are stored were written by earlier versions, and must stay valid: they are not replaced.
    """
    for kind in ("llama", "bert"):
        if not (DATA / "lm" / kind).exists():
            models.language_model(DATA / "lm" / kind, kind)
    about, now = {}, {}
    for name in exports.KINDS:
        folder = DATA / "exports" / models.folder_of(name)
        with neutral() as place:
            made, _ = exports.written(name, place)
            code, _ = exports.verified(name, made, "--model", place / "rm")
            scores, parts = exports.scores(name, made), exports.structure(made)
            now[name] = {"code": code, "scores": scores, **parts}
            if not folder.exists():
                shutil.copytree(made, folder)
        code, checks = exports.verified(name, folder)
        about[name] = {"code": code, "checks": checks, "scores": exports.scores(name, folder)}
    write("exports.json", world.short(about))
    write("exports_now.json", world.short(now))


def make_benchmark():
    """The folder of a benchmark, and what its tables have."""
    with neutral() as place:
        said = benchmarks.run(place, place / "runs")
        kept = benchmarks.kept(place / "runs")
        shutil.rmtree(DATA / "benchmark_folder", ignore_errors=True)
        shutil.copytree(place / "runs", DATA / "benchmark_folder")
        found = {"said": said, "kept": kept, "tables": benchmarks.tables(place / "runs")}
    write("benchmark.json", found)


def make_names():
    """Public names, and what every method declares."""
    write("names.json", names.everything())


def make_outputs():
    """What the other commands say in numbers; after `models`, because it reads one."""
    with neutral() as place:
        outputs.inputs(place)
        found = {
            "commands": {name: outputs.said(name, place) for name in outputs.COMMANDS},
            "worlds": {name: outputs.simulated(name, place) for name in outputs.MECHANISMS},
            "training": {kind: outputs.training_rows(kind, place) for kind in outputs.KINDS},
        }
    for part, value in world.short(found).items():
        write(f"outputs_{part}.json", value)


@contextlib.contextmanager
def neutral():
    """A folder whose name says nothing of the machine, because a saved model keeps paths."""
    place = Path(tempfile.gettempdir()) / "golden"
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["TRUEWARD_CACHE"] = tempfile.mkdtemp()
    DATA.mkdir(exist_ok=True)
    if not (DATA / "log.npz").exists():
        np.savez_compressed(DATA / "log.npz", **world.drawn())
    parts = {k.removeprefix("make_"): v for k, v in list(globals().items()) if k[:5] == "make_"}
    for part in sys.argv[1:] or parts:
        parts[part]()
        print(f"made {part}")
