"""What a message of Dify shows of the prompt: what was sent, and the passages that were found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.messages import to_message

if TYPE_CHECKING:
    from collections.abc import Mapping


def sent_prompt(value: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the prompt that the console shows as sent to the model; empty if there is none.

    Parameters
    ----------
    value : mapping
        A message.

    Returns
    -------
    list of Message
        The instructions first.

    """
    sent = value.get("message")
    if not isinstance(sent, list) or not all(isinstance(m, dict) for m in sent):
        return []
    prompt = [to_message(m) for m in sent]
    return prompt if any(m["content"] for m in prompt) else []


def passages(value: Mapping[str, Any]) -> str:
    """Return the passages that were found for an answer.

    Parameters
    ----------
    value : mapping
        A message.

    Returns
    -------
    str
        Their texts, one after the other; empty if there are none.

    """
    found = value.get("retriever_resources")
    texts = (
        [r.get("content") for r in found if isinstance(r, dict)] if isinstance(found, list) else []
    )
    return "\n\n".join(t for t in texts if isinstance(t, str) and t)
