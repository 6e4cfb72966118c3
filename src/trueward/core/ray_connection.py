"""A connection to a Ray cluster without a word on the terminal, and its errors as sentences."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import socket
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .errors import TruewardError, UsageError
from .ray_actors import DIED

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCAL = "local"  # the address of a cluster that is started on this machine and stopped again
PATIENCE = 10.0  # seconds for a cluster to answer
STDERR = 2  # its file descriptor


def imported() -> Any:
    """Return the module ``ray``, or say how to install it."""
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise TruewardError(
            "--ray needs ray, which is not installed: pip install 'trueward[scale]'"
        ) from None


def start(ray: Any, address: str) -> None:
    """Connect, or start a local cluster, without a word on the terminal."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a local one would send statistics
    for name in ("RAY_BACKEND_LOG_LEVEL", "RAY_DATA_LOG_LEVEL"):
        os.environ.setdefault(name, "FATAL" if "DATA" not in name else "CRITICAL")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        options["include_dashboard"] = False
    elif address != "auto":
        _require_answer(address)
    try:
        with _quiet():
            ray.init(address=address, **options)
        # deaths of processes are printed to stdout otherwise, between the lines of a command
        importlib.import_module("ray._private.worker").print_to_stdstream = _dropped  # type: ignore[attr-defined]
    except (ConnectionError, RuntimeError, ValueError, OSError) as e:
        reason = " ".join(str(e).split())[:200]
        raise TruewardError(
            f"no Ray cluster could be used at {address!r} ({reason}): start one with `ray start --head`, "
            "give its HOST:PORT, or leave the address out for one on this machine"
        ) from e


def _dropped(*_: Any, **__: Any) -> None:
    """Print nothing."""


def _require_answer(address: str) -> None:
    """Raise if nothing listens at an address: Ray itself would try for minutes."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme not in ("", "ray"):
        raise UsageError(
            f"--ray takes local, auto, HOST:PORT or ray://HOST:PORT, not {address!r}: write `--ray` alone "
            "for a cluster on this machine"
        )
    try:
        socket.create_connection((host, port), PATIENCE).close()
    except OSError as e:
        raise TruewardError(
            f"no Ray cluster answers at {address} ({e.strerror or e}): start it with `ray start --head`, "
            "check the address, or write `--ray` alone for one on this machine"
        ) from e


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Send what Ray prints when it starts to nowhere, also what its compiled part prints."""
    sys.stderr.flush()
    kept, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def in_sentences() -> Iterator[None]:
    """Turn the errors of Ray into one sentence; finished work has been kept."""
    try:
        yield
    except TruewardError:
        raise
    except Exception as e:
        if not type(e).__module__.startswith("ray"):
            raise
        text = " ".join(str(e).split())
        if "No module named" in text:
            name = text.partition("No module named")[2].strip()[:40]
            raise TruewardError(
                f"the nodes of the Ray cluster lack the module {name}: install trueward "
                f"{version('trueward')} with the same extras on all nodes"
            ) from e
        if "died" in text or "crashed" in text or "OutOfMemory" in type(e).__name__:
            raise TruewardError(DIED) from e
        raise TruewardError(
            f"the Ray cluster failed ({type(e).__name__}: {text[:200]}): run the same command again; "
            "finished parts are kept"
        ) from e
