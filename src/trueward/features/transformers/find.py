"""Find a language model: a folder, an adapter on its base, or a name on the hub."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import replace
from pathlib import Path

from trueward.core.errors import TruewardError, UsageError

from .adapter import on_its_base
from .folder import SAFE, TEXT, TORCH, Folder, needs_extra, whole

MOVED = "TRUEWARD_BACKBONE"  # where the folder of a fitted model's backbone is now
COMMIT = re.compile(r"[0-9a-f]{40}")


def opened(path: Path, source: str, revision: str | None = None) -> Folder:
    """Give the model in a folder; an error in one sentence where it holds no whole model."""
    if (path / "adapter_config.json").is_file():
        return on_its_base(path, source, revision, find)
    return whole(path, source, revision)


def find(source: str, revision: str | None = None) -> Folder:
    """Find a folder on disk, else a model of the hub: in its cache, or fetched where that is allowed."""
    path = Path(source).expanduser()
    if path.is_dir():
        return opened(path.resolve(), str(path.resolve()))
    if path.is_absolute() or source.startswith((".", "~")) or path.exists():
        raise UsageError(f"there is no folder {source} with a model: check the path")
    if revision and COMMIT.fullmatch(revision):  # nothing can be newer: do not ask the hub
        with contextlib.suppress(TruewardError):
            return opened(Path(_fetched(source, revision, (), local=True)), source, revision)
    found = Path(_fetched(source, revision, (*TEXT, *SAFE, "adapter_*", "[0-9]*_*/*")))
    if not any(found.glob("*.safetensors")):
        found = Path(_fetched(source, revision, (*TEXT, *TORCH)))
    return opened(found, source, found.name)


def found_again(source: str, revision: str | None, digest: str) -> Folder:
    """Find the files that made some features: where they were, or where $TRUEWARD_BACKBONE says."""
    now = os.environ.get(MOVED)
    try:
        folder = find(source, revision)
    except TruewardError as e:
        if not now:
            raise TruewardError(
                f"the text model that made the features of this reward model is not to be had ({e}); "
                f"if it has moved, set {MOVED} to its folder"
            ) from e
        folder = replace(find(now), source=source, revision=revision)
    if folder.digest != digest and now:
        folder = replace(find(now), source=source, revision=revision)
    if folder.digest != digest:
        raise TruewardError(
            f"the features were made by the files {digest} of {source}, but those in {folder.path} are "
            f"{folder.digest}: put the old ones back, set {MOVED} to where they are, or fit again"
        )
    return folder


def _fetched(
    name: str, revision: str | None, patterns: tuple[str, ...], *, local: bool = False
) -> str:
    try:
        from huggingface_hub import constants, errors, snapshot_download  # noqa: PLC0415 - heavy
    except ImportError as e:
        if "/" not in name:
            raise _unknown(name, "it is no folder here, and the hub needs trueward[text]") from e
        raise needs_extra("huggingface_hub") from e
    try:
        return str(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(patterns) or None,
                local_files_only=local,
            )
        )
    except errors.GatedRepoError as e:
        raise TruewardError(
            f"{name} is gated: ask for access on its page on the hub, and log in with hf auth login"
        ) from e
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as e:
        raise _unknown(name, "the hub has no such model, or it is private") from e
    except errors.HFValidationError as e:
        raise _unknown(name, "it is no folder here, and no name that the hub could have") from e
    except errors.LocalEntryNotFoundError as e:
        if "/" not in name:
            raise _unknown(
                name, "it is no folder here, and the hub's cache has no such model"
            ) from e
        why = (
            "HF_HUB_OFFLINE forbids to fetch it"
            if constants.HF_HUB_OFFLINE
            else "the hub is out of reach"
        )
        raise TruewardError(
            f"{name} is not on this machine, and {why}: fetch it where there is a network (hf download "
            f"{name}), or give the folder of a copy"
        ) from e
    except Exception as e:
        raise TruewardError(
            f"{name} could not be fetched ({type(e).__name__}): run the same command again, what has "
            "arrived is kept"
        ) from e


def _unknown(name: str, why: str) -> UsageError:
    return UsageError(
        f"there is no backbone {name!r}, {why}: choose one of wordllama, the folder or hub name of a "
        "transformers model, http://HOST/v1, or precomputed:PATH"
    )
