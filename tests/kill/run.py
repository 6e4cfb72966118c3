"""`make kill`: stop every command in every way at random moments; the counts and the seed."""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path


def stops(count, seed):
    """So many stops: every job and way in turn, the slow ones less often."""
    from kill.jobs import JOBS
    from kill.stops import WAYS, Stop

    chosen = random.Random(seed)
    pairs = [(job, way) for job in JOBS for way in WAYS]
    chosen.shuffle(pairs)
    return [
        Stop(job, way, chosen.random())
        for job, way in itertools.islice(itertools.cycle(pairs), count)
    ]


def main():
    from kill.jobs import prepare
    from kill.stops import Stopper

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--from", type=int, default=0, dest="first", help="pass over so many stops")
    parser.add_argument("--job", default=None)
    parser.add_argument("--way", default=None)
    parser.add_argument("--minutes", type=float, default=None)
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    began, ways, faults = time.time(), Counter(), []
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix=f"trueward-kill-{seed}-") as name:
        place = Path(name)
        prepare(place / "inputs")
        stopper = Stopper(place, place / "inputs")
        for number, stop in enumerate(stops(asked.kills, seed)):
            if number < asked.first:
                continue
            if asked.job not in {None, stop.job} or asked.way not in {None, stop.way}:
                continue
            if asked.minutes and time.time() - began > 60 * asked.minutes:
                break
            at = time.time()
            wrong = stopper.run(stop)
            ways[stop.way] += 1
            faults += [(stop, w) for w in wrong]
            print(
                f"{number:4}  {time.time() - at:5.1f} s  {stop.job}, {stop.way}, {stop.share:.2f}: "
                f"{'; '.join(wrong) or 'ok'}",
                flush=True,
            )
    print(
        json.dumps(
            {
                "seed": seed,
                "kills": sum(ways.values()),
                "ways": dict(ways),
                "faults": len(faults),
                "minutes": round((time.time() - began) / 60, 1),
            }
        )
    )
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
