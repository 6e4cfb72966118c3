"""Create the backbone of a language model from a name or from its JSON description."""

from __future__ import annotations

import dataclasses
import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError
from trueward.features.backbone_names import parse_options

from . import loading
from .locate import find_by_digest, find_model
from .prompt_rendering import TEMPLATES
from .reading_options import DTYPES, LONGEST, OPTIONS, ReadingOptions, resolve_options
from .token_pooling import POOLINGS
from .transformer import VERSION, Transformer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .model_folder import ModelFolder

LOG = logging.getLogger("trueward")


def from_name(source: str, options: Mapping[str, str]) -> Transformer:
    """Return the backbone ``SOURCE,option=value,...``.

    Parameters
    ----------
    source : str
        Folder or hub name of a language model.
    options : mapping of str to str
        Options as written, see `reading_options.OPTIONS`.

    Raises
    ------
    UsageError
        If there is no such model or an option is invalid.
    TruewardError
        If the model is incomplete, unsupported or cannot be downloaded.

    """
    values = parse_options(source, options, OPTIONS)
    device, revision = values.pop("device", None), values.pop("revision", None)
    folder = find_model(source, revision)
    reading = resolve_options(folder, values)
    if reading.template == "chat" and not loading.has_classifier(folder):
        LOG.warning(
            "transformers has no sequence-classification class for %s, so a reward on this model is exported "
            "with --allow-remote-code or not at all, and vLLM, OpenRLHF and veRL cannot load it",
            loading.text_config(folder).model_type,
        )
    return _shared(folder, reading, device)


def from_spec(spec: dict[str, Any]) -> Transformer:
    """Recreate a backbone from its JSON description.

    Parameters
    ----------
    spec : dict
        Parsed `Transformer.spec`.

    Raises
    ------
    TruewardError
        If another version of trueward wrote it, or the model's files are unavailable or have changed.

    """
    if spec.get("version") != VERSION:
        raise TruewardError(
            f"these features were computed by version {spec.get('version')} of the transformers backbone, "
            f"and the installed one is {VERSION}: install the trueward that computed them, or fit again"
        )
    try:
        values = {field.name: spec[field.name] for field in dataclasses.fields(ReadingOptions)}
        reading = ReadingOptions(**{**values, "dense": tuple(values["dense"])})
        _require_valid(reading)
        folder = find_by_digest(str(spec["model"]), spec["revision"], str(spec["digest"]))
    except (KeyError, TypeError) as e:
        raise TruewardError(
            f"the description of a backbone is incomplete (it lacks {e}): encode and fit again"
        ) from e
    return _shared(folder, reading, None)


def _require_valid(reading: ReadingOptions) -> None:
    """Check the options of a description that anyone may have written."""
    valid = {
        "template": reading.template in TEMPLATES,
        "max_length": type(reading.max_length) is int and 0 < reading.max_length <= LONGEST,
        "layer": type(reading.layer) is int and reading.layer >= 0,
        "pooling": reading.pooling in POOLINGS,
        "dtype": reading.dtype in DTYPES,
        "normalize": type(reading.normalize) is bool,
        "dense": all(isinstance(name, str) for name in reading.dense),
    }
    wrong = [name for name, right in valid.items() if not right]
    if wrong:
        raise TruewardError(
            f"the description of a backbone has no valid {', '.join(wrong)}: encode and fit again"
        )


@lru_cache(maxsize=2)
def _shared(folder: ModelFolder, reading: ReadingOptions, device: str | None) -> Transformer:
    """Keep the last two models in memory, so that scoring text by text loads the weights once."""
    return Transformer(folder, reading, device)
