"""A conversation that another stack has rendered with a chat template, as prompt and response of a log."""

from __future__ import annotations

from trueward.data.readers.chat_marks import answer_text, plain, prompt_turns, turns
from trueward.data.readers.messages import flatten

from .errors import RequestError


def pair(text: str, param: str) -> tuple[str, str]:
    r"""Split a templated conversation at its last turn of the assistant.

    Parameters
    ----------
    text : str
        The conversation.
    param : str
        Its name, for errors.

    Returns
    -------
    prompt, response : str
        As a log has them.

    Raises
    ------
    RequestError
        422, if the text has no marks of a chat template, or no such turn.

    Examples
    --------
    >>> pair("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n", "input")
    ('Hi', 'Hello.')

    """
    chat = turns(text)
    last = max((i for i, t in enumerate(chat) if t["role"] == "assistant"), default=0)
    if not last:
        raise RequestError(
            422,
            f"{param} should be a conversation rendered with a chat template, whose last turn is the "
            "assistant's, and has no such turn: send messages, or prompt and response to /v1/rewards",
            param,
        )
    return flatten(chat[:last], "user"), answer_text(chat[last]["content"])


def prompt(text: str) -> str:
    """Return a templated prompt as a log has it; text without marks is left as it is."""
    chat = prompt_turns(text)
    return flatten(chat, "user") if chat else plain(text)


def response(query: str, templated_prompt: str) -> str:
    """Return the response in a templated prompt with its response."""
    return answer_text(query.removeprefix(templated_prompt))
