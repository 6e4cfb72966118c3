"""Refute a fit: changes of the log that must destroy it, changes that must not matter, and leaks.

After the refuters of DoWhy (Sharma and Kiciman 2020); the limits are measured on the log itself.
"""

from .run import CHECKS, ROWS, Refutation, refute, selected_checks
from .trial import Check

__all__ = ["CHECKS", "ROWS", "Check", "Refutation", "refute", "selected_checks"]
