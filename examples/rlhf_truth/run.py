"""Train policies with rewards learned from one biased log, and evaluate them by the true quality.

python examples/rlhf_truth/run.py --out runs/rlhf_truth                   # two cores, 17 minutes
python examples/rlhf_truth/run.py --out runs/rlhf_truth --size large      # a GPU
python examples/rlhf_truth/run.py --out runs/rlhf_truth --page docs/rlhf_truth.md
python examples/rlhf_truth/run.py --out runs/rlhf_truth_near --kl 0.05       # close to the initial policy
python examples/rlhf_truth/run.py --out runs/rlhf_truth_desk --log desk      # a log of other answers

A small language model is pretrained on questions and answers of the generated help desk, good and bad answers.
From there `trueward.rlhf.align` (TRL's GRPO) trains one policy a seed with each reward: rewards learned from the
same log by several methods, a reward learned from true labels, and the true quality itself. The true quality of
all samples (`trueward.simulation.helpdesk_truth`) is recorded at every step. Without training, every reward also
selects the best of n answers of the initial policy. Results are stored in --out; the same command continues.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

import polars as pl
import torch
from best import candidates, chosen
from page import write_page
from policy import answers, pretrained
from rewards import ARMS, of_policy, rewards
from sizes import SIZES, Size, desk

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError
from trueward.rlhf import Align, Policy, align
from trueward.simulation.helpdesk_truth import QUALITY, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN, ASKED, TRAINED = 1_000_001, 1_000_002, 1_000_003  # seeds that no log uses


def keep(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    with replacing(path) as file:
        file.write_text(json.dumps(value, indent=1), encoding="utf-8")


def questions(n: int, seed: int, size: Size) -> list[str]:
    """Return generated questions."""
    return desk(n, seed, size, answers=1)["prompt"].to_list()


def graded(folder: Path, size: Size) -> dict[str, Any]:
    """Return the true quality, kinds and lengths of one answer to each of the held-out questions."""
    asked = questions(size.asked, ASKED, size)
    said = answers(folder, asked, size.length)
    kinds = [kind_of(p, r) for p, r in zip(asked, said, strict=True)]
    return {
        "quality": sum(QUALITY[k] for k in kinds) / len(kinds),
        "kinds": {k: kinds.count(k) / len(kinds) for k in QUALITY},
        "characters": sum(map(len, said)) / len(said),
        "examples": [
            {"prompt": p, "response": r} for p, r in zip(asked[:8], said[:8], strict=True)
        ],
    }


def start(out: Path, size: Size) -> None:
    """Pretrain the initial policy, evaluate it, and store its candidate answers."""
    if not (out / "start.json").exists():
        if not (out / "start/config.json").exists():
            print("pretraining the policy", file=sys.stderr)
            pretrained(out / "start", size, OWN)
        keep(out / "start.json", graded(out / "start", size))
    candidates(out, size, questions(size.asked, ASKED, size))  # once, before the jobs that use them


def logged(out: Path, size: Size, seed: int, log: str) -> pl.DataFrame:
    """Return the rated answers of a seed, of the help desk or of the policy; the latter are stored."""
    if log == "desk":
        return desk(size.logged, seed, size)
    file = out / f"answers-{seed}.parquet"
    if not file.exists():
        made = of_policy(out / "start", size, seed)
        with replacing(file) as path:
            made.write_parquet(path)
    return pl.read_parquet(file)


def kept(out: Path, what: str, arm: str, seed: int) -> Path:
    """Return the file of a result."""
    return out / what / f"{arm.replace(' ', '-')}-{seed}.json"


def quiet() -> None:
    """Use one thread a process without a GPU, and silence the libraries."""
    for name in ("httpx", "transformers", "trueward"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(1 if not torch.cuda.is_available() else 8)


def told(out: Path, size: Size, seed: int) -> str:
    """Generate the answers of a log."""
    quiet()
    return f"log {seed}: {len(logged(out, size, seed, 'policy'))} answers of the policy"


def pick(out: Path, arm: str, seed: int, size: Size, alpha: float, log: str) -> str:
    """Run best-of-n with one reward and store the result."""
    quiet()
    began, found = time.monotonic(), {"arm": arm, "seed": seed}
    try:
        (reward, *_), _, _ = rewards(arm, logged(out, size, seed, log), alpha, seed)
        made = candidates(out, size, questions(size.asked, ASKED, size))
        found |= {"best_of_n": chosen(reward, made, size)}
    except TruewardError as e:
        found |= {"failed": str(e)}
    keep(kept(out, "best", arm, seed), found)
    return f"best of n by {arm} of log {seed} ({time.monotonic() - began:.0f} s)"


def job(out: Path, arm: str, seed: int, size: Size, alpha: float, kl: float, log: str) -> str:
    """Train and evaluate one policy and store the result."""
    quiet()
    began, file = time.monotonic(), kept(out, "results", arm, seed)
    place = out / "policies" / file.stem
    found: dict[str, Any] = {"arm": arm, "seed": seed}
    try:
        paid, weights, metrics = rewards(arm, logged(out, size, seed, log), alpha, seed)
        how = Align(
            steps=size.align_steps,
            prompts=size.prompts,
            group=size.group,
            micro=size.prompts * size.group,
            length=size.length,
            lr=size.lr,
            kl=kl,
            seed=seed,
            save_every=max(1, size.align_steps // 4),
        )
        begun = any(place.with_name(f"{file.stem}.checkpoint").glob("checkpoint-*"))
        if not (place / "align.json").exists():
            prompts = questions(size.align_steps * size.prompts, TRAINED + seed, size)
            asked = [[{"role": "user", "content": p}] for p in prompts]
            policy = Policy.at(str(out / "start"))
            align(policy, paid, asked, place, how, weights=weights, resume=begun)
        lines = (place / "metrics.jsonl").read_text("utf-8").splitlines()
        found |= {"reward_model": metrics, "steps": [json.loads(line) for line in lines]}
        found |= {"final": graded(place, size)}
    except TruewardError as e:
        found |= {"failed": str(e)}
    keep(file, found)
    said = found.get("failed") or f"true quality {found['final']['quality']:.3f}"
    return f"{file.stem}: {said} ({time.monotonic() - began:.0f} s)"


def done(todo: list[tuple[Any, ...]], jobs: int) -> Iterator[str]:
    """Run jobs in parallel; yield a message for each."""
    if jobs == 1:
        yield from (work(*given) for work, *given in todo)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        yield from (f.result() for f in as_completed([pool.submit(*t) for t in todo]))


def main(words: list[str] | None = None) -> None:
    """Run the unfinished jobs and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument(
        "--alpha", type=float, default=0.5, help="strength of the selection, smaller is stronger"
    )
    parser.add_argument("--kl", type=float, default=0.005)
    parser.add_argument(
        "--log",
        choices=("policy", "desk"),
        default="policy",
        help="source of the answers of the log",
    )
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, help="policies for each reward [from the size]")
    parser.add_argument("--logs", type=int, help="logs for best-of-n [from the size]")
    parser.add_argument("--jobs", type=int, default=1 if torch.cuda.is_available() else 2)
    parser.add_argument(
        "--page", type=Path, help="file of the page; its figures are written beside it"
    )
    given = parser.parse_args(words)
    size, out = SIZES[given.size], given.out
    more = {"seeds", "logs"}  # can be increased later
    settings = {
        "size": given.size,
        **{k: v for k, v in asdict(size).items() if k not in more},
        "alpha": given.alpha,
        "kl": given.kl,
        "log": given.log,
    }
    out.mkdir(parents=True, exist_ok=True)
    file = out / "settings.json"
    if file.exists() and json.loads(file.read_text("utf-8")) != settings:
        sys.exit(f"error: {out} was created with other settings: use another folder")
    keep(file, settings)
    start(out, size)
    seeds, logs, log = given.seeds or size.seeds, given.logs or size.logs, given.log
    answers_of = [
        (told, out, size, seed)
        for seed in range(max(seeds, logs))
        if log == "policy" and not (out / f"answers-{seed}.parquet").exists()
    ]
    todo: list[tuple[Any, ...]] = [
        (pick, out, arm, seed, size, given.alpha, log)
        for seed in range(logs)
        for arm in given.arms
        if not kept(out, "best", arm, seed).exists()
    ]
    todo += [
        (job, out, arm, seed, size, given.alpha, given.kl, log)
        for seed in range(seeds)
        for arm in given.arms
        if not kept(out, "results", arm, seed).exists()
    ]
    steps = chain(done(answers_of, given.jobs), done(todo, given.jobs))
    for k, said in enumerate(steps, start=1):
        print(f"{k}/{len(answers_of) + len(todo)} {said}", file=sys.stderr)
    if given.page:
        write_page(out, given.page)


if __name__ == "__main__":
    main()
