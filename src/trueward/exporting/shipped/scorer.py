"""Scores prompts and responses as a reward model does, without the library that fitted it.

    python -m trueward_scorer < pairs.jsonl > scores.jsonl     # in the folder that this one lies in

Written by `trueward export --allow-remote-code`. Needs numpy, scipy, polars, tokenizers, safetensors and the
files of the package wordllama; opens no connection and reads nothing but those and the folder above.
"""

import json
import sys
from itertools import islice
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from .networks import Networks
from .wordllama import load

ROWS = 1024  # scored at once


class Reward:
    """r of a prompt and a response, higher is better, and P(preferred) = sigmoid(a r + d)."""

    def __init__(self, folder=None):
        place = Path(__file__).parents[1] if folder is None else Path(folder)
        self.card = json.loads((place / "reward_card.json").read_text("utf-8"))
        self.backbone = load()
        made, here = self.card["features"], json.loads(self.backbone.spec())
        if made != here:
            raise ValueError(
                f"the model reads features {made}, and the wordllama here makes {here}"
            )
        self.networks = Networks.of(self.card["networks"], load_file(place / "model.safetensors"))

    def __call__(self, prompts, responses):
        """(n,) rewards."""
        rows = [
            self.networks(self.backbone.rows(prompts[i : i + ROWS], responses[i : i + ROWS]))
            for i in range(0, len(prompts), ROWS)
        ]
        return np.concatenate(rows) if rows else np.zeros(0)

    def preferred(self, rewards):
        """(n,) P(preferred), or None where the card has no line for it."""
        a, d = (self.card["calibration"].get(k) for k in ("a", "d"))
        return None if a is None else 0.5 * (1 + np.tanh(0.5 * (a * np.asarray(rewards) + d)))


def main():
    """Read {"prompt", "response"} line by line, write {"reward", "preferred"}."""
    score = Reward()
    while lines := list(islice(sys.stdin, ROWS)):
        pairs = [json.loads(line) for line in lines if line.strip()]
        rewards = score([p["prompt"] for p in pairs], [p["response"] for p in pairs])
        chance = score.preferred(rewards)
        for i, r in enumerate(rewards):
            p = {} if chance is None else {"preferred": float(chance[i])}
            print(json.dumps({"reward": float(r), **p}), flush=i == len(rewards) - 1)
