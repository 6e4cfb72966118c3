"""The rule `vLLM`: a server with vLLM's /classify gives the scores that the folder gives here."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from trueward.core.errors import TruewardError

from .token_batches import batch_logits
from .verify_misreadings import MISREADINGS
from .verify_rules import RuleBroken, RuleSkipped
from .vllm_server import Server, server_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from .loaded_classifier import LoadedClassifier

TEXTS = 16
Z_TOLERANCE = 2e-2  # of sd, for kernels of a server
P_TOLERANCE = 5e-3  # of P(preferred)


@dataclass(frozen=True, eq=False)
class Scale:
    """Numbers of the server as a function of the logits z: (z - mean) / sigma, by default z."""

    #: logit_mean of the pooler config, or 0
    mean: float
    #: logit_sigma of the pooler config, or 1
    sigma: float
    #: allowed difference of z
    allowed: float

    def __call__(self, z: Tensor) -> Tensor:
        """Return the scaled logits."""
        return (z.double() - self.mean) / self.sigma

    def equal(self, numbers: Tensor, z: Tensor) -> bool:
        """Whether numbers are the scaled logits, within the tolerance of the precision."""
        return bool((numbers - self(z)).abs().max() <= self.allowed / self.sigma)

    def equal_sigmoid(self, numbers: Tensor, z: Tensor) -> bool:
        """Whether numbers are the sigmoid of the scaled logits."""
        return bool((numbers - torch.sigmoid(self(z))).abs().max() <= self.p_tolerance)

    @property
    def p_tolerance(self) -> float:
        """Allowed difference of P, whose slope in the scaled logit is at most 1 / 4."""
        return max(P_TOLERANCE, self.allowed / self.sigma / 4)


def vllm(at: LoadedClassifier) -> str:
    """Compare the server's numbers for tokens, text and messages, with and without activation.

    Parameters
    ----------
    at : LoadedClassifier
        The folder, its texts and scores, and the address of the server.

    Returns
    -------
    str
        What agrees, and how the server scales the logits.

    Raises
    ------
    RuleSkipped
        If the folder has code, or there is no address.
    UsageError
        If the address is invalid.
    RuleBroken
        If the server fails, or its numbers differ.

    """
    if at.has_code:
        raise RuleSkipped("vLLM loads no code of a folder")
    if at.url is None:
        installed = importlib.util.find_spec("vllm") is not None
        how = "compare with `vllm serve FOLDER` and --url" if installed else "vLLM is not installed"
        raise RuleSkipped(f"{how}; with the pooler config of the card it gives P(preferred)")
    address = server_address(at.url)
    try:
        return _compare_ways(at, Server.at(address))
    except TruewardError as e:
        raise RuleBroken(str(e)) from e


def _compare_ways(at: LoadedClassifier, server: Server) -> str:
    z, pairs = at.scores[:TEXTS].double(), at.pairs[:TEXTS]
    ids, texts = at.ids[:TEXTS], at.texts[:TEXTS]
    raw = server.texts(ids, use_activation=False)
    scale, pooled = _scale_of(at, raw, z)
    _check_text(at, scale, server.chats(pairs, use_activation=False), "messages")
    plain = {"use_activation": False, "add_special_tokens": False}
    _check_text(at, scale, server.texts(texts, **plain), "input without special tokens")
    notes = _default_tokens(at, scale, server.texts(texts, use_activation=False))
    default = _activation(at, scale, server.chats(pairs), z, "unless use_activation is false")
    active = server.chats(pairs, use_activation=True)
    explicit = _activation(at, scale, active, z, "use_activation true")
    notes += [f"use_activation true gives {explicit}"]
    if default != explicit:
        notes += [f"without it {default}"]
    notes += _probability(at, raw, z, scale if pooled else None)
    return f"tokens, input and messages of {len(z)} texts agree; {'; '.join(notes)}"


def _scale_of(at: LoadedClassifier, raw: Tensor, z: Tensor) -> tuple[Scale, bool]:
    """How the server scales the logits of tokens, and whether by the pooler config."""
    allowed, config = _allowed(at), _pooler_config(at)
    known = [Scale(0.0, 1.0, allowed)]
    if config:
        known.append(Scale(config["logit_mean"], config["logit_sigma"], allowed))
    # vLLM gives the logit, with or without the pooler config; others may give the reward
    known.append(Scale(-at.card["head"]["constant"], 1.0, allowed))
    for scale in known:
        if scale.equal(raw, z):
            by_config = (config["logit_mean"], config["logit_sigma"]) if config else None
            pooled = (scale.mean, scale.sigma) == by_config
            return scale, pooled
    if any(scale.equal_sigmoid(raw, z) for scale in known):
        raise RuleBroken(
            "activation: a sigmoid is applied although use_activation is false, so the server gives no reward"
        )
    gap = float((raw - z).abs().max()) / at.sd
    raise RuleBroken(
        f"weights: scores of the same tokens differ by {gap:.2g} sd, so another folder is served, or another "
        "pooler config than the card's"
    )


def _allowed(at: LoadedClassifier) -> float:
    """Allowed difference of logits, more where bfloat16 is served."""
    low = at.card["head"]["dtype"] == "bfloat16"
    return at.sd * (Z_TOLERANCE + (at.bfloat16_tolerance if low else 0.0))


def _pooler_config(at: LoadedClassifier) -> Mapping[str, float] | None:
    config: Mapping[str, float] | None = at.card["serve"].get("vllm_pooler_config")
    return config


def _check_text(at: LoadedClassifier, scale: Scale, numbers: Tensor, what: str) -> None:
    """Check that text scores as its tokens do; else name the rule that explains the difference."""
    if scale.equal(numbers, at.scores[:TEXTS]):
        return
    for rule, misread in MISREADINGS.items():
        rows = [misread(at, k) for k in range(len(numbers))]
        if all(rows):
            z = torch.stack([batch_logits(at.network, [row])[0] for row in rows])
            if scale.equal(numbers, z):
                raise RuleBroken(f"{rule}, in {what}")
    raise RuleBroken(
        f"template: {what} become other tokens than chat_template.jinja and the tokenizer make: start the "
        "server without --chat-template, and with the folder's own tokenizer"
    )


def _default_tokens(at: LoadedClassifier, scale: Scale, numbers: Tensor) -> list[str]:
    """Check text with the tokenizer's special tokens, which vLLM adds by default."""
    if scale.equal(numbers, at.scores[:TEXTS]):
        return []
    rows = [list(at.tokenizer(t)["input_ids"]) for t in at.texts[: len(numbers)]]
    z = torch.stack([batch_logits(at.network, [row])[0] for row in rows])
    if not scale.equal(numbers, z):
        _check_text(at, scale, numbers, "input")
    return ["input needs add_special_tokens false, else BOS comes twice"]


def _activation(at: LoadedClassifier, scale: Scale, numbers: Tensor, z: Tensor, when: str) -> str:
    """What the activation gives: the reward (problem_type regression), or P(preferred)."""
    if scale.equal(numbers, z):
        return "the reward"
    config = _pooler_config(at)
    if config:
        pooled = Scale(config["logit_mean"], config["logit_sigma"], _allowed(at))
        if pooled.equal_sigmoid(numbers, z):
            return "P(preferred)"
    if scale.equal_sigmoid(numbers, z):
        raise RuleBroken(
            f"activation: {when}, a sigmoid is applied, and its result is not P(preferred): keep "
            f"problem_type regression, or start the server with --pooler-config '{json.dumps(config)}'"
        )
    raise RuleBroken(f"activation: {when}, /classify gives neither the reward nor P(preferred)")


def _probability(at: LoadedClassifier, raw: Tensor, z: Tensor, pooled: Scale | None) -> list[str]:
    """Compare P(preferred) of the server's numbers with that of the card."""
    config = _pooler_config(at)
    if config is None:
        return ["the calibration has no pooler config, so the server gives no P(preferred)"]
    own = Scale(config["logit_mean"], config["logit_sigma"], _allowed(at))
    p = torch.sigmoid(raw if pooled else own(raw))
    gap = float((p - torch.sigmoid(own(z))).abs().max())
    if gap > own.p_tolerance:
        raise RuleBroken(f"P(preferred) differs by up to {gap:.2g}; allowed: {own.p_tolerance:.2g}")
    with_config = "with" if pooled else "without"
    return [f"P(preferred) within {gap:.1g}, the server {with_config} the pooler config"]
