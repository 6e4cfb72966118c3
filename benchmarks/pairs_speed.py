"""Comparisons: bradley_terry beside the training loop of TRL's RewardTrainer, and how reading them scales.

    python benchmarks/pairs_speed.py trl --pairs 4000
    python benchmarks/pairs_speed.py read --pairs 1000000

`trl` gives both the same features, in TRL as a frozen embedding under a linear head, so that its loop does no other
work; it prints processor seconds and the accuracy on pairs that neither saw. `read` writes a log and comparisons by
id, and reads them in this process: run it once for each size to see the peak of memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.modeling_outputs import SequenceClassifierOutput
from trl import RewardConfig, RewardTrainer

import trueward as tw


def drawn(pairs, width, seed=0):
    """Features of two responses a prompt, rows of winners and losers, and a score that decides who wins."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(2 * pairs, width, generator=g)
    s = x @ torch.randn(width, generator=g) * (2 / width**0.5)
    i = 2 * torch.arange(pairs)
    won = torch.rand(pairs, generator=g) < torch.sigmoid(s[i] - s[i + 1])
    return x, torch.where(won, i, i + 1), torch.where(won, i + 1, i)


def timed(work):
    """Return the result, wall seconds and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def ours(x, winner, loser):
    """Fit bradley_terry with its defaults; return the scores of all rows."""
    n = len(x)
    pairs = tw.Pairs.of(winner, loser)
    none = torch.zeros(n)
    data = tw.Feedback(x, none, none, group=torch.arange(n) // 2, pairs=pairs)
    return tw.fit("bradley_terry", data, 0.1, seed=0)


def theirs(x, winner, loser, batch, folder):
    """Train a linear head on the frozen features by RewardTrainer; return the module."""

    class Head(PreTrainedModel):
        config_class = PretrainedConfig

        def __init__(self, config):
            super().__init__(config)
            self.features = torch.nn.Embedding.from_pretrained(x, freeze=True)
            self.score = torch.nn.Linear(x.shape[1], 1, bias=False)
            torch.nn.init.zeros_(self.score.weight)

        def forward(self, input_ids=None, **_):
            return SequenceClassifierOutput(logits=self.score(self.features(input_ids[:, 0])))

    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[EOS]": 1}, unk_token="[PAD]"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        eos_token="[EOS]",
    )
    rows = {"chosen_ids": winner[:, None].tolist(), "rejected_ids": loser[:, None].tolist()}
    args = RewardConfig(
        output_dir=str(folder),
        per_device_train_batch_size=batch,
        num_train_epochs=3,
        learning_rate=1e-3 * batch**0.5,
        report_to=[],
        logging_strategy="no",
        save_strategy="no",
        use_cpu=not torch.cuda.is_available(),
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
        center_rewards_coefficient=None,
    )
    model = Head(PretrainedConfig(pad_token_id=0, num_labels=1))
    trainer = RewardTrainer(
        model, args, train_dataset=Dataset.from_dict(rows), processing_class=tokenizer
    )
    return model, trainer


def beside_trl(options):
    """Print both, with TRL's default batch and with one as large as ours."""
    x, winner, loser = drawn(options.pairs, options.width)
    held = int(0.9 * options.pairs)
    kept = 2 * held

    def right(score):
        return float((score[winner[held:]] > score[loser[held:]]).double().mean())

    model, wall, cpu = timed(lambda: ours(x[:kept], winner[:held], loser[:held]))
    score = model.score_features(x).reward
    print(
        f"bradley_terry: {wall:.2f} s, {cpu:.2f} processor s, accuracy {right(score):.3f}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        for batch in options.batch:
            module, trainer = theirs(x[:kept], winner[:held], loser[:held], batch, folder)
            _, wall_2, cpu_2 = timed(trainer.train)
            weight = module.score.weight.detach().cpu()[0]
            print(
                f"RewardTrainer, 3 epochs, batch {batch}: {wall_2:.2f} s, {cpu_2:.2f} processor s, accuracy "
                f"{right(x @ weight):.3f}; {wall_2 / wall:.1f} times ({cpu_2 / cpu:.1f} by processor)",
                flush=True,
            )


def reading(options):
    """Print how long reading takes, and the peak of memory of the process."""
    n, rows = options.pairs, max(2000, options.pairs // 5)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        at = np.arange(rows)
        names = pl.Series("response_id", [f"r{i}" for i in at])
        log = pl.DataFrame({"response_id": names, "feedback": (at % 3 == 0).astype(float)})
        log = log.with_columns(
            prompt="How do I undo step " + pl.Series((at // 10).astype(str)),
            response="Press undo, then redo: " + names,
        )
        log.write_parquet(Path(folder) / "log.parquet")
        prompt = rng.integers(rows // 10, size=n)
        first, step = rng.integers(10, size=n), rng.integers(1, 10, size=n)
        sides = (10 * prompt + first, 10 * prompt + (first + step) % 10)
        pairs = pl.DataFrame(
            {k: names.gather(v) for k, v in zip(("winner_id", "loser_id"), sides, strict=True)}
        )
        pairs = pairs.with_columns(user_id=pl.Series(rng.integers(n, size=n)).cast(pl.String))
        pairs.write_parquet(Path(folder) / "pairs.parquet")
        del log, pairs, sides, names
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        read, wall, cpu = timed(
            lambda: tw.read_log(Path(folder) / "log.parquet", pairs=Path(folder) / "pairs.parquet")
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{n:,} comparisons of {rows:,} responses: {wall:.1f} s, {cpu:.1f} processor s, peak {peak:.2f} GB (before "
        f"{before:.2f}), {len(read.pairs):,} used"
    )


def main():
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("trl")
    one.add_argument("--pairs", type=int, default=4000)
    one.add_argument("--width", type=int, default=256)
    one.add_argument("--batch", type=int, nargs="+", default=[8, 256])
    two = commands.add_parser("read")
    two.add_argument("--pairs", type=int, default=1_000_000)
    options = parser.parse_args()
    beside_trl(options) if options.command == "trl" else reading(options)


if __name__ == "__main__":
    main()
