"""A real feedback log: its inspection, and the accuracy of fitted models on expert answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

import trueward as tw
from trueward.core.errors import TruewardError
from trueward.core.random import numpy_stream

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

NO_ANSWER = "NO ANSWER"
FITS = {
    "naive": {},
    "ips": {},
    "dr": {},
    "causalrm": {},
    "causalrm estimator=none": {"estimator": "none"},
    "implicitrm identify=scar": {"identify": "scar"},
}


def user_log(folder: Path) -> pl.DataFrame:
    """Return the feedback of users: Correct 1, Wrong 0; Partially Correct is excluded."""
    d = pl.read_parquet(folder / "data.parquet").filter(pl.col("feedback") != "Partially Correct")
    return d.select(
        prompt_text(),
        pl.col("answer").fill_null(NO_ANSWER).alias("response"),
        (pl.col("feedback") == "Correct").cast(pl.Float64).alias("feedback"),
        pl.col("user").alias("user_id"),
        pl.col("topic").alias("prompt_id"),
        pl.col("round").cast(pl.Float64).alias("time"),
    )


def prompt_text() -> pl.Expr:
    return pl.concat_str("question", pl.lit("\n"), "context").alias("prompt")


def expert_pairs(folder: Path, seed: int = 0) -> pl.DataFrame:
    """Return the correct answer to each expert question and a wrong answer from the same passage.

    Answerable: the annotated span against a random span of as many words. Unanswerable: NO ANSWER
    against a random span of three words.
    """
    d = pl.read_parquet(folder / "expert_test.parquet").with_columns(prompt_text())
    rng, rows = numpy_stream(seed, "distractors"), []
    for i, row in enumerate(d.iter_rows(named=True)):
        answerable = row["answerable"] == "Answerable" and bool(row["annotation"])
        right = row["annotation"] if answerable else NO_ANSWER
        wrong = span(row["context"], len(right.split()) if answerable else 3, rng)
        kind = "answerable" if answerable else "unanswerable"
        for response, label in ((right, 1.0), (wrong, 0.0)):
            rows.append({"prompt": row["prompt"], "response": response, "label": label,
                         "prompt_id": str(i), "kind": kind})  # fmt: skip
    return pl.DataFrame(rows)


def span(text: str, words: int, rng: np.random.Generator) -> str:
    tokens = text.split()
    start = int(rng.integers(max(1, len(tokens) - words)))
    return " ".join(tokens[start : start + words])


def qa_section(data: Path) -> str:
    """Return the section on the real log as Markdown."""
    folder = data / "qa_user_feedback"
    log = replace(tw.read_log(user_log(folder)), source="qa_user_feedback")
    pairs = expert_pairs(folder)
    train, val = tw.encode(log).split(0.2, seed=0)
    lines = ["```text", str(tw.inspect(log)), "```", ""]
    lines += ["| method | answerable: pair accuracy | unanswerable: pair accuracy | AUROC, all |",
              "|---|---|---|---|"]  # fmt: skip
    for title, options in FITS.items():
        try:
            model = tw.fit(title.split()[0], train, val, **options)
        except TruewardError as e:
            lines.append(f"| {title} | refused: {str(e).removeprefix('the training rows: ')} | | |")
            continue
        cells = [
            cell(tw.evaluate(model, tw.read_test(part))[metric])
            for part, metric in (
                (pairs.filter(pl.col("kind") == "answerable"), "pair_accuracy"),
                (pairs.filter(pl.col("kind") == "unanswerable"), "pair_accuracy"),
                (pairs, "auroc"),
            )
        ]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(e: object) -> str:
    return f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"
