"""The application: routes, keys, limits, request ids, logs and metrics around every request."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import time
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route as Path

from . import fields
from .errors import RequestError
from .openapi import document, page
from .protocols import ALL
from .protocols.route import Call, openai_error
from .service import GONE

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .protocols.route import Route
    from .service import Service

LOG = logging.getLogger("trueward.serve")
OPEN = frozenset(
    {"/health", "/ready", "/v1/ready", "/v2/health/live", "/v2/health/ready"}
)  # no key
ID = re.compile(r"[\x21-\x7e]{1,128}")
OTHER = "other"  # route of unknown paths in metrics


def application(service: Service) -> ASGIApp:
    """Return the application of a server.

    Parameters
    ----------
    service : Service
        Its state.

    """
    paths = [_path(service, route) for route in ALL]

    async def health(_: Request) -> Response:
        return Response(status_code=200 if service.healthy else 503)

    async def ready(_: Request) -> Response:
        return Response(status_code=200 if service.ready else 503)

    async def metrics(_: Request) -> Response:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(service.metrics.text(), headers={"Content-Type": kind})

    async def openapi(_: Request) -> Response:
        return JSONResponse(document(ALL))

    async def docs(_: Request) -> Response:
        return HTMLResponse(page(ALL))

    paths += [
        Path(p, health if p in {"/health", "/v2/health/live"} else ready) for p in sorted(OPEN)
    ]
    paths += [Path("/metrics", metrics), Path("/openapi.json", openapi), Path("/docs", docs)]
    known = sorted({p.path for p in paths})

    async def missing(request: Request, _: Exception) -> Response:
        e = RequestError(404, f"there is no such route: this server has {', '.join(known)}")
        return _error_response(request, e)

    async def wrong_method(request: Request, e: Any) -> Response:
        allowed = e.headers.get("Allow", "")
        problem = RequestError(405, f"this route takes {allowed}, not {request.method[:10]}")
        response = _error_response(request, problem)
        response.headers["Allow"] = allowed
        return response

    app = Starlette(routes=paths, exception_handlers={404: missing, 405: wrong_method})
    return Guard(app, service, frozenset(known))


def _path(service: Service, route: Route) -> Path:
    """The route as Starlette has it."""

    async def answer(request: Request) -> Response:
        try:
            body = {} if route.method == "GET" else await _body(request, service)
            return JSONResponse(await route.handler(Call(service, request), body))
        except RequestError as e:
            problem = e
        except ClientDisconnect:
            return Response(status_code=GONE)
        except Exception as e:  # noqa: BLE001 - one line in the log, no traceback, no text
            request.state.error = _where(e)
            problem = RequestError(500, "the server failed at this request")
        code, content = route.failure(problem)
        headers = {"Retry-After": str(problem.retry_after)} if problem.retry_after else None
        request.state.problem = problem.message
        return JSONResponse(content, code, headers)

    return Path(route.path, answer, methods=[route.method])


async def _body(request: Request, service: Service) -> dict[str, Any]:
    """The JSON of a request, of bounded size; no body is an empty object."""
    most, parts, size = service.settings.requests.body, [], 0
    if request.headers.get("content-length", "0").isdigit():
        size = int(request.headers.get("content-length", "0"))
    problem = RequestError(
        413,
        f"the body has more than {most:,} bytes: send several requests, or raise --max-body",
        retry_after=None,
    )
    if size > most:
        raise problem
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise problem
        parts.append(part)
    return fields.parsed(b"".join(parts)) if size else fields.parsed(b"{}")


def _error_response(request: Request, e: RequestError) -> Response:
    request.state.problem = e.message
    return JSONResponse(openai_error(e), e.code)


class Guard:
    """Around every request: its id, its key, one line in the log, its metrics.

    Parameters
    ----------
    app : callable
        The application.
    service : Service
        The server's state.
    known : frozenset of str
        Paths of its routes.

    """

    def __init__(self, app: ASGIApp, service: Service, known: frozenset[str]) -> None:
        self._app, self._service, self._known = app, service, known
        self._keys = [_hashed(key) for key in service.settings.keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = {k: v.decode("latin-1") for k, v in scope["headers"]}
        given = headers.get(b"x-request-id", "")
        number = given if ID.fullmatch(given) else secrets.token_hex(8)
        state = scope.setdefault("state", {})
        state["id"] = number
        began, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", number.encode())]
            await send(message)

        try:
            if (refusal := self._refusal(scope["path"], headers)) is not None:
                state["problem"] = refusal.message
                response = JSONResponse(openai_error(refusal), refusal.code)
                if refusal.code == 401:
                    response.headers["WWW-Authenticate"] = "Bearer"
                await response(scope, receive, sending)
            else:
                await self._app(scope, receive, sending)
        except Exception as e:  # noqa: BLE001 - the last guard: one line, no traceback, no text
            state.setdefault("error", _where(e))
            if not status:
                problem = RequestError(500, "the server failed at this request")
                await JSONResponse(openai_error(problem), 500)(scope, receive, sending)
        finally:
            self._count(scope, state, status, time.perf_counter() - began)

    def _refusal(self, path: str, headers: dict[bytes, str]) -> RequestError | None:
        if path in OPEN:
            return None
        if not self._keys:
            if b"origin" in headers:  # of another site's page in a browser of this machine
                return RequestError(
                    403, "a server without --api-key answers no requests of web pages"
                )
            return None
        scheme, _, token = headers.get(b"authorization", "").partition(" ")
        offered = token.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", "")
        match = [hmac.compare_digest(_hashed(offered), key) for key in self._keys]
        if any(match):
            return None
        return RequestError(
            401, "the key is missing or wrong: send Authorization: Bearer KEY or X-API-Key"
        )

    def _count(self, scope: Scope, state: dict[str, Any], status: int, seconds: float) -> None:
        path = scope["path"]
        route = path if path in self._known else OTHER
        scoring = "rows" in state
        self._service.metrics.request(route, status, seconds, scoring=scoring)
        level = (
            logging.INFO if status < 400 else logging.ERROR if "error" in state else logging.WARNING
        )
        if route in OPEN or route == "/metrics":
            level = logging.DEBUG
        if LOG.isEnabledFor(level):
            about = {
                "id": state["id"],
                "route": route,
                "status": status,
                "ms": round(1e3 * seconds, 2),
            }
            about |= {k: state[k] for k in ("rows", "problem", "error") if k in state}
            LOG.log(level, "request", extra=about)


def _where(e: Exception) -> str:
    """Type and place of an error; its message may have a text in it."""
    frames = e.__traceback__
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    place = f"{frames.tb_frame.f_code.co_filename}:{frames.tb_lineno}" if frames else "?"
    return f"{type(e).__name__} at {place}"


def _hashed(key: str) -> bytes:
    """A key at a length that tells nothing."""
    return hashlib.sha256(key.encode()).digest()
