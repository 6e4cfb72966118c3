"""The route that LLaMA-Factory's PPO fetches rewards from (``reward_model_type: api``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.production.serving import fields, templated
from trueward.production.serving.errors import RequestError
from trueward.production.serving.frames import Text

from .route import Call, Route
from .vllm import CHAT

if TYPE_CHECKING:
    from collections.abc import Sequence


async def evaluation(call: Call, body: dict[str, Any]) -> Any:
    """Rewards of rendered conversations."""
    if not body.get("messages"):
        raise RequestError(422, "Invalid request: messages is missing or empty", "messages")
    given: Sequence[str] = fields.texts(body["messages"], "messages")
    cut = fields.whole(body, "max_length") is not None
    texts = [Text(*templated.pair(t, f"messages[{i}]"), truncate=cut) for i, t in enumerate(given)]
    found = await call.numbers(texts)
    name = body.get("model")
    return {
        "id": f"scoreval-{call.request.state.id}",
        "object": "score.evaluation",
        "model": name if isinstance(name, str) else call.service.name,
        "scores": [r for r, _, _ in found],
    }


def detail(e: RequestError) -> dict[str, str]:
    """Return the body of an error."""
    return {"detail": e.message}


ROUTES = (
    Route(
        "/v1/score/evaluation",
        "POST",
        "Rewards of rendered conversations.",
        "LLaMA-Factory",
        evaluation,
        {"model": "rm", "messages": [CHAT], "max_length": None},
        error=detail,
    ),
)
