"""The kinds of cases, and how often each is drawn."""

from __future__ import annotations

import shutil
from pathlib import Path

from fuzz.command import faults_of
from fuzz.folders import DATA, backbones, benchmark_folders, exports, models, read_folder
from fuzz.lines import command_lines, configs, imports
from fuzz.tables import MODEL, dataset_folders, feature_files, logs, queries

#: kind -> its cases, and its share of a long run
KINDS = {
    "logs": (logs(), 22),
    "imports": (imports(), 26),
    "configs": (configs(), 12),
    "models": (models(), 10),
    "queries": (queries(), 8),
    "dataset folders": (dataset_folders(), 6),
    "feature files": (feature_files(), 6),
    "command lines": (command_lines(), 6),
    "benchmark folders": (benchmark_folders(), 2),
    "exports": (exports(), 1),
    "backbones": (backbones(), 1),
}


def judged(case):
    """Run a case; give what is wrong. A model that a case only names is a good one."""
    if case.files.get(MODEL) == b"":
        files = {k: v for k, v in case.files.items() if k != MODEL}
        files |= read_folder(DATA / "models" / "texts-naive", MODEL)
        case = type(case)(case.words, files, case.writes)
    return faults_of(case)


def keep(case, wrong, folder):
    """Write a case that found a fault to a folder, to be run by hand."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in case.files.items():
        path = Path(folder) / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    text = "\n".join(["trueward " + " ".join(map(repr, case.words)), *wrong])
    (Path(folder) / "about.txt").write_text(text + "\n", "utf-8", "backslashreplace")
