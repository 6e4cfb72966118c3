"""A reward model inside RLHF stacks: a safe reward, their reward functions, a policy's training, data."""

from ._align import Align, align
from ._data import KINDS, training_data
from ._policy import Policy
from ._prompts import read_prompts
from ._reward import Reward, best_of_n
from ._stacks import openrlhf, trl, verl

__all__ = [
    "KINDS",
    "Align",
    "Policy",
    "Reward",
    "align",
    "best_of_n",
    "openrlhf",
    "read_prompts",
    "training_data",
    "trl",
    "verl",
]
