"""Addresses of servers, as users give them."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_plain_address(address: str) -> bool:
    """Return whether a text is http or https, a host, and perhaps a port and a path; no user and no query.

    Parameters
    ----------
    address : str
        The text.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_plain_address("https://HOST:8000/v1"), is_plain_address("http://user:key@HOST")
    (True, False)
    >>> is_plain_address("http://[HOST"), is_plain_address("http://HOST:port"), is_plain_address("HOST")
    (False, False, False)

    """
    try:
        parts = urlsplit(address)
        named = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # such as a bracket without its pair, or a port that is no number
        return False
    return bool(named) and not (parts.username or parts.password or parts.query or parts.fragment)
