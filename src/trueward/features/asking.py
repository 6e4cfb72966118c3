"""One request to a server that may be busy: tried again, later and later, a bounded number of times."""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.request
from typing import Any, NamedTuple

from trueward.core.errors import TruewardError, UsageError

TRIES = 7
FIRST, LONGEST = 0.5, 30.0  # seconds before the second try, and before any
BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
TIMEOUT = 120.0  # seconds without a byte


class Asked(NamedTuple):
    """A request: GET where there is no body."""

    url: str
    body: dict[str, Any] | None
    key: str | None


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: it would take the key to another server."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Leave the redirect as the error that it then is."""


def ask(asked: Asked) -> Any:
    """Give the JSON of the answer; TruewardError, without any text that was sent, after the last try."""
    why = ""
    for k in range(TRIES):
        try:
            return _once(asked)
        except urllib.error.HTTPError as e:
            with e:
                if e.code not in BUSY:
                    raise _refused(asked, e.code) from None
                why, wait = f"HTTP {e.code}", _named(e.headers.get("Retry-After"))
        except (
            OSError,
            http.client.HTTPException,
        ) as e:  # URLError, timeouts and resets are OSErrors
            reason = getattr(e, "reason", e)
            why, wait = str(getattr(reason, "strerror", None) or type(reason).__name__), None
        except ValueError:
            why, wait = "an answer that is no JSON", None
        if k < TRIES - 1:
            time.sleep(_wait(k) if wait is None else wait)
    raise TruewardError(
        f"{asked.url} did not answer in {TRIES} tries, the last with {why}: check the address and the "
        "server, and run the same command again; what is done is kept"
    )


def _once(asked: Asked) -> Any:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    headers |= {"Authorization": f"Bearer {asked.key}"} if asked.key else {}
    body = None if asked.body is None else json.dumps(asked.body).encode()
    request = urllib.request.Request(asked.url, body, headers)  # noqa: S310 - http and https alone get here
    with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT) as answer:
        return json.loads(answer.read())


def _wait(k: int) -> float:
    """Double each time, and spread, so that many clients do not come back at once."""
    return min(LONGEST, FIRST * 2.0**k) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def _named(seconds: str | None) -> float | None:
    """Give the wait that the server asks for, within bounds; a date is not read."""
    return min(LONGEST, float(seconds)) if seconds and seconds.isdigit() else None


def _refused(asked: Asked, code: int) -> TruewardError:
    if code in (401, 403):
        had = "the key of the environment is not accepted" if asked.key else "it wants a key"
        return TruewardError(f"{asked.url} answered HTTP {code}, {had}: set TRUEWARD_API_KEY")
    if code == 404:
        return UsageError(
            f"{asked.url} answered HTTP 404: check the address, which ends in /v1 for most servers, and "
            "the model"
        )
    if code in (400, 413, 422):
        return TruewardError(
            f"{asked.url} answered HTTP {code}, as it does to a text that is too long for its model: "
            "shorten the longest texts, or let the server truncate"
        )
    return TruewardError(f"{asked.url} answered HTTP {code}: check the address and the server")
