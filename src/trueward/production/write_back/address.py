"""Where scores are sent to, and with which key: only what the user has named."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trueward.core.addresses import is_plain_address
from trueward.core.errors import TruewardError, UsageError
from trueward.features.http_json import JsonRequest, request_json

if TYPE_CHECKING:
    from collections.abc import Sequence


class RefusedError(TruewardError):
    """The server refuses one request; others may succeed.

    Parameters
    ----------
    message : str
        What was refused.
    status : int
        The HTTP status.

    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Address:
    """A server with the key for it; neither the key nor a text is in an error.

    Attributes
    ----------
    url : str
        ``http://HOST`` or ``https://HOST``, possibly with a path.
    key : str or None
        What follows the scheme in the header ``Authorization``.
    scheme : str
        ``Basic`` or ``Bearer``.
    variables : str
        The variables of the key, for errors.

    """

    url: str
    key: str | None = field(default=None, repr=False)
    scheme: str = "Bearer"
    variables: str = ""

    def send(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request; retries are those of `trueward.features.http_json`.

        Parameters
        ----------
        path : str
            Path and query below the address; the caller quotes ids.
        body : dict, optional
            JSON of a POST request; without it, it is a GET request.

        Returns
        -------
        object
            The JSON of the answer.

        Raises
        ------
        RefusedError
            For a status that a retry cannot repair.
        TruewardError
            If the server does not answer, or refuses the key.

        """
        request = JsonRequest(
            self.url + path, body, self.key, scheme=self.scheme, explain=self._explain
        )
        return request_json(request)

    def _explain(self, status: int) -> TruewardError:
        if status in (401, 403):
            problem = "refuses the key" if self.key else "needs a key"
            return TruewardError(f"{self.url} {problem} (HTTP {status}): set {self.variables}")
        return RefusedError(f"{self.url} answered HTTP {status}", status)


def address_of(given: str | None, variables: Sequence[str], product: str) -> str:
    """Return the address that the user has named, in the command or in a variable of the product.

    Parameters
    ----------
    given : str or None
        The option.
    variables : sequence of str
        Variables of the environment that the product's own clients read.
    product : str
        Name of the product, for errors.

    Returns
    -------
    str
        The address without a slash at its end.

    Raises
    ------
    UsageError
        If none is named, or it is no plain address.

    """
    found = given or next(filter(None, map(os.environ.get, variables)), None)
    if not found:
        raise UsageError(
            f"name the server of {product}: --address https://HOST, or {' or '.join(variables)} in the "
            "environment"
        )
    found = found.rstrip("/")
    if not is_plain_address(found):
        raise UsageError(
            f"the address of {product} should be http://HOST or https://HOST, without a key in it"
        )
    return found


def basic(user: str, password: str) -> str:
    """Return the key of the scheme ``Basic``.

    Parameters
    ----------
    user, password : str
        Both parts.

    """
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def quoted(name: str) -> str:
    """Return an id as one part of a path; control characters and slashes are escaped.

    Parameters
    ----------
    name : str
        The id.

    """
    return quote(name, safe="")
