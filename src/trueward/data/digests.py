"""Digests of content: short ids of texts such as prompts, and the fingerprint of a table.

All are prefixes of SHA-256 in hexadecimal digits. Files hold them (``prompt_id`` of logs, of imports and of
benchmark folders; ids of responses from FastChat), so their values must not change.
"""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl


def text_id(text: str, digits: int = 16) -> str:
    """Return the first digits of the SHA-256 of a text.

    This is the ``prompt_id`` of a prompt without an id. Importers apply it to the canonical JSON of the
    messages, because they hold prompts as messages; a log applies it to the text.

    Parameters
    ----------
    text : str
        Encoded as UTF-8; half of a surrogate pair counts as ``?``.
    digits : int
        Number of hexadecimal digits.

    Returns
    -------
    str
        Lower-case hexadecimal digits.

    Examples
    --------
    >>> text_id("Name a tree.")
    'd8ba9a771c6b9275'

    """
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:digits]


def prompt_ids(prompt: pl.Series) -> pl.Series:
    """Return the id of each prompt from its text, see `text_id`.

    Parameters
    ----------
    prompt : polars.Series
        String without nulls.

    Returns
    -------
    polars.Series
        String, named ``prompt_id``.

    """
    unique = prompt.unique()
    ids = [text_id(text) for text in unique]
    return prompt.replace_strict(unique, ids, return_dtype=pl.String).alias("prompt_id")


def fingerprint(frame: pl.DataFrame) -> str:
    """Return a SHA-256 of the content of a table, independent of the order of its columns.

    Parameters
    ----------
    frame : polars.DataFrame
        Columns of text, numbers or times.

    Returns
    -------
    str
        64 hexadecimal digits over the number of rows and, for each column by name: its type, its null
        mask, and its lengths and bytes (text) or its values (numbers, times).

    """
    digest = hashlib.sha256(str(frame.height).encode())
    for name in sorted(frame.columns):
        column = frame[name]
        digest.update(f"\0{name}\0{column.dtype.base_type().__name__}\0".encode())
        digest.update(np.packbits(column.is_null().to_numpy()).tobytes())
        if column.dtype == pl.String:
            text = column.fill_null("")
            digest.update(text.str.len_bytes().to_numpy().astype("<u4").tobytes())
            for start in range(0, len(text), 100_000):  # bounds the copy
                digest.update("".join(text[start : start + 100_000].to_list()).encode())
        else:
            kind = "<i8" if column.dtype.is_temporal() else "<f8"
            values = column.to_physical().fill_null(0).to_numpy().astype(kind)
            digest.update((values + np.zeros(1, kind)).tobytes())  # -0.0 + 0.0 is 0.0
    return digest.hexdigest()
