"""`make fuzz`: thousands of cases in worker processes, each with a limit of time and of memory.

A worker that hangs or grows is killed and its case counts as a fault; the next worker goes on. Ends with
the counts, the seed, and exit code 1 if there was a fault. The same seed, count and software draw the same
cases, in the same order: a run that was ended early goes on with `--from`, at the number that it printed
last. Times are those of a `Clock`, which stands still while a worker waits for a processor.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import pickle
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from helpers.clocks import Clock, memory

BATCH = 100  # cases of one kind and seed
BATCHES = 8  # of one worker process
GIGABYTES = 4
HANG, STARTUP = 60, 300  # seconds of a `Clock`, of a case and of a worker before its first


def plan(inputs, seed):
    """(kind, seed, number) of every batch, in an order of the seed."""
    from fuzz.cases import KINDS

    total, batches = sum(share for _, share in KINDS.values()), []
    counts = {kind: round(inputs * share / total) for kind, (_, share) in KINDS.items()}
    counts["logs"] += inputs - sum(counts.values())
    for kind, count in counts.items():
        for i in range(0, count, BATCH):
            batches.append((kind, f"{seed}:{kind}:{i}", min(BATCH, count - i)))
    random.Random(seed).shuffle(batches)
    return batches


def after(batches, count):
    """Leave out the first batches, with so many inputs; give the others, and the inputs left out."""
    passed = 0
    while batches and passed < count:
        passed += batches[0][2]
        batches = batches[1:]
    return batches, passed


def work(batches, place):
    """Run batches; note every case before it is run, and every result after."""
    import torch
    import transformers  # noqa: F401 - which some cases load, and takes longer than they do

    torch.set_num_threads(1)
    os.environ["TRUEWARD_CACHE"] = str(place / "cache")
    results = (place / "results.jsonl").open("a", encoding="utf-8")
    for kind, seed, count in batches:
        _batch(kind, seed, count, place, results)
        results.write(json.dumps({"batch": seed}) + "\n")
        results.flush()


def _batch(kind, seed, count, place, results):
    """Draw and run the cases of one kind and seed."""
    from fuzz.cases import KINDS, judged, keep
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    numbers = itertools.count()

    @seeded(seed)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(KINDS[kind][0])
    def one(case):
        number = next(numbers)
        (place / "now.pickle").write_bytes(pickle.dumps((kind, seed, number, case)))
        clock = Clock()
        wrong = judged(case)
        took = clock.seconds()
        if wrong:
            keep(case, wrong, place.parent / "faults" / f"{seed}:{number}".replace(" ", "-"))
        line = {"kind": kind, "seconds": took, "wrong": wrong}
        results.write(json.dumps(line) + "\n")
        results.flush()

    one()


def watched(process, place):
    """Wait for a worker; give why it was ended, or None, and its greatest memory."""
    largest, clock, case, now = 0, Clock(process.pid), None, place / "now.pickle"
    while process.is_alive():
        process.join(0.05)
        largest = max(largest, memory(process.pid))
        written = now.stat().st_mtime_ns if now.exists() else None
        if written != case:
            clock, case = Clock(process.pid), written
        limit = HANG if case else STARTUP
        reason = None
        if largest > GIGABYTES * 2**30:
            reason = f"memory above {GIGABYTES} GB"
        elif clock.seconds() > limit:
            reason = f"a hang over {limit} s"
        if reason:
            process.kill()
            process.join()
            return reason, largest
    return (
        None if process.exitcode == 0 else f"the process ended with {process.exitcode}"
    ), largest


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument(
        "--from", type=int, default=0, dest="first", help="pass over so many inputs"
    )
    parser.add_argument("--minutes", type=float, default=None, help="stop after so long")
    parser.add_argument("--kind", default=None)
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    place = Path(tempfile.mkdtemp(prefix=f"trueward-fuzz-{seed}-"))
    print(f"seed {seed}; faults are kept in {place}/faults", flush=True)
    os.environ["TMPDIR"] = str(place)
    tempfile.tempdir = str(place)
    batches = [b for b in plan(asked.inputs, seed) if asked.kind in {None, b[0]}]
    batches, passed = after(batches, asked.first)
    ends = time.time() + 60 * asked.minutes if asked.minutes else float("inf")
    faults, counts, longest, largest, round_ = [], Counter(), 0.0, 0, 0
    began = time.time()
    while batches and time.time() < ends:
        round_ += 1
        own = place / f"worker-{round_}"
        own.mkdir()
        process = multiprocessing.get_context("spawn").Process(
            target=work, args=(batches[:BATCHES], own)
        )
        process.start()
        reason, most = watched(process, own)
        largest = max(largest, most)
        finished = set()
        for line in (own / "results.jsonl").read_text("utf-8").splitlines():
            result = json.loads(line)
            if "batch" in result:
                finished.add(result["batch"])
                continue
            counts[result["kind"]] += 1
            longest = max(longest, result["seconds"])
            faults += [(result["kind"], w) for w in result["wrong"]]
        if reason and (own / "now.pickle").exists():
            from fuzz.cases import keep

            kind, batch, number, case = pickle.loads((own / "now.pickle").read_bytes())
            keep(case, [reason], place / "faults" / f"{batch}:{number}".replace(" ", "-"))
            faults.append((kind, reason))
            counts[kind] += 1
            finished.add(batch)  # the rest of that batch would meet the same case again
        elif reason:
            faults.append(("worker", reason))
            break
        passed += sum(b[2] for b in batches if b[1] in finished)
        batches = [b for b in batches if b[1] not in finished]
        say(counts, faults, longest, largest, began, passed)
    print(f"seed {seed}: {sum(counts.values()):,} inputs, {len(faults)} faults", flush=True)
    for (kind, wrong), times in Counter((k, w[:160]) for k, w in faults).most_common():
        print(f"  {times} x {kind}: {wrong}")
    print(
        json.dumps(
            {
                "seed": seed,
                "inputs": dict(counts),
                "faults": len(faults),
                "longest_s": round(longest, 1),
                "most_gb": round(largest / 2**30, 2),
                "minutes": round((time.time() - began) / 60, 1),
            }
        )
    )
    sys.exit(1 if faults else 0)


def say(counts, faults, longest, largest, began, passed):
    print(
        f"{time.time() - began:.0f} s: {sum(counts.values()):,} inputs, {len(faults)} faults; longest "
        f"{longest:.1f} s, most memory {largest / 2**30:.2f} GB; goes on with --from {passed}",
        flush=True,
    )


if __name__ == "__main__":
    main()
