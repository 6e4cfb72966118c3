"""What a paper's experiment needs on disk: files, their sizes and columns, where to get and to put them."""

from __future__ import annotations

import gzip
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import torch

from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Backbone of both papers' code.
PAPER_BACKBONE = "sfairXC/FsfairX-LLaMA3-RM-v0.1"
#: Largest relative difference of a complete set's number of rows from the published one.
TOLERANCE = 0.02


@dataclass(frozen=True)
class Source:
    """A data set of the papers.

    Attributes
    ----------
    name, repository : str
        Name of its folder, and its name on the hub.
    include : tuple of str
        Files to fetch, as patterns of ``hf download --include``.
    train, test : tuple of str
        Patterns of the files of the training and the test split, in the order of preference.
    size : str
        Size of the download.
    rows : dict of str to int
        Rows of the complete files, by split.
    columns : tuple of str
        Columns by which a file is recognised.
    licence : str
        Licence of the data.

    """

    name: str
    repository: str
    include: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]
    size: str
    rows: dict[str, int]
    columns: tuple[str, ...]
    licence: str

    def fetch(self, folder: Path) -> str:
        """Return the command that downloads the set to a folder.

        Parameters
        ----------
        folder : Path
            The set's folder.

        """
        words = ["hf", "download", self.repository, "--repo-type", "dataset"]
        words += [w for pattern in self.include for w in ("--include", pattern)]
        return shlex.join([*words, "--local-dir", str(folder)])


#: The three sets of both papers.
SOURCES = {
    s.name: s
    for s in (
        Source(
            name="helpsteer",
            repository="nvidia/HelpSteer",
            include=("train.jsonl.gz", "validation.jsonl.gz"),
            train=("train.jsonl.gz", "train.jsonl", "train*.parquet"),
            test=("validation.jsonl.gz", "validation.jsonl", "validation*.parquet"),
            size="17 MB",
            rows={"train": 35_331, "test": 1_789},
            columns=("prompt", "response", "helpfulness"),
            licence="CC BY 4.0",
        ),
        Source(
            name="ultrafeedback",
            repository="HuggingFaceH4/ultrafeedback_binarized",
            include=("data/*_prefs-*",),
            train=("train_prefs*.parquet", "train_prefs*.jsonl"),
            test=("test_prefs*.parquet", "test_prefs*.jsonl"),
            size="about 235 MB",
            rows={"train": 61_135, "test": 2_000},
            columns=("prompt", "chosen", "rejected", "score_chosen", "score_rejected"),
            licence="MIT",
        ),
        Source(
            name="pku_saferlhf",
            repository="PKU-Alignment/PKU-SafeRLHF",
            include=("data/*",),
            train=("train*.jsonl", "train*.jsonl.gz", "train*.parquet"),
            test=("test*.jsonl", "test*.jsonl.gz", "test*.parquet"),
            size="about 140 MB",
            rows={"train": 73_900, "test": 8_200},
            columns=(
                "prompt",
                *("response_0", "response_1"),
                *("response_0_severity_level", "response_1_severity_level"),
            ),
            licence="CC BY-NC 4.0",
        ),
    )
}


@dataclass(frozen=True)
class Found:
    """What is there of one thing that the experiment needs.

    Attributes
    ----------
    name : str
        Name of the set, or ``backbone``.
    problem : str or None
        What is missing or wrong; None if it can be used.
    remedy : str
        What to do about the problem; empty without one.
    note : str
        What was found.
    complete : bool
        Whether it is what the paper used, as far as its files say.

    """

    name: str
    problem: str | None
    remedy: str
    note: str
    complete: bool


def check_source(source: Source, folder: Path) -> Found:
    """Look for the files of a set.

    Parameters
    ----------
    source : Source
        The set.
    folder : Path
        Where its files should be.

    Returns
    -------
    Found

    """
    fetch = (
        f"fetch {source.size} of {source.repository} ({source.licence}) to {folder}: "
        f"`{source.fetch(folder)}`"
    )

    def missing(problem: str) -> Found:
        return Found(source.name, problem, fetch, "", complete=False)

    if not folder.is_dir():
        return missing(f"there is no folder {folder}")
    counts = {}
    for part, patterns in (("train", source.train), ("test", source.test)):
        files = _matching(folder, patterns)
        if not files:
            wanted = " or ".join(patterns)
            return missing(f"{folder} has no file {wanted} of the {part} split")
        try:
            counts[part] = sum(_rows(f, source.columns) for f in files)
        except TruewardError as e:
            return missing(str(e))
    full = all(abs(counts[p] - n) <= TOLERANCE * n for p, n in source.rows.items())
    seen = ", ".join(f"{counts[p]:,} of {n:,} {p} rows" for p, n in source.rows.items())
    extent = "complete" if full else "not the whole set: its figures are not comparable"
    return Found(source.name, None, "", f"{folder}: {seen}, {extent}", complete=full)


def _matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files of the first pattern that matches any."""
    for pattern in patterns:
        files = sorted(p for p in folder.rglob(pattern) if ".cache" not in p.parts)
        if files:
            return files
    return []


def _rows(file: Path, columns: Sequence[str]) -> int:
    """Return the number of rows of a file that has the columns of its set."""
    try:
        if file.suffix == ".parquet":
            found = list(pl.read_parquet_schema(file))
            count = int(pl.scan_parquet(file).select(pl.len()).collect().item())
        else:
            with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
                first = lines.readline()
                found = list(json.loads(first)) if first.strip() else []
                count = sum(1 for line in lines if line.strip()) + bool(found)
    except (OSError, EOFError, ValueError, TypeError, pl.exceptions.PolarsError) as e:
        reason = " ".join(str(e).split())[:200]
        raise TruewardError(f"{file} cannot be read as a table ({reason})") from e
    lacking = [c for c in columns if c not in found]
    if lacking or not count:
        what = f"no column {lacking[0]}" if found else "no row"
        names = f"; its columns are {', '.join(found)}" if found else ""
        raise TruewardError(f"{file} has {what}{names}")
    return count


def check_backbone(name: str) -> Found:
    """Look for the backbone, without loading its weights.

    Parameters
    ----------
    name : str
        Name of a backbone.

    Returns
    -------
    Found

    """
    same = is_papers(name)
    if name != PAPER_BACKBONE:
        note = name if same else f"{name}: not the papers' backbone, figures are not comparable"
        return Found("backbone", None, "", note, complete=same)
    other = "or give --backbone wordllama, which needs no download; its figures are not comparable"
    fetch = f"fetch about 15 GB (a GPU with 24 GB reads it): `hf download {name}`; {other}"
    try:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - heavy
    except ImportError:
        problem = "reading a language model needs `pip install 'trueward[text]'`"
        return Found("backbone", problem, fetch, "", complete=False)
    if not isinstance(try_to_load_from_cache(name, "config.json"), str):
        return Found("backbone", f"{name} is not in the hub's cache", fetch, "", complete=False)
    device = "" if torch.cuda.is_available() else "; no GPU was found: a CPU takes days"
    return Found("backbone", None, "", f"{name}, in the hub's cache{device}", complete=True)


def is_papers(backbone: str) -> bool:
    """Return whether a backbone is that of the papers' code, by its name.

    Parameters
    ----------
    backbone : str
        Name of a backbone, with or without options.

    """
    return PAPER_BACKBONE.partition("/")[2].lower() in backbone.partition(",")[0].lower()
