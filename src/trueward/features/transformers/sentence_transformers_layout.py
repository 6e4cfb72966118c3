"""Read a sentence-transformers folder: the modules after its transformer pool, project, normalise."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from trueward.core.errors import TruewardError

from .named_files import MODULES, module_names, read_json
from .token_pooling import POOLINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from .model_folder import ModelFolder

TORCH_FILE = "pytorch_model.bin"
#: key in the configuration of older versions -> pooling
LEGACY_POOLING_KEYS = {
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
    """The modules of a folder after its transformer.

    Attributes
    ----------
    pooling : str
        One of `POOLINGS`.
    dense : tuple of str
        Folders of the linear layers, in their order.
    normalize : bool
        Whether the vectors are scaled to length 1.
    max_length : int or None
        Largest number of tokens of a text.

    """

    pooling: str
    dense: tuple[str, ...]
    normalize: bool
    max_length: int | None


def read_modules(folder: ModelFolder) -> Modules | None:
    """Read modules.json.

    Parameters
    ----------
    folder : ModelFolder
        Files of the model.

    Returns
    -------
    Modules or None
        None if the folder has no modules.json.

    Raises
    ------
    TruewardError
        For a module that is not supported.

    """
    modules = read_json(folder.path / MODULES)
    if not isinstance(modules, list):
        return None
    pooling, dense, normalize = "mean", [], False
    for module, path in zip(modules, module_names(folder.path), strict=True):
        kind = str(module.get("type")).rpartition(".")[2]
        if kind == "Pooling":
            pooling = parse_pooling(folder.json(f"{path}/config.json"), folder)
        elif kind == "Dense" and normalize:
            raise _unsupported(folder, f"Dense after Normalize, in {path}")
        elif kind == "Dense":
            dense.append(path)
        elif kind == "Normalize":
            normalize = True
        elif kind != "Transformer" or path:
            raise _unsupported(folder, f"the module {kind} in {path or 'its top folder'}")
    limit = folder.json("sentence_bert_config.json").get("max_seq_length")
    return Modules(pooling, tuple(dense), normalize, limit if isinstance(limit, int) else None)


def parse_pooling(config: dict[str, object], folder: ModelFolder) -> str:
    """Return the pooling in a module's configuration, which differs between versions.

    Parameters
    ----------
    config : dict
        config.json of the pooling module.
    folder : ModelFolder
        Its model, for the error message.

    Raises
    ------
    TruewardError
        If several poolings or an unsupported one are set.

    """
    mode = config.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else mode
    if not isinstance(modes, list):
        modes = [name for key, name in LEGACY_POOLING_KEYS.items() if config.get(key)] or ["mean"]
    modes = ["last" if name == "lasttoken" else name for name in modes]
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise _unsupported(folder, f"the pooling {' + '.join(map(str, modes))}")
    return str(modes[0])


def _unsupported(folder: ModelFolder, what: str) -> TruewardError:
    return TruewardError(
        f"{folder.path} has {what}, which is not supported: give its vectors as precomputed:PATH, or "
        "serve it and give http://HOST/v1"
    )


@dataclass(frozen=True, eq=False)
class DenseLayer:
    """f(W v + b) of pooled vectors v.

    Attributes
    ----------
    weight : Tensor, (out, in)
        W.
    bias : Tensor, (out,), or None
        b.
    activation : str
        f, a key of `ACTIVATIONS`.

    """

    weight: Tensor
    bias: Tensor | None
    activation: str

    def __call__(self, v: Tensor) -> Tensor:
        """Project (n, in) to (n, out)."""
        return ACTIVATIONS[self.activation](torch.nn.functional.linear(v, self.weight, self.bias))


def load_dense(folder: ModelFolder, path: str) -> DenseLayer:
    """Load a linear layer.

    Parameters
    ----------
    folder : ModelFolder
        The model.
    path : str
        Folder of the layer, relative to the model.

    Raises
    ------
    TruewardError
        If modules.json does not name the layer, or its activation function or its tensors are not supported.

    """
    if path not in module_names(folder.path):  # the path may come from a saved model
        raise TruewardError(
            f"{folder.path} has no module {path!r} in its modules.json, which the features need: encode and "
            "fit again"
        )
    name = str(folder.json(f"{path}/config.json").get("activation_function", "Tanh"))
    activation = name.rpartition(".")[2]
    if activation not in ACTIVATIONS:
        raise _unsupported(folder, f"the activation {activation} in {path}")
    file = Path(folder.path, path, "model.safetensors")
    try:
        weights = load_file(file) if file.is_file() else _unpickled(file.with_name(TORCH_FILE))
        weights = {k.rpartition(".")[2]: v.float() for k, v in weights.items()}
        return DenseLayer(weights["weight"], weights.get("bias"), activation)
    except Exception as e:  # damaged files raise whatever their bytes lead to
        raise TruewardError(
            f"{file.parent} should hold the weights of a linear layer, and they cannot be read "
            f"({type(e).__name__}): fetch or copy the model again"
        ) from e


def _unpickled(file: Path) -> dict[str, Tensor]:
    """Read tensors that torch has pickled; weights_only runs no code of the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensors: dict[str, Tensor] = torch.load(file, "cpu", weights_only=True)
    return tensors
