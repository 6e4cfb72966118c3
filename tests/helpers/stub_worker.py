"""A scoring process without a model: the reward is the length of the response / 10. Texts give orders."""

import os
import sys
import time

from trueward.production.serving.frames import packed, read

ABOUT = {
    "name": "rm",
    "digest": "d" * 64,
    "trueward": "0.1.0",
    "interval_only": False,
    "by_class": False,
    "calibration": None,
    "batch_tokens": 16_384,
    "limit": {"most": 100, "unit": "tokens"},
    "card": "",
}


def main(folder):
    out = sys.stdout.buffer
    if folder == "damaged":
        answer = {"failed": "damaged is a damaged reward model: copy it again"}
    elif folder == "crashing":
        os._exit(7)
    else:
        answer = ABOUT | {"name": folder}
    out.write(packed(answer))
    out.flush()
    while True:
        try:
            batch = read(sys.stdin.buffer)
        except EOFError:
            return
        orders = " ".join(batch["response"])
        if "crash" in orders:
            os._exit(9)
        if "hang" in orders:
            time.sleep(60)
        if "memory" in orders:
            answer = {"failed": "not enough memory", "kind": "memory"}
        else:
            n = len(batch["response"])
            answer = {
                "reward": [None if r == "nan" else len(r) / 10 for r in batch["response"]],
                "preferred": [0.5] * n,
                "spread": [0.0] * n,
                "out_of_distribution": [False] * n,
                "low": [None] * n,
                "high": [None] * n,
                "decision": [None] * n,
                "truncated": batch["truncate"],
                "too_long": [120 if r == "long" else None for r in batch["response"]],
            }
        time.sleep(0.002)
        out.write(packed(answer))
        out.flush()


if __name__ == "__main__":
    main(sys.argv[1])
