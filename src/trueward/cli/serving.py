"""The command that serves a model over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from trueward.core.errors import UsageError

from .common import Model

LEVELS = ("debug", "info", "warning", "error")


Host = Annotated[str, typer.Option("--host", help="Address to listen at.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="Port; 0 takes a free one.")]
Workers = Annotated[
    int,
    typer.Option("--workers", min=1, max=256, help="Scoring processes, one a GPU or a few cores."),
]
Name = Annotated[
    str | None, typer.Option("--name", help="Name of the model in answers; else its folder's.")
]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--api-key",
        envvar=["TRUEWARD_SERVE_KEY", "TRUEWARD_API_KEY"],
        show_envvar=True,
        help="Key that requests must have; repeatable. The variable keeps it out of lists of processes.",
    ),
]
Truncate = Annotated[
    bool,
    typer.Option("--truncate", help="Truncate texts that are too long, in place of code 413."),
]
Confidence = Annotated[
    float,
    typer.Option("--min-confidence", help="Confidence of decisions, of a calibrated model."),
]
BatchTokens = Annotated[
    int,
    typer.Option(
        "--max-batch-tokens",
        min=0,
        help="Tokens of a batch, padding included; 0: 16,384, and 1,024 of a language model on a CPU.",
    ),
]
QueueTokens = Annotated[
    int,
    typer.Option(
        "--max-queue-tokens", min=1, help="Tokens that may wait; then 503 and Retry-After."
    ),
]
ClientBatch = Annotated[
    int, typer.Option("--max-client-batch", min=1, help="Texts of one request.")
]
Body = Annotated[int, typer.Option("--max-body", min=1, help="Bytes of one request.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.001, help="Seconds that a request may wait.")
]
Stall = Annotated[
    float,
    typer.Option(
        "--stall", min=0.1, help="Seconds of one batch, after which its process is replaced."
    ),
]
Grace = Annotated[
    int, typer.Option("--grace", min=0, help="Seconds that accepted requests get at SIGTERM.")
]
LogRequests = Annotated[
    Path | None,
    typer.Option(
        "--log-requests", metavar="FILE", help="Append texts, redacted, and scores to a file."
    ),
]
LogLevel = Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")]
VllmMetrics = Annotated[
    bool,
    typer.Option("--vllm-metrics/--no-vllm-metrics", help="Name five metrics as vLLM does, too."),
]


def serve(
    model: Model,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Workers = 1,
    name: Name = None,
    key: Keys = None,
    truncate: Truncate = False,
    confidence: Confidence = 0.9,
    batch_tokens: BatchTokens = 0,
    queue_tokens: QueueTokens = 1_000_000,
    client_batch: ClientBatch = 512,
    body: Body = 2_000_000,
    timeout: Timeout = 170.0,
    stall: Stall = 120.0,
    grace: Grace = 30,
    log_requests: LogRequests = None,
    log_level: LogLevel = "info",
    vllm_metrics: VllmMetrics = True,
) -> None:
    """Serve a model over HTTP, in the protocols of vLLM, SGLang, OpenRLHF, TEI, Cohere, LLaMA-Factory."""
    from trueward.features.named_servers import ALLOWED
    from trueward.model.conformal import known_level
    from trueward.model.folder import read_record
    from trueward.production.serving.batcher import BatchLimits
    from trueward.production.serving.description import require_text
    from trueward.production.serving.logs import to_stderr
    from trueward.production.serving.scoring_process import Start
    from trueward.production.serving.server import bound_socket
    from trueward.production.serving.server import serve as run
    from trueward.production.serving.settings import RequestLimits, Settings

    if log_level not in LEVELS:
        raise UsageError(f"--log-level is one of {', '.join(LEVELS)}, not {log_level!r}")
    known_level(confidence)
    keys = tuple(k.strip() for k in key or () if k.strip())
    if key and not keys:
        raise UsageError("--api-key is empty: give a key, or leave the option and the variable out")
    require_text(model, read_record(model)["backbone"])
    settings = Settings(
        start=Start(str(model), workers, tuple(sorted(ALLOWED)), stall),
        batches=BatchLimits(batch_tokens, queue_tokens=queue_tokens),
        requests=RequestLimits(body, client_batch, timeout, truncate, confidence),
        keys=keys,
        name=name,
        log_requests=log_requests,
        vllm_metrics=vllm_metrics,
    )
    to_stderr(log_level)
    own = bound_socket(host, port)
    if not keys and host not in {"127.0.0.1", "localhost", "::1"}:
        typer.echo(
            f"warning: everyone who reaches {host} may ask; --api-key restricts that", err=True
        )

    run(settings, own, grace, lambda address, about: _started(model, address, about))


def _started(model: Path, address: str, about: dict[str, Any]) -> None:
    """Say where a model is served, and what it cannot give."""
    typer.echo(f"{model} is served at {address}; routes: {address}/docs")
    if about["interval_only"]:
        typer.echo(
            "the model identifies only an interval of P(preferred): only /v1/rewards gives it"
        )
    elif about["calibration"] is None:
        typer.echo("the model is not calibrated and decides nothing: trueward calibrate")
