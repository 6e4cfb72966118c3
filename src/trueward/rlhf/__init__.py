"""A reward model inside RLHF stacks: a safe reward, their reward functions, best-of-n, and their data."""

from ._data import KINDS, training_data
from ._reward import Reward, best_of_n
from ._stacks import openrlhf, trl, verl

__all__ = ["KINDS", "Reward", "best_of_n", "openrlhf", "training_data", "trl", "verl"]
