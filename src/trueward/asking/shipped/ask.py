"""The lottery of `trueward.ask`: the same outcome for the same response id, p and key in every language."""

from __future__ import annotations

import hmac


def draw(response_id: str, key: str, purpose: str) -> int:
    """Return a whole number below 2^64 that is uniform over ids."""
    digest = hmac.digest(key.encode(), f"{purpose}\0{response_id}".encode(), "sha256")
    return int.from_bytes(digest[:8], "big")


def ask(
    response_id: str,
    p: float,
    key: str,
    levels: int = 1,
    earlier: int = 0,
    per_day: int | None = None,
) -> dict[str, float]:
    """Return what to log: asked, p_ask and ask_level."""
    if not response_id or not key:
        raise ValueError("ask: response_id and key must be texts that are not empty")
    if not 0 <= p <= 1:
        raise ValueError(f"ask: p must be a probability from 0 to 1, not {p}")
    if per_day is not None and earlier >= per_day:
        return {"asked": 0, "p_ask": 0.0, "ask_level": 0}
    if not draw(response_id, key, "ask") < p * 2.0**64:
        return {"asked": 0, "p_ask": p, "ask_level": 0}
    level = 1 + (draw(response_id, key, "level") * levels >> 64)
    return {"asked": 1, "p_ask": p, "ask_level": level}
