"""Digests of content: of one prompt, and of a whole table in any format."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl


def prompt_ids(prompt: pl.Series) -> pl.Series:
    """Give the id of each prompt: the first 16 hexadecimal digits of its SHA-256."""
    unique = prompt.unique()
    ids = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in unique]
    return prompt.replace_strict(unique, ids, return_dtype=pl.String).alias("prompt_id")


def fingerprint(frame: pl.DataFrame) -> str:
    """SHA-256 over the columns by name: the null mask, then lengths and bytes, or numbers."""
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
            plain = column.to_physical().fill_null(0).to_numpy().astype(kind)
            digest.update((plain + np.zeros(1, kind)).tobytes())  # -0.0 + 0.0 is 0.0
    return digest.hexdigest()
