"""A route: how a request becomes texts, how scores become an answer, and what errors look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from trueward.production.serving.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request

    from trueward.production.serving.frames import Answer, Text
    from trueward.production.serving.service import Service

    Handler = Callable[["Call", dict[str, Any]], Awaitable[Any]]

VALIDATION = 422
NAMES = {
    400: "BadRequestError",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFoundError",
    405: "MethodNotAllowed",
    413: "PayloadTooLarge",
    422: "UnprocessableEntityError",
    500: "InternalServerError",
    501: "NotImplementedError",
    503: "ServiceUnavailable",
}


class Call(NamedTuple):
    """A request to a route."""

    #: the server
    service: Service
    #: the request, whose body was read
    request: Request

    async def score(self, texts: Sequence[Text]) -> list[Answer]:
        """Score texts, see `Service.score`."""
        return await self.service.score(self.request, texts)

    async def numbers(self, texts: Sequence[Text]) -> list[tuple[float, float, Answer]]:
        """Return reward and P(preferred) of each text; 501 of a model that has only an interval."""
        if self.service.about["interval_only"]:
            raise RequestError(
                501,
                "this model identifies only an interval of P(preferred), and this route gives one number: "
                "use /v1/rewards, or serve a model of another method",
            )
        found = await self.score(texts) if texts else []
        return [(float(a.reward or 0.0), float(a.preferred or 0.0), a) for a in found]


@dataclass(frozen=True)
class Route:
    """One route of the server, with what its documentation says."""

    #: path
    path: str
    #: GET or POST
    method: str
    #: one line
    summary: str
    #: who speaks it
    clients: str
    #: from the call and its JSON to the JSON of the answer
    handler: Handler
    #: an example of a request; None for GET
    example: dict[str, Any] | None = None
    #: status of an error about a field
    invalid: int = 400
    #: body of an error
    error: Callable[[RequestError], Any] | None = None
    #: statuses that this protocol has other numbers for
    codes: tuple[tuple[int, int], ...] = ()

    def failure(self, e: RequestError) -> tuple[int, Any]:
        """Return status and body of an error in this protocol."""
        code = self.invalid if e.code == VALIDATION else dict(self.codes).get(e.code, e.code)
        known = RequestError(code, e.message, e.param, e.retry_after)
        return code, (self.error or openai_error)(known)


def openai_error(e: RequestError) -> dict[str, Any]:
    """Return the body of an error as OpenAI's and vLLM's servers have it."""
    kind = NAMES.get(e.code, "Error")
    return {"error": {"message": e.message, "type": kind, "param": e.param, "code": e.code}}
