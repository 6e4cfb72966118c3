"""A reward model inside RLHF stacks: a safe reward, their reward functions, a policy's training, data."""

from .align import Align, align
from .data import KINDS, training_data
from .policy import Policy
from .prompts import read_prompts
from .reward import Reward, best_of_n
from .stacks import openrlhf, trl, verl

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
