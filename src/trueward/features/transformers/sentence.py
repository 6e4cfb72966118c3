"""What a sentence-transformers folder does after its transformer: pool, project, normalise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from trueward.core.errors import TruewardError

from .pooling import POOLINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from .folder import Folder

LEGACY = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "last",
}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "Tanh": torch.tanh,
    "Identity": torch.clone,
    "ReLU": torch.relu,
    "LeakyReLU": torch.nn.functional.leaky_relu,
    "Hardtanh": torch.nn.functional.hardtanh,
}


@dataclass(frozen=True)
class Modules:
    """The chain of a folder, less the transformer."""

    pooling: str
    dense: tuple[str, ...]  # folders of linear layers, in their order
    normalize: bool
    max_length: int | None


def modules_of(folder: Folder) -> Modules | None:
    """Read modules.json; None where there is none, TruewardError for a module that is not known here."""
    listed = folder.json("modules.json").get("modules")
    if not isinstance(listed, list):
        return None
    pooling, dense, normalize = "mean", [], False
    for module in listed:
        kind, place = str(module["type"]).rpartition(".")[2], str(module.get("path", ""))
        if kind == "Pooling":
            pooling = pooling_of(folder.json(f"{place}/config.json"), folder)
        elif kind == "Dense" and normalize:
            raise _foreign(folder, f"Dense after Normalize, in {place}")
        elif kind == "Dense":
            dense.append(place)
        elif kind == "Normalize":
            normalize = True
        elif kind != "Transformer" or place:
            raise _foreign(folder, f"the module {kind} in {place or 'its top folder'}")
    longest = folder.json("sentence_bert_config.json").get("max_seq_length")
    return Modules(pooling, tuple(dense), normalize, longest if isinstance(longest, int) else None)


def pooling_of(config: dict[str, object], folder: Folder) -> str:
    """Give the pooling that a module's configuration names, in any version's words."""
    mode = config.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else mode
    if not isinstance(modes, list):
        modes = [how for key, how in LEGACY.items() if config.get(key)] or ["mean"]
    modes = ["last" if how == "lasttoken" else how for how in modes]
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise _foreign(folder, f"the pooling {' + '.join(map(str, modes))}")
    return str(modes[0])


def _foreign(folder: Folder, what: str) -> TruewardError:
    return TruewardError(
        f"{folder.path} has {what}, which is not read here: give its vectors as precomputed:PATH, or "
        "serve it and give http://HOST/v1"
    )


@dataclass(frozen=True, eq=False)
class Dense:
    """f(W v + b) of pooled vectors."""

    weight: Tensor
    bias: Tensor | None
    activation: str

    def __call__(self, v: Tensor) -> Tensor:
        """Project (n, in) to (n, out)."""
        return ACTIVATIONS[self.activation](torch.nn.functional.linear(v, self.weight, self.bias))


def dense_of(folder: Folder, place: str) -> Dense:
    """Read the linear layer in the folder ``place``."""
    activation = str(folder.json(f"{place}/config.json").get("activation_function", "Tanh"))
    activation = activation.rpartition(".")[2]
    if activation not in ACTIVATIONS:
        raise _foreign(folder, f"the activation {activation} in {place}")
    path = Path(folder.path, place, "model.safetensors")
    if path.is_file():
        weights = load_file(path)
    else:
        weights = torch.load(path.with_name("pytorch_model.bin"), "cpu", weights_only=True)
    weights = {k.rpartition(".")[2]: v.float() for k, v in weights.items()}
    return Dense(weights["weight"], weights.get("bias"), activation)
