"""Logs of short texts for exports of tiny language models, and the results of a verification."""

import json
from dataclasses import replace

import numpy as np
import polars as pl

from helpers import tiny
from trueward.data.log_reading import read_log

DECODERS = ("llama", "qwen3", "gemma3")


def log(n=240):
    """Short answers; good are those with an o near the beginning."""
    rng = np.random.default_rng(0)
    words = np.array(tiny.TEXT.split())
    answers = [" ".join(rng.choice(words, rng.integers(3, 9))) for _ in range(n)]
    return read_log(
        pl.DataFrame(
            {
                "prompt": [f"how do i {rng.choice(words)} {i // 3}" for i in range(n)],
                "response": answers,
                "feedback": [float("o" in a[:9]) if i % 4 else None for i, a in enumerate(answers)],
            }
        )
    )


def events(n=300):
    """Two channels and gold labels on short texts."""
    rng = np.random.default_rng(1)
    words = np.array(tiny.TEXT.split())
    answers = [" ".join(rng.choice(words, rng.integers(3, 9))) for _ in range(n)]
    good = np.array(["o" in a[:9] for a in answers])
    fires = [np.where(rng.random(n) < 0.6, good, 0).astype(float) for _ in range(2)]
    return read_log(
        pl.DataFrame(
            {
                "prompt": [f"how do i {rng.choice(words)} {i // 3}" for i in range(n)],
                "response": answers,
                "feedback": [float(g) if i % 3 else None for i, g in enumerate(good)],
                "gold": [float(g) if i % 5 == 0 else None for i, g in enumerate(good)],
                "channel.copy": fires[0],
                "channel.like": fires[1],
            }
        )
    )


def outcome(verification):
    """Name of every rule -> whether it passed."""
    return {c.name: c.passed for c in verification.checks}


def rewritten(folder, name, **changes):
    """Change keys of a JSON file."""
    file = folder / name
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def uncalibrated(model, features):
    """Rewards (n,) before calibration, as float64."""
    return replace(model, calibration=None).score_features(features).reward.double().numpy()
