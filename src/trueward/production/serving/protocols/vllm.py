"""The pooling routes of vLLM, and those of SGLang that share their paths."""

from __future__ import annotations

import base64
import struct
import time
from typing import TYPE_CHECKING, Any

from trueward.production.serving import fields, templated
from trueward.production.serving.errors import RequestError
from trueward.production.serving.frames import Text
from trueward.production.serving.queue import token_count

from .route import Call, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHAT = "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\nBlue.<|im_end|>\n"
MESSAGES = [
    {"role": "user", "content": "Name a colour."},
    {"role": "assistant", "content": "Blue."},
]


async def classify(call: Call, body: dict[str, Any]) -> Any:
    """Answer vLLM's ``input`` or ``messages``, and SGLang's ``text``."""
    if "text" in body:
        texts = _templated(body, "text")
        return [{"embedding": [r]} for r, _, _ in await call.numbers(texts)]
    texts = _texts(body)
    found = await _values(call, body, texts)
    data = [
        {"index": i, "label": "LABEL_0", "probs": [v], "num_classes": 1}
        for i, v in enumerate(found)
    ]
    return _list(call, body, "classify", texts, data)


async def pooling(call: Call, body: dict[str, Any]) -> Any:
    """Answer with one number for each text."""
    encoded, texts = _encoding(body), _texts(body)
    found = await _values(call, body, texts)
    data = [{"index": i, "object": "pooling", "data": encoded(v)} for i, v in enumerate(found)]
    return _list(call, body, "pooling", texts, data)


async def embeddings(call: Call, body: dict[str, Any]) -> Any:
    """Answer SGLang's reward models: the reward is the only number of the embedding."""
    encoded, texts = _encoding(body), _templated(body, "input")
    found = [encoded(r) for r, _, _ in await call.numbers(texts)]
    data = [{"index": i, "object": "embedding", "embedding": r} for i, r in enumerate(found)]
    return _list(call, body, "embd", texts, data)


async def score(call: Call, body: dict[str, Any]) -> Any:
    """Score documents as responses to queries, 1:1, 1:N or N:N."""
    names = (
        ("queries", "documents"),
        ("queries", "items"),
        ("text_1", "text_2"),
        ("data_1", "data_2"),
    )
    first, second = next(((a, b) for a, b in names if a in body and b in body), ("", ""))
    if not first:
        raise fields.invalid("queries", "given with documents", found="missing, or alone")
    queries = documents_of(body[first], first)
    documents = documents_of(body[second], second)
    if len(queries) == 1:
        queries *= len(documents)
    if not documents or len(queries) != len(documents):
        raise fields.invalid(
            second,
            "one for each of the queries, or several for one",
            found=f"{len(documents)} texts",
        )
    cut = _cut(body)
    texts = [Text(q, d, truncate=cut) for q, d in zip(queries, documents, strict=True)]
    found = await _values(call, body, texts)
    data = [{"index": i, "object": "score", "score": v} for i, v in enumerate(found)]
    return _list(call, body, "score", texts, data)


async def models(call: Call, _body: dict[str, Any]) -> Any:
    """List the one model."""
    about = call.service.about
    limit = about["limit"]["most"] if about["limit"]["unit"] == "tokens" else None
    one = {"id": call.service.name, "object": "model", "created": 0, "owned_by": "trueward"}
    one |= {"root": call.service.name, "parent": None, "max_model_len": limit, "permission": []}
    return {"object": "list", "data": [one]}


async def no_generation(_call: Call, _body: dict[str, Any]) -> Any:
    """Refuse: a reward model writes no text."""
    raise RequestError(
        404, "a reward model generates nothing: use /classify, /score or /v1/rewards"
    )


def _texts(body: dict[str, Any]) -> list[Text]:
    """The texts of ``messages``, one conversation or several, or of ``input``."""
    if "messages" not in body:
        return _templated(body, "input")
    chats = body["messages"]
    many = isinstance(chats, list) and chats and isinstance(chats[0], list)
    named = [(c, f"messages[{i}]") for i, c in enumerate(chats)] if many else [(chats, "messages")]
    cut = _cut(body)
    return [Text(*fields.prompt_and_response(c, name), truncate=cut) for c, name in named]


def _templated(body: dict[str, Any], name: str) -> list[Text]:
    """The conversations of a field with rendered texts."""
    if name not in body:
        raise fields.invalid(name, "text or a list of texts", found="missing")
    given = fields.texts(body[name], name)
    if not given:
        raise fields.invalid(name, "text or a list of texts", found="empty")
    one, cut = isinstance(body[name], str), _cut(body)
    return [
        Text(*templated.pair(t, name if one else f"{name}[{i}]"), truncate=cut)
        for i, t in enumerate(given)
    ]


def documents_of(value: Any, name: str) -> list[str]:
    """Texts, or objects whose ``content`` is a list of parts with text."""
    values = value if isinstance(value, list) else [value]
    found = []
    for i, v in enumerate(values):
        parts = v.get("content") if isinstance(v, dict) else [v]
        parts = parts if isinstance(parts, list) else [parts]
        own = [p.get("text") if isinstance(p, dict) else p for p in parts]
        texts = [t for t in own if isinstance(t, str)]
        if not own or len(texts) < len(own):
            raise fields.invalid(f"{name}[{i}]", "text", v)
        found.append("".join(texts))
    return found


def _encoding(body: dict[str, Any]) -> Callable[[float], Any]:
    """How a number is written: as a list, or as base64 of a little-endian float32."""
    kind = body.get("encoding_format") or "float"
    if kind not in {"float", "base64"}:
        raise fields.invalid("encoding_format", "float or base64", found="another one")
    if kind == "float":
        return lambda v: [v]
    return lambda v: base64.b64encode(struct.pack("<f", v)).decode()


def _cut(body: dict[str, Any]) -> bool:
    """Whether the request asks for truncation; the model's own length is the limit."""
    return body.get("truncate_prompt_tokens") is not None or bool(body.get("truncate"))


async def _values(call: Call, body: dict[str, Any], texts: Sequence[Text]) -> list[float]:
    """P(preferred) where the request asks for an activation, else rewards."""
    activated = fields.flag(body, "use_activation", None)
    return [p if activated else r for r, p, _ in await call.numbers(texts)]


def _list(
    call: Call, body: dict[str, Any], kind: str, texts: Sequence[Text], data: list[dict[str, Any]]
) -> dict[str, Any]:
    """The answer around the data, with the estimated number of tokens."""
    tokens = sum(map(token_count, texts))
    model = body.get("model")
    return {
        "id": f"{kind}-{call.request.state.id}",
        "object": "list",
        "created": int(time.time()),
        "model": model if isinstance(model, str) else call.service.name,
        "data": data,
        "usage": {
            "prompt_tokens": tokens,
            "total_tokens": tokens,
            "completion_tokens": 0,
            "prompt_tokens_details": None,
            "completion_tokens_details": None,
        },
    }


_PAIR = {"queries": "Name a colour.", "documents": ["Blue.", "No."]}
ROUTES = (
    *(
        Route(
            path,
            "POST",
            "Rewards, or P(preferred) with use_activation; SGLang's text gives bare embeddings.",
            "vLLM, veRL, SGLang",
            classify,
            {"model": "rm", "messages": MESSAGES, "use_activation": False},
        )
        for path in ("/classify", "/v1/classify")
    ),
    Route(
        "/pooling",
        "POST",
        "Rewards as vLLM's pooling route gives them.",
        "vLLM",
        pooling,
        {"model": "rm", "messages": MESSAGES},
    ),
    *(
        Route(
            path,
            "POST",
            "Rewards of documents as responses to queries, in the template of a conversation.",
            "vLLM",
            score,
            {"model": "rm", **_PAIR},
        )
        for path in ("/score", "/v1/score")
    ),
    Route(
        "/v1/embeddings",
        "POST",
        "Rewards as the only number of an embedding.",
        "SGLang, veRL with SGLang",
        embeddings,
        {"model": "rm", "input": CHAT},
    ),
    Route("/v1/models", "GET", "The name of the model.", "vLLM, OpenAI's client", models),
    *(
        Route(path, "POST", "Refused: a reward model generates nothing.", "none", no_generation, {})
        for path in ("/generative_scoring", "/v1/chat/completions", "/v1/completions")
    ),
)
