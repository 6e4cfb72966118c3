"""Find a language model: a folder, a peft adapter on its base model, or a name on the hub."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import replace
from pathlib import Path

from trueward.core.errors import TruewardError, UsageError

from .adapter import base_with_adapter
from .model_folder import (
    SAFETENSORS_FILES,
    TEXT_FILES,
    TORCH_FILES,
    ModelFolder,
    complete_model,
    gguf_error,
    missing_text_extra,
)

FOLDER_VARIABLE = "TRUEWARD_BACKBONE"  # new folder of a fitted model's backbone that has moved
COMMIT = re.compile(r"[0-9a-f]{40}")


def open_model(path: Path, source: str, revision: str | None = None) -> ModelFolder:
    """Return the model or the adapter in a folder.

    Parameters
    ----------
    path : Path
        Folder of the files.
    source : str
        Path or hub name under which the model can be found again.
    revision : str or None
        Commit on the hub.

    Raises
    ------
    TruewardError
        If the folder holds no complete model.

    """
    if (path / "adapter_config.json").is_file():
        return base_with_adapter(path, source, revision, find_model)
    return complete_model(path, source, revision)


def find_model(source: str, revision: str | None = None) -> ModelFolder:
    """Find a model in a folder on disk, in the hub's cache, or download it from the hub.

    Parameters
    ----------
    source : str
        Folder or hub name.
    revision : str or None
        Branch or commit on the hub; None selects the default branch.

    Raises
    ------
    UsageError
        If there is no such folder and no such name on the hub.
    TruewardError
        If the model is incomplete or cannot be downloaded.

    """
    path = Path(source).expanduser()
    if path.is_dir():
        return open_model(path.resolve(), str(path.resolve()))
    if path.suffix == ".gguf":
        raise gguf_error(path)
    if path.is_absolute() or source.startswith((".", "~")) or path.exists():
        raise UsageError(f"there is no model folder {source}: check the path")
    if revision and COMMIT.fullmatch(revision):  # a commit never changes: no request to the hub
        with contextlib.suppress(TruewardError):
            return open_model(Path(_download(source, revision, (), local=True)), source, revision)
    adapters_and_modules = ("adapter_*", "[0-9]*_*/*", "*dense*/*", "*Dense*/*")
    patterns = (*TEXT_FILES, *SAFETENSORS_FILES, *adapters_and_modules)
    folder = Path(_download(source, revision, patterns))
    if not any(folder.glob("*.safetensors")):
        folder = Path(_download(source, revision, (*TEXT_FILES, *TORCH_FILES)))
    return open_model(folder, source, folder.name)


def find_by_digest(source: str, revision: str | None, digest: str) -> ModelFolder:
    """Find the files that computed some features, at their old place or in $TRUEWARD_BACKBONE.

    Parameters
    ----------
    source : str
        Folder or hub name of the model when the features were computed.
    revision : str or None
        Commit on the hub.
    digest : str
        Digest of the files that computed the features.

    Raises
    ------
    TruewardError
        If the files are unavailable or have another digest.

    """
    moved_to = os.environ.get(FOLDER_VARIABLE)
    try:
        folder = find_model(source, revision)
    except TruewardError as e:
        if not moved_to:
            raise TruewardError(
                f"the language model that computed the features of this reward model is unavailable ({e}); "
                f"if it has moved, set {FOLDER_VARIABLE} to its folder"
            ) from e
        folder = replace(find_model(moved_to), source=source, revision=revision)
    if folder.digest != digest and moved_to:
        folder = replace(find_model(moved_to), source=source, revision=revision)
    if folder.digest != digest:
        both = f"{folder.adapter} and of its base model in " if folder.adapter else ""
        raise TruewardError(
            f"the features were computed with files of digest {digest} of {source}, but those in "
            f"{both}{folder.path} have digest {folder.digest}: restore the old files, set "
            f"{FOLDER_VARIABLE} to their folder, or fit again"
        )
    return folder


def _download(
    name: str, revision: str | None, patterns: tuple[str, ...], *, local: bool = False
) -> str:
    """Return the folder of a hub model; download the files that match ``patterns`` unless ``local``."""
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - heavy
    except ImportError as e:
        if "/" not in name:
            raise _unknown(
                name, "there is no such folder, and hub models need trueward[text]"
            ) from e
        raise missing_text_extra("huggingface_hub") from e
    try:
        return str(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(patterns) or None,
                local_files_only=local,
            )
        )
    except Exception as e:
        raise _download_error(name, e) from e


def _download_error(name: str, e: Exception) -> TruewardError:
    from huggingface_hub import constants, errors  # noqa: PLC0415 - heavy

    if isinstance(e, errors.GatedRepoError):
        return TruewardError(
            f"{name} is gated: request access on its page on the hub, and log in with hf auth login"
        )
    if isinstance(e, errors.RepositoryNotFoundError | errors.RevisionNotFoundError):
        return _unknown(name, "the hub has no such model, or it is private")
    if isinstance(e, errors.HFValidationError):
        return _unknown(name, "there is no such folder, and it is not a valid hub name")
    if isinstance(e, errors.LocalEntryNotFoundError):
        if "/" not in name:
            return _unknown(name, "there is no such folder, and the hub's cache has no such model")
        offline = constants.HF_HUB_OFFLINE
        reason = "HF_HUB_OFFLINE forbids downloads" if offline else "the hub is unreachable"
        return TruewardError(
            f"{name} is not on this machine, and {reason}: download it on a machine with network (hf "
            f"download {name}), or name the folder of a copy"
        )
    return TruewardError(
        f"{name} could not be downloaded ({type(e).__name__}): run the same command again; completed "
        "files are kept"
    )


def _unknown(name: str, reason: str) -> UsageError:
    return UsageError(
        f"there is no backbone {name!r}, {reason}: choose one of wordllama, the folder or hub name of a "
        "transformers model, http://HOST/v1, or precomputed:PATH"
    )
