"""Write docs/pairs_evidence.md: ratings alone, comparisons alone, and both in one reward.

    python benchmarks/pairs_page.py run --set gaussian --seeds 3 --out pairs_evidence.jsonl
    python benchmarks/pairs_page.py run --set arena --data ../shared/data --out pairs_evidence.jsonl
    python benchmarks/pairs_page.py write pairs_evidence.jsonl

A world has 10 % of its rows rated, a tenth of the ratings wrong, and one comparison a prompt, which follows the
quality with `follows` and something else (`bias`: a direction of the features, or the length) with `bias`, both in
log-odds per standard deviation. AUROC is that of the true labels of other prompts.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch

import trueward as tw
from trueward.core.influence import auroc_influence

METHODS = ("three_outcome", "bradley_terry", "joint")
RATE, WRONG, WIDTH = 0.1, 0.1, 64
#: name -> (what the winner follows of the quality, and of something else)
WORLDS = {
    "fair": (1.5, 0.3),
    "biased": (1.0, 1.0),
    "very biased": (0.7, 2.0),
    "about something else": (0.0, 1.5),
    "contrary": (-1.0, 0.5),
}
PAGE = Path(__file__).parents[1] / "docs" / "pairs_evidence.md"
HEAD = """# Evidence: ratings and comparisons in one reward

Written by `benchmarks/pairs_page.py` from the worlds that its docstring describes. AUROC of the true labels of prompts
that no method saw; higher is better. *Gain* is `joint` less the better of the two alone, in each world by hindsight.
"""


def gaussian(seed, n, d=24):
    """Two answers a prompt with features of which one direction is quality, and another is not."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(2 * n, d, generator=g)
    w, v = (a / a.norm() for a in torch.randn(2, d, generator=g))
    quality = x @ w + 0.25 * x[:, 0] * x[:, 1]
    r = (torch.rand(2 * n, generator=g) < torch.sigmoid(2 * quality)).float()
    return x, quality, x @ v, r, torch.arange(2 * n) // 2


def published(folder, name, seed, prompts=800):
    """Two answers a prompt of a real set: quality is its score, and something else is the length."""
    table = pl.read_parquet(Path(folder) / name / "data.parquet")
    score = {"arena_bench_v1_gpt4_score10": "score", "pku_saferlhf_pairs5k": "is_safe"}.get(
        name, "pref_vs_gpt4turbo"
    )
    if "prompt" not in table.columns:
        table = table.join(pl.read_parquet(Path(folder) / name / "prompts.parquet"), on="prompt_id")
    table = table.with_columns(pl.col(score).cast(pl.Float64)).drop_nulls(score)
    table = (
        table.group_by("prompt", "response").agg(pl.col(score).mean()).sort("prompt", "response")
    )
    table = table.sample(fraction=1.0, shuffle=True, seed=seed)
    # up to four pairs of a prompt, each as a prompt of its own of the same group
    table = table.with_columns(k=pl.int_range(pl.len()).over("prompt")).filter(pl.col("k") < 8)
    whole = pl.col("prompt").count().over("prompt", pl.col("k") // 2) == 2
    table = table.filter(whole).sort("prompt", "k").head(2 * prompts)
    log = tw.read_log(table.select("prompt", "response", feedback=pl.lit(1)))
    x = tw.encode(log, progress=False).x.float()
    x = (x - x.mean(0)) @ torch.pca_lowrank(x - x.mean(0), WIDTH, niter=2)[2]
    q = torch.from_numpy(table[score].to_numpy().copy()).float()
    length = torch.from_numpy(
        table["response"].str.len_chars().cast(pl.Float64).log1p().to_numpy().copy()
    )
    group = torch.from_numpy(table["prompt"].rank("dense").cast(pl.Int64).to_numpy().copy())
    scaled = [(a.float() - a.float().mean()) / a.float().std() for a in (q, length)]
    return x, *scaled, (q > q.median()).float() if q.unique().numel() > 2 else q, group


def world(x, quality, other, r, group, follows, bias, seed):
    """Feedback of the rows, and the rows of the test."""
    g = torch.Generator().manual_seed(1000 + seed)
    n = len(r)
    o = (torch.rand(n, generator=g) < RATE).float()
    y = torch.where(torch.rand(n, generator=g) < WRONG, 1 - r, r) * o
    i = 2 * torch.arange(n // 2)
    lead = follows * (quality[i] - quality[i + 1]) + bias * (other[i] - other[i + 1])
    won = torch.rand(len(i), generator=g) < torch.sigmoid(lead)
    pairs = tw.Pairs.of(torch.where(won, i, i + 1), torch.where(won, i + 1, i), sources=("battle",))
    return tw.Feedback(x, y, o, group=group, pairs=pairs)


def measured(data, r, seed):
    """AUROC of every method on a third of the prompts, and what joint reports."""
    rest, test = (d for d in data.split(1 / 3, seed))
    at = (data.x[:, None, :1] == test.x[None, :, :1]).all(-1).any(1).nonzero().squeeze(-1)
    truth = r[at].double().numpy()
    train, val = rest.split(0.2, seed)
    found = {}
    for name in METHODS:
        model = tw.fit(name, train, val, seed=seed, hidden=(64,))
        reward = model.score_features(data.x[at]).reward.double().numpy()
        found[name] = round(auroc_influence(reward, truth).theta, 4)
    about = model.report["nuisances"]["joint"]
    return found | {"weight": about["weights"]["battle"], "told": about.get("warning", "")}


def run(options):
    """Measure every world of a set, one line of JSON each; worlds that the file has are left out."""
    out = Path(options.out)
    known = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {(k["set"], k["world"], k["seed"]) for k in known}
    for seed in range(options.seeds):
        drawn = None
        for name, (follows, bias) in WORLDS.items():
            if (options.set, name, seed) in done:
                continue
            if drawn is None:
                prompts = {"gaussian": 800, "gaussian, 3 times the rows": 2400}.get(options.set)
                own = prompts is not None
                drawn = (
                    gaussian(seed, prompts) if own else published(options.data, options.set, seed)
                )
            data, begun = world(*drawn, follows, bias, seed), time.time()
            line = {
                "set": options.set,
                "world": name,
                "seed": seed,
                **measured(data, drawn[3], seed),
            }
            with out.open("a") as file:
                file.write(json.dumps(line | {"seconds": round(time.time() - begun, 1)}) + "\n")


def page(lines):
    """Return the page."""
    table = pl.DataFrame(lines)
    better = pl.max_horizontal("three_outcome", "bradley_terry")
    table = table.with_columns(gain=pl.col("joint") - better)
    text = [
        HEAD,
        "| set | comparisons | draws | ratings alone | comparisons alone | joint | gain | worst gain |",
    ]
    text += ["|---|---|---|---|---|---|---|---|"]
    means = table.group_by("set", "world", maintain_order=True).agg(
        pl.len(),
        *(pl.col(k).mean() for k in (*METHODS, "gain")),
        pl.col("gain").min().alias("worst"),
    )
    for name, kind, n, a, b, c, gain, worst in means.iter_rows():
        text.append(
            f"| {name} | {kind} | {n} | {a:.3f} | {b:.3f} | {c:.3f} | {gain:+.3f} | {worst:+.3f} |"
        )
    gain, n = table["gain"], table.height
    wide = 1.96 * float(gain.std() or 0.0) / np.sqrt(n)
    over = {k: (table["joint"] - table[k]).mean() for k in METHODS[:2]}
    text.append(
        f"\nOver {n} draws the gain over the better of the two is {gain.mean():+.4f} on average (95 % interval "
        f"{gain.mean() - wide:+.4f} to {gain.mean() + wide:+.4f}) and {gain.min():+.4f} at worst. Over ratings "
        f"alone it is {over['three_outcome']:+.4f}, over comparisons alone {over['bradley_terry']:+.4f}."
    )
    below = table.filter(pl.col("gain") < -0.005).height
    unused = table.filter(pl.col("weight") == 0)["gain"]
    part = f", by {unused.mean():+.3f} in the {len(unused)} draws" if len(unused) else ""
    text.append(
        "\nPart of the gain is that `joint` regresses the ratings on the features, too, which ranks better than "
        f"`three_outcome` at so few ratings{part} where comparisons get no weight. A gain below -.005 is found in "
        f"{below} of {n} draws; the better of two is taken on the same test rows, whose noise it includes."
    )
    reached = gain.mean() >= 0.01 and gain.min() >= -0.005
    text.append(
        f"\nThe aim, +.01 on average and never less than -.005, is {'reached' if reached else 'not reached in both parts'}. The "
        "draws are few, and worlds of one seed share their rows, so the interval is approximate."
    )
    text.append(
        "\nWhich of the two alone is better is not known without labels: where comparisons are about something "
        "else, `bradley_terry` learns that, and `joint` gives them little weight or none."
    )
    return "\n".join(text) + "\n"


def main():
    """Run worlds, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run")
    one.add_argument("--set", default="gaussian")
    one.add_argument("--seeds", type=int, default=3)
    one.add_argument("--data", default="../shared/data")
    one.add_argument("--out", required=True)
    two = commands.add_parser("write")
    two.add_argument("lines")
    options = parser.parse_args()
    if options.command == "run":
        run(options)
    else:
        lines = [json.loads(line) for line in Path(options.lines).read_text().splitlines()]
        PAGE.write_text(page(lines), "utf-8")


if __name__ == "__main__":
    main()
