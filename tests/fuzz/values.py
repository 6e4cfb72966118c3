"""Values, JSON trees and bytes that a program would rather not read."""

from __future__ import annotations

import copy
import json

from hypothesis import strategies as st

TEXTS = (
    "",
    " ",
    "nan",
    "Infinity",
    "-1",
    "1e400",
    "1_000",
    "١٢",
    "true",
    "null",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "2026-02-30",
    "1969-12-31",
    "99999999999999999999",
    "=1+1",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\x00",
    "a\nb\r\nc\u2028d",
    "\u202eabc",
    "\ud800",
    "../../secret",
    "/etc/hostname",
    "http://127.0.0.1:9/v1",
    "file:///etc/hostname",
    "{{ 1 }}",
    "[" * 500,
    "\\",
    '"',
    "x" * 70_000,
    "👍🏽",
)
NUMBERS = (
    0,
    -1,
    1,
    2,
    3.5,
    -0.0,
    1e-320,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
    2**31,
    2**53 + 1,
    2**63,
    -(2**63) - 1,
    2**64,
    10**400,
    253402300800,
    253402300799.9999999,
    -62135596801,
    1_767_225_600_000_000_000,
)


def _deep(levels, leaf, make):
    for _ in range(levels):
        leaf = make(leaf)
    return leaf


TREES = (
    [],
    {},
    [[]],
    {"": None},
    [None],
    [1, "a", None, {}],
    {"role": "user"},
    {"role": "assistant", "content": None},
    {"type": "text", "text": 5},
    {"name": 1, "value": {}},
    _deep(60, 1, lambda v: [v]),
    _deep(60, 1, lambda v: {"a": v}),
    _deep(900, 1, lambda v: [v]),
)
texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=12))
numbers = st.one_of(st.sampled_from(NUMBERS), st.integers(-10, 10), st.floats(width=32))
scalars = st.one_of(texts, numbers, st.none(), st.booleans())
trees = st.one_of(scalars, st.sampled_from(TREES))


@st.composite
def mutated(draw, tree, most=3, keys=None):
    """Replace, delete, repeat, wrap or exchange up to ``most`` values of a JSON tree."""
    tree = json.loads(json.dumps(tree))
    for _ in range(draw(st.integers(1, most))):
        places = _places(tree, keys)
        if not places:
            return copy.deepcopy(draw(trees))
        inside, key = draw(st.sampled_from(places))
        match draw(
            st.sampled_from(("replace",) * 4 + ("delete", "repeat", "wrap", "exchange", "key"))
        ):
            case "replace":
                inside[key] = copy.deepcopy(draw(trees))
            case "delete":
                del inside[key]
            case "repeat" if isinstance(inside, list):
                inside.append(inside[key])
            case "wrap":
                inside[key] = [inside[key]]
            case "exchange":
                other, name = draw(st.sampled_from(places))
                inside[key] = json.loads(json.dumps(other[name]))
            case "key" if isinstance(inside, dict):
                inside[draw(texts)] = inside.pop(key)
            case _:
                inside[key] = None
    return tree


def _places(tree, keys):
    """Every (container, key) below; at most 3,000."""
    found, queue = [], [tree]
    while queue and len(found) < 3_000:
        at = queue.pop()
        pairs = (
            at.items() if isinstance(at, dict) else enumerate(at) if isinstance(at, list) else ()
        )
        for k, v in pairs:
            if keys is None or at is not tree or k in keys:
                found.append((at, k))
                queue.append(v)
    return found


@st.composite
def damaged(draw, content):
    """Bytes cut short, changed, put in, left out or repeated."""
    content = bytes(content)
    for _ in range(draw(st.integers(1, 2))):
        i, j = sorted((draw(st.integers(0, len(content))), draw(st.integers(0, len(content)))))
        match draw(st.sampled_from(("cut", "change", "insert", "omit", "repeat"))):
            case "cut":
                content = content[:i]
            case "change":
                some = draw(st.binary(min_size=1, max_size=8))
                content = content[:i] + some + content[i + len(some) :]
            case "insert":
                odd = (
                    b"\x00",
                    b"\xff\xfe",
                    b"\xef\xbb\xbf",
                    b"\r",
                    b'"',
                    b"[" * 2000,
                    b"\xed\xa0\x80",
                )
                content = content[:i] + draw(st.sampled_from(odd)) + content[i:]
            case "omit":
                content = content[:i] + content[j:]
            case "repeat":
                content = content[:j] + content[i:j] + content[j:]
    return content


def dumped(tree):
    """JSON as bytes; NaN and halves of characters as Python writes them."""
    return json.dumps(tree).encode()


def dumped_lines(trees_):
    return b"".join(dumped(tree) + b"\n" for tree in trees_)
