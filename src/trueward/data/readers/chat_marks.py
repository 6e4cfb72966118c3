"""The marks of common chat templates: <|im_start|>assistant, <start_of_turn>model, [INST], </s> ..."""

from __future__ import annotations

import re

HEADER = re.compile(
    r"<\|(?:im_start|start_header_id)\|>\s*\w+\s*(?:<\|end_header_id\|>)?|<start_of_turn>\s*\w+\s*"
)
MARK = re.compile(
    r"<\|[^|<>]{1,40}\|>|</?s>|<(?:bos|eos|pad|start_of_turn|end_of_turn)>|\[/?INST\]"
)
# where a turn begins, with its role
TURN = re.compile(
    r"<\|im_start\|>\s*(\w+)[ \t]*\n?"
    r"|<\|start_header_id\|>\s*(\w+)\s*<\|end_header_id\|>"
    r"|<start_of_turn>\s*(\w+)[ \t]*\n?"
    r"|<\|(system|user|assistant|SYSTEM_TOKEN|USER_TOKEN|CHATBOT_TOKEN)\|>"
    r"|<\uff5c(User|Assistant)\uff5c>"
    r"|(\[/?INST\])"
)
ROLES = {
    "model": "assistant",
    "chatbot_token": "assistant",
    "user_token": "user",
    "system_token": "system",
    "human": "user",
    "[inst]": "user",
    "[/inst]": "assistant",
}
WIDE_MARK = re.compile(r"<\uff5c[^<>\uff5c]{1,40}\uff5c>")
NO_THOUGHT = re.compile(
    r"^\s*<think>\s*</think>\s*"
)  # what templates add to an answer without thoughts


def plain(text: str) -> str:
    """Remove the marks of a chat template.

    Parameters
    ----------
    text : str
        A templated text.

    Returns
    -------
    str
        The text between the marks, stripped.

    Examples
    --------
    >>> plain("[INST] Hello</s>")
    'Hello'

    """
    return MARK.sub("", HEADER.sub("", text)).strip()


def turns(text: str) -> list[dict[str, str]]:
    r"""Return the messages of a templated text; none if it has no marks of a template.

    Parameters
    ----------
    text : str
        A conversation as a chat template renders it.

    Returns
    -------
    list of dict
        ``role`` and ``content`` of each message, without marks, stripped.

    Examples
    --------
    >>> turns("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n")
    [{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'Hello.'}]

    """
    heads = list(TURN.finditer(text))
    ends = [*(head.start() for head in heads), len(text)][1:]
    found = []
    for head, end in zip(heads, ends, strict=True):
        role = head[head.lastindex or 0].lower()
        content = WIDE_MARK.sub("", MARK.sub("", text[head.end() : end])).strip()
        found.append({"role": ROLES.get(role, role), "content": content})
    return found


def prompt_turns(text: str) -> list[dict[str, str]]:
    """Return the messages of a templated prompt, without the open turn of the answer.

    Parameters
    ----------
    text : str
        A prompt as a chat template renders it.

    """
    found = turns(text)
    while (
        found and found[-1]["role"] == "assistant" and not NO_THOUGHT.sub("", found[-1]["content"])
    ):
        del found[-1]
    return found


def answer_text(text: str) -> str:
    """Return an answer without marks and without the empty thoughts that templates add."""
    return NO_THOUGHT.sub("", WIDE_MARK.sub("", plain(text))).strip()
