"""Scores written back to where the traces are: Langfuse, Phoenix, MLflow."""

from .push import Pushed, push

__all__ = ["Pushed", "push"]
