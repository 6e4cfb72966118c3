"""The server's own routes: rewards with all that the model knows of them, the model, reloading."""

from __future__ import annotations

import asyncio
from typing import Any

from trueward.core.errors import TruewardError
from trueward.production.serving import fields
from trueward.production.serving.errors import RequestError
from trueward.production.serving.frames import Text

from .route import Call, Route

ROW = ("prompt", "response", "messages")
OPTIONS = ("model", "min_confidence", "by_class", "truncate")


async def rewards(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Score one response, or each of ``rows``."""
    many = "rows" in body
    known = {*OPTIONS, *(("rows",) if many else ROW)}
    if unknown := sorted(set(body) - known):
        raise fields.invalid(unknown[0][:40], f"one of {', '.join(sorted(known))}", found="unknown")
    level, by_class, cut = _options(call, body)
    rows = body["rows"] if many else [{k: body[k] for k in ROW if k in body}]
    if not isinstance(rows, list):
        raise fields.invalid("rows", "a list", rows)
    texts = [
        Text(*_pair(row, f"rows[{i}]" if many else ""), level, by_class, cut)
        for i, row in enumerate(rows)
    ]
    found = await call.score(texts)
    state = call.request.state
    return {
        "id": state.id,
        "model": {"name": call.service.name, "digest": state.digest},
        "rewards": [a._asdict() for a in found],
    }


def _options(call: Call, body: dict[str, Any]) -> tuple[float | None, bool, bool]:
    """Level, by class, truncate; a level is refused where the model cannot decide."""
    about = call.service.about
    level = fields.level(body, "min_confidence")
    by_class = bool(fields.flag(body, "by_class"))
    asked = "min_confidence" if level is not None else "by_class" if by_class else None
    if asked and about["calibration"] is None:
        raise fields.invalid(
            asked,
            "left out, because the model is not calibrated and decides nothing",
            found="given: run trueward calibrate first",
        )
    if by_class and not about["by_class"]:
        raise fields.invalid(
            "by_class",
            "left out, because the model was calibrated by an earlier release",
            found="given: run trueward calibrate again",
        )
    if about["calibration"] is not None and level is None:
        level = call.service.settings.requests.confidence
    return level, by_class, bool(fields.flag(body, "truncate"))


def _pair(row: Any, param: str) -> tuple[str, str]:
    """Prompt and response of a row."""
    if not isinstance(row, dict):
        raise fields.invalid(param, "an object with prompt and response, or with messages", row)
    place = f"{param}." if param else ""
    if "messages" in row:
        if other := [k for k in ("prompt", "response") if k in row]:
            raise fields.invalid(f"{place}{other[0]}", "left out beside messages", found="given")
        return fields.prompt_and_response(row["messages"], f"{place}messages")
    for name in ("prompt", "response"):
        if name not in row:
            raise fields.invalid(f"{place}{name}", "text or messages", found="missing")
    return (
        fields.conversation(row["prompt"], f"{place}prompt", "user"),
        fields.conversation(row["response"], f"{place}response", "assistant"),
    )


async def model(call: Call, _body: dict[str, Any]) -> dict[str, Any]:
    """Say which model is served."""
    return {**call.service.about, "name": call.service.name}


async def reload(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Load a model and serve it from then on."""
    folder = fields.text(body, "model") if body.get("model") is not None else None
    if folder is not None and not call.service.settings.keys:
        raise RequestError(
            403,
            "a request may name another model only on a server with --api-key: replace the folder and send "
            "{}, or start the server with a key",
            "model",
        )
    try:
        about = await asyncio.shield(asyncio.ensure_future(call.service.reload(folder)))
    except TruewardError as e:
        raise RequestError(422, f"{e}; the model before is served on", "model") from e
    return {"model": call.service.name, "digest": about["digest"]}


ROUTES = (
    Route(
        "/v1/rewards",
        "POST",
        "Reward, P(preferred), interval, out-of-distribution flag and decision of responses.",
        "trueward",
        rewards,
        {"prompt": "Name a colour.", "response": "Blue."},
        invalid=422,
    ),
    Route("/v1/model", "GET", "The model: digest, calibration, card.", "trueward", model),
    Route(
        "/admin/reload",
        "POST",
        "Load the model again, or another one, without downtime.",
        "trueward",
        reload,
        {},
        invalid=422,
    ),
)
