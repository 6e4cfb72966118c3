"""AUROC of a linear head on the default features, and on four simpler sets of features.

    python benchmarks/features.py [--seeds 3] [--sets arena pku] [--json]

For each set and seed, 20 % of the prompts are held out. The penalty, and whether TF-IDF reads the prompt,
are chosen by 3-fold cross-validation over the other prompts. One L2-logistic head is fitted on all their
clean labels. Its AUROC on the held-out prompts is averaged over the seeds. The data are read from
../shared/data beside the checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from trueward.data.splits import fold_of, split_rows
from trueward.features import backbone
from trueward.features.builtin import surface, wordllama

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
PENALTIES = torch.tensor([1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3])
STRENGTHS = (1.0, 3.0, 10.0)  # 1 / penalty of the sparse head
FOLDS = 3
FIRST = 256 * wordllama.VECTORS  # column of the first surface feature
COLUMNS = ("WordLlama", "surface", "TF-IDF", "WordLlama + surface", "default")


def gptfuzz() -> pl.DataFrame:
    """Jailbreak attempts; label: jailbroken, by human annotators."""
    rows = pl.read_parquet(DATA / "gptfuzz_human_labeled/data.parquet")
    return rows.select("prompt", "response", group="prompt", label="jailbroken")


def upworthy() -> pl.DataFrame:
    """Headlines of A/B tests; label: click rate above the median."""
    rows = pl.read_parquet(DATA / "upworthy_ab_tests/data.parquet")
    rows = rows.filter(pl.col("impressions") > 1000)
    rate = pl.col("clicks") / pl.col("impressions")
    lede = pl.when(pl.col("lede").str.strip_chars() != "").then("lede")
    return rows.select(
        prompt=pl.coalesce(lede, "excerpt"),
        response="headline",
        group="clickability_test_id",
        label=rate > rate.median(),
    )


def arena() -> pl.DataFrame:
    """Answers of language models; label: score by GPT-4 above the median."""
    rows = pl.read_parquet(DATA / "arena_bench_v1_gpt4_score10/data.parquet")
    score = pl.col("score")
    return rows.select("prompt", "response", group="prompt_id", label=score > score.median())


def pku() -> pl.DataFrame:
    """Answers of PKU-SafeRLHF; label: rated safe in most comparisons."""
    rows = pl.read_parquet(DATA / "pku_saferlhf_pairs5k/data.parquet")
    pairs = rows.group_by("prompt_id", "prompt", "response", maintain_order=True)
    safe = pairs.agg(pl.col("is_safe").cast(pl.Float64).mean()).filter(pl.col("is_safe") != 0.5)
    return safe.select("prompt", "response", group="prompt_id", label=pl.col("is_safe") > 0.5)


SETS: dict[str, Callable[[], pl.DataFrame]] = {
    "gptfuzz": gptfuzz,
    "upworthy": upworthy,
    "arena": arena,
    "pku": pku,
}


def dense(x: Tensor, y: Tensor, group: Tensor, rest: Tensor, held: Tensor) -> float:
    """Return the AUROC of a head on standardised columns; all folds and penalties are fitted together."""
    a, b = x[rest].float(), x[held].float()
    sd, mean = torch.std_mean(a, 0, correction=0)
    scale = torch.where(sd > 1e-6, 1 / (sd * x.shape[1] ** 0.5), 0)
    a, target, many = a.sub_(mean).mul_(scale), y[rest], len(PENALTIES)
    fold = fold_of(len(a), FOLDS, 0, group[rest])
    inside = torch.stack([*(fold != k for k in range(FOLDS)), fold >= 0], 1).float()
    w = _heads(a, target[:, None], inside)
    logit = a @ w[:-1] + w[-1]
    value = torch.zeros(many)
    for k in range(FOLDS):
        for j in range(many):
            value[j] += roc_auc_score(target[fold == k], logit[fold == k, k * many + j]) / FOLDS
    best = w[:, FOLDS * many + int(value.argmax())]
    return float(roc_auc_score(y[held], (b - mean) * scale @ best[:-1] + best[-1]))


def _heads(a: Tensor, y: Tensor, inside: Tensor) -> Tensor:
    """Fit weights (d + 1, parts x penalties) by accelerated Newton steps with a fixed curvature.

    c a'a / 4n + penalty bounds the curvature of every part of at least n / c rows (Boehning and
    Lindsay, 1988).
    """
    parts, many = inside.shape[1], len(PENALTIES)
    bound = a.T @ a * (0.25 / inside.sum(0).min())
    roots = [torch.linalg.cholesky(bound + p * torch.eye(len(bound))) for p in PENALTIES]
    steps = [torch.cholesky_inverse(root) for root in roots]
    share = (inside / inside.sum(0)).repeat_interleave(many, 1)
    penalty = PENALTIES.repeat(parts)
    w = torch.zeros(a.shape[1] + 1, parts * many)
    w[-1] = torch.logit(y.mean())
    momentum, t = w.clone(), 1.0
    for _ in range(40):
        gap = (torch.sigmoid(a @ momentum[:-1] + momentum[-1]) - y) * share
        slope, new = a.T @ gap + penalty * momentum[:-1], momentum.clone()
        for j, step in enumerate(steps):
            new[:-1, j::many] -= step @ slope[:, j::many]
        new[-1] -= 4 * gap.sum(0)
        later = (1 + (1 + 4 * t * t) ** 0.5) / 2
        momentum = new + (t - 1) / later * (new - w)
        w, t = new, later
    return w


def sparse(texts: list[list[str]], y: Tensor, group: Tensor, rest: Tensor, held: Tensor) -> float:
    """Return the AUROC of a head on sublinear TF-IDF 1-2-grams of the best of ``texts``."""
    target, fold = y[rest].numpy(), fold_of(len(rest), FOLDS, 0, group[rest]).numpy()
    candidates = []
    for text in texts:
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        a = words.fit_transform([text[i] for i in rest.tolist()])
        b = words.transform([text[i] for i in held.tolist()])
        for strength in STRENGTHS:
            head = LogisticRegression(C=strength, max_iter=300)
            inner = [
                roc_auc_score(
                    target[fold == k],
                    head.fit(a[fold != k], target[fold != k]).decision_function(a[fold == k]),
                )
                for k in range(FOLDS)
            ]
            candidates.append((float(np.mean(inner)), strength, a, b))
    _, strength, a, b = max(candidates, key=lambda c: c[0])
    head = LogisticRegression(C=strength, max_iter=300).fit(a, target)
    return float(roc_auc_score(y[held].numpy(), head.decision_function(b)))


def measure(name: str, seeds: int) -> dict[str, Any]:
    """Return the AUROC of each set of features at each seed, and the speed of the default features."""
    rows = SETS[name]().with_columns(pl.col("prompt", "response").fill_null(""))
    prompts, responses = rows["prompt"].to_list(), rows["response"].to_list()
    model = backbone("wordllama")
    model.encode(prompts[:8], responses[:8])  # compiles the patterns and loads the weights
    begin = time.perf_counter()
    x = model.encode(prompts, responses)
    speed = len(rows) / (time.perf_counter() - begin)
    y = rows["label"].cast(pl.Float32).to_torch()
    group = rows["group"].rank("dense").cast(pl.Int64).to_torch()
    both = [f"{p}\n{r}" for p, r in zip(prompts, responses, strict=True)]
    prompt, response, plain = x[:, :256], x[:, 256:512], x[:, FIRST : FIRST + len(surface.SCALES)]
    vectors = torch.cat([prompt, response, prompt * response], 1)
    auroc: dict[str, list[float]] = {column: [] for column in COLUMNS}
    for seed in range(seeds):
        split = (y, group, *split_rows(len(y), 0.2, seed, group))
        auroc["WordLlama"].append(dense(vectors, *split))
        auroc["surface"].append(dense(plain, *split))
        auroc["TF-IDF"].append(sparse([responses, both], *split))
        auroc["WordLlama + surface"].append(dense(torch.cat([vectors, plain], 1), *split))
        auroc["default"].append(dense(x, *split))
    return {"set": name, "rows": len(rows), "auroc": auroc, "texts_per_second": round(speed)}


def table(results: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| set | rows | " + " | ".join(COLUMNS) + " | default - best other | texts/s |"
    yield "|---" * (len(COLUMNS) + 4) + "|"
    for result in results:
        mean = {column: float(np.mean(v)) for column, v in result["auroc"].items()}
        gap = mean["default"] - max(v for column, v in mean.items() if column != "default")
        cells = " | ".join(f"{mean[column]:.4f}" for column in COLUMNS)
        speed = f"{gap:+.4f} | {result['texts_per_second']:,}"
        yield f"| {result['set']} | {result['rows']:,} | {cells} | {speed} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not DATA.is_dir():
        print("skipped: there is no ../shared/data beside this checkout")
        return
    begin = time.perf_counter()
    results = [measure(name, options.seeds) for name in options.sets]
    if options.json:
        print(json.dumps({"seeds": options.seeds, "cores": os.cpu_count(), "results": results}))
        return
    print("\n".join(table(results)))
    took = time.perf_counter() - begin
    print(f"AUROC, mean of {options.seeds} splits; {os.cpu_count()} cores, {took:.0f} s in all")


if __name__ == "__main__":
    main()
