"""The routes of text-embeddings-inference: predict and info."""

from __future__ import annotations

from typing import Any

from trueward.production.serving import fields, templated
from trueward.production.serving.errors import RequestError
from trueward.production.serving.frames import Text

from .route import Call, Route
from .vllm import CHAT

EMPTY = "`inputs` cannot be empty"
KINDS = {400: "Empty", 413: "Validation", 422: "Validation", 429: "Overloaded", 503: "Unhealthy"}
OVERLOADED = 429


async def predict(call: Call, body: dict[str, Any]) -> Any:
    """P(preferred) of a rendered conversation, of a pair [prompt, response], or of a list of lists."""
    if "inputs" not in body:
        raise fields.invalid("inputs", "text, a pair of texts, or a list of lists", found="missing")
    inputs = body["inputs"]
    many = isinstance(inputs, list) and all(isinstance(v, list) for v in inputs)
    if inputs in ("", []):
        raise RequestError(400, EMPTY, "inputs")
    cut = bool(fields.flag(body, "truncate"))
    rows = inputs if many else [inputs]
    texts = [
        Text(*_pair(v, f"inputs[{i}]" if many else "inputs"), truncate=cut)
        for i, v in enumerate(rows)
    ]
    raw = bool(fields.flag(body, "raw_scores"))
    found = [
        [{"score": r if raw else p, "label": "LABEL_0"}] for r, p, _ in await call.numbers(texts)
    ]
    return found if many else found[0]


def _pair(value: Any, name: str) -> tuple[str, str]:
    """Prompt and response: of a pair, or of one rendered conversation."""
    given = fields.texts(value, name)
    if len(given) == 2:
        return given[0], given[1]
    if len(given) != 1:
        raise fields.invalid(name, "one text or a pair", found=f"{len(given)} texts")
    if not given[0]:
        raise RequestError(400, EMPTY, name)
    return templated.pair(given[0], name)


async def info(call: Call, _body: dict[str, Any]) -> Any:
    """Say which model is served, and the limits."""
    about, settings = call.service.about, call.service.settings
    return {
        "model_id": call.service.name,
        "model_sha": about["digest"],
        "model_dtype": "float32",
        "model_type": {"classifier": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
        "max_concurrent_requests": settings.batches.queue_tokens,
        "max_input_length": about["limit"]["most"],
        "max_batch_tokens": settings.batches.batch_tokens or about["batch_tokens"],
        "max_batch_requests": settings.batches.batch_rows,
        "max_client_batch_size": settings.requests.rows,
        "auto_truncate": settings.requests.truncate,
        "tokenization_workers": settings.start.processes,
        "version": about["trueward"],
    }


def error(e: RequestError) -> dict[str, str]:
    """Return the body of an error."""
    return {"error": e.message, "error_type": KINDS.get(e.code, "Backend")}


ROUTES = (
    Route(
        "/predict",
        "POST",
        "P(preferred), or rewards with raw_scores.",
        "text-embeddings-inference",
        predict,
        {"inputs": [["Name a colour.", "Blue."], [CHAT]], "raw_scores": False},
        invalid=422,
        error=error,
        codes=((413, 422), (500, 424), (503, OVERLOADED)),
    ),
    Route("/info", "GET", "The model and the limits.", "text-embeddings-inference", info),
)
