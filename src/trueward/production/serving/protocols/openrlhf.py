"""The route that OpenRLHF fetches rewards from."""

from __future__ import annotations

from typing import Any

from trueward.production.serving import fields, templated
from trueward.production.serving.frames import Text

from .route import Call, Route
from .vllm import CHAT

PROMPT = CHAT[: CHAT.index("Blue.")]


async def get_reward(call: Call, body: dict[str, Any]) -> Any:
    """Rewards of templated prompts with their responses; P(preferred) as ``scores``, for dynamic filtering.

    A label that is an object with a ``prompt`` gives the prompt as the log has it. Older clients send no
    ``prompts``: the last turn of the assistant is the response then.
    """
    if "query" not in body:
        raise fields.invalid("query", "a list of texts", found="missing")
    queries = fields.texts(body["query"], "query")
    prompts, labels = _beside(body, "prompts", len(queries)), _beside(body, "labels", len(queries))
    if prompts is not None:
        fields.texts(prompts, "prompts")
    texts = []
    for i, query in enumerate(queries):
        label = labels[i] if labels else None
        told = label.get("prompt") if isinstance(label, dict) else None
        if prompts and prompts[i]:
            response = templated.response(query, prompts[i])
            prompt = templated.prompt(prompts[i])
        else:
            prompt, response = templated.pair(query, f"query[{i}]")
        if told is not None:
            prompt = fields.conversation(told, f"labels[{i}].prompt", "user")
        texts.append(Text(prompt, response))
    found = await call.numbers(texts)
    p = [v for _, v, _ in found]
    far = [float(a.out_of_distribution) for _, _, a in found]
    return {
        "rewards": [r for r, _, _ in found],
        "scores": p,
        "extra_logs": {"p_preferred": p, "out_of_distribution": far},
    }


def _beside(body: dict[str, Any], name: str, n: int) -> list[Any] | None:
    """A list beside the queries, of equal length; None if there is none."""
    values = body.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or len(values) != n:
        found = f"{len(values)} entries" if isinstance(values, list) else ""
        raise fields.invalid(name, f"a list of {n}, one for each query", values, found=found)
    return values


ROUTES = (
    Route(
        "/get_reward",
        "POST",
        "Rewards of rollouts, and P(preferred) as scores.",
        "OpenRLHF --reward.remote_url",
        get_reward,
        {"query": [CHAT], "prompts": [PROMPT], "labels": [None]},
    ),
)
