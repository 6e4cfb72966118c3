"""What a server with vLLM's /classify gives for an exported folder, beside what the folder gives here."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.features.asking import Asked, ask
from trueward.features.endpoint import key

from .loaded import Failure, Skipped, scored
from .text import chat
from .verify_parity import ROUNDED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from .loaded import Loaded

SOME = 16  # texts
NEAR = 5e-3  # of P(preferred)


@dataclass(frozen=True)
class Server:
    """Where the folder is served, and under what name."""

    address: str
    name: str

    @staticmethod
    def at(address: str) -> Server:
        """Ask the server what it serves."""
        read = ask(Asked(f"{address}/v1/models", None, key(address)))
        try:
            return Server(address, str(read["data"][0]["id"]))
        except (KeyError, IndexError, TypeError) as e:
            raise Failure(f"{address}/v1/models names no model: is it vLLM's server?") from e

    def classify(self, n: int, **about: Any) -> Tensor:
        """(n,) numbers of one request, whatever they are: the field is called probs in any case."""
        body = {"model": self.name, **about}
        try:
            read = ask(Asked(f"{self.address}/classify", body, key(self.address)))
        except UsageError as e:
            raise Failure(
                f"{self.address} has no /classify: is it this folder that is served?"
            ) from e
        try:
            rows = sorted(read["data"], key=lambda row: int(row["index"]))
            found = torch.tensor([row["probs"] for row in rows], dtype=torch.float64)
        except (KeyError, TypeError, ValueError) as e:
            raise Failure(
                f"/classify should answer with data of index and probs: {type(e).__name__}"
            ) from e
        if found.shape != (n, 1):
            raise Failure(
                f"/classify gives {tuple(found.shape)} numbers for {n} texts, and one each is wanted: is it "
                "this folder that is served?"
            )
        return found[:, 0]

    def texts(self, rows: list[Any], **about: Any) -> Tensor:
        """Give the numbers of texts, or of their tokens."""
        return self.classify(len(rows), input=rows, **about)

    def chats(self, pairs: list[tuple[str, str]], **about: Any) -> Tensor:
        """Give the numbers of prompts and responses, one request each."""
        return torch.cat([self.classify(1, messages=chat(*pair), **about) for pair in pairs])


@dataclass(frozen=True, eq=False)
class Scale:
    """What of the logits z the server gives: z, or (z - mean) / sigma where it has the pooler config."""

    mean: float
    sigma: float
    sd: float  # of z

    def __call__(self, z: Tensor) -> Tensor:
        """Give it of logits."""
        return (z.double() - self.mean) / self.sigma

    def same(self, found: Tensor, z: Tensor) -> bool:
        """Whether numbers are those of the logits z, but for bfloat16."""
        return bool((found - self(z)).abs().max() <= ROUNDED * self.sd / self.sigma)

    def squashed(self, found: Tensor, z: Tensor) -> bool:
        """Whether they are the sigmoid of those."""
        return bool((found - torch.sigmoid(self(z))).abs().max() <= NEAR)


def vllm(at: Loaded) -> str:
    """What /classify gives for tokens, text and messages, with and without activation."""
    if at.code:
        raise Skipped("vLLM loads no code of a folder")
    if at.url is None:
        there = importlib.util.find_spec("vllm") is not None
        where = (
            "compare with `vllm serve FOLDER` and --url" if there else "vLLM is not installed here"
        )
        raise Skipped(f"{where}; the pooler config in the card makes it give P(preferred)")
    address = at.url.rstrip("/").removesuffix("/classify").removesuffix("/v1")
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise UsageError(f"--url is http://HOST:PORT of a server with /classify, not {at.url!r}")
    try:
        return _compared(at, Server.at(address))
    except TruewardError as e:
        raise Failure(str(e)) from e


def _compared(at: Loaded, server: Server) -> str:
    z, pairs = at.scores[:SOME].double(), at.pairs[:SOME]
    ids, texts = at.ids[:SOME], at.texts[:SOME]
    raw = server.texts(ids, use_activation=False)
    scale, pooled = _scale(at, raw, z)
    _text(at, scale, server.chats(pairs, use_activation=False), "messages")
    plain = {"use_activation": False, "add_special_tokens": False}
    _text(at, scale, server.texts(texts, **plain), "input without special tokens")
    notes = _usual(at, scale, server.texts(texts, use_activation=False))
    default = _activated(at, scale, server.chats(pairs), z, "unless use_activation is false")
    asked = _activated(
        at, scale, server.chats(pairs, use_activation=True), z, "use_activation true"
    )
    notes += [f"use_activation true gives {asked}"]
    if default != asked:
        notes += [f"without it {default}"]
    notes += _probability(at, raw, z, scale if pooled else None)
    return f"tokens, input and messages of {len(z)} texts agree; {'; '.join(notes)}"


def _scale(at: Loaded, raw: Tensor, z: Tensor) -> tuple[Scale, bool]:
    """What the server does to logits of tokens, where no text can be misread."""
    # vLLM gives the logit, others may give the reward
    known = [Scale(0.0, 1.0, at.sd), Scale(-at.card["head"]["constant"], 1.0, at.sd)]
    config = _pooler(at)
    if config:
        known.append(Scale(config["logit_mean"], config["logit_sigma"], at.sd))
    for k, scale in enumerate(known):
        if scale.same(raw, z):
            return scale, k == 2
    if any(scale.squashed(raw, z) for scale in known):
        raise Failure(
            "activation: a sigmoid is applied although use_activation is false, so no reward comes through"
        )
    gap = float((raw - z).abs().max()) / at.sd
    raise Failure(
        f"weights: tokens of the same texts score {gap:.2g} sd from here, so another folder is served, or "
        "with another pooler config than the card's"
    )


def _pooler(at: Loaded) -> Mapping[str, float] | None:
    found: Mapping[str, float] | None = at.card["serve"].get("vllm_pooler_config")
    return found


def _text(at: Loaded, scale: Scale, found: Tensor, what: str) -> None:
    """Numbers of text are those of its tokens; else say which rule makes them others."""
    if scale.same(found, at.scores[:SOME]):
        return
    for rule, misread in MISREAD.items():
        rows = [misread(at, k) for k in range(len(found))]
        if all(rows):
            z = torch.stack([scored(at.network, [row])[0] for row in rows])
            if scale.same(found, z):
                raise Failure(f"{rule}, in {what}")
    raise Failure(
        f"template: {what} become other tokens than chat_template.jinja and the tokenizer make: start the "
        "server without --chat-template, and with the folder's own tokenizer"
    )


def _twice(at: Loaded, k: int) -> list[int]:
    token = at.tokenizer.bos_token_id
    return [] if token is None else [token, *at.ids[k]]


def _never(at: Loaded, k: int) -> list[int]:
    own = at.ids[k]
    return own[1:] if own[0] == at.tokenizer.bos_token_id else []


def _open_ended(at: Loaded, k: int) -> list[int]:
    end = at.card["template"]["suffix"]
    return at.text.ids(at.texts[k].removesuffix(end)) if end else []


def _prompted(at: Loaded, k: int) -> list[int]:
    text = at.tokenizer.apply_chat_template(
        chat(*at.pairs[k]), tokenize=False, add_generation_prompt=True
    )
    return at.text.ids(text) if text != at.texts[k] else []


MISREAD: dict[str, Callable[[Loaded, int], list[int]]] = {
    "bos: the server puts BOS in front of a text that has it": _twice,
    "bos: the server takes BOS away": _never,
    "template: the end that the template puts after a response is lost": _open_ended,
    "template: a generation prompt is added after the response": _prompted,
}


def _usual(at: Loaded, scale: Scale, found: Tensor) -> list[str]:
    """Text with the tokenizer's special tokens, which vLLM adds unless told otherwise."""
    if scale.same(found, at.scores[:SOME]):
        return []
    rows = [list(at.tokenizer(t)["input_ids"]) for t in at.texts[: len(found)]]
    z = torch.stack([scored(at.network, [row])[0] for row in rows])
    if not scale.same(found, z):
        _text(at, scale, found, "input")
    return ["input needs add_special_tokens false, else BOS comes twice"]


def _activated(at: Loaded, scale: Scale, found: Tensor, z: Tensor, when: str) -> str:
    """What comes with the activation: the reward, as regression asks, or P(preferred)."""
    if scale.same(found, z):
        return "the reward"
    config = _pooler(at)
    if config and Scale(config["logit_mean"], config["logit_sigma"], at.sd).squashed(found, z):
        return "P(preferred)"
    if scale.squashed(found, z):
        raise Failure(
            f"activation: {when}, a sigmoid is applied, and what it gives is not P(preferred): keep "
            f"problem_type regression, or start the server with --pooler-config '{json.dumps(config)}'"
        )
    raise Failure(f"activation: {when}, /classify gives neither the reward nor P(preferred)")


def _probability(at: Loaded, raw: Tensor, z: Tensor, pooled: Scale | None) -> list[str]:
    """P(preferred) of the card from the server's numbers."""
    config = _pooler(at)
    if config is None:
        return ["the calibration cannot be folded, so it gives no P(preferred)"]
    own = Scale(config["logit_mean"], config["logit_sigma"], at.sd)
    gap = float((torch.sigmoid(raw if pooled else own(raw)) - torch.sigmoid(own(z))).abs().max())
    if gap > NEAR:
        raise Failure(f"P(preferred) differs by up to {gap:.2g}, and {NEAR:g} is allowed")
    said = "with" if pooled else "without"
    return [f"P(preferred) within {gap:.1g}, the server {said} the pooler config"]
