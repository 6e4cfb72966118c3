"""Send one JSON request to a server, with a bounded number of retries and exponential backoff."""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple

from trueward.core.errors import TruewardError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

TRIES = 7
FIRST_WAIT, MAX_WAIT = 0.5, 30.0  # seconds
RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})  # HTTP status codes
TIMEOUT = 120.0  # seconds without a byte
LONGEST = 600.0  # seconds for one whole answer
LARGEST = 1 << 26  # bytes of one answer
PART = 1 << 16  # bytes read at once


class RefusedRequestError(TruewardError):
    """The server refuses the content of a request, such as a text that is too long for its model."""


class NoAnswerError(TruewardError):
    """A server gave no answer in all tries; a later request may succeed."""


class JsonRequest(NamedTuple):
    """A request with a JSON body."""

    #: address of the resource, http or https
    url: str
    #: body of a POST request; None sends a GET request
    body: dict[str, Any] | None
    #: bearer token
    key: str | None
    #: most bytes of the answer
    largest: int = LARGEST
    #: scheme of the key in the header ``Authorization``
    scheme: str = "Bearer"
    #: error for an HTTP status that a retry cannot repair; None: that of an embeddings server
    explain: Callable[[int], TruewardError] | None = None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow no redirect, because it would send the key to another server."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return None, so that the redirect is raised as an HTTPError."""


def request_json(request: JsonRequest) -> Any:
    """Send a request and return the parsed answer.

    Busy servers and broken connections are retried after 0.5, 1, 2, ... 30 seconds, or after the time in
    ``Retry-After``.

    Parameters
    ----------
    request : JsonRequest
        Address, body and key.

    Returns
    -------
    object
        The JSON of the answer.

    Raises
    ------
    TruewardError
        After the last try, or for an HTTP error that a retry cannot repair. The message contains
        neither the key nor any text that was sent. An unknown address is a UsageError.

    """
    problem = ""
    for k in range(TRIES):
        try:
            return _send(request)
        except urllib.error.HTTPError as e:
            with e:
                if e.code not in RETRIED:
                    if request.explain is not None:
                        raise request.explain(e.code) from None
                    raise _http_error(request, e.code) from None
                problem, wait = f"HTTP {e.code}", _retry_after(e.headers.get("Retry-After"))
        except (OSError, http.client.HTTPException) as e:  # URLError and timeouts are OSErrors
            reason = getattr(e, "reason", e)
            problem, wait = str(getattr(reason, "strerror", None) or type(reason).__name__), None
        except TruewardError:
            raise
        except (ValueError, RecursionError):
            problem, wait = "an answer that is not JSON", None
        if k < TRIES - 1:
            time.sleep(_backoff(k) if wait is None else wait)
    raise NoAnswerError(
        f"{request.url} did not answer in {TRIES} tries, the last with {problem}: check the address and "
        "the server, and run the same command again; what is finished is kept"
    )


def _send(request: JsonRequest) -> Any:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    headers |= {"Authorization": f"{request.scheme} {request.key}"} if request.key else {}
    body = None if request.body is None else json.dumps(request.body).encode()
    message = urllib.request.Request(request.url, body, headers)  # noqa: S310 - the callers check the scheme
    with urllib.request.build_opener(_NoRedirect).open(message, timeout=TIMEOUT) as answer:
        return json.loads(_body(answer, request))


def _body(answer: Any, request: JsonRequest) -> bytes:
    """Read an answer, within its limits of size and time."""
    parts, size, ends = [], 0, time.monotonic() + LONGEST
    while part := answer.read(PART):
        parts.append(part)
        size += len(part)
        if size > request.largest:
            raise TruewardError(
                f"{request.url} answered with more than {request.largest:,} bytes, which no answer to this "
                "request needs: check the address and the server"
            )
        if time.monotonic() > ends:
            raise TimeoutError(f"no whole answer in {LONGEST:.0f} seconds")
    return b"".join(parts)


def _backoff(k: int) -> float:
    """Double the wait with each try, with jitter, so that many clients do not retry at once."""
    return min(MAX_WAIT, FIRST_WAIT * 2.0**k) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def _retry_after(seconds: str | None) -> float | None:
    """Return the bounded wait of a Retry-After header; None for a date."""
    return min(MAX_WAIT, float(seconds)) if seconds and seconds.isdigit() else None


def _http_error(request: JsonRequest, code: int) -> TruewardError:
    if code in (401, 403):
        problem = "the key was not accepted" if request.key else "the server requires a key"
        return TruewardError(f"{request.url} answered HTTP {code}, {problem}: set TRUEWARD_API_KEY")
    if code == 404:
        return UsageError(
            f"{request.url} answered HTTP 404: check the address, which ends in /v1 for most servers, and "
            "the model"
        )
    if code in (400, 413, 422):
        return RefusedRequestError(
            f"{request.url} answered HTTP {code}, probably because a text is too long for its model: "
            "shorten the longest texts, or let the server truncate them"
        )
    return TruewardError(f"{request.url} answered HTTP {code}: check the address and the server")
