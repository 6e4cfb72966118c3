"""Ids of people as keyed digests: the same person stays the same, and nobody can be read off.

HMAC-SHA256, the first 16 hexadecimal digits, over the kind of id and the id. Without a key of the user's
own the key is public: whoever can guess an id can check the guess.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from pathlib import Path

OPEN_KEY = b"trueward"
SHORTEST = 16  # bytes of a key
IDS = {"user_id": "person", "actor_id": "person", "session_id": "session"}


def read_key(path: Path) -> bytes:
    """Read the secret that ids are hashed with."""
    try:
        key = path.read_bytes().strip()
    except OSError as e:
        raise TruewardError(
            f"{path} should hold the key that ids are hashed with, but cannot be read "
            f"({e.strerror or e}): make one, as by openssl rand -hex 32"
        ) from e
    if len(key) < SHORTEST:
        raise TruewardError(
            f"{path} should hold at least {SHORTEST} bytes of key, and has {len(key)}: make one, as by "
            "openssl rand -hex 32"
        )
    return key


def hashed(frame: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """Replace the ids of people and sessions."""
    return frame.with_columns(
        _hidden(frame[name], kind, key) for name, kind in IDS.items() if name in frame.columns
    )


def digests(ids: pl.Series, kind: str, key: bytes) -> list[str]:
    """Give the digest of each id."""
    return [hmac.digest(key, f"{kind}:{i}".encode(), hashlib.sha256).hex()[:16] for i in ids]


def _hidden(column: pl.Series, kind: str, key: bytes) -> pl.Series:
    ids = column.drop_nulls().unique()
    return column.replace_strict(ids, digests(ids, kind, key), default=None, return_dtype=pl.String)
