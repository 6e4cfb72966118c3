"""Sets of the papers in the layouts of the Hugging Face hub, read from a local folder.

Nothing is downloaded: where a folder is missing the error shows the command that fetches it. All splits of
the hub are pooled, because the benchmark splits by prompt and prompts repeat across the hub's splits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

from .tables import Answers, read_file

if TYPE_CHECKING:
    from pathlib import Path

    from .tables import Place


def _files(place: Place, name: str, repo: str, patterns: tuple[str, ...]) -> list[Path]:
    """Find the set's files: the first pattern that matches any."""
    target = place.path or (place.data / name if place.data else name)
    fetch = f"hf download {repo} --repo-type dataset --local-dir {target}"
    how = f"fetch it with `{fetch}`" + ("" if place.path or place.data else " and give its path")
    folder = place.folder(name, how)
    for pattern in patterns:
        if found := sorted(p for p in folder.rglob(pattern) if ".cache" not in p.parts):
            return found
    raise TruewardError(
        f"{folder} should hold the files {' or '.join(patterns)} of {repo}, and has none: {how}"
    )


def helpsteer(place: Place) -> Answers:
    """nvidia/HelpSteer: train.jsonl.gz, validation.jsonl.gz; rating = helpfulness, good above 2."""
    files = _files(
        place, "helpsteer", "nvidia/HelpSteer", ("*.jsonl.gz", "*.jsonl", "data/*.parquet")
    )
    frames = [read_file(f, ["prompt", "response", "helpfulness"]) for f in files]
    frame = pl.concat(frames, how="vertical_relaxed").rename({"helpfulness": "rating"})
    return Answers(_complete(frame), threshold=2.0)


def ultrafeedback(place: Place) -> Answers:
    """ultrafeedback_binarized, *_prefs: chosen and rejected are a row each; good is above 6.5."""
    files = _files(
        place,
        "ultrafeedback",
        "HuggingFaceH4/ultrafeedback_binarized",
        ("*_prefs*.parquet", "*_prefs*.jsonl"),
    )
    parts = []
    for file in files:
        for side in ("chosen", "rejected"):
            d = read_file(file, ["prompt", side, f"score_{side}"])
            if not isinstance(d.schema[side], pl.List):
                raise TruewardError(
                    f"{file}: {side} should be a list of messages, and is {d.schema[side]}"
                )
            last = pl.col(side).list.last().struct.field("content").alias("response")
            parts.append(d.select("prompt", last, pl.col(f"score_{side}").alias("rating")))
    return Answers(_complete(pl.concat(parts, how="vertical_relaxed")), threshold=6.5)


def pku_saferlhf(place: Place) -> Answers:
    """PKU-SafeRLHF: response_0 and response_1 are a row each; severity 0 to 3, high is harmful.

    positive=safe: rating = 3 - severity, good is severity 0 or 1. positive=severe: rating =
    severity, as in the papers, whose reward is therefore one of harm.
    """
    files = _files(
        place, "pku_saferlhf", "PKU-Alignment/PKU-SafeRLHF", ("*.jsonl", "*.jsonl.gz", "*.parquet")
    )
    parts = []
    for file in files:
        for k in (0, 1):
            names = ["prompt", f"response_{k}", f"response_{k}_severity_level"]
            d = read_file(file, names)
            parts.append(d.rename(dict(zip(names[1:], ("response", "rating"), strict=True))))
    frame = _complete(pl.concat(parts, how="vertical_relaxed"))
    if place.positive != "severe":
        frame = frame.with_columns((3 - pl.col("rating")).alias("rating"))
    return Answers(frame, threshold=1.5)


def _complete(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop rows whose text or label is missing, as the papers do."""
    rating = pl.col("rating").cast(pl.Float64)
    return frame.with_columns(rating).drop_nulls(["prompt", "response", "rating"])
