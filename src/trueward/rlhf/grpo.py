"""Configuration of TRL's GRPO trainer."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import UsageError, missing_extra
from trueward.features.transformers.model_folder import missing_text_extra

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LR, LR_LORA = 1e-6, 1e-5


@dataclass(frozen=True)
class Align:
    """Settings of `align`, which trains a policy with GRPO.

    In each step the policy samples ``group`` responses to each of ``prompts`` prompts. The advantage of a
    response is its reward minus the mean of its group, over the standard deviation of the group.

    Attributes
    ----------
    steps : int, default=200
        Optimiser steps.
    prompts : int, default=8
        Prompts in a step.
    group : int, default=8
        Responses to each prompt, at least 2.
    micro : int, optional
        Responses in memory at once; it divides ``prompts * group``. By default one group.
    length : int, default=256
        Most tokens of a response.
    lr : float, optional
        Learning rate; by default 1e-6, and 1e-5 with adapters.
    kl : float, default=0.02
        Weight of the KL divergence to the initial policy, in each token. 0 does not compute it.
    temperature : float, default=1
        Sampling temperature.
    lora : int, optional
        Rank of adapters, which alone are trained; by default all weights are trained.
    save_every : int, default=50
        Steps between checkpoints.
    seed : int, default=0
        Seed of the run.
    more : dict
        More options of TRL's GRPOConfig, by name.

    References
    ----------
    Shao et al. 2024, "DeepSeekMath".

    """

    steps: int = 200
    prompts: int = 8
    group: int = 8
    micro: int | None = None
    length: int = 256
    lr: float | None = None
    kl: float = 0.02
    temperature: float = 1.0
    lora: int | None = None
    save_every: int = 50
    seed: int = 0
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the sizes of a step."""
        if self.group < 2:
            raise UsageError(
                f"--group: GRPO compares the responses of a group; expected 2 or more, found {self.group}"
            )
        if self.responses % self.in_memory:
            raise UsageError(
                f"--micro {self.in_memory} does not divide the {self.responses} responses of a step: choose "
                "a divisor"
            )

    @property
    def responses(self) -> int:
        """Responses in a step."""
        return self.prompts * self.group

    @property
    def in_memory(self) -> int:
        """Responses in memory at once."""
        return self.micro or self.group


def import_trl() -> Any:
    """Import TRL and silence transformers; TruewardError if TRL is not installed."""
    try:
        import transformers  # noqa: PLC0415 - heavy
        import trl  # noqa: PLC0415
    except ImportError as e:
        raise missing_extra("aligning a policy", "trl", "rlhf") from e
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return trl


def grpo_config(trl: Any, folder: Path, settings: Align, weights: Sequence[float] | None) -> Any:
    """Translate settings into TRL's GRPOConfig.

    Parameters
    ----------
    trl : module
        The result of `import_trl`.
    folder : Path
        Folder of the checkpoints.
    settings : Align
        The settings.
    weights : sequence of float or None
        Weight of each reward; None gives each the weight 1.

    Returns
    -------
    trl.GRPOConfig
        The configuration.

    Raises
    ------
    UsageError
        If the responses of a step cannot be shared evenly, or TRL refuses an option.

    """
    gpu = torch.cuda.is_available()
    micro = settings.in_memory
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # under accelerate launch
    if settings.responses % (micro * processes):
        raise UsageError(
            f"the {settings.responses} responses of a step cannot be shared evenly by {processes} processes "
            f"with {micro} in memory each: change --prompts-a-step, --group or --micro"
        )
    options = {
        "output_dir": str(folder),
        "max_steps": settings.steps,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": settings.responses // (micro * processes),
        "num_generations": settings.group,
        "max_completion_length": settings.length,
        "learning_rate": settings.lr or (LR if settings.lora is None else LR_LORA),
        "beta": settings.kl,
        "temperature": settings.temperature,
        "reward_weights": None if weights is None else list(weights),
        "seed": settings.seed,
        "logging_steps": 1,
        "save_steps": settings.save_every,
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
        return trl.GRPOConfig(**(options | settings.more))
    except (TypeError, ValueError) as e:
        message = " ".join(str(e).split())[:300]
        raise UsageError(f"TRL refuses these settings: {message}; correct -o") from e


def lora_config(rank: int | None) -> Any:
    """Return the configuration of adapters on all linear layers.

    Parameters
    ----------
    rank : int or None
        Rank of the adapters; None trains all weights.

    Returns
    -------
    peft.LoraConfig or None
        The configuration.

    Raises
    ------
    TruewardError
        If peft is not installed.

    """
    if rank is None:
        return None
    try:
        import peft  # noqa: PLC0415 - heavy
    except ImportError as e:
        raise missing_text_extra("peft") from e
    return peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
