"""Log the outcome of the lottery to PostHog, as properties that `trueward import posthog` reads."""

from __future__ import annotations


def ask_properties(outcome: dict[str, float]) -> dict[str, float]:
    """Return properties for the generation: posthog_properties=ask_properties(outcome of ask).

    Show the survey where `asked` is 1, and send `survey shown` with $ai_trace_id once it is on the screen.
    """
    return {f"trueward.{name}": value for name, value in outcome.items()}
