"""Does a debiased reward give a better policy? Exact policies over pools of answers with known quality.

python benchmarks/downstream.py --data ../shared/data --out runs/downstream --seeds 2 --minutes 40
python benchmarks/downstream_page.py --out runs/downstream --page docs/downstream.md

A cell is a world, a mechanism of selection and a seed. In every cell the base policy shows answers to users, some of
whom rate them. Each method fits a reward on that log. The reward makes the exact optimum of KL-regularised RLHF over
the pool of each test prompt at equal divergence from the base policy, and the policy of best of n. What the policy is
worth is summed over the pool: no answer is sampled and no policy is trained. Then the policy at KL 1 shows the
answers of the next round, whose log the next reward is fitted on. One result a cell is stored in --out; the same
command continues. Test prompts are used once, for the values.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from downstream_worlds import SHOWN, WORLDS, Pool, feedback, propensities, read_pool, show, split

import trueward as tw
from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError
from trueward.data.feedback import Labelled
from trueward.data.splits import split_rows
from trueward.rlhf import best_of_n_policy, softmax_policy
from trueward.rlhf.reward import cautious_logit

if TYPE_CHECKING:
    from downstream_worlds import Shown
    from numpy.typing import NDArray

    from trueward.model.scores import Scores

    Array = NDArray[np.float64]

MECHANISMS = ("rating", "label", "annoyed", "mar", "looks_like_quality", "mcar")
DIVERGENCES, CHOICES = (0.1, 0.5, 1.0, 2.0), (4, 16)
COLLECTED_AT = 1.0  # divergence of the policy that shows the answers of the next round
GOLD, MEMBERS, LIMIT = 100, 5, 4.0
ROUNDS = 3
#: Methods whose log is renewed by their own policies: name -> method, options, whether it has the gold labels.
RENEWED: dict[str, tuple[str, dict[str, Any], bool]] = {
    "naive": ("naive", {}, False),
    "auto": ("auto", {}, False),
    "causalrm": ("causalrm", {}, False),
    "implicitrm": ("implicitrm", {"identify": "scar"}, False),
    "anchored": ("anchored", {}, True),
}
LATEST = ("naive", "auto")  # in the last round also fitted on the log of that round alone
#: Fitted once, on the log of the base policy.
ONCE: dict[str, tuple[str, dict[str, Any], bool]] = {
    "100 labels alone": ("oracle", {}, True),
    "clean labels": ("oracle", {}, False),
    "naive, 5 members": ("naive", {"members": MEMBERS}, False),
}
#: Cautious reward -> the arm whose model it takes, R = logit(P - sd).
CAUTIOUS = {"naive, cautious": "naive, 5 members", "anchored, cautious": "anchored"}


def reward_of(
    arm: tuple[str, dict[str, Any], bool], pool: Pool, rounds: list[Shown], seed: int
) -> tuple[Any, str]:
    """Fit a method on the log of some rounds; return the model and the method that was fitted."""
    method, options, gold = arm
    log: Any = feedback(pool, rounds, gold=gold)
    if method == "oracle":
        row = np.concatenate([r.row for r in rounds])
        known = np.concatenate([r.gold for r in rounds]) if gold else np.ones(len(row), dtype=bool)
        keep = torch.from_numpy(np.flatnonzero(known))
        label = torch.from_numpy(pool.label[row].astype(np.float32))
        log = Labelled(log.x[keep], label[keep], group=log.group[keep])
    train, val = split_rows(len(log), 0.2, seed, log.group)
    model = tw.fit(method, log[train], log[val], seed=seed, **options)
    return model, model.method


def paid(reference: Scores, answers: Scores, caution: float) -> Array:
    """Return the reward of answers as `trueward.rlhf.Reward` gives it, standardised on logged answers."""
    s = cautious_logit(reference, caution)
    r = (cautious_logit(answers, caution) - s.mean()) / s.std()
    return r.clamp(-LIMIT, LIMIT).double().numpy()


def worth(reward: Array, test: Pool) -> dict[str, list[float]]:
    """Return the true quality of every policy that a reward makes, by test prompt."""
    policies = {}
    for k in DIVERGENCES:
        try:
            policies[f"kl {k:g}"] = softmax_policy(reward, test.prompt, k)
        except TruewardError:  # ties: this reward cannot move the policy so far
            continue
    policies |= {f"best of {n}": best_of_n_policy(reward, test.prompt, n) for n in CHOICES}
    return {k: p.value(test.quality).round(5).tolist() for k, p in policies.items()}


def ranks(reward: Array, test: Pool) -> float:
    """Return the mean over prompts of the correlation of reward and quality: what a policy can use."""
    found = []
    for q in np.unique(test.prompt):
        at = test.prompt == q
        if reward[at].std() > 0 and test.quality[at].std() > 0:
            found.append(np.corrcoef(reward[at], test.quality[at])[0, 1])
    return float(np.mean(found))


def cell(name: str, pool: Pool, mechanism: str, seed: int, rounds: int) -> dict[str, Any]:
    """Run a cell: all methods on the log of the base policy, then the rounds of those that renew it."""
    train, test = split(pool, name, mechanism, seed)
    p = propensities(train, mechanism, seed)
    each = SHOWN[name][1]
    counts = np.bincount(train.prompt)[train.prompt]
    first = show(train, 1 / counts, p, each, GOLD, seed, mechanism, 1)
    found: list[dict[str, Any]] = []

    def add(arm: str, number: int, logged: str, reward: Array, **more: Any) -> None:
        values = worth(reward, test)
        found.append(
            {
                "arm": arm,
                "round": number,
                "log": logged,
                "ranks": ranks(reward, test),
                "values": values,
                **more,
            }
        )

    def fitted(arm: str, how: Any, log: list[Shown], number: int, logged: str) -> Any:
        """Fit and evaluate a reward; return what its next round takes: model and scores of the logged answers."""
        began = time.process_time()
        try:
            model, method = reward_of(how, train, log, seed)
            more = {"method": method, "seconds": round(time.process_time() - began, 1)}
            more |= {"shown": float(train.quality[log[-1].row].mean())}
            rows = torch.from_numpy(np.concatenate([s.row for s in log]))
            known = model.score_features(train.x[rows])
            scores = model.score_features(test.x)
            add(arm, number, logged, paid(known, scores, 0.0), **more)
            for cautious, of in CAUTIOUS.items():
                if of == arm and logged == "all":
                    add(cautious, number, logged, paid(known, scores, 1.0), method=method)
        except TruewardError as e:
            found.append({"arm": arm, "round": number, "log": logged, "failed": str(e)})
            return None
        return model, known

    for arm, how in ONCE.items():  # fitted for their values only
        fitted(arm, how, [first], 1, "all")
    add("truth", 1, "all", test.quality)
    for arm, how in RENEWED.items():
        log, model = [first], fitted(arm, how, [first], 1, "all")
        for number in range(2, rounds + 1):
            if model is None:
                break
            reward = paid(model[1], model[0].score_features(train.x), 0.0)
            try:
                policy = softmax_policy(reward, train.prompt, COLLECTED_AT).probability
            except TruewardError as e:
                found.append({"arm": arm, "round": number, "log": "all", "failed": str(e)})
                break
            log.append(show(train, policy, p, each, 0, seed, mechanism, number))
            model = fitted(arm, how, log, number, "all")
            if number == rounds and arm in LATEST:
                fitted(arm, how, log[-1:], number, "latest")
    return {
        "world": name,
        "mechanism": mechanism,
        "seed": seed,
        "rounds": rounds,
        "prompts": np.unique(test.prompt).tolist(),
        "base": softmax_policy(test.quality, test.prompt, 0).value(test.quality).round(5).tolist(),
        "rated": int(first.rated.sum()),
        "rows": len(first.row),
        "results": found,
    }


def main(words: list[str] | None = None) -> None:
    """Run the cells that are not stored, seed by seed, until the time is used."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--mechanisms", nargs="+", choices=MECHANISMS, default=list(MECHANISMS))
    parser.add_argument(
        "--renewed",
        nargs="*",
        choices=WORLDS,
        default=["helpdesk"],
        help="worlds with three rounds",
    )
    parser.add_argument(
        "--renewed-seeds", type=int, default=3, help="seeds with three rounds, the first ones"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of the renewed worlds")
    parser.add_argument("--full", action="store_true", help="features as they are, not projected")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument(
        "--size", type=float, default=1.0, help="share of the prompts; below 1 for a trial"
    )
    parser.add_argument(
        "--minutes", type=float, default=40, help="start no cell after these processor minutes"
    )
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    if set(given.worlds) - {"helpdesk"} and not given.data.is_dir():
        sys.exit(
            f"error: no data at {given.data}: give --data, or --worlds helpdesk, which needs none"
        )
    given.out.mkdir(parents=True, exist_ok=True)
    settings = {
        "size": given.size,
        "full": given.full,
        "shown": {k: list(v) for k, v in SHOWN.items()},
    }
    file = given.out / "settings.json"
    if file.exists() and json.loads(file.read_text("utf-8")) != settings:
        sys.exit(f"error: {given.out} holds cells of other settings: use another folder")
    file.write_text(json.dumps(settings), encoding="utf-8")
    pools: dict[str, Pool] = {}
    for seed in range(given.first, given.seeds):
        for name in given.worlds:
            for mechanism in given.mechanisms:
                file = given.out / f"{name}-{mechanism}-{seed}.json"
                if file.exists():
                    continue
                if time.process_time() > 60 * given.minutes:
                    sys.exit(f"stopped after {given.minutes:g} minutes; the same command continues")
                if name not in pools:
                    pools[name] = read_pool(
                        name, given.data, given.out, given.size, full=given.full
                    )
                began = time.process_time()
                renewed = name in given.renewed and seed < given.renewed_seeds
                result = cell(name, pools[name], mechanism, seed, given.rounds if renewed else 1)
                took = round(time.process_time() - began, 1)
                with replacing(file) as path:
                    path.write_text(json.dumps({**result, "seconds": took, "size": given.size}))
                print(f"{file.stem}: {took:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
