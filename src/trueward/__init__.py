"""Reward models from the feedback a product already logs.

The public names, in the order a user meets them. Several share their name with the module they come
from (``fit``, ``inspect``, ``methods`` ...): here they are the functions.
"""

import os

# Threads that wait by spinning make training 20 times slower beside another busy process; asleep they cost
# about a sixth of the speed when alone. Only counts before torch is loaded, and never overrules the user.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from . import methods as _methods_package  # noqa: F401 - loaded first, so that the function stays
from .log import Log, read_log
from .inspect import inspect
from .features import encode, precomputed
from .data import Columns, Feedback, Labelled
from .fit import fit
from .train import Train
from .tune import tune
from .model import RewardModel, load
from .log import Test, read_test
from .evaluate import evaluate
from .audit import Audit, audit
from .planning import Plan, plan
from .sensitivity import Sensitivity, sensitivity
from .refute import Refutation, refute
from .report import report
from .worlds import simulate
from .method import Method, methods
from .card import card
from .errors import TruewardError, UsageError

__all__ = [
    "read_log",
    "Log",
    "inspect",
    "encode",
    "precomputed",
    "Feedback",
    "Columns",
    "fit",
    "Train",
    "tune",
    "RewardModel",
    "load",
    "read_test",
    "Test",
    "Labelled",
    "evaluate",
    "audit",
    "Audit",
    "plan",
    "Plan",
    "sensitivity",
    "Sensitivity",
    "refute",
    "Refutation",
    "report",
    "simulate",
    "methods",
    "Method",
    "card",
    "TruewardError",
    "UsageError",
]
