"""What a log can identify and what it cannot: findings, worst first, and the methods it supports."""

from .finding import Finding, Severity
from .inspection import Inspection, inspect
from .verdicts import Choice

__all__ = ["Choice", "Finding", "Inspection", "Severity", "inspect"]
