"""What the other commands say in numbers: worlds, measures, audits, plans, sensitivity, training data."""

from __future__ import annotations

import json

import polars as pl
from golden import world
from golden.models import folder_of
from golden.world import DATA, command, done

MECHANISMS = (
    "mcar",
    "rating",
    "annoyed",
    "u_shaped",
    "label",
    "mar",
    "context",
    "mar_z_confounded",
    "users",
    "idn",
    "implicit",
    "misclick",
    "scar",
    "mu_z",
    "mu_x",
    "two_channel",
    "channels",
    "channels_users",
)
# name -> words; {rm} is a stored model, {x} a place in the folder of `inputs`
COMMANDS = {
    "inspect": "inspect {log.parquet} --json",
    "evaluate": "evaluate {rm} {test.parquet} --json --draws 50",
    "audit": "evaluate {rm} --log {log.parquet} --json",
    "audit of the future": "evaluate {rm} --log {log.parquet} --json --future --seed 1",
    "audit of chosen rows": "evaluate {rm} --log {log.parquet} --json --chosen",
    "sensitivity": "sensitivity {rm} {log.parquet} --json",
    "plan": "plan {rm} {log.parquet} --width 0.05 --json --out {next.jsonl}",
    "plan of auroc": "plan {rm} {log.parquet} --width 0.1 --metric auroc --json",
    "calibrate": "calibrate {rm} {log.parquet} --out {again} --json",
    "calibrate on feedback": "calibrate {rm} {log.parquet} --out {again} --feedback --json",
    "refute": "refute naive {log.parquet} --backbone precomputed:{x.npy} --json "
    "--only permuted_feedback,duplicate_prompts,leaked_label",
}
KINDS = ("trl-pairs", "trl-kto", "nemo")


def inputs(folder):
    """A log of texts with gold labels, a test, ratings and features."""
    import numpy as np

    log = world.log_of_texts(150).frame
    log.write_parquet(folder / "log.parquet")
    rating = [(3 * i + i * i) % 5 for i in range(log.height)]
    rated = log.select("prompt", "response", rating=pl.Series(rating, dtype=pl.Float64))
    rated.write_parquet(folder / "rated.parquet")
    rated.with_columns(label=(pl.col("rating") > 2).cast(pl.Float64)).write_parquet(
        folder / "test.parquet"
    )
    x = np.sin(np.arange(log.height * 4.0) ** 1.5).reshape(-1, 4)
    x[:, 0] += np.array([r < "i" for r in log["response"]])
    np.save(folder / "x.npy", x.astype("float32"))


def said(name, folder):
    """The JSON that a command prints, and its exit code."""
    rm = DATA / "models" / folder_of("texts calibrated as chosen")
    line = COMMANDS[name].replace("{rm}", str(rm))
    words = [word.replace("{", f"{folder}/").replace("}", "") for word in line.split()]
    code, out, err = command(*words)
    assert out, err
    found = {"code": code, "said": _numbers(json.loads(out))}
    if name == "plan":
        found["next"] = pl.read_ndjson(folder / "next.jsonl")["response"].to_list()
    return found


def _numbers(tree):
    """Without sentences, but for words that stand alone."""
    if isinstance(tree, dict):
        return {k: _numbers(v) for k, v in tree.items() if k != "source"}
    if isinstance(tree, list):
        return [_numbers(v) for v in tree]
    return "..." if isinstance(tree, str) and " " in tree else tree


def simulated(mechanism, folder):
    """A world: what it came to, and its columns."""
    out = folder / mechanism
    noise = [] if "channel" in mechanism else ["--rho-01", 0.1, "--rho-10", 0.2]
    words = ["--mechanism", mechanism, "--rate", 0.4, "--gold", 9, "--seed", 3, *noise]
    done("simulate", folder / "rated.parquet", out, *words)
    found = {"scenario": json.loads((out / "scenario.json").read_text("utf-8"))}
    for name in ("log", "test", "truth"):
        frame = pl.read_parquet(out / f"{name}.parquet")
        found[name] = {k: _column(frame[k]) for k in frame.columns}
    return found


def _column(values):
    """Of numbers all that differ from each other, or their mean; of texts how many there are."""
    if values.dtype == pl.String:
        return values.n_unique()
    if values.drop_nulls().is_in([0.0, 1.0]).all():
        return "".join("." if v is None else str(int(v)) for v in values)
    return [values.null_count(), values.mean(), values.std()]


def training_rows(kind, folder):
    """Rows for another trainer: how many, the columns, and which responses come first."""
    rm, out = DATA / "models" / folder_of("texts calibrated as chosen"), folder / f"{kind}.jsonl"
    done("training-data", kind, rm, folder / "log.parquet", "--out", out, "--least", 0.1)
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    return {"rows": len(rows), "columns": sorted(rows[0]), "first": rows[:3]}
