"""Features of what a function was given: ready ones as they are, texts through the model's backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError, UsageError
from trueward.data.feedback import Feedback, Labelled
from trueward.data.log import Log
from trueward.data.log_reading import as_log, as_test

if TYPE_CHECKING:
    from .backbones import Backbone

BACKBONE = "wordllama"  # of texts, where no model and no caller names another


def feedback_of(log: object, backbone: str | Backbone | None, function: str) -> Feedback:
    """Return the feedback of a log; a log with texts is encoded.

    Parameters
    ----------
    log : Feedback, Log, path or table
        The log; what is neither Feedback nor Log is read by `read_log`.
    backbone : str, Backbone or None
        What makes features from texts; None where that is unknown.
    function : str
        Name of the function that needs the log; begins the error.

    Returns
    -------
    Feedback

    Raises
    ------
    UsageError
        If ``log`` is of another kind.
    TruewardError
        If it cannot be read, or has texts and the backbone is unknown.

    """
    if isinstance(log, Feedback):
        return log
    if isinstance(log, Labelled):
        raise UsageError(
            f"{function} takes the feedback of a log, and was given Labelled, which has true labels"
        )
    known = _known(backbone, function, "Feedback")
    from trueward.features import encode  # noqa: PLC0415 - loads the text backbones

    return encode(as_log(log, function), backbone=known)


def labelled_of(test: object, backbone: str | Backbone | None, function: str) -> Labelled:
    """Return the true labels of a test; a test with texts is encoded.

    Parameters
    ----------
    test : Labelled, Test, path or table
        The test; what is neither Labelled nor Test is read by `read_test`.
    backbone : str, Backbone or None
        What makes features from texts; None where that is unknown.
    function : str
        Name of the function that needs the test; begins the error.

    Returns
    -------
    Labelled

    Raises
    ------
    UsageError
        If ``test`` is of another kind.
    TruewardError
        If it cannot be read, or has texts and the backbone is unknown.

    """
    if isinstance(test, Labelled):
        return test
    if isinstance(test, Log | Feedback):
        raise UsageError(
            f"{function} takes a test with true labels, and was given the feedback of a log: `audit` "
            "estimates the same metrics from the gold labels of a log"
        )
    known = _known(backbone, function, "Labelled")
    from trueward.features import encode  # noqa: PLC0415 - loads the text backbones

    return encode(as_test(test, function), backbone=known)


def _known(backbone: str | Backbone | None, function: str, kind: str) -> str | Backbone:
    if backbone is None:
        raise TruewardError(
            "this model was fit on features of unknown origin and cannot read text; "
            f"{function} takes a {kind} with features made the same way"
        )
    return backbone
