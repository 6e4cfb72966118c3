"""Logs with given texts, for tests that encode them."""

import polars as pl

from trueward.data.log import Log


def text_log(prompts, responses, **columns):
    """Build a log with feedback 1, 0, none, 1, ... unless it is given."""
    n = len(prompts)
    rows = {
        "prompt": prompts,
        "response": responses,
        "feedback": ([1.0, 0.0, None] * n)[:n],
        "prompt_id": [str(i % 3) for i in range(n)],
        **columns,
    }
    # A frame holds no lone surrogates, a Python string may.
    rows["response"] = [r.encode(errors="replace").decode() for r in rows["response"]]
    return Log(pl.DataFrame(rows, strict=False), "log.csv")
