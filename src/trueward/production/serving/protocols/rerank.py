"""The rerank routes of Cohere and Jina: responses to one prompt, best first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.production.serving import fields
from trueward.production.serving.frames import Text
from trueward.production.serving.queue import token_count

from .route import Call, Route
from .vllm import documents_of

if TYPE_CHECKING:
    from trueward.production.serving.errors import RequestError


async def rerank(call: Call, body: dict[str, Any]) -> Any:
    """Sort documents, responses to the query, by P(preferred)."""
    query = fields.text(body, "query")
    if not isinstance(body.get("documents"), list) or not body["documents"]:
        raise fields.invalid("documents", "a list of texts", body.get("documents"))
    documents = documents_of(body["documents"], "documents")
    top = fields.whole(body, "top_n") or len(documents)
    shown = bool(fields.flag(body, "return_documents"))
    cut = (
        body.get("truncate_prompt_tokens") is not None or body.get("max_tokens_per_doc") is not None
    )
    texts = [Text(query, d, truncate=cut) for d in documents]
    found = await call.numbers(texts)
    order = sorted(range(len(found)), key=lambda i: (-found[i][0], i))[:top]
    results = [
        {"index": i, "relevance_score": found[i][1]}
        | ({"document": {"text": documents[i]}} if shown else {})
        for i in order
    ]
    tokens = sum(map(token_count, texts))
    name = body.get("model")
    return {
        "id": f"rerank-{call.request.state.id}",
        "model": name if isinstance(name, str) else call.service.name,
        "results": results,
        "scores_raw": [found[i][0] for i in order],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
    }


def message(e: RequestError) -> dict[str, Any]:
    """Return the body of an error, as Cohere's clients and vLLM's read it."""
    return {"message": e.message, "error": {"message": e.message, "param": e.param, "code": e.code}}


ROUTES = tuple(
    Route(
        path,
        "POST",
        "Responses sorted by P(preferred), with rewards as scores_raw.",
        "Cohere, Jina, LiteLLM, vLLM",
        rerank,
        {"query": "Name a colour.", "documents": ["No.", "Blue."], "top_n": 1},
        error=message,
    )
    for path in ("/rerank", "/v1/rerank", "/v2/rerank")
)
