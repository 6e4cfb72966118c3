"""Attempts to refute a fit: changes that must destroy it, changes that must not, leaks to look for.

After the refuters of DoWhy (Sharma and Kiciman 2020), with limits that are measured on the log itself.
"""

from .refutation import Check, Refutation
from .run import CHECKS, ROWS, known, refute

__all__ = ["CHECKS", "ROWS", "Check", "Refutation", "known", "refute"]
