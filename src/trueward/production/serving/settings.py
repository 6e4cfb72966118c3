"""What a server is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .batcher import BatchLimits

if TYPE_CHECKING:
    from pathlib import Path

    from .scoring_process import Start


@dataclass(frozen=True)
class RequestLimits:
    """Bounds of one request."""

    #: bytes of the body
    body: int = 2_000_000
    #: rows
    rows: int = 512
    #: seconds from the request to the answer
    seconds: float = 170.0
    #: whether texts that are too long are truncated, also where the request does not ask for it
    truncate: bool = False
    #: confidence of decisions, where a request names none
    confidence: float = 0.9


@dataclass(frozen=True)
class Settings:
    """A server's model, bounds, keys and files."""

    #: how scoring processes are started
    start: Start
    #: bounds of batches and of the queue
    batches: BatchLimits = field(default_factory=BatchLimits)
    #: bounds of one request
    requests: RequestLimits = field(default_factory=RequestLimits)
    #: keys of clients; empty: every client may ask
    keys: tuple[str, ...] = ()
    #: name of the model in answers; None: that of its folder
    name: str | None = None
    #: file that requests are appended to, redacted; None: no text is stored
    log_requests: Path | None = None
    #: whether /metrics has the names of vLLM, too
    vllm_metrics: bool = True
