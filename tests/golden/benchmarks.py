"""The smallest benchmark, and its folder as plain data."""

from __future__ import annotations

import csv
import json

from golden.world import done

CONFIG = """
name: golden
sets: [{name: synthetic, rows: 700}]
mechanisms: [rating, {name: implicit, noise: none}]
alpha: 0.5
rate: 0.5
gold: 40
noise: {rho_01: 0.1, rho_10: 0.2}
methods: [naive, snips, {name: implicitrm, options: {identify: scar}},
  {name: causalrm, options: {estimator: none}, known: [rho_01, rho_10]}]
seeds: [0]
allow_few_seeds: true
budget: {epochs: 2, folds: 2, nuisance_epochs: 1}
"""
LOOSE = {"key", "digest", "seconds", "metrics", "warnings", "reason"}


def run(place, folder):
    """Run it, or what is left of it, in this process; gives what the command says."""
    (place / "golden.yaml").write_text(CONFIG, "utf-8")
    words = ("benchmark", "run", place / "golden.yaml", "--out", folder, "--jobs", 1, "--json")
    found = json.loads(done(*words))
    found.pop("out")
    return found


def jobs(folder):
    """Key -> row of every finished job."""
    rows = [json.loads(p.read_text("utf-8")) for p in (folder / "jobs").glob("*.json")]
    return {row["key"]: row for row in rows}


def kept(folder):
    """What benchmark.json says, and of every job what its settings decide and what it measured."""
    about = json.loads((folder / "benchmark.json").read_text("utf-8"))
    rows = sorted(jobs(folder).values(), key=lambda r: (r["mechanism"], r["method"]))
    return {
        "about": {k: v for k, v in about.items() if k not in {"trueward", "sets"}},
        "sets": about["sets"],
        "columns": sorted({k for row in rows for k in row}),
        "rows": [{k: v for k, v in row.items() if k not in LOOSE} for row in rows],
        "keys": [row["key"] for row in rows],
        "metrics": [row.get("metrics") for row in rows],
    }


def tables(folder):
    """The columns of the tables that `benchmark table` writes, how many rows, and its files."""
    said = json.loads(done("benchmark", "table", folder, "--json"))
    found = {"files": sorted(p.name for p in (folder / "table").iterdir()), "said": sorted(said)}
    for path in sorted((folder / "table").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        found[path.name] = {"columns": rows[0], "rows": len(rows) - 1}
    found["figures"] = sorted({k for row in said["figures"] for k in row})
    return found
