"""Reward models in RLHF: rewards that are safe to optimise, policy training, data for other trainers."""

from .align import align
from .data import KINDS, training_data
from .grpo import Align
from .policy import Policy
from .prompts import read_prompts
from .remote import remote
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
    "remote",
    "training_data",
    "trl",
    "verl",
]
