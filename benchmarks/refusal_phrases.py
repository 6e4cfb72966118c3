"""How often the phrases of a refusal agree with people, on prompts that they were not chosen on.

python benchmarks/refusal_phrases.py --data ../shared/data/xstest_human_labeled/data.parquet
"""

from __future__ import annotations

import argparse

import polars as pl

from trueward.data.digests import text_id
from trueward.rlhf.safety.parsing import find_refusal

COMPLIES = "1_full_compliance"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="../shared/data/xstest_human_labeled/data.parquet")
    rows = pl.read_parquet(parser.parse_args().data)
    found = [find_refusal(text or "").values["refusal"] for text in rows["completion"]]
    chosen_on = [int(text_id(prompt), 16) % 2 == 0 for prompt in rows["prompt"]]
    table = rows.with_columns(
        half=pl.Series(["chosen on" if on else "held out" for on in chosen_on]),
        phrases=pl.Series(found),
        people=(pl.col("final_label") != COMPLIES).cast(pl.Float64),
        matching=(pl.col("strmatch_label") != COMPLIES).cast(pl.Float64),
    )
    agree = table.group_by("half", maintain_order=True).agg(
        pl.len().alias("answers"),
        pl.col("prompt").n_unique().alias("prompts"),
        (pl.col("phrases") == pl.col("people")).mean().round(4).alias("phrases agree"),
        (pl.col("matching") == pl.col("people")).mean().round(4).alias("string matching agrees"),
        pl.col("people").mean().round(4).alias("refused by people"),
        pl.col("phrases").mean().round(4).alias("refused by phrases"),
    )
    for row in agree.iter_rows(named=True):
        print(row)


if __name__ == "__main__":
    main()
