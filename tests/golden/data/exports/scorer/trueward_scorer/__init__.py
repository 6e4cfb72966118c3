"""Scores prompts and responses as a reward model does."""

from .scorer import Reward

__all__ = ["Reward"]
