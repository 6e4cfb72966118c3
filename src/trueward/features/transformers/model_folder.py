"""The files of a language model, and the digest that identifies their content."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError, UsageError, missing_extra

from .named_files import module_names, read_json, require_own_names

if TYPE_CHECKING:
    from pathlib import Path

TEXT_FILES = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "*.model", "tekken.json"),
    *("chat_template.jinja", "chat_template.json", "modules.json", "sentence_bert_config.json"),
    # of fewer models: further templates, and other files of tokenizers
    *(
        "additional_chat_templates/*.jinja",
        "tokenizer.*.json",
        "tokenizer.model.*",
        "*.spm",
        "*.tiktoken",
    ),
    *(
        "bpe.codes",
        "byte_maps.json",
        "dict.txt",
        "emoji.json",
        "entity_vocab.json",
        "normalizer.json",
    ),
    *("prophetnet.tokenizer", "target_vocab.json", "vocab-*.json", "word_*.json"),
)
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "tekken.json")
SAFETENSORS_FILES = ("model*.safetensors", "model.safetensors.index.json")
TORCH_FILES = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
# what transformers looks for first; other files of safetensors it does not read by themselves
SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
MODULE_FILES = ("config.json", "model.safetensors", "pytorch_model.bin")
BLOB = re.compile(r"[0-9a-f]{64}")  # the hub's cache names a large file by its SHA-256


@dataclass(frozen=True)
class ModelFolder:
    """The files of one language model.

    Attributes
    ----------
    path : Path
        Folder of the files.
    source : str
        Path or hub name under which the model can be found again.
    revision : str or None
        Commit on the hub; None for a local folder.
    digest : str
        16 hexadecimal digits of the SHA-256 over the names and contents of all files that determine
        the features.
    adapter : Path or None
        Folder of a peft adapter on this model.

    """

    path: Path
    source: str
    revision: str | None
    digest: str
    adapter: Path | None = None

    def json(self, name: str) -> dict[str, object]:
        """Read a JSON file of the folder.

        Parameters
        ----------
        name : str
            Path relative to the folder.

        Returns
        -------
        dict
            Empty if the file is absent; a JSON list is under the key ``modules``.

        Raises
        ------
        TruewardError
            If the file is not valid JSON.

        """
        value = read_json(self.path / name)
        if value is None:
            return {}
        return value if isinstance(value, dict) else {"modules": value}


def complete_model(path: Path, source: str, revision: str | None = None) -> ModelFolder:
    """Return the model in a folder after a check that its files are complete.

    Parameters
    ----------
    path : Path
        Folder of a model that is not an adapter.
    source : str
        Path or hub name under which it can be found again.
    revision : str or None
        Commit on the hub.

    Raises
    ------
    UsageError
        If the folder has no config.json.
    TruewardError
        If weights or tokenizer are missing, or the folder names files outside of it.

    """
    if (
        not any(path.glob("*.safetensors"))
        and not any(path.glob("*.bin"))
        and any(path.glob("*.gguf"))
    ):
        raise gguf_error(path)
    if not (path / "config.json").is_file():
        raise UsageError(
            f"{path} should be the folder of a transformers model, and has no config.json: check the path"
        )
    require_own_names(path)
    files = _files(path)
    missing = _missing(path, files)
    if missing:
        raise TruewardError(
            f"{path} has no {missing}, probably after an interrupted download or copy: fetch it again, "
            "or name a complete folder"
        )
    return ModelFolder(path, source, revision, _digest(path, files, hub=revision is not None))


def gguf_error(path: Path) -> UsageError:
    """Return the error that weights are in the format of llama.cpp.

    Parameters
    ----------
    path : Path
        A file, or a folder of them.

    Returns
    -------
    UsageError
        The error, for the caller to raise.

    """
    return UsageError(
        f"{path} has weights in GGUF, the format of llama.cpp, and a backbone is a folder of transformers "
        "(config.json, model.safetensors): name the model that it was converted from, or serve it and give "
        "http://HOST/v1"
    )


def _missing(path: Path, files: list[Path]) -> str:
    """Name the missing part of an incomplete model; empty if it is complete."""
    names = {file.name for file in files}
    for index in (name for name in names if name.endswith(".index.json")):
        try:
            shards = {str(shard) for shard in read_json(path / index)["weight_map"].values()}
        except (TruewardError, KeyError, TypeError, AttributeError):
            return f"weights that {index} lists"
        if shards - names:
            return f"weights {min(shards - names)}"
    weights = any(file.suffix in (".safetensors", ".bin") for file in files if file.parent == path)
    if not weights:
        return "weights (model*.safetensors or pytorch_model*.bin)"
    # without these files transformers silently makes a tokenizer with an empty vocabulary
    tokenizer = any(file.name in TOKENIZER_FILES or file.suffix == ".model" for file in files)
    return "" if tokenizer else "tokenizer (tokenizer.json or a vocabulary)"


def _files(path: Path) -> list[Path]:
    """List the files that determine the features, so no other weight formats and no READMEs."""
    text = [p for pattern in TEXT_FILES for p in path.glob(pattern)]
    safetensors = [p for pattern in SAFETENSORS_FILES for p in path.glob(pattern)]
    torch = [p for pattern in TORCH_FILES for p in path.glob(pattern)]
    first = any(p.name in SAFETENSORS for p in safetensors) or not torch
    modules = [
        path / name / file
        for name in dict.fromkeys(module_names(path))
        if name
        for file in MODULE_FILES
    ]
    named = [*text, *(safetensors if first else torch), *(p for p in modules if p.is_file())]
    return sorted(set(named))


def _digest(path: Path, files: list[Path], *, hub: bool) -> str:
    digest = hashlib.sha256()
    for name, file in sorted((file.relative_to(path).as_posix(), file) for file in files):
        stat = file.stat()
        content = _sha256(file, stat.st_size, stat.st_mtime_ns, hub=hub)
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()[:16]


def missing_text_extra(package: str) -> TruewardError:
    """Return the error that the extra ``trueward[text]`` with ``package`` is not installed.

    Parameters
    ----------
    package : str
        Name of the missing package.

    Returns
    -------
    TruewardError
        The error, for the caller to raise.

    """
    return missing_extra("a language model", package, "text")


@cache
def _sha256(path: Path, size: int, changed: int, *, hub: bool) -> str:  # noqa: ARG001 - they invalidate the cache
    real = path.resolve()
    if hub and real.parent.name == "blobs" and BLOB.fullmatch(real.name):
        return real.name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
