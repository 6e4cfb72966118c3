"""Policies that are evaluated, as models of Inspect: a folder, an adapter, a hub name, a server, vLLM."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError, missing_extra
from trueward.rlhf.policy import Policy

from .judges import INSPECT
from .model_memory import require_memory
from .served_model import ServedModel

if TYPE_CHECKING:
    from collections.abc import Sequence

VLLM = "vllm:"


@dataclass(frozen=True)
class PolicyModel:
    """A policy and how Inspect opens it.

    Attributes
    ----------
    name : str
        Its column in the table.
    source : str
        As the user has given it.
    identity : str
        Digest of its files, or the name of what answers.
    model : str
        Name of the model in Inspect.
    arguments : dict
        Further arguments of Inspect's ``get_model``.

    """

    name: str
    source: str
    identity: str
    model: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what a result says of a policy."""
        return {
            "name": self.name,
            "source": self.source,
            "identity": self.identity,
            "model": self.model,
        }


def open_policies(words: Sequence[str], device: str | None = None) -> tuple[PolicyModel, ...]:
    """Find policies, before anything is evaluated; the first is the one that others are compared with.

    Parameters
    ----------
    words : sequence of str
        Each a folder of a model or of an adapter, a hub name, ``http://HOST/v1,model=NAME``,
        ``vllm:FOLDER``, ``vllm:BASE:ADAPTER`` or ``inspect:PROVIDER/NAME``; with ``LABEL=`` in front, if two
        have the same name.
    device : str, optional
        Where local weights are put.

    Returns
    -------
    tuple of PolicyModel
        Without their weights in memory.

    Raises
    ------
    UsageError
        If there is no such policy, or two have the same name.
    TruewardError
        If one has no chat template, or needs more memory than there is.

    """
    found = [_policy(word, device) for word in words]
    names = [p.name for p in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"two policies are named {twice}: give them labels, such as base={found[0].source}"
        )
    return tuple(found)


def _policy(word: str, device: str | None) -> PolicyModel:
    label, equals, rest = word.partition("=")
    labelled = bool(equals) and label.replace("-", "").replace("_", "").isalnum()
    source = rest if labelled and not Path(word).exists() else word
    if source.startswith(("http://", "https://")):
        served = ServedModel.of(source)
        name = served.model.rstrip("/").rpartition("/")[2]
        arguments = {"address": served.address, "served": served.model}
        found = PolicyModel(name, source, source, f"trueward-served/{name}", arguments)
    elif source.startswith(VLLM):
        found = _vllm(source)
    elif source.startswith(INSPECT):
        model = source.removeprefix(INSPECT)
        if "/" not in model:
            raise UsageError(
                f"{source} names no model of a provider of Inspect: {INSPECT}PROVIDER/NAME"
            )
        found = PolicyModel(model.rpartition("/")[2], source, model, model)
    else:
        policy = Policy.at(source)
        require_memory(policy.folder, device)
        path = Path(source).expanduser()
        name = path.resolve().name if path.is_dir() else source.rpartition("/")[2]
        options: dict[str, Any] = {"path": source, "device": device}
        found = PolicyModel(name, source, policy.folder.digest, f"trueward-local/{name}", options)
    if source is word:
        return found
    return PolicyModel(label, found.source, found.identity, found.model, found.arguments)


def _vllm(source: str) -> PolicyModel:
    """Return a policy that Inspect serves with vLLM, with its adapter after a colon."""
    if importlib.util.find_spec("vllm") is None:
        raise TruewardError(
            f"{source} needs vllm, which is not installed: pip install vllm on a machine with a GPU, or "
            "serve the policy there and give http://HOST/v1,model=NAME"
        )
    model = source.removeprefix(VLLM)
    base, _, adapter = model.partition(":")
    name = Path(adapter or base).name
    return PolicyModel(name, source, model, f"vllm/{model}")


def require_inspect() -> None:
    """Refuse to go on without inspect-ai.

    Raises
    ------
    TruewardError
        With the command that installs it.

    """
    if importlib.util.find_spec("inspect_ai") is None:
        raise missing_extra("a safety evaluation", "inspect-ai", "safety")
