"""The log of a product and what learners may see of it: readers, `Log`, `Feedback`, `Labelled`."""

import importlib
import warnings


def __getattr__(name: str) -> object:
    """Lead the import paths of earlier releases to where the names are now."""
    if name not in ("Columns", "Feedback", "Labelled"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"trueward.data.{name} will be removed in the next release: import it from trueward",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(importlib.import_module("trueward.data.feedback"), name)
