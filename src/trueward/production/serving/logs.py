"""Structured logs: one line of JSON for each event, without texts."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

FIELDS = (
    "id",
    "route",
    "status",
    "ms",
    "rows",
    "problem",
    "error",
    "model",
    "digest",
    "requests",
    "url",
)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, event, and the fields of the event."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record; the traceback of an exception is left out."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {name: vars(record)[name] for name in FIELDS if name in vars(record)}
        if record.exc_info and record.exc_info[0] is not None and "error" not in line:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line)


def to_stderr(level: str) -> None:
    """Send the logs of the server to standard error.

    Parameters
    ----------
    level : str
        ``debug``, ``info``, ``warning`` or ``error``.

    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("trueward", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    logging.getLogger("trueward").setLevel(level.upper())
    logging.getLogger("uvicorn").setLevel(
        "CRITICAL"
    )  # its errors are ours, said again with a traceback
