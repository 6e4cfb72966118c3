"""Load a model's configuration, tokenizer and network from its folder."""

from __future__ import annotations

import contextlib
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError, UsageError

from .adapter import load_merged
from .model_folder import missing_text_extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .model_folder import ModelFolder


@lru_cache(maxsize=4)
def model_config(folder: ModelFolder) -> Any:
    """Return the configuration of the whole model, a transformers.PretrainedConfig."""
    with quiet_transformers() as transformers, _loading_errors(folder):
        return transformers.AutoConfig.from_pretrained(folder.path, trust_remote_code=False)


def text_config(folder: ModelFolder) -> Any:
    """Return the configuration of the text part of the model.

    Parameters
    ----------
    folder : ModelFolder
        Files of the model.

    Returns
    -------
    transformers.PretrainedConfig
        The configuration of the language model.

    Raises
    ------
    TruewardError
        If the configuration cannot be loaded.

    """
    return model_config(folder).get_text_config()


def language_tower(model: Any) -> Any:
    """Return the language model of a network that also reads images or sound; a language model itself.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The network without its head.

    """
    towers = (getattr(model, name, None) for name in ("language_model", "text_model"))
    return next((tower for tower in towers if tower is not None), model)


def has_classifier(folder: ModelFolder) -> bool:
    """Whether transformers has a class for sequence classification with this language model.

    Parameters
    ----------
    folder : ModelFolder
        Files of the model.

    """
    from transformers.models.auto import modeling_auto  # noqa: PLC0415 - heavy

    names = modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
    return text_config(folder).model_type in names


def layer_count(folder: ModelFolder) -> int:
    """Return the number L of layers; h_0 is the token embedding and h_L the input of the head.

    Parameters
    ----------
    folder : ModelFolder
        Files of the model.

    Returns
    -------
    int
        L.

    Raises
    ------
    TruewardError
        If the configuration has no number of layers.

    """
    return config_int(folder, "num_hidden_layers")


def config_int(folder: ModelFolder, name: str) -> int:
    """Return an integer of the text configuration.

    Parameters
    ----------
    folder : ModelFolder
        Files of the model.
    name : str
        Name in config.json, such as ``hidden_size``.

    Raises
    ------
    TruewardError
        If the configuration has no such integer.

    """
    value = getattr(text_config(folder), name, None)
    if isinstance(value, int):
        return value
    raise TruewardError(
        f"config.json in {folder.path} should have {name}, as language models do, and lacks it: choose a "
        "language model, or give its vectors as precomputed:PATH"
    )


@lru_cache(maxsize=4)
def load_tokenizer(folder: ModelFolder, **sides: str) -> Any:
    """Load the tokenizer; ``sides`` are its ``padding_side`` and ``truncation_side``, if not its own."""
    with quiet_transformers() as transformers, _loading_errors(folder):
        return transformers.AutoTokenizer.from_pretrained(
            folder.path, trust_remote_code=False, **sides
        )


def load_network(folder: ModelFolder, dtype: str, device: str | None) -> Any:
    """Load the model without its head, frozen and in evaluation mode.

    Parameters
    ----------
    folder : ModelFolder
        Files of the model.
    dtype : str
        Name of a torch dtype, such as ``bfloat16``.
    device : str or None
        ``cpu``, ``cuda:0``, ... None selects the GPU of this process, else the CPU. ``auto``
        distributes the layers over all GPUs.

    Returns
    -------
    transformers.PreTrainedModel

    Raises
    ------
    UsageError
        If there is no such device.
    TruewardError
        If the files are damaged, need a missing package, or do not fit into memory.

    """
    target = _device(device)
    placement = {"device_map": "auto"} if target is None else {}
    if placement:
        try:
            import accelerate  # noqa: F401, PLC0415 - heavy, and only this needs it
        except ImportError as e:
            raise missing_text_extra("accelerate") from e
    # transformers draws weights that the files lack, such as an unused pooler; keep the other streams
    with (
        quiet_transformers() as transformers,
        _loading_errors(folder),
        torch.random.fork_rng(devices=[]),
    ):
        load = _load_complete if folder.adapter is None else load_merged
        model = load(transformers, folder, dtype, placement)
        if target is not None:
            model = model.to(target)
    model.config.get_text_config().use_cache = False
    return model.eval().requires_grad_(requires_grad=False)


def _load_complete(
    transformers: Any, folder: ModelFolder, dtype: str, placement: Mapping[str, str]
) -> Any:
    model, report = transformers.AutoModel.from_pretrained(
        folder.path,
        dtype=getattr(torch, dtype),
        trust_remote_code=False,
        output_loading_info=True,
        **placement,
    )
    missing = sorted(k for k in report["missing_keys"] if "pooler" not in k)
    if missing:
        raise TruewardError(
            f"{folder.path} lacks {len(missing)} tensors that its config.json requires, such as "
            f"{missing[0]}: fetch or copy the whole model again"
        )
    return model


def _device(name: str | None) -> torch.device | None:
    """Return the device of the model; None if accelerate distributes the layers."""
    if name == "auto":
        return None
    if name is None:
        own_gpu = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"  # one per process of a launcher
        return torch.device(own_gpu if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as e:
        raise UsageError(
            f"device={name} is not on this machine: choose cpu, cuda:0 ... if there are GPUs, or auto"
        ) from e
    return device


@contextlib.contextmanager
def _loading_errors(folder: ModelFolder) -> Iterator[None]:
    """Convert the errors of the libraries into one TruewardError that names the folder."""
    try:
        yield
    except TruewardError:
        raise
    except torch.OutOfMemoryError as e:
        raise TruewardError(
            f"the weights of {folder.path} do not fit into the memory of the GPU: choose device=auto with "
            "several GPUs, dtype=bfloat16, or a smaller model"
        ) from e
    except ImportError as e:
        if folder.json("config.json").get("quantization_config"):
            raise TruewardError(
                f"{folder.path} is quantised, and reading it needs a package that is not installed "
                f"({_one_line(e)}): install it, or name the model before quantisation, which alone can be "
                "exported or tuned"
            ) from e
        raise TruewardError(
            f"{folder.path} needs a package that is not installed ({_one_line(e)}): install it"
        ) from e
    except Exception as e:
        if "trust_remote_code" in str(e):
            raise TruewardError(
                f"{folder.path} contains code of its own, which is not executed: choose a model that "
                "transformers supports, or serve it and give http://HOST/v1"
            ) from e
        raise TruewardError(
            f"{folder.path} could not be loaded ({_one_line(e)}): check that its files are complete, and "
            "that the installed transformers supports its model type"
        ) from e


def _one_line(e: Exception) -> str:
    words = " ".join(str(e).split()) or type(e).__name__
    return words if len(words) <= 160 else f"{words[:157]}..."


@contextlib.contextmanager
def quiet_transformers() -> Iterator[Any]:
    """Yield the transformers library with progress bars and warnings switched off.

    Raises
    ------
    TruewardError
        If transformers is not installed.

    """
    try:
        import transformers  # noqa: PLC0415 - heavy
        from transformers.utils import logging  # noqa: PLC0415
    except ImportError as e:
        raise missing_text_extra("transformers") from e
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield transformers
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
