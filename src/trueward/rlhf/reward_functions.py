"""The rewards of a run as TRL takes them, each under a name of its own."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from trueward.core.arguments import described
from trueward.core.errors import TruewardError, UsageError

from .reward import Reward
from .stacks import trl as trl_reward

RewardFunction = Callable[..., list[float]]


def reward_functions(
    rewards: Sequence[Reward | RewardFunction | str | Path],
) -> list[RewardFunction | str]:
    """Return rewards as TRL takes them: functions, and folders of classifiers.

    Parameters
    ----------
    rewards : sequence of Reward, callable, str or Path
        As `align` takes them.

    Raises
    ------
    UsageError
        If two have one name.
    TruewardError
        If one is a folder of fit.

    """
    for reward in rewards:
        if not callable(reward) and not isinstance(reward, str | Path):
            raise UsageError(
                f"align: rewards takes rewards, functions and folders, not {described(reward)}"
            )
    several = sum(isinstance(r, Reward) for r in rewards) > 1
    taken = {reward_name(r) for r in rewards if not isinstance(r, Reward)}
    functions: list[RewardFunction | str] = []
    for k, reward in enumerate(rewards):
        if isinstance(reward, Reward):
            numbered = (f"trueward_{j}" for j in itertools.count(k))
            names = numbered if several else itertools.chain(["trueward"], numbered)
            name = next(n for n in names if n not in taken)
            taken.add(name)
            functions.append(trl_reward(reward, name))
        elif not isinstance(reward, str | Path):
            functions.append(reward)
        elif (Path(reward) / "model.json").is_file():
            raise TruewardError(
                f"{reward} is a folder of fit, and a reward needs typical responses to be standardised on: "
                "give Reward.of(load(FOLDER), prompts, responses)"
            )
        else:
            functions.append(str(reward))
    own = [reward_name(r) for r in functions]
    if twice := [name for name in own if own.count(name) > 1]:
        raise UsageError(
            f"two rewards are named {twice[0]!r}, and TRL would merge their metrics: rename a folder or a "
            "function, as trl(reward, NAME) does"
        )
    return functions


def reward_name(reward: RewardFunction | str | Path) -> str:
    """Return the name of a reward in TRL's metrics.

    Parameters
    ----------
    reward : callable, str or Path
        A function, or the folder of a classifier.

    """
    while isinstance(reward, functools.partial):
        reward = reward.func
    if isinstance(reward, str | Path):
        return Path(reward).name
    return str(getattr(reward, "__name__", type(reward).__name__))
