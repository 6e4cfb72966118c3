"""A model, its tokenizer and its configuration out of a folder, with errors in one sentence."""

from __future__ import annotations

import contextlib
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError, UsageError

from .adapter import merged
from .folder import needs_extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .folder import Folder


@lru_cache(maxsize=4)
def config(folder: Folder) -> Any:
    """Give the configuration of the whole model."""
    with quiet() as transformers, _loading(folder):
        return transformers.AutoConfig.from_pretrained(folder.path, trust_remote_code=False)


def text_config(folder: Folder) -> Any:
    """Give the configuration of what reads text: a part of it where the model also sees or hears."""
    return config(folder).get_text_config()


def layers(folder: Folder) -> int:
    """Count the layers; h_0 is the embedding of the tokens, h_layers what the head would read."""
    return size(folder, "num_hidden_layers")


def size(folder: Folder, name: str) -> int:
    """Give a number of the configuration."""
    found = getattr(text_config(folder), name, None)
    if isinstance(found, int):
        return found
    raise TruewardError(
        f"{folder.path} says no {name} in its config.json, as a model of text does: choose a language model, "
        "or give its vectors as precomputed:PATH"
    )


@lru_cache(maxsize=4)
def tokenizer(folder: Folder) -> Any:
    """Give the tokenizer."""
    with quiet() as transformers, _loading(folder):
        return transformers.AutoTokenizer.from_pretrained(folder.path, trust_remote_code=False)


def network(folder: Folder, dtype: str, device: str | None) -> Any:
    """Give the model without its head, in evaluation mode, on ``device``.

    None: the process's own GPU where there is one, else the CPU. auto: the layers over all GPUs.
    """
    place = _device(device)
    spread = {"device_map": "auto"} if place is None else {}
    if spread:
        try:
            import accelerate  # noqa: F401, PLC0415 - heavy, and only this needs it
        except ImportError as e:
            raise needs_extra("accelerate") from e
    # what the checkpoint lacks (a pooler that nobody reads) is drawn, which must not move other streams
    with quiet() as transformers, _loading(folder), torch.random.fork_rng(devices=[]):
        model = (_whole if folder.adapter is None else merged)(transformers, folder, dtype, spread)
        if place is not None:
            model = model.to(place)
    model.config.get_text_config().use_cache = False
    return model.eval().requires_grad_(requires_grad=False)


def _whole(transformers: Any, folder: Folder, dtype: str, spread: Mapping[str, str]) -> Any:
    model, about = transformers.AutoModel.from_pretrained(
        folder.path,
        dtype=getattr(torch, dtype),
        trust_remote_code=False,
        output_loading_info=True,
        **spread,
    )
    lost = sorted(k for k in about["missing_keys"] if "pooler" not in k)
    if lost:
        raise TruewardError(
            f"{folder.path} lacks {len(lost)} tensors that its config.json speaks of, such as {lost[0]}: "
            "fetch or copy the whole model again"
        )
    return model


def _device(asked: str | None) -> torch.device | None:
    """Give where a model goes; None for wherever accelerate spreads it."""
    if asked == "auto":
        return None
    if asked is None:
        own = (
            f"cuda:{os.environ.get('LOCAL_RANK', '0')}"  # one GPU a process under accelerate launch
        )
        return torch.device(own if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(asked)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as e:
        raise UsageError(
            f"device={asked} is not on this machine: choose cpu, cuda:0 ... where there are GPUs, or auto"
        ) from e
    return found


@contextlib.contextmanager
def _loading(folder: Folder) -> Iterator[None]:
    """Turn what a library says of bad files into one sentence."""
    try:
        yield
    except TruewardError:
        raise
    except torch.OutOfMemoryError as e:
        raise TruewardError(
            f"the weights of {folder.path} do not fit into the memory of the GPU: choose device=auto over "
            "several, dtype=bfloat16, or a smaller model"
        ) from e
    except ImportError as e:
        raise TruewardError(
            f"{folder.path} needs a package that is not installed ({_first(e)}): install it"
        ) from e
    except Exception as e:
        own = "trust_remote_code" in str(e)
        said = (
            "brings code of its own, which is not run"
            if own
            else f"could not be loaded ({_first(e)})"
        )
        advice = (
            "choose a model that transformers knows, or serve it and give http://HOST/v1"
            if own
            else "check that it is whole, and that the installed transformers knows its kind"
        )
        raise TruewardError(f"{folder.path} {said}: {advice}") from e


def _first(e: Exception) -> str:
    words = " ".join(str(e).split()) or type(e).__name__
    return words if len(words) <= 160 else f"{words[:157]}..."


@contextlib.contextmanager
def quiet() -> Iterator[Any]:
    """Give transformers, which reports meanwhile nothing but errors."""
    try:
        import transformers  # noqa: PLC0415 - heavy
        from transformers.utils import logging  # noqa: PLC0415
    except ImportError as e:
        raise needs_extra("transformers") from e
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield transformers
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
