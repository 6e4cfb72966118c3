"""Scores prompts and responses as a reward model does, without the library that fitted it.

    python -m trueward_scorer < pairs.jsonl > scores.jsonl     # in the folder above this one

Written by `trueward export --allow-remote-code`. Needs numpy, scipy, polars, tokenizers, safetensors and the
files of the package wordllama. Reads only those files and the folder above, and opens no connection.
"""

import json
import sys
from itertools import islice
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from .networks import Networks
from .wordllama import load

ROWS = 1024  # pairs in one batch


class Reward:
    """The reward r of a prompt and a response, higher is better, and P(preferred) = sigmoid(a r + d).

    folder: the exported folder; None takes the one above this package.
    """

    def __init__(self, folder=None):
        path = Path(__file__).parents[1] if folder is None else Path(folder)
        self.card = json.loads((path / "reward_card.json").read_text("utf-8"))
        self.backbone = load()
        expected, installed = self.card["features"], json.loads(self.backbone.spec())
        if expected != installed:
            raise ValueError(
                f"the model reads features {expected}, and the installed wordllama makes {installed}: "
                "install the release that it was fitted on"
            )
        tensors = load_file(path / "model.safetensors")
        self.networks = Networks.from_json(self.card["networks"], tensors)

    def __call__(self, prompts, responses):
        """Return the rewards (n,) of n prompts and responses."""
        rows = [
            self.networks(self.backbone.rows(prompts[i : i + ROWS], responses[i : i + ROWS]))
            for i in range(0, len(prompts), ROWS)
        ]
        return np.concatenate(rows) if rows else np.zeros(0)

    def preferred(self, rewards):
        """Return P(preferred) (n,) of n rewards; None where the card has no a and d."""
        a, d = (self.card["calibration"].get(k) for k in ("a", "d"))
        return None if a is None else 0.5 * (1 + np.tanh(0.5 * (a * np.asarray(rewards) + d)))


def main():
    """Read lines {"prompt", "response"} from standard input; write lines {"reward", "preferred"}."""
    score = Reward()
    while lines := list(islice(sys.stdin, ROWS)):
        pairs = [json.loads(line) for line in lines if line.strip()]
        rewards = score([p["prompt"] for p in pairs], [p["response"] for p in pairs])
        chance = score.preferred(rewards)
        for i, r in enumerate(rewards):
            p = {} if chance is None else {"preferred": float(chance[i])}
            print(json.dumps({"reward": float(r), **p}), flush=i == len(rewards) - 1)
