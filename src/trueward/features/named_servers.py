"""Servers that the user has named: texts, and the key of the environment, go to no other."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from trueward.core.addresses import is_plain_address
from trueward.core.errors import UsageError

KEY_VARIABLE = "TRUEWARD_API_KEY"
ADDRESS_VARIABLE = "TRUEWARD_ENDPOINT"
ALLOWED: set[str] = set()  # addresses that the user has named in this process


def allow_endpoint(address: str) -> str:
    """Let this process send texts, and the key of the environment, to a server.

    A model folder holds an address, and anyone can write one: texts go to it only if the user has named it,
    here, by ``--allow-endpoint``, as ``--backbone``, or in ``TRUEWARD_ENDPOINT``.

    Parameters
    ----------
    address : str
        ``http://HOST/v1`` or ``https://HOST/v1``, with or without ``/embeddings``.

    Returns
    -------
    str
        The address without ``/embeddings``.

    Raises
    ------
    UsageError
        If it is no such address.

    Examples
    --------
    >>> import trueward as tw
    >>> tw.allow_endpoint("http://127.0.0.1:8000/v1/embeddings")
    'http://127.0.0.1:8000/v1'

    """
    checked = checked_address(address if isinstance(address, str) else "")
    ALLOWED.add(checked)
    return checked


def checked_address(address: str) -> str:
    """Return an address without ``/embeddings``; refuse what is no plain address of a server.

    Parameters
    ----------
    address : str
        As the user or a description gives it.

    Raises
    ------
    UsageError
        If it is no ``http`` or ``https`` address, or holds a user, a query or a fragment.

    """
    address = address.rstrip("/").removesuffix("/embeddings")
    if not is_plain_address(address):
        raise UsageError(
            "the address of an endpoint should be http://HOST/v1 or https://HOST/v1 and nothing else: "
            f"put a key into {KEY_VARIABLE}, and the model after a comma, ,model=NAME"
        )
    return address


def require_allowed(address: str) -> None:
    """Refuse to send texts to a server that the user has not named.

    Parameters
    ----------
    address : str
        As `allow_endpoint` returns it.

    Raises
    ------
    UsageError
        With the words that name it.

    """
    environment = os.environ.get(ADDRESS_VARIABLE)
    if address not in ALLOWED and not (environment and address == checked_address(environment)):
        raise UsageError(
            f"this model sends texts to {address}, an address that its folder names and you have not: if you "
            f"trust it, add --allow-endpoint {address} (in Python tw.allow_endpoint(address)), or set "
            f"{ADDRESS_VARIABLE}={address}"
        )


def api_key(address: str) -> str | None:
    """Return $TRUEWARD_API_KEY; for api.openai.com also $OPENAI_API_KEY, which goes nowhere else.

    Parameters
    ----------
    address : str
        Address of the server.

    Returns
    -------
    str or None
        The key; None if no variable has one.

    """
    own = "OPENAI_API_KEY" if urlsplit(address).hostname == "api.openai.com" else KEY_VARIABLE
    return os.environ.get(KEY_VARIABLE) or os.environ.get(own)
