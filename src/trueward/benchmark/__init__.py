"""Benchmarks of methods on logs with known truth: a YAML config, jobs in processes, tables."""

from .config import Config, read_config, ready
from .runner import Outcome, run_benchmark
from .runs import Runs

__all__ = ["Config", "Outcome", "Runs", "read_config", "ready", "run_benchmark"]
