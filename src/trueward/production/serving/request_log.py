"""A file of the requests, with redacted texts, for those who ask for it."""

from __future__ import annotations

import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from starlette.requests import Request

    from .frames import Answer, Text

LOG = logging.getLogger("trueward.serve")
WAITING = 10_000  # requests that wait to be written; more are left out


class RequestLog:
    """Appends each scored row as one line of JSON: response_id, prompt, response, scores.

    E-mail addresses, phone numbers and secrets are replaced as `trueward import` does. Only the owner can
    read the file.

    Parameters
    ----------
    path : Path
        The file; new lines are appended.

    Raises
    ------
    TruewardError
        If it cannot be written, or phonenumbers is not installed.

    """

    def __init__(self, path: Path) -> None:
        from trueward.importers.privacy import Redactor  # noqa: PLC0415 - slow to import

        self._redactor = Redactor()
        try:
            number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as e:
            raise TruewardError(
                f"--log-requests {path} cannot be written ({e.strerror}): name a file in a folder that you "
                "may write"
            ) from e
        self._file = os.fdopen(number, "a", encoding="utf-8")
        self._thread = ThreadPoolExecutor(1, "request-log")
        self._taken = self._written = self._left_out = 0

    def add(
        self, request: Request, digest: str, texts: Sequence[Text], answers: Sequence[Answer]
    ) -> None:
        """Write the rows of a request, in the background."""
        if self._taken - self._written >= WAITING:
            self._left_out += 1
            return
        self._taken += 1
        about = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "route": request.url.path,
            "model": digest,
        }
        self._thread.submit(self._write, request.state.id, about, texts, answers)

    def _write(
        self, number: str, about: dict[str, Any], texts: Sequence[Text], answers: Sequence[Answer]
    ) -> None:
        try:
            for i, (text, answer) in enumerate(zip(texts, answers, strict=True)):
                row = {
                    "response_id": f"{number}-{i}",
                    **about,
                    "prompt": self._redactor.redact_text(text.prompt)[0],
                    "response": self._redactor.redact_text(text.response)[0],
                    **answer._asdict(),
                }
                self._file.write(json.dumps(row) + "\n")
            self._file.flush()
        except Exception as e:
            LOG.exception("a request could not be logged", extra={"error": type(e).__name__})
        finally:
            self._written += 1

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._thread.shutdown()
        self._file.close()
        if self._left_out:
            LOG.warning("requests were not logged", extra={"requests": self._left_out})
