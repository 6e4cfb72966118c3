"""Where the files of a language model are, and the digest that tells them from any others."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError, UsageError, missing_extra

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "*.model", "tekken.json"),
    *("chat_template.jinja", "chat_template.json", "modules.json", "sentence_bert_config.json"),
)
WORDS = ("tokenizer.json", "vocab.txt", "vocab.json", "tekken.json")
SAFE = ("model*.safetensors", "model.safetensors.index.json")
TORCH = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
MODULE = re.compile(r"\d+_\w+")  # what sentence-transformers names the folders of its modules
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


def whole(path: Path, source: str, revision: str | None = None) -> Folder:
    """Give the model in a folder that is no adapter; an error in one sentence where parts are missing."""
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
