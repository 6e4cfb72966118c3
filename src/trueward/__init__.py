"""Reward models from the feedback a product already logs.

The public names, in the order a user meets them. Each is imported when it is first used, so that
``import trueward`` costs next to nothing.
"""

import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from .core import wording as _wording  # noqa: F401 - words the messages of errors
from .core.deprecated import MovedModules

# Threads that wait by spinning make training 20 times slower beside another busy process; asleep they cost
# about a sixth of the speed when alone. Only counts before torch is loaded, and never overrules the user.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from .asking.answers import AskedShare, asked_share
    from .asking.fairness import AskCheck, check_asks
    from .asking.labels.merge import MergedLabels, merge_labels
    from .asking.labels.page import LabelPage, label_page
    from .asking.labels.silent import SilentPlan, plan_silent
    from .asking.lottery import Ask, ask
    from .asking.worth import AskPlan, plan_asks
    from .core.errors import TruewardError, UsageError
    from .data.comparisons import Pairs
    from .data.feedback import Columns, Feedback, Labelled
    from .data.log import Log
    from .data.log_reading import read_log
    from .data.truth import Test, read_test
    from .data.unrated_sampling import sample_unrated
    from .estimation.method import Method
    from .estimators._card import card
    from .estimators._registry import methods
    from .evaluation.audit import Audit, audit
    from .evaluation.bounds import Bounds, bounds
    from .evaluation.weighted_calibration import calibrate
    from .exporting import export, verify_export
    from .fitting.classifier import TruewardClassifier
    from .fitting.sweep import fit_many
    from .importers import import_log
    from .rlhf import align, training_data
    from .evaluation.evaluate import evaluate
    from .evaluation.judge.column import with_judge
    from .evaluation.judge.model import Judge
    from .evaluation.judge.responses import Judgements, judge_responses
    from .evaluation.leaderboard import Leaderboard, leaderboard
    from .evaluation.comparison_scores import evaluate_comparisons
    from .evaluation.preference_pairs import evaluate_pairs
    from .evaluation.sample_size import Plan, plan
    from .evaluation.sensitivity import Sensitivity, sensitivity
    from .features import encode, precomputed
    from .features.named_servers import allow_endpoint
    from .fitting.finetune.tune import tune
    from .fitting.fit import fit
    from .inspection import inspect
    from .model.reward_model import RewardModel, load
    from .production.monitoring.monitor import monitor
    from .production.monitoring.result import Monitor
    from .production.write_back.push import push
    from .refutation import Refutation, refute
    from .reporting import report
    from .reporting.plots import Plots
    from .reporting.replay import track
    from .simulation import simulate
    from .training.config import Train

_HOMES = {
    "read_log": "data.log_reading",
    "import_log": "importers",
    "Log": "data.log",
    "inspect": "inspection",
    "ask": "asking.lottery",
    "Ask": "asking.lottery",
    "plan_asks": "asking.worth",
    "AskPlan": "asking.worth",
    "check_asks": "asking.fairness",
    "AskCheck": "asking.fairness",
    "asked_share": "asking.answers",
    "AskedShare": "asking.answers",
    "sample_unrated": "data.unrated_sampling",
    "plan_silent": "asking.labels.silent",
    "SilentPlan": "asking.labels.silent",
    "label_page": "asking.labels.page",
    "LabelPage": "asking.labels.page",
    "merge_labels": "asking.labels.merge",
    "MergedLabels": "asking.labels.merge",
    "judge_responses": "evaluation.judge.responses",
    "Judge": "evaluation.judge.model",
    "Judgements": "evaluation.judge.responses",
    "with_judge": "evaluation.judge.column",
    "encode": "features",
    "precomputed": "features",
    "allow_endpoint": "features.named_servers",
    "Feedback": "data.feedback",
    "Columns": "data.feedback",
    "Pairs": "data.comparisons",
    "fit": "fitting.fit",
    "fit_many": "fitting.sweep",
    "Train": "training.config",
    "tune": "fitting.finetune.tune",
    "RewardModel": "model.reward_model",
    "load": "model.reward_model",
    "TruewardClassifier": "fitting.classifier",
    "read_test": "data.truth",
    "Test": "data.truth",
    "Labelled": "data.feedback",
    "evaluate": "evaluation.evaluate",
    "evaluate_comparisons": "evaluation.comparison_scores",
    "evaluate_pairs": "evaluation.preference_pairs",
    "leaderboard": "evaluation.leaderboard",
    "Leaderboard": "evaluation.leaderboard",
    "audit": "evaluation.audit",
    "calibrate": "evaluation.weighted_calibration",
    "Audit": "evaluation.audit",
    "plan": "evaluation.sample_size",
    "Plan": "evaluation.sample_size",
    "sensitivity": "evaluation.sensitivity",
    "Sensitivity": "evaluation.sensitivity",
    "bounds": "evaluation.bounds",
    "Bounds": "evaluation.bounds",
    "refute": "refutation",
    "Refutation": "refutation",
    "monitor": "production.monitoring.monitor",
    "Monitor": "production.monitoring.result",
    "push": "production.write_back.push",
    "report": "reporting",
    "Plots": "reporting.plots",
    "track": "reporting.replay",
    "export": "exporting",
    "verify_export": "exporting",
    "training_data": "rlhf",
    "align": "rlhf",
    "simulate": "simulation",
    "methods": "estimators._registry",
    "Method": "estimation.method",
    "card": "estimators._card",
    "TruewardError": "core.errors",
    "UsageError": "core.errors",
}

__all__ = [
    "read_log",
    "import_log",
    "Log",
    "inspect",
    "encode",
    "precomputed",
    "Feedback",
    "Columns",
    "Pairs",
    "fit",
    "fit_many",
    "Train",
    "tune",
    "RewardModel",
    "load",
    "TruewardClassifier",
    "allow_endpoint",
    "read_test",
    "Test",
    "sample_unrated",
    "Labelled",
    "evaluate",
    "evaluate_comparisons",
    "evaluate_pairs",
    "leaderboard",
    "Leaderboard",
    "audit",
    "calibrate",
    "Audit",
    "plan",
    "Plan",
    "sensitivity",
    "Sensitivity",
    "bounds",
    "Bounds",
    "ask",
    "Ask",
    "plan_asks",
    "AskPlan",
    "check_asks",
    "AskCheck",
    "asked_share",
    "AskedShare",
    "plan_silent",
    "SilentPlan",
    "label_page",
    "LabelPage",
    "merge_labels",
    "MergedLabels",
    "judge_responses",
    "Judge",
    "Judgements",
    "with_judge",
    "refute",
    "Refutation",
    "monitor",
    "Monitor",
    "push",
    "report",
    "Plots",
    "track",
    "export",
    "verify_export",
    "training_data",
    "align",
    "simulate",
    "methods",
    "Method",
    "card",
    "TruewardError",
    "UsageError",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, and read the version."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - it takes longer than the rest

        return version("trueward")
    if name not in _HOMES:
        raise AttributeError(f"module 'trueward' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps public names from being replaced by a module of the same name that is imported later."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
sys.meta_path.append(MovedModules())
