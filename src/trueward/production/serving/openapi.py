"""The OpenAPI document of the routes, and a page that shows it without a script or a network."""

from __future__ import annotations

import html
import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .protocols.route import Route

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:52em;margin:2em auto;padding:0 1em}"
    "pre{background:#f4f4f4;padding:.6em;overflow:auto}"
)


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document.

    Parameters
    ----------
    routes : iterable of Route
        The routes.

    """
    paths: dict[str, Any] = {}
    for route in routes:
        operation: dict[str, Any] = {
            "summary": route.summary,
            "description": f"Clients: {route.clients}.",
            "responses": {
                "200": {"description": "The answer.", "content": {"application/json": {}}},
                **{str(code): {"description": what} for code, what in _errors(route).items()},
            },
        }
        if route.example is not None:
            properties = {k: _schema(v) for k, v in route.example.items()}
            content = {
                "schema": {"type": "object", "properties": properties},
                "example": route.example,
            }
            operation["requestBody"] = {"required": True, "content": {"application/json": content}}
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "trueward serve", "version": version("trueward")},
        "paths": paths,
        "components": {"securitySchemes": schemes},
        "security": [{"bearer": []}, {"key": []}],
    }


def _errors(route: Route) -> dict[int, str]:
    codes = dict(route.codes)
    if route.method == "GET":
        return {401: "The key is missing or wrong.", 503: "The model is still loading."}
    return {
        400: "The body is not JSON.",
        401: "The key is missing or wrong.",
        route.invalid: "A field is wrong.",
        codes.get(413, 413): "The body, the batch or a text is too long.",
        500: "A text could not be scored.",
        codes.get(503, 503): "Too much waits; see Retry-After.",
    }


def _schema(value: Any) -> dict[str, Any]:
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}
    return {"type": kinds.get(type(value), "object")}


def page(routes: Iterable[Route]) -> str:
    """Return one HTML page of the routes, each with a request to copy.

    Parameters
    ----------
    routes : iterable of Route
        The routes.

    """
    parts = [
        f"<!doctype html><meta charset=utf-8><title>trueward serve</title><style>{STYLE}</style>"
    ]
    parts.append(
        "<h1>trueward serve</h1><p>Machine-readable: <a href=/openapi.json>openapi.json</a>.</p>"
    )
    for route in routes:
        title = f"{route.method} {route.path}"
        parts.append(f"<h2><code>{title}</code></h2><p>{html.escape(route.summary)} ")
        parts.append(f"Clients: {html.escape(route.clients)}.</p>")
        if route.example is not None:
            body = html.escape(json.dumps(route.example, ensure_ascii=False, indent=1))
            parts.append(f"<pre>{body}</pre>")
    return "".join(parts)
