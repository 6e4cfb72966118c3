"""What can go wrong with a request, and the code that its client sees."""

from __future__ import annotations


class RequestError(Exception):
    """A request that gets no scores.

    Parameters
    ----------
    code : int
        HTTP status.
    message : str
        What was expected, what was found, what to do; never a text of the request.
    param : str, optional
        The field that is wrong.
    retry_after : int, optional
        Seconds after which the same request may succeed.

    """

    def __init__(
        self, code: int, message: str, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.param, self.retry_after = code, message, param, retry_after


class BatchError(Exception):
    """A scorer could not score a batch; each row of it may still be scored without the others."""


class MemoryShortError(BatchError):
    """A batch does not fit into the memory of the device."""


class ScorerDiedError(BatchError):
    """The process that scored a batch is gone; another can score the same rows."""
