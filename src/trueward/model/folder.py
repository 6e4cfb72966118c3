"""The folder of a saved reward model: ``model.safetensors``, ``model.json``, and its language model."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError
from trueward.core.shapes import NUMBER, TEXT, misfit

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 3
_WITHOUT_MAPS = {"calibration": None, "usual": None, "language_model": False}
#: formats of earlier releases that are read -> what their records lack
EARLIER: dict[int, dict[str, Any]] = {1: {"composed": False, **_WITHOUT_MAPS}, 2: _WITHOUT_MAPS}
OWN = "language_model"  # folder of a language model that was fine-tuned with the reward
#: fields of model.json, and the types that each may have
FIELDS: dict[str, tuple[type, ...]] = {
    "method": (str,),
    "options": (dict,),
    "composed": (bool,),
    "shape": (dict, list),
    "backbone": (str, type(None)),
    "calibration": (str, type(None)),
    "usual": (int, float, type(None)),
    "card": (str,),
    "report": (dict,),
}
NONE = type(None)
WORDS = (NONE, [TEXT])
#: what other commands read of the report of a fit
REPORT: dict[str, Any] = {
    "rows": {"*": NUMBER},
    "rated": {"*": NUMBER},
    "data": TEXT,
    "training": {},
    "nuisances": {"*": {}},
    "spread": {},
    "warnings": [TEXT],
    "reasons?": [TEXT],
    "command?": (NONE, str),
    "calibration?": {"gold?": NUMBER, "warning?": TEXT},
    "log?": {"map?": WORDS, "split?": (NONE, str), "values?": (NONE, {"*": WORDS})},
}
LIBRARIES = ("torch", "numpy", "safetensors", "wordllama", "polars")  # whose versions are recorded


def claim(folder: str | Path) -> Path:
    """Return the folder as a place for a model: a new one, an empty one, or one that holds a model.

    Parameters
    ----------
    folder : str or Path
        Where a model is to be saved.

    Raises
    ------
    TruewardError
        If it exists and holds anything else.

    """
    path = Path(folder)
    ours = path.is_dir() and (not any(path.iterdir()) or (path / "model.json").exists())
    if path.exists() and not ours:
        raise TruewardError(
            f"{path} exists and is no reward model, so it is left alone; give another folder"
        )
    return path


def write_folder(
    folder: str | Path,
    tensors: dict[str, Tensor],
    record: dict[str, Any],
    language_model: Path | None,
) -> None:
    """Write a model folder; it is replaced as a whole or not at all.

    Parameters
    ----------
    folder : str or Path
        Where to write; see `claim`.
    tensors : dict of str to Tensor
        All tensors of the model.
    record : dict
        What ``model.json`` holds beside format, versions and digests.
    language_model : Path or None
        Folder of the model's own language model, which is copied.

    Raises
    ------
    TruewardError
        If the folder holds anything else, or cannot be written.

    """
    target = claim(folder)
    with replacing(target) as path:
        path.mkdir()
        save_file(tensors, path / "model.safetensors")
        if language_model is not None:
            shutil.copytree(language_model, path / OWN)
        record = {
            "format": FORMAT,
            "trueward": version("trueward"),
            "sha256": _sha256(path / "model.safetensors"),
            "versions": {name: version(name) for name in LIBRARIES},
            **record,
        }
        record["digest"] = _digest(record)
        (path / "model.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def read_tensors(folder: Path, record: dict[str, Any]) -> dict[str, Tensor]:
    """Read the tensors of a model folder.

    Parameters
    ----------
    folder : Path
        The model folder.
    record : dict
        Result of `read_record`.

    Raises
    ------
    TruewardError
        If they are not the tensors that were saved with the record.

    """
    if _sha256(folder / "model.safetensors") != record["sha256"]:
        raise TruewardError(
            f"{folder}/model.safetensors does not match its model.json: it is damaged or "
            "incomplete; copy the folder again"
        )
    return load_file(folder / "model.safetensors")


def read_record(folder: Path) -> dict[str, Any]:
    """Read ``model.json`` of a model folder, of this format or one of `EARLIER`.

    Parameters
    ----------
    folder : Path
        The model folder.

    Raises
    ------
    TruewardError
        If it is missing, damaged, edited, or of another format.

    """
    file = folder / "model.json"
    if not file.is_file():
        raise TruewardError(
            f"{folder} is no reward model: it has no model.json; give the folder that fit --out wrote"
        )
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        number = int(record["format"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as e:
        raise TruewardError(f"{file} is damaged ({e}); copy or fit the model again") from e
    if number < FORMAT and number not in EARLIER:
        raise TruewardError(
            f"{folder} was written by trueward {record.get('trueward', '?')} in format {number}, which this "
            "version no longer reads: fit it again"
        )
    if number > FORMAT:
        raise TruewardError(
            f"{folder} was written by trueward {record.get('trueward', '?')} in format {number}, and this "
            f"version reads up to {FORMAT}: upgrade trueward"
        )
    if record.get("digest") != _digest(record):
        raise TruewardError(f"{file} is damaged or was edited by hand; copy or fit the model again")
    record = EARLIER.get(number, {}) | record
    wrong = [k for k, types in FIELDS.items() if not isinstance(record.get(k), types)]
    wrong += [] if "backbone" in wrong or _describes(record.get("backbone")) else ["backbone"]
    wrong = wrong or [w for w in [misfit(record["report"], REPORT, "report")] if w]
    if wrong:
        raise TruewardError(f"{file} has no valid {', '.join(wrong)}; copy or fit the model again")
    return dict(record)


def require_same_reward(folder: Path, record: dict[str, Any]) -> None:
    """Refuse a reward composed of nuisances in an earlier format, in which it was computed in another way.

    Parameters
    ----------
    folder : Path
        The model folder.
    record : dict
        Result of `read_record`, of a method whose reward is composed of nuisances.

    Raises
    ------
    TruewardError
        If the format is an earlier one.

    """
    if record["format"] < FORMAT:
        raise TruewardError(
            f"{folder} was written in format {record['format']}, in which {record['method']} was computed in "
            "another way, so this version cannot read it: fit it again"
        )


def _describes(backbone: str | None) -> bool:
    """Whether a backbone is a JSON object, as `Backbone.spec` gives; a method on features has none."""
    try:
        return backbone is None or isinstance(json.loads(backbone), dict)
    except (ValueError, RecursionError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _digest(record: dict[str, Any]) -> str:
    """SHA-256 of a model.json without the digest itself."""
    signed = {k: v for k, v in record.items() if k != "digest"}
    return hashlib.sha256(json.dumps(signed, sort_keys=True).encode()).hexdigest()
