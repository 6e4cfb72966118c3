"""A policy that learns to write what a reward pays for: TRL's GRPO with our reward functions."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import warnings
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.atomic_io import replacing
from trueward.core.errors import NotWrittenError, TruewardError, UsageError, missing_extra
from trueward.features.transformers.model_folder import missing_text_extra

from .policy import Policy, written
from .steps import listen, one_more_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

METRICS, ABOUT = "metrics.jsonl", "align.json"
LR, LR_LORA = 1e-6, 1e-5


@dataclass(frozen=True)
class Align:
    """Settings of a run. A step samples ``group`` answers to each of ``prompts`` prompts and learns once.

    An answer's advantage is its reward against those of its group (GRPO, Shao et al. 2024). ``kl`` weighs
    the KL divergence to the policy as it was, per token; 0 leaves it out, and unmeasured. ``more`` are
    further options of TRL's GRPOConfig by name.
    """

    steps: int = 200
    prompts: int = 8
    group: int = 8
    micro: int | None = None  # answers in memory at once; None: one group
    length: int = 256  # tokens of an answer at most
    lr: float | None = None  # None: 1e-6, and 1e-5 for adapters
    kl: float = 0.02
    temperature: float = 1.0
    lora: int | None = None  # rank of adapters that alone learn; None: all weights do
    save_every: int = 50
    seed: int = 0
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no run can be."""
        batch, micro = self.prompts * self.group, self.micro or self.group
        if self.group < 2:
            raise UsageError(
                f"GRPO compares the answers of a group, so --group is at least 2, not {self.group}"
            )
        if batch % micro:
            raise UsageError(
                f"--micro {micro} does not divide the {batch} answers of a step: choose a divisor"
            )


def align(
    policy: Policy,
    rewards: Sequence[Callable[..., list[float]] | str],
    prompts: Sequence[list[dict[str, str]]],
    out: Path,
    how: Align,
    *,
    weights: Sequence[float] | None = None,
    origin: Mapping[str, Any] | None = None,
    resume: bool = False,
    tell: Callable[[dict[str, Any]], None] = lambda _line: None,
) -> dict[str, Any]:
    """Train ``policy`` on ``prompts``, lists of messages, for the weighted sum of ``rewards``.

    rewards: our `trl` functions, or folders of sequence classifiers. out: a folder of transformers, with
    ``metrics.jsonl``, a line a step, and ``align.json``, which also keeps ``origin``: what a caller knows of
    where the rewards and the prompts are from. ``tell`` gets each line. Checkpoints are in
    ``out``.checkpoint until the end: with ``resume`` an interrupted run goes on from the last one. The
    first Ctrl-C ends the step, saves and raises KeyboardInterrupt; the second does not wait.
    """
    trl = _trl()
    out = out.resolve()
    work = out.with_name(out.name + ".checkpoint")
    about = _about(policy, rewards, weights, prompts, how) | {"origin": dict(origin or {})}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries speak to each other of their next versions
        config = _config(trl, work, how, weights)
        if os.environ.get("RANK", "0") == "0":  # under accelerate launch one process writes
            _begin(work, about, resume)
        with one_more_step() as asked, _kept(work):
            trainer = trl.GRPOTrainer(
                model=str(policy.folder.path),
                reward_funcs=list(rewards),
                args=config,
                train_dataset=_dataset(prompts),
                processing_class=policy.tokenizer(),
                peft_config=None if how.lora is None else _lora(how.lora),
            )
            listen(trainer, asked, work / METRICS, tell)
            trainer.train(resume_from_checkpoint=True if resume else None)
        if asked.is_set():
            raise KeyboardInterrupt
        if trainer.accelerator.is_main_process:
            about |= {"ended": json.loads((work / METRICS).read_text("utf-8").splitlines()[-1])}
            with replacing(out) as path:
                written(trainer, path)
                (path / METRICS).write_bytes((work / METRICS).read_bytes())
                (path / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
            shutil.rmtree(work, ignore_errors=True)
    return about


@contextlib.contextmanager
def _kept(work: Path) -> Iterator[None]:
    """Word what ends a run, and keep its folder where there is something to go on with."""
    try:
        yield
    except BaseException as e:
        if not any(work.glob("checkpoint-*")):
            shutil.rmtree(work, ignore_errors=True)
        if isinstance(e, torch.OutOfMemoryError):
            raise TruewardError(
                "the policy and its answers do not fit into the memory of the GPU: lower --micro or "
                "--length, or learn adapters only (--lora 16)"
            ) from e
        if isinstance(e, ImportError):
            raise TruewardError(f"a package that this takes is missing ({e}): install it") from e
        if isinstance(e, OSError):
            raise NotWrittenError(
                f"{work} could not be written, or a model read ({e}): --resume goes on from the last "
                "checkpoint, if there is one"
            ) from e
        raise


def _trl() -> Any:
    try:
        import transformers  # noqa: PLC0415 - heavy
        import trl  # noqa: PLC0415
    except ImportError as e:
        raise missing_extra("aligning a policy", "trl", "rlhf") from e
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return trl


def _config(trl: Any, work: Path, how: Align, weights: Sequence[float] | None) -> Any:
    gpu = torch.cuda.is_available()
    micro = how.micro or how.group
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # under accelerate launch
    batch = how.prompts * how.group
    if batch % (micro * processes):
        raise UsageError(
            f"the {batch} answers of a step are not shared evenly by {processes} processes with {micro} in "
            "memory each: change --prompts-a-step, --group or --micro"
        )
    given = {
        "output_dir": str(work),
        "max_steps": how.steps,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": batch // (micro * processes),
        "num_generations": how.group,
        "max_completion_length": how.length,
        "learning_rate": how.lr or (LR if how.lora is None else LR_LORA),
        "beta": how.kl,
        "temperature": how.temperature,
        "reward_weights": None if weights is None else list(weights),
        "seed": how.seed,
        "logging_steps": 1,
        "save_steps": how.save_every,
        "save_total_limit": 2,
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": not gpu,
        "bf16": gpu,
        "gradient_checkpointing": gpu,
        "lr_scheduler_type": "constant",
        "dataloader_pin_memory": gpu,
    }
    try:
        return trl.GRPOConfig(**(given | how.more))
    except (TypeError, ValueError) as e:
        raise UsageError(f"TRL refuses these settings: {' '.join(str(e).split())[:300]}") from e


def _lora(rank: int) -> Any:
    try:
        import peft  # noqa: PLC0415 - heavy
    except ImportError as e:
        raise missing_text_extra("peft") from e
    return peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def _dataset(prompts: Sequence[list[dict[str, str]]]) -> Any:
    from datasets import Dataset  # noqa: PLC0415 - trl brings it

    return Dataset.from_list([{"prompt": p} for p in prompts])


def _about(
    policy: Policy,
    rewards: Sequence[Callable[..., list[float]] | str],
    weights: Sequence[float] | None,
    prompts: Sequence[list[dict[str, str]]],
    how: Align,
) -> dict[str, Any]:
    return {
        "policy": {"from": policy.folder.source, "digest": policy.folder.digest},
        "rewards": [r if isinstance(r, str) else r.__name__ for r in rewards],
        "weights": None if weights is None else list(weights),
        "prompts": len(prompts),
        "settings": asdict(how),
        "versions": {name: version(name) for name in ("trueward", "trl", "transformers", "torch")},
    }


def _begin(work: Path, about: dict[str, Any], resume: bool) -> None:
    """Make the folder of checkpoints, or see that it is there and of the same run."""
    kept = work / ABOUT
    if not resume:
        if work.exists():
            raise TruewardError(
                f"{work} holds an interrupted run: add --resume to go on with it, or delete that folder"
            )
        try:
            work.mkdir(parents=True)
            kept.write_text(json.dumps(about), encoding="utf-8")
        except OSError as e:
            raise TruewardError(
                f"{work} could not be made ({e.strerror}); choose a place you may write to"
            ) from e
        return
    if not any(work.glob("checkpoint-*")):
        raise TruewardError(
            f"--resume found no checkpoint in {work}: start without it, and delete that folder if it is there"
        )
    before = json.loads(kept.read_text("utf-8"))
    longer = {"settings": {**before["settings"], "steps": about["settings"]["steps"]}}
    if {**before, **longer} != json.loads(json.dumps(about)):
        raise TruewardError(
            f"{work} belongs to a run with another policy, reward, prompts or settings (only --steps may "
            "change): give the same ones, or start anew without --resume"
        )
