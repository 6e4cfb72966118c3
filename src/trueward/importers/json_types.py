"""The Arrow types of the generic tables in a file of JSON lines, as its values have them."""

from __future__ import annotations

import io
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from trueward.data.readers.json_stream import InvalidJson, parse_json_line

from .schema import EVENTS, RESPONSES

if TYPE_CHECKING:
    from .contract import Source

CONTEXT = "context"
CONTEXT_KEY = re.compile(rb'"(context(?:\.[^"\\]*)?)"\s*:')
FLAT_CONTEXT = re.compile(rb'"context"\s*:\s*\{([^{}\[\]\\]*)\}')
FIELD = re.compile(rb'"([^"]*)"\s*:')
TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
ARROW_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
USUAL = {pl.Int32: pa.int64(), pl.Float64: pa.float64()}  # of columns that begin late; else text
SAMPLED = 64  # first lines, which decide on the types of columns
KNOWN: dict[str, Any] = {**RESPONSES, **EVENTS}


class JsonTypes:
    """The types of the known columns of a file, as the lines have them that the row reader read."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.counts: defaultdict[str, Counter[Any]] = defaultdict(Counter)
        self.inner: defaultdict[str, Counter[Any]] = defaultdict(Counter)

    def learn(self, lines: bytes, *, whole: bool) -> None:
        """Count the types of the first lines; of all names of context in ``whole`` lines."""
        for i, raw in enumerate(io.BytesIO(lines)):
            if i >= SAMPLED and not whole:
                return
            try:
                value = parse_json_line(raw.strip())
            except InvalidJson:
                continue
            kind = self.source.kind_of(value) if isinstance(value, dict) else None
            if kind is None:
                continue
            for name, found in value.items():
                is_context = name.startswith(f"{CONTEXT}.") or name == CONTEXT
                if name in (RESPONSES if kind == "response" else EVENTS):
                    self.counts[name][_kind(found)] += 1
                elif kind == "response" and is_context:
                    self.counts[name][_kind(found)] += 1
                    if isinstance(found, dict):
                        for inner, scalar in found.items():
                            self.inner[inner][_kind(scalar)] += 1

    def schema(self) -> pa.Schema:
        """Return the most frequent type of each column, and a usual type of one without any value."""
        types = {name: USUAL.get(dtype, pa.string()) for name, dtype in KNOWN.items()}
        types |= {
            name: _most(counts) for name, counts in self.counts.items() if counts.keys() - {None}
        }
        fields = pa.struct([(name, _most(counts)) for name, counts in self.inner.items()])
        if types.get(CONTEXT) is dict:
            types[CONTEXT] = fields
        return pa.schema([(name, dtype) for name, dtype in types.items() if dtype is not dict])

    def knows_context(self, lines: bytes, table: pa.Table) -> bool:
        """Return whether the lines have no context whose name is not known."""
        names = [name for name in table.column_names if name.startswith(CONTEXT)]
        values = sum(table.num_rows - table.column(name).null_count for name in names)
        if CONTEXT not in names and lines.count(b'"context') == values:
            return True  # no key beside those of the values
        found = {key.decode(errors="replace") for key in set(CONTEXT_KEY.findall(lines))}
        if not found <= set(names):
            return False
        return CONTEXT not in found or self._knows_fields(lines, table)

    def _knows_fields(self, lines: bytes, table: pa.Table) -> bool:
        """Return whether each object ``context`` is flat and has known fields only."""
        if CONTEXT not in table.column_names:
            return False
        objects = FLAT_CONTEXT.findall(lines)
        if len(objects) != table.num_rows - table.column(CONTEXT).null_count:
            return False
        keys = FIELD.findall(b"\n".join(objects))
        return {key.decode(errors="replace") for key in set(keys)} <= self.inner.keys()


def _kind(value: Any) -> Any:
    """Return the type of a value that decides on the type of its column; None for null."""
    if isinstance(value, list):
        return list
    return None if value is None else type(value)


def _most(counts: Counter[Any]) -> Any:
    """Return the Arrow type of the most frequent type; ``dict`` for objects."""
    types = Counter({kind: count for kind, count in counts.items() if kind is not None})
    if not types:
        return pa.string()
    if float in types and types.keys() <= {int, float}:
        return pa.float64()
    most = max(types, key=lambda kind: (types[kind], kind.__name__))
    if most is list:
        return ARROW_MESSAGES
    return TYPES.get(most, dict)
