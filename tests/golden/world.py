"""What the golden tests share: stored inputs, scores as plain numbers, the command line, comparisons.

Golden tests say that today's behaviour stays. They know nothing of the package but its public names, its
command line and the files it writes, so that modules may move. `make.py` writes what they compare with.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
from pathlib import Path

import numpy as np
import torch

import trueward as tw
from trueward.cli.app import main

HERE = Path(__file__).parent
DATA = HERE / "data"
TRAIN, ROWS, SCORED = 120, 180, 12  # training rows, with validation rows; rows that are scored
COLUMNS = ("reward", "preferred", "spread", "far", "low", "high")

# --- a log of six features, stored -------------------------------------------------------------


def drawn():
    """Draw the table of the log and of the rows that are scored; `make.py` stores it once."""
    rng = np.random.default_rng(20260)
    n, u = ROWS + SCORED, lambda: rng.random(ROWS + SCORED)
    x = rng.standard_normal((n, 6))
    r = (x[:, 0] + 0.2 * rng.standard_normal(n) > 0).astype(float)
    z = rng.random((n, 2))
    o = (u() < 0.3 + 0.4 * r + 0.2 * z[:, 0]).astype(float)
    flipped = (u() < 0.04).astype(float)
    active = (u() < 0.6).astype(float)
    table = {
        "x": x,
        "z": z,
        "o": o,
        "y": o * np.abs(r - flipped),
        "r": r,
        "gold": np.where(u() < 0.3, r, np.nan),
        "weight": 0.5 + u(),
        "propensity": 0.3 + 0.6 * u(),
        "active": active,
        "copy": r * active * (u() < 0.8),
        "like": np.where(u() < 0.9, r * active * (u() < 0.6), np.nan),
        "share": (1 - r) * active * (u() < 0.5),
    }
    return {k: v.astype(np.float32) for k, v in table.items()}


def stored():
    """The table of `drawn`, as it was when the numbers were made."""
    with np.load(DATA / "log.npz") as found:
        return {k: torch.from_numpy(found[k]) for k in found.files}


def feedback(kind="rated"):
    """(train, val) of the log: ``rated``, ``clicks``, ``logged`` clicks with propensities, or more words.

    ``compared`` adds comparisons to ``rated``.

    ``weighted`` adds weights, ``truth`` gives clean labels.
    """
    table = stored()
    parts = slice(0, TRAIN), slice(TRAIN, ROWS)
    return tuple(_part({k: v[rows] for k, v in table.items()}, kind) for rows in parts)


def _part(t, kind):
    n = len(t["x"])
    group = torch.arange(n) // 3
    if kind == "truth":
        return tw.Labelled(x=t["x"], r=t["r"], group=group)
    return tw.Feedback(
        x=t["x"],
        y=t["y"],
        o=t["o"] if kind in {"rated", "weighted", "compared"} else None,
        z=t["z"],
        channels=tw.Columns({k: t[k] for k in ("active", "copy", "like", "share")}),
        gold=t["gold"],
        group=group,
        user=torch.arange(n) // 6,
        weight=t["weight"] if kind == "weighted" else None,
        eta=tw.Columns({"propensity": t["propensity"]} if kind == "logged" else {}),
        pairs=_pairs(t["r"]) if kind == "compared" else None,
    )


def _pairs(r):
    """Each response of a prompt against the next one: a tie between two good or two bad ones."""
    this = torch.tensor([i for i in range(len(r) - 1) if i % 3 < 2])
    other, less = this + 1, r[this] < r[this + 1]
    return tw.Pairs.of(
        torch.where(less, other, this),
        torch.where(less, this, other),
        tie=(r[this] == r[other]).float(),
        source=this % 2,
        sources=("battle", "judge"),
        position=1.0 - 2.0 * (this % 4 < 2).float(),
    )


def unseen():
    """(12, 6) features that are scored, the last far from all others."""
    x = stored()["x"][ROWS:].clone()
    x[-1] *= 40
    return x


# --- texts -------------------------------------------------------------------------------------

TEXT = (
    "how do i undo a commit run git reset soft head keeps your changes write me haiku about rain falls on "
    "the tin roof what is two plus five answer yes no it depends sorry cannot help with that end"
)
WORDS = TEXT.split()


def texts(n=120):
    """n prompts, responses and feedback (1, 0 or none), without any random number."""
    pick = [WORDS[(7 * i + 3 * i * i) % len(WORDS)] for i in range(10 * n)]
    prompts = [f"how do i {pick[i // 3]} {i // 3}" for i in range(n)]
    responses = [" ".join(pick[i * 5 : i * 5 + 3 + i % 5]) for i in range(n)]
    said = [float(r < "i") if i % 4 else None for i, r in enumerate(responses)]
    return prompts, responses, said


def log_of_texts(n=120):
    """The texts as a log with gold labels on a third of the rows."""
    import polars as pl

    prompts, responses, said = texts(n)
    gold = [float("a" in r) if i % 3 == 0 else None for i, r in enumerate(responses)]
    columns = {"prompt": prompts, "response": responses, "feedback": said, "gold": gold}
    return tw.read_log(pl.DataFrame(columns))


ASKED = (
    ["how do i undo a commit", "write me a haiku about rain", "what is two plus five", "", "yes"],
    ["run git reset soft head", "rain falls on the tin roof", "it depends", "sorry", ""],
)

# --- scores and comparisons --------------------------------------------------------------------


def plain(scores):
    """The columns of scores as lists of numbers."""
    found = {k: getattr(scores, k) for k in COLUMNS}
    return {k: v.tolist() for k, v in found.items() if v is not None}


def differences(found, wanted, atol, rtol=0.0, at=""):
    """Where two trees of plain data differ: numbers by more than atol + rtol |wanted|, the rest at all."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        if found.keys() != wanted.keys():
            return [f"{at}: keys {sorted(found)} and not {sorted(wanted)}"]
        pairs = [(found[k], wanted[k], f"{at}.{k}") for k in wanted]
    elif isinstance(found, list | tuple) and isinstance(wanted, list | tuple):
        if len(found) != len(wanted):
            return [f"{at}: {len(found)} values and not {len(wanted)}"]
        pairs = [(a, b, f"{at}[{i}]") for i, (a, b) in enumerate(zip(found, wanted, strict=True))]
    else:
        return [] if _same(found, wanted, atol, rtol) else [f"{at}: {found!r} and not {wanted!r}"]
    return [line for a, b, where in pairs for line in differences(a, b, atol, rtol, where)]


def _same(a, b, atol, rtol):
    if isinstance(a, bool) or isinstance(b, bool) or not _number(a) or not _number(b):
        return type(a) is type(b) and a == b
    return a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= atol + rtol * abs(b)


def _number(v):
    return isinstance(v, int | float)


def short(tree):
    """Numbers with 9 digits, which say all that there is in a float32."""
    if isinstance(tree, dict):
        return {k: short(v) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return [short(v) for v in tree]
    return float(f"{tree:.9g}") if isinstance(tree, float) else tree


def read(name):
    """What `make.py` wrote under this name."""
    return json.loads((DATA / name).read_text("utf-8"))


# --- the command line --------------------------------------------------------------------------


def command(*words):
    """(exit code, stdout, stderr) of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as stop:
            return stop.code or 0, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def done(*words):
    """stdout of a command that has to succeed."""
    code, out, err = command(*words)
    assert code == 0, f"{words}: exit code {code}: {err}"
    return out
