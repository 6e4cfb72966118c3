"""Texts of Open WebUI messages: as shown, and how much of one was changed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trueward.importers.messages import content_text

if TYPE_CHECKING:
    from collections.abc import Mapping

REASONING = re.compile(r"<details\b[^>]*>.*?</details>\s*", re.DOTALL)


def shown_text(m: Mapping[str, Any]) -> str:
    """Return the text as shown: of the output items, else before an edit, else the content.

    Parameters
    ----------
    m : mapping
        A message.

    Returns
    -------
    str
        Without reasoning; an attached image or file of the user is a line ``[image]`` or ``[file]``.

    """
    items = [i for i in m.get("output") or () if isinstance(i, dict) and i.get("type") == "message"]
    if items:
        return "\n".join(filter(None, (content_text(i.get("content")) for i in items))).strip()
    text = content_text(m.get("originalContent") or m.get("content"))
    if m.get("role") == "assistant":
        return REASONING.sub("", text).strip()
    files = [f for f in m.get("files") or () if isinstance(f, dict)]
    attached = ["[image]" if f.get("type") == "image" else "[file]" for f in files]
    return "\n".join(filter(None, [text, *attached]))


def passages(m: Mapping[str, Any]) -> str:
    """Return the passages that were found for an answer.

    Parameters
    ----------
    m : mapping
        A message.

    Returns
    -------
    str
        Their texts, one after the other; empty if there are none.

    """
    found = m.get("sources")
    sources = [s for s in found if isinstance(s, dict)] if isinstance(found, list) else []
    texts = [s["document"] for s in sources if isinstance(s.get("document"), list)]
    return "\n\n".join(t for documents in texts for t in documents if isinstance(t, str) and t)


def changed_share(before: str, after: str) -> float:
    """Return the share of characters between the common beginning and the common end.

    Parameters
    ----------
    before, after : str
        Two texts that differ.

    Returns
    -------
    float
        From 0 to 1.

    """
    start = _common_length(before, after)
    same = start + _common_length(before[start:][::-1], after[start:][::-1])
    return 1 - same / max(len(before), len(after))


def _common_length(one: str, other: str) -> int:
    """Return the number of characters with which both texts begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
