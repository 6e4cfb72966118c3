"""Logs and test sets as tables (`log`), tensors for methods (`feedback`), and the readers of tables."""

import importlib
import warnings


def __getattr__(name: str) -> object:
    """Return a name of an earlier release from its new module, with a DeprecationWarning."""
    if name not in ("Columns", "Feedback", "Labelled"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"trueward.data.{name} will be removed in the next release: import it from trueward",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(importlib.import_module("trueward.data.feedback"), name)
