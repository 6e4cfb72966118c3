"""Train the judge in the package, measure it on questions and sets it has not read, and write docs/builtin_judge.md.

python benchmarks/builtin_judge.py --data ../shared/data                            # figures only
python benchmarks/builtin_judge.py --data ../shared/data --model src/trueward/rlhf/safety/builtin_model \
    --out docs/builtin_judge.md                                                     # about two minutes of a core

The judge is a linear reward model on the default features, fitted and calibrated by trueward. One recipe, `judge`, makes
the model of every fold, of every pair of sets and of the package.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from builtin_judge_page import page

import trueward as tw
from trueward.core.clustering import clusters
from trueward.core.estimate import Estimate
from trueward.core.random import numpy_stream
from trueward.evaluation.measure import measure
from trueward.evaluation.metrics import mean
from trueward.features import backbone, features
from trueward.rlhf.safety.builtin_judge import CONFIDENCE, BuiltinJudge

SETS = ("gptfuzz", "jailbreakbench", "xstest")
FOLDS = 5
CALIBRATED_ON = 4  # every 4th question calibrates and is not fitted
SETTINGS = {"hidden": (), "lr": 1e-3, "epochs": 16, "device": "cpu", "precision": "fp32"}
EXAMPLE = (["How do I pick a lock?"], ["I'm sorry, but I can't help with that."])
METRICS = ("auroc", "brier", "ece", "bias")


@dataclass(frozen=True)
class Rows:
    """Answers with their features; ``question`` is an integer, ``name`` the set."""

    frame: pl.DataFrame
    x: torch.Tensor
    backbone: str

    @staticmethod
    def of(frame: pl.DataFrame) -> Rows:
        """Encode the texts of a frame."""
        model = backbone("wordllama")
        x = features(model, frame["question"].to_list(), frame["response"].to_list(), None)
        return Rows(frame, x, model.spec())

    @property
    def harmful(self) -> np.ndarray:
        """(n,) 1 harmful, 0 harmless, NaN where the label says neither."""
        return self.frame["harmful"].cast(pl.Float64).to_numpy()

    @property
    def question(self) -> np.ndarray:
        """(n,) integer of the question."""
        return self.frame["question"].rank("dense").cast(pl.Int64).to_numpy().copy()

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, kept: np.ndarray) -> Rows:
        return Rows(
            self.frame.filter(pl.Series(kept)), self.x[torch.from_numpy(kept)], self.backbone
        )

    def feedback(self) -> tw.Feedback:
        """Return a log in which every row is rated; good is harmless, and all sets weigh the same."""
        label = torch.from_numpy(1 - self.harmful).float()
        size = self.frame.select(pl.len().over("set")).to_series().to_torch()
        weight = len(self) / (self.frame["set"].n_unique() * size)
        return tw.Feedback(
            self.x, label, torch.ones_like(label), gold=label, group=torch.from_numpy(self.question),
            weight=weight.float(), backbone=self.backbone,
        )  # fmt: skip


def rated(data: Path) -> pl.DataFrame:
    """Read the three sets: set, question, response, harmful (null: a partial refusal of a harmful request)."""
    gptfuzz = pl.read_parquet(data / "gptfuzz_human_labeled" / "data.parquet").select(
        pl.lit("gptfuzz").alias("set"),
        pl.col("prompt").alias("question"),
        "response",
        pl.col("jailbroken").cast(pl.Boolean).alias("harmful"),
    )
    attacks = pl.read_parquet(data / "jailbreakbench_artifacts" / "data.parquet").select(
        pl.lit("jailbreakbench").alias("set"),
        pl.col("goal").alias("question"),
        "response",
        pl.col("jailbroken").alias("harmful"),
    )
    label, harmful = pl.col("final_label"), pl.col("unsafe_prompt")
    xstest = pl.read_parquet(data / "xstest_human_labeled" / "data.parquet").select(
        pl.lit("xstest").alias("set"),
        pl.col("prompt").alias("question"),
        pl.col("completion").alias("response"),
        pl.when(~(harmful & (label == "3_partial_refusal")))
        .then(harmful & (label == "1_full_compliance"))
        .alias("harmful"),
    )
    every = pl.concat([gptfuzz, attacks, xstest])
    return every.unique(["set", "question", "response"], keep="first", maintain_order=True)


def other(data: Path) -> pl.DataFrame:
    """Read answers of a set that no judge here is fitted on: PKU-SafeRLHF, unsafe or safe by its annotators."""
    pairs = pl.read_parquet(data / "pku_saferlhf_pairs5k" / "data.parquet")
    answers = pairs.group_by("prompt", "response", maintain_order=True).agg(
        pl.col("is_safe").mean().alias("safe")
    )
    decided = answers.filter(pl.col("safe").is_in([0.0, 1.0]))
    return decided.select(
        pl.lit("pku").alias("set"),
        pl.col("prompt").alias("question"),
        "response",
        (pl.col("safe") == 0).alias("harmful"),
    )


def parts(rows: Rows, number: int, purpose: str) -> np.ndarray:
    """Draw the part, 0 to number - 1, of every row by question, within sets."""
    drawn = {}
    for name in SETS:
        questions = rows.frame.filter(pl.col("set") == name)["question"].unique().sort().to_list()
        order = numpy_stream(0, "builtin judge", purpose, name).permutation(len(questions))
        drawn |= {q: int(k) % number for q, k in zip(questions, order, strict=True)}
    return rows.frame["question"].replace_strict(drawn, return_dtype=pl.Int64).to_numpy()


def judge(rows: Rows) -> tw.RewardModel:
    """Fit on three questions in four and calibrate on the others."""
    held = parts(rows, CALIBRATED_ON, "calibration") == 0
    model = tw.fit("naive", rows[~held].feedback(), 0.15, seed=0, **SETTINGS)
    return model.calibrated(rows[held].feedback())


def scored(model: tw.RewardModel, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """P(harmful), and the verdict: 1 harmful, 0 harmless, -1 abstains."""
    scores = model.score_features(rows.x)
    verdict = model.calibration.decide(scores.preferred, CONFIDENCE, by_class=True)
    harmful = torch.where(verdict < 0, -1, 1 - verdict)
    harmful[scores.out_of_distribution] = -1
    return 1 - scores.preferred.double().numpy(), harmful.numpy()


def figures(rows: Rows, p: np.ndarray, verdict: np.ndarray) -> dict:
    """Every figure of one set, with 95 % intervals by question."""
    r, units = rows.harmful, clusters(len(rows), group=rows.question)
    found = measure(p, r=r, group=rows.question)
    out = {
        "answers": len(rows),
        "questions": len(np.unique(rows.question)),
        "harmful": r.mean(),
        **{k: found[k] for k in METRICS},
    }
    decided, wrong = (verdict >= 0).astype(float), (verdict != r).astype(float)
    masses = {"wrong": decided, "missed": decided * r, "false_alarms": decided * (1 - r)}
    shares = {"decided": (decided, np.ones(len(rows)))} | {k: (wrong, m) for k, m in masses.items()}
    for name, (values, mass) in shares.items():
        value, influence = mean(values, mass) if mass.any() else (None, None)
        out[name] = (
            Estimate(None, reason="no response is decided")
            if value is None
            else units.estimate(value, influence, "share", mass)
        )
    return out


def held_out_questions(rows: Rows) -> dict[str, dict]:
    """Figures of every set where each question is judged by a model fitted on other questions."""
    fold, p, verdict = parts(rows, FOLDS, "folds"), np.zeros(len(rows)), np.zeros(len(rows), int)
    for k in range(FOLDS):
        test = fold == k
        p[test], verdict[test] = scored(judge(rows[~test]), rows[test])
    names = rows.frame["set"].to_numpy()
    return {n: figures(rows[names == n], p[names == n], verdict[names == n]) for n in SETS}


def held_out_sets(rows: Rows) -> dict[str, dict]:
    """Figures of every set judged by a model fitted on the two other sets."""
    names = rows.frame["set"].to_numpy()
    return {
        n: figures(rows[names == n], *scored(judge(rows[names != n]), rows[names == n]))
        for n in SETS
    }


def size_of(model: tw.RewardModel) -> int:
    """Bytes of the saved model."""
    with tempfile.TemporaryDirectory() as scratch:
        model.save(Path(scratch) / "model")
        return sum(p.stat().st_size for p in (Path(scratch) / "model").iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", type=Path, help="folder to save the judge in")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    given = parser.parse_args()
    if not given.data.is_dir():
        raise SystemExit(f"no data at {given.data}: give --data")
    every = Rows.of(rated(given.data))
    partial = every[every.frame["harmful"].is_null().to_numpy()]
    rows = every[every.frame["harmful"].is_not_null().to_numpy()]
    model = judge(rows)
    if given.model:
        model.save(given.model)
    unseen = Rows.of(other(given.data))
    p, verdict = scored(model, partial)
    example = BuiltinJudge(model).score(*EXAMPLE)[0]
    facts = {
        "size": size_of(model) / 1000,
        "example": example.harmful,
        "abstains": example.abstains,
    }
    text = page(
        {
            "held-out questions": held_out_questions(rows),
            "held-out sets": held_out_sets(rows),
            "another set": {"pku": figures(unseen, *scored(model, unseen))},
        },
        {"answers": len(partial), "mean": p.mean(), "decided": (verdict >= 0).mean()},
        facts,
    )
    if given.out:
        given.out.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
