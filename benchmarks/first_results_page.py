"""Write the page of first results from its rows."""

from __future__ import annotations

import statistics
from itertools import groupby

SHOWN = {
    "auroc": "AUROC",
    "r2": "R2",
    "pair_accuracy": "pair accuracy",
    "mean_reward": "mean reward",
}
HEAD = """# First results on real texts

Four rated sets, one selection mechanism of the papers (`rating`: the better the answer, the more feedback), and one
true log. Feedback rate .2, P(observed 0 given true 1) = .1, P(observed 1 given true 0) = .2, {seeds} seeds (a seed draws
split, selection, noise and initialisation), split by prompt. All methods use the default features and network and stop on
what the log shows; nothing is tuned. `oracle` is fitted on every clean label of the same rows. Figures are means over the
seeds on clean labels of prompts that no fit has seen; in brackets the mean difference to naive and its standard error over
the seeds; `(!)` marks a mean worse than naive's. Where fits failed, the means are over the other seeds, whose number stands
beside the method.

Made by

```
{command}
```

**What to expect.** In this world the chance of feedback depends on the grade itself, so the assumption of `ips`, `snips`,
`dr` and `causalrm` (feedback depends on features and context only) is false, and no propensity in x can repair it. The noise
part of `causalrm` is right when the rates are; the row with the true rates given knows what no log says. `implicitrm` sees thumbs up only, and assumes that every satisfied user is
equally likely to give one.
"""


def page(rows: list[dict], says: dict[str, str], qa: str, seeds: int) -> str:
    """Return the page as Markdown."""
    command = "python benchmarks/first_results.py --data ../shared/data --out docs/first_results.md"
    parts = [HEAD.format(seeds=seeds, command=command)]
    for name, text in says.items():
        mine = [r for r in rows if r["set"] == name]
        world = [r for r in mine if "good" in r]
        facts = (
            f"{world[0]['rows']:,} rows in the log, about {statistics.mean(r['rated'] for r in world):,.0f} "
            f"rated; {statistics.mean(r['good'] for r in world):.0%} of the answers are good."
        )
        parts.append(f"## {name}\n\n{text[0].upper()}{text[1:]}. {facts}\n")
        for alpha, some in groupby(sorted(mine, key=lambda r: -r["alpha"]), lambda r: r["alpha"]):
            parts.append(f"### α = {alpha}\n\n{table(list(some))}\n")
    parts.append(f"## What the tables say\n\n{summary(rows)}\n")
    parts.append(f"## A true log: qa_user_feedback\n\n{QA}\n\n{qa}\n")
    return "\n".join(parts)


QA = """Real users' verdicts on a deployed question-answering model (Correct 1, Wrong 0; Partially Correct left out), nothing
simulated. The fitted models are asked which of two answers to 2 070 expert questions is better: the expert's span or a
random span of as many words from the same passage; for unanswerable questions `NO ANSWER` or a random span. Brackets are
95 % intervals over questions."""


def table(rows: list[dict]) -> str:
    """Return a table with one row a method: means over seeds and paired differences to naive."""
    lines = ["| method | " + " | ".join(SHOWN.values()) + " |", "|---" * (len(SHOWN) + 1) + "|"]
    naive = {r["seed"]: r for r in rows if r["method"] == "naive"}
    for method in dict.fromkeys(r["method"] for r in rows):
        mine = [r for r in rows if r["method"] == method]
        failed = [r["failed"] for r in mine if "failed" in r]
        if failed:
            note = f"{len(failed)} of {len(mine)} seeds failed: {failed[0]}"
            lines.append(f"| {method} | {note} |" + " |" * (len(SHOWN) - 1))
            mine = [r for r in mine if "failed" not in r]
            if not mine:
                continue
        cells = [cell(k, method, mine, naive) for k in SHOWN]
        survivors = f", {len(mine)} of {len(mine) + len(failed)} seeds" if failed else ""
        lines.append(f"| {method}{survivors} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(metric: str, method: str, mine: list[dict], naive: dict) -> str:
    """Return the mean over seeds and the difference to naive."""
    mean = f"{statistics.mean(r[metric] for r in mine):.3f}"
    if method == "naive" or metric == "mean_reward":
        return mean
    gaps = [r[metric] - naive[r["seed"]][metric] for r in mine]
    gap = statistics.mean(gaps)
    error = f" ± {statistics.stdev(gaps) / len(gaps) ** 0.5:.3f}" if len(gaps) > 1 else "; one seed"
    return f"{mean} [{gap:+.3f}{error}]{' (!)' if gap < 0 else ''}"


def summary(rows: list[dict]) -> str:
    """Return the number of settings in which each method is worse than naive."""
    lines = ["Where fits failed, worse is the mean over the other seeds, whose number follows.", "",
             "| method | worlds | AUROC worse than naive | R2 worse than naive | runs that failed |",
             "|---|---|---|---|---|"]  # fmt: skip
    for method in dict.fromkeys(r["method"] for r in rows):
        if method in ("naive", "oracle"):
            continue
        worlds = sorted({(r["set"], r["alpha"]) for r in rows})
        worse = {
            k: [w for w in worlds if (g := gap(rows, method, w, k)) is not None and g < 0]
            for k in ("auroc", "r2")
        }
        failed = sum("failed" in r for r in rows if r["method"] == method)
        named = [
            f"{len(v)} ({', '.join(world_name(rows, method, w) for w in v)})" if v else "0"
            for v in worse.values()
        ]
        lines.append(f"| {method} | {len(worlds)} | {' | '.join(named)} | {failed} |")
    return "\n".join(lines)


def world_name(rows: list[dict], method: str, world: tuple) -> str:
    """Name a setting, with the number of seeds of a mean over survivors."""
    mine = [r for r in rows if (r["set"], r["alpha"]) == world and r["method"] == method]
    done = sum("failed" not in r for r in mine)
    survivors = "" if done == len(mine) else f" [{done} of {len(mine)} seeds]"
    return f"{world[0]} {world[1]}{survivors}"


def gap(rows: list[dict], method: str, world: tuple, metric: str) -> float | None:
    """Return the mean difference to naive in one setting, over the finished seeds."""
    here = [r for r in rows if (r["set"], r["alpha"]) == world and "failed" not in r]
    naive = {r["seed"]: r[metric] for r in here if r["method"] == "naive"}
    gaps = [r[metric] - naive[r["seed"]] for r in here if r["method"] == method]
    return statistics.mean(gaps) if gaps else None
