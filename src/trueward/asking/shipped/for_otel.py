"""Log the outcome of the lottery on a span, as attributes that `trueward import otel` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span


def span_id(span: Span) -> str:
    """Return the id to draw with: `ask(span_id(span), ...)`."""
    return format(span.get_span_context().span_id, "016x")


def log_ask(span: Span, outcome: dict[str, float]) -> None:
    """Log what `ask` returned, before the span of the answer ends."""
    span.set_attributes({f"trueward.{name}": value for name, value in outcome.items()})


def log_seen(span: Span, *, seen: bool) -> None:
    """Log on a span of the same trace whether the question was on the screen."""
    span.set_attribute("trueward.seen", int(seen))
