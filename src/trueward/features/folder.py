"""Where the files of a language model are, and the digest that tells them from any others."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from trueward.errors import TruewardError, UsageError, missing_extra

MOVED = "TRUEWARD_BACKBONE"  # where the folder of a fitted model's backbone is now
TEXT = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "*.model", "tekken.json"),
    *("chat_template.jinja", "chat_template.json", "modules.json", "sentence_bert_config.json"),
)
WORDS = ("tokenizer.json", "vocab.txt", "vocab.json", "tekken.json")
SAFE = ("model*.safetensors", "model.safetensors.index.json")
TORCH = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
MODULE = re.compile(r"\d+_\w+")  # what sentence-transformers names the folders of its modules
COMMIT = re.compile(r"[0-9a-f]{40}")
LINKED = re.compile(r"[0-9a-f]{64}")  # the hub's own cache names a large file by its SHA-256


@dataclass(frozen=True)
class Folder:
    """The files of one model."""

    path: Path
    source: str  # what to ask for to find them again: a path, or a name on the hub
    revision: str | None  # the commit on the hub
    digest: str  # SHA-256 over the name and the content of all that makes features, 16 hex digits
    adapter: Path | None = None  # the folder of an adapter of peft on this model

    def json(self, name: str) -> dict[str, object]:
        """Read a JSON file of the folder; an absent one is empty, a list is under ``modules``."""
        path = self.path / name
        if not path.is_file():
            return {}
        try:
            read = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as e:
            raise TruewardError(
                f"{path} could not be read as JSON ({e}): fetch or copy the model again"
            ) from e
        return read if isinstance(read, dict) else {"modules": read}


def opened(path: Path, source: str, revision: str | None = None) -> Folder:
    """Give the model in a folder; an error in one sentence where it holds no whole model."""
    if (path / "adapter_config.json").is_file():
        from .adapter import on_its_base  # noqa: PLC0415 - it stands on this module

        return on_its_base(path, source, revision, find)
    if not (path / "config.json").is_file():
        raise UsageError(
            f"{path} should be the folder of a transformers model, and has no config.json: check the path"
        )
    files = _files(path)
    lost = _lost(path, files)
    if lost:
        raise TruewardError(
            f"{path} has no {lost}, as after an interrupted download or copy: fetch it again, or name "
            "a folder that has all"
        )
    return Folder(path, source, revision, _digest(path, files))


def _lost(path: Path, files: list[Path]) -> str:
    """Name what a model cannot be without and this one has not."""
    names = {file.name for file in files}
    for index in (name for name in names if name.endswith(".index.json")):
        try:
            wanted = set(json.loads((path / index).read_text("utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError):
            return f"weights that {index} lists"
        if wanted - names:
            return f"weights {min(wanted - names)}"
    weights = any(file.suffix in (".safetensors", ".bin") for file in files if file.parent == path)
    if not weights:
        return "weights (model*.safetensors or pytorch_model*.bin)"
    # without one, transformers makes a tokenizer that knows no word, and says nothing
    words = any(file.name in WORDS or file.suffix == ".model" for file in files)
    return "" if words else "tokenizer (tokenizer.json or a vocabulary)"


def _files(path: Path) -> list[Path]:
    """List what makes features; other formats of the weights and the papers beside them do not."""
    here = [p for pattern in TEXT for p in path.glob(pattern)]
    safe = [p for pattern in SAFE for p in path.glob(pattern)]
    weights = safe or [p for pattern in TORCH for p in path.glob(pattern)]
    inner = [
        file
        for folder in path.iterdir()
        if MODULE.fullmatch(folder.name) and folder.is_dir()
        for file in folder.iterdir()
        if file.name in ("config.json", "model.safetensors", "pytorch_model.bin")
    ]
    return [*here, *weights, *inner]


def _digest(path: Path, files: list[Path]) -> str:
    whole = hashlib.sha256()
    for name, file in sorted((file.relative_to(path).as_posix(), file) for file in files):
        state = file.stat()
        content = _sha256(file, state.st_size, state.st_mtime_ns)
        whole.update(f"{name}\0{content}\n".encode())
    return whole.hexdigest()[:16]


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


def needs_extra(package: str) -> TruewardError:
    """Say that the extra is missing."""
    return missing_extra("a language model", package, "text")


@cache
def _sha256(path: Path, size: int, changed: int) -> str:  # noqa: ARG001 - they make the memory current
    real = path.resolve()
    if real.parent.name == "blobs" and LINKED.fullmatch(real.name):
        return real.name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
