"""Train a policy on learned rewards with TRL's GRPO."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.arguments import MAPPING, PATH, SEVERAL, Kind, require_kinds
from trueward.core.atomic_io import replacing
from trueward.core.errors import NotWrittenError, TruewardError, UsageError
from trueward.core.tracking import METRICS, Trackers, known_trackers
from trueward.data.log import Log
from trueward.data.pairs import texts

from .grpo import Align, grpo_config, import_trl, lora_config
from .policy import Policy, save_policy
from .progress import report_steps, stop_after_step
from .prompts import as_messages, read_prompts
from .reward_functions import reward_functions, reward_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .prompts import Messages
    from .reward import Reward
    from .reward_functions import RewardFunction

RECORD = "align.json"
POLICY = Kind("a Policy or a path", lambda v: isinstance(v, Policy | str | Path))
SETTINGS = Kind("Align", lambda v: isinstance(v, Align))


def align(
    policy: Policy | str | Path,
    rewards: Sequence[Reward | RewardFunction | str | Path],
    prompts: Log | object | Sequence[str | Messages],
    out: str | Path,
    settings: Align | None = None,
    *,
    weights: Sequence[float] | None = None,
    origin: Mapping[str, Any] | None = None,
    resume: bool = False,
    track: Sequence[str] = (),
    progress: Callable[[dict[str, Any]], None] = lambda _metrics: None,
) -> dict[str, Any]:
    """Train a policy for the weighted sum of rewards with TRL's GRPO.

    Checkpoints are in the folder ``OUT.checkpoint`` until the end. The first Ctrl-C ends the step, saves a
    checkpoint and raises KeyboardInterrupt; the second one stops at once.

    Parameters
    ----------
    policy : Policy, str or Path
        The initial policy, or the folder or hub name of a chat model.
    rewards : sequence of Reward, callable, str or Path
        Each is a `Reward`, a function in TRL's form (such as the result of `trueward.rlhf.trl`), or the
        folder of a sequence classifier (such as an export). A folder of ``fit`` becomes a `Reward` first.
    prompts : Log, str, Path or sequence
        A log or a table with prompts (see `read_prompts`), or prompts as texts or lists of messages.
    out : str or Path
        The folder to write: the policy, ``metrics.jsonl`` with one line for each step, and ``align.json``.
    settings : Align, optional
        Settings of the run.
    weights : sequence of float, optional
        Weight of each reward, by default 1. A reward of weight 0 is only logged.
    origin : mapping, optional
        Where rewards and prompts come from; kept in ``align.json`` and compared at ``resume``.
    resume : bool, default=False
        Continue an interrupted run from its last checkpoint, with the same arguments. Only
        ``settings.steps`` may change.
    track : sequence of str, optional
        Trackers that get the lines of ``metrics.jsonl``: trackio, tensorboard, mlflow, wandb, or another of
        accelerate. One that fails is left out with a warning.
    progress : callable, optional
        Receives the metrics of each step as a dict.

    Returns
    -------
    dict
        The content of ``align.json``: policy, rewards, settings, versions, and the last metrics as ``ended``.

    Raises
    ------
    UsageError
        If settings are impossible, or there is not one weight for each reward.
    TruewardError
        If ``out`` holds something else, a package is missing, or memory does not suffice.

    Examples
    --------
    >>> align("policy", ["rm-hf"], ["How do I undo a commit?"], "out", weights=[1.0, 2.0])
    Traceback (most recent call last):
    ...
    trueward.core.errors.UsageError: expected one weight (weights) for each of the 1 rewards, found 2

    """
    settings = Align() if settings is None else settings
    require_kinds("align", policy=(policy, POLICY), rewards=(rewards, SEVERAL), out=(out, PATH))
    require_kinds("align", settings=(settings, SETTINGS), weights=(weights, SEVERAL.or_none))
    require_kinds("align", origin=(origin, MAPPING.or_none), track=(track, SEVERAL))
    out = Path(out).resolve()
    check_request(out, len(rewards), weights, track)
    trl = import_trl()
    policy = policy if isinstance(policy, Policy) else Policy.at(policy)
    functions, messages = reward_functions(rewards), _messages(prompts)
    work = out.with_name(out.name + ".checkpoint")
    record = _record(policy, functions, weights, messages, settings)
    record |= {"origin": dict(origin or {})}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between the libraries
        config = grpo_config(trl, work, settings, weights)
        if os.environ.get("RANK", "0") == "0":  # under accelerate launch one process writes
            _begin(work, record, resume)
        with stop_after_step() as stop, _error_messages(work):
            trainer = trl.GRPOTrainer(
                model=str(policy.folder.path),
                reward_funcs=functions,
                args=config,
                train_dataset=_dataset(messages),
                processing_class=policy.tokenizer(),
                peft_config=lora_config(settings.lora),
            )
            with _trackers(trainer, track, out, record) as trackers:
                report_steps(trainer, stop, work / METRICS, trackers, progress)
                trainer.train(resume_from_checkpoint=True if resume else None)
        if stop.is_set():
            raise KeyboardInterrupt
        if trainer.accelerator.is_main_process:
            record |= {"ended": json.loads((work / METRICS).read_text("utf-8").splitlines()[-1])}
            with replacing(out) as path:
                save_policy(trainer, path)
                (path / METRICS).write_bytes((work / METRICS).read_bytes())
                (path / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
            shutil.rmtree(work, ignore_errors=True)
    return record


def check_request(
    out: Path, rewards: int, weights: Sequence[float] | None, track: Sequence[str]
) -> None:
    """Refuse what no run can do, before any work.

    Parameters
    ----------
    out : Path
        The folder to write: an aligned policy, an empty one, or none yet.
    rewards : int
        Number of rewards.
    weights : sequence of float or None
        Weight of each reward, if given.
    track : sequence of str
        Names of trackers.

    Raises
    ------
    UsageError
        If there is not one weight for each reward, or no tracker of a name.
    TruewardError
        If something else is in the folder.

    """
    if weights is not None and len(weights) != rewards:
        raise UsageError(
            f"expected one weight (--weight) for each of the {rewards} rewards, found {len(weights)}"
        )
    known_trackers(track)
    reusable = out.is_dir() and (not any(out.iterdir()) or (out / RECORD).exists())
    if out.exists() and not reusable:
        raise TruewardError(
            f"{out} exists and is not an aligned policy, so it is not overwritten: give another folder"
        )


def _messages(prompts: Any) -> list[Messages]:
    if isinstance(prompts, Log):
        return read_prompts(prompts.frame)
    rows = isinstance(prompts, list | tuple)
    if not rows or any(isinstance(p, Mapping) for p in prompts):
        return read_prompts(prompts)
    texts([*prompts], "user")  # raises about what is neither text nor messages
    return [as_messages(p) for p in prompts]


@contextlib.contextmanager
def _error_messages(work: Path) -> Iterator[None]:
    """Word the errors that end a run, and delete its folder if it has no checkpoint."""
    try:
        yield
    except BaseException as e:
        if not any(work.glob("checkpoint-*")):
            shutil.rmtree(work, ignore_errors=True)
        if isinstance(e, torch.OutOfMemoryError):
            raise TruewardError(
                "the policy and its responses do not fit into the memory of the GPU: lower --micro or "
                "--length, or train adapters only (--lora 16)"
            ) from e
        if isinstance(e, ImportError):
            raise TruewardError(f"a package is missing ({e}): install it") from e
        if isinstance(e, OSError):
            raise NotWrittenError(
                f"{work} could not be written, or a model could not be read ({e}): continue from the last "
                "checkpoint, if there is one, with --resume"
            ) from e
        raise


def _trackers(trainer: Any, names: Sequence[str], out: Path, record: dict[str, Any]) -> Trackers:
    """Trackers of the process that writes; the others have none."""
    own = names if trainer.accelerator.is_main_process else ()
    return Trackers(own, out.name, record)


def _dataset(prompts: Sequence[Messages]) -> Any:
    from datasets import Dataset  # noqa: PLC0415 - trl brings it

    return Dataset.from_list([{"prompt": p} for p in prompts])


def _record(
    policy: Policy,
    rewards: Sequence[RewardFunction | str],
    weights: Sequence[float] | None,
    prompts: Sequence[Messages],
    settings: Align,
) -> dict[str, Any]:
    return {
        "policy": {"from": _named(policy.folder.source), "digest": policy.folder.digest},
        "rewards": [_named(r) if isinstance(r, str) else reward_name(r) for r in rewards],
        "weights": None if weights is None else list(weights),
        "prompts": len(prompts),
        "settings": asdict(settings),
        "versions": {name: version(name) for name in ("trueward", "trl", "transformers", "torch")},
    }


def _named(source: str) -> str:
    """Return a name on the hub, or that of a folder without the folders of this machine."""
    path = Path(source)
    return path.name if path.is_absolute() else source


def _begin(work: Path, record: dict[str, Any], resume: bool) -> None:
    """Make the folder of checkpoints, or check that it belongs to the same run."""
    file = work / RECORD
    if not resume:
        if work.exists():
            raise TruewardError(
                f"{work} holds an interrupted run: continue it with --resume, or delete that folder"
            )
        try:
            work.mkdir(parents=True)
            file.write_text(json.dumps(record), encoding="utf-8")
        except OSError as e:
            raise TruewardError(
                f"{work} could not be created ({e.strerror}): choose a folder that you may write to"
            ) from e
        return
    if not any(work.glob("checkpoint-*")):
        raise TruewardError(
            f"--resume found no checkpoint in {work}: start without --resume, and delete that folder if it "
            "exists"
        )
    before = json.loads(file.read_text("utf-8"))
    longer = {"settings": {**before["settings"], "steps": record["settings"]["steps"]}}
    if {**before, **longer} != json.loads(json.dumps(record)):
        raise TruewardError(
            f"{work} belongs to a run with another policy, reward, prompts or settings (only --steps may "
            "change): give the same ones, or start anew without --resume"
        )
