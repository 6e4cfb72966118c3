"""The downstream table of a paper: a log to fit the rewards on, and the commands that make the table."""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING

from trueward.benchmark.answers import Location
from trueward.benchmark.sets import SETS, read_set
from trueward.core.errors import TruewardError
from trueward.simulation import simulate

from .published import tables

if TYPE_CHECKING:
    from pathlib import Path

    from .experiments import Settings

#: Policy and settings of GRPO in the authors' training code: 64 prompts, 4 answers each, 5 epochs.
POLICY, PROMPTS, ANSWERS, PASSES = "Qwen/Qwen2.5-7B-Instruct", 64, 4, 5
GRPO = ["--lr", "1e-6", "--kl", "0.001", "--temperature", "1", "--length", "2048"]
#: Judges of the benchmarks whose figures the papers report.
JUDGES = ("harmbench", "wildguard", "strongreject_finetuned")
#: Rewards that are compared: name -> method and options.
REWARDS = {
    "causalrm": {
        "naive": ["naive"],
        "sdr": ["sdr"],
        "causalrm": ["causalrm", "-o", "preset=paper"],
        "auto": ["auto"],
    },
    "implicitrm": {
        "naive": ["naive"],
        "mtdr": ["mtdr", "-o", "view=clicks"],
        "implicitrm": ["implicitrm", "-o", "identify=scar"],
    },
}


def write_log(settings: Settings, data: Path | None, out: Path) -> tuple[Path, int]:
    """Simulate the paper's log on the texts of PKU-SafeRLHF, or of the last set of the run.

    The reward of this log is that of safe answers: good is severity 0 or 1, where the papers' tables
    reward severe harm.

    Parameters
    ----------
    settings : Settings
        Choices of the user.
    data : Path or None
        Folder of the sets.
    out : Path
        Folder of the log.

    Returns
    -------
    file : Path
        The log.
    prompts : int
        Number of its prompts.

    """
    name = settings.sets.get("pku_saferlhf") or list(settings.sets.values())[-1]
    positive = next(iter(SETS[name].positive), None)
    answers = read_set(name, Location(None, data, settings.rows, positive))
    if answers.features is not None:
        raise TruewardError(
            f"the set {name} has features and no texts, so no policy can be trained on it: give a set "
            "of texts in place of pku_saferlhf"
        )
    at = tables(settings.paper)[0].scenario
    world = simulate(
        answers.frame,
        mechanism="rating" if settings.paper == "causalrm" else "implicit",
        alpha=at["alpha"],
        rate=at["rate"],
        rho_01=at["rho_01"],
        rho_10=at["rho_10"],
        threshold=answers.threshold,
    )
    world.write(out)
    return out / "log.parquet", world.log["prompt"].n_unique()


def commands(settings: Settings, log: Path, prompts: int, out: Path) -> list[str]:
    """Return the commands of the downstream table: fit and align for each reward, then the safety evaluation.

    Parameters
    ----------
    settings : Settings
        Choices of the user.
    log : Path
        The log of `write_log`.
    prompts : int
        Number of its prompts.
    out : Path
        Folder of the rewards and policies.

    Returns
    -------
    list of str

    """
    steps = max(1, math.ceil(PASSES * prompts / PROMPTS))
    size = ["--steps", str(steps), "--prompts-a-step", str(PROMPTS), "--group", str(ANSWERS)]
    lines, policies = [], [POLICY]
    for name, words in REWARDS[settings.paper].items():
        reward, policy = str(out / name), str(out / f"policy-{name}")
        backbone = ["--backbone", settings.backbone]
        lines.append(["fit", words[0], str(log), *words[1:], *backbone, "--out", reward])
        given = ["--policy", POLICY, "--reward", reward, "--prompts", str(log)]
        lines.append(["align", *given, "--out", policy, *size, *GRPO])
        policies.append(policy)
    judges = [word for judge in JUDGES for word in ("--judge", judge)]
    where = ["--data", "safety-data", "--out", str(out / "safety")]
    lines.append(["safety", *policies, "--suite", "paper", *where, *judges])
    return [shlex.join(["trueward", *line]) for line in lines]
