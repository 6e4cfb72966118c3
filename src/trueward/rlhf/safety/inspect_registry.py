"""What Inspect loads of trueward: the entry point of its group ``inspect_ai``."""

from .inspect_models import LocalPolicy, ServedPolicy
from .inspect_tasks import harmbench, strongreject, wildguard, xstest

__all__ = ["LocalPolicy", "ServedPolicy", "harmbench", "strongreject", "wildguard", "xstest"]
