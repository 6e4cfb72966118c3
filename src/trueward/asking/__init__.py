"""Randomised asks: a lottery decides whom a product asks for feedback, so that silence can be read."""

from .lottery import Ask, ask

__all__ = ["Ask", "ask"]
