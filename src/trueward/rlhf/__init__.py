"""Reward models in RLHF: rewards that are safe to optimise, policy training, data for other trainers."""

from .align import align
from .data import KINDS, training_data
from .fixed_answers import FixedAnswerPolicy, best_of_n_policy, softmax_policy
from .grpo import Align
from .policy import Policy
from .prompts import read_prompts
from .remote import remote
from .reward import Reward, best_of_n
from .stacks import openrlhf, trl, verl

__all__ = [
    "KINDS",
    "Align",
    "FixedAnswerPolicy",
    "Policy",
    "Reward",
    "align",
    "best_of_n",
    "best_of_n_policy",
    "openrlhf",
    "read_prompts",
    "remote",
    "softmax_policy",
    "training_data",
    "trl",
    "verl",
]
