"""The rule `veRL`: the text that its reward loop makes of a rollout scores as the canonical text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .token_batches import batch_logits
from .verify_rules import RuleSkipped
from .verify_scores import compare

if TYPE_CHECKING:
    from .loaded_classifier import LoadedClassifier


def verl(at: LoadedClassifier) -> str:
    """Check rollouts as veRL reads them: decoded with their turn end, without EOS, templated, without BOS.

    The server adds the special tokens of the tokenizer to such a text.

    Parameters
    ----------
    at : LoadedClassifier
        The folder, its texts and scores.

    Returns
    -------
    str
        Whether the tokens are the canonical ones.

    Raises
    ------
    RuleSkipped
        If the folder has code, or rollouts do not begin where the generation prompt ends.
    RuleBroken
        If the scores differ.

    """
    if at.has_code:
        raise RuleSkipped("veRL serves folders with vLLM, which loads no code of a folder")
    rows = []
    for pair, ids in zip(at.pairs, at.ids, strict=True):
        response = rollout(at, pair[0], ids)
        if response is None:
            raise RuleSkipped(
                "the canonical text does not begin with a generation prompt, so no rollout can be told"
            )
        rows.append(tokens_of(at, pair[0], response))
    changed = sum(row != ids for row, ids in zip(rows, at.ids, strict=True))
    if not changed:
        return "rollouts become the canonical tokens"
    scores = torch.stack([batch_logits(at.network, [row])[0] for row in rows])
    sentence = compare(
        scores, at.scores, at.float32_tolerance, at.sd, "the canonical texts", at.pairs
    )
    return f"other tokens in {changed} of {len(rows)} texts, {sentence}"


def rollout(at: LoadedClassifier, prompt: str, ids: list[int]) -> str | None:
    """Return what a policy has generated when it ends its turn, decoded; None where it cannot be told.

    Parameters
    ----------
    at : LoadedClassifier
        The folder.
    prompt : str
        The prompt.
    ids : list of int
        Canonical tokens of prompt and response.

    Returns
    -------
    str or None
        The response with the special token that ends it.

    """
    start = at.chat_format.ids(at.chat_format.begun(prompt))
    if at.chat_format.lead() is None or ids[: len(start)] != start:
        return None
    end = at.tokenizer.convert_tokens_to_ids(at.chat_format.turn_end or at.tokenizer.eos_token)
    ends = [k for k in range(len(start), len(ids)) if ids[k] == end]
    return str(at.tokenizer.decode(ids[len(start) : ends[-1] + 1 if ends else len(ids)]))


def tokens_of(at: LoadedClassifier, prompt: str, response: str) -> list[int]:
    """Return the tokens that a server scores for a decoded rollout.

    Parameters
    ----------
    at : LoadedClassifier
        The folder.
    prompt, response : str
        The prompt and the decoded rollout.

    Returns
    -------
    list of int
        The tokens.

    """
    tokenizer = at.tokenizer
    text = at.chat_format.canonical(prompt, response.replace(tokenizer.eos_token or "\0", ""))
    return list(tokenizer(text.removeprefix(tokenizer.bos_token or ""))["input_ids"])
