"""The steps that retrain a model as one command: checked first, resumable, with a gate and a record."""

from .definition import CommandLine, Pipeline, read_pipeline
from .run import Outcome, run_pipeline
from .work import Executed

__all__ = ["CommandLine", "Executed", "Outcome", "Pipeline", "read_pipeline", "run_pipeline"]
