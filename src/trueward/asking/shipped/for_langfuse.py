"""Log the outcome of the lottery to Langfuse, as scores that `trueward import langfuse` reads."""

from __future__ import annotations

from langfuse import get_client


def log_ask(trace_id: str, observation_id: str, outcome: dict[str, float]) -> None:
    """Log what `ask(observation_id, ...)` returned, for the generation with this id."""
    for name, value in outcome.items():
        log_score(trace_id, observation_id, name, value)


def log_seen(trace_id: str, observation_id: str, *, seen: bool) -> None:
    """Log whether the question was on the screen."""
    log_score(trace_id, observation_id, "seen", float(seen))


def log_score(trace_id: str, observation_id: str, name: str, value: float) -> None:
    """Log one column of the lottery; its id makes a retry the same score."""
    get_client().create_score(
        score_id=f"{observation_id}-{name}",
        trace_id=trace_id,
        observation_id=observation_id,
        name=f"trueward.{name}",
        value=float(value),
        data_type="NUMERIC",
    )
