"""What the files of a model folder name: other files of the folder, nothing outside, and no code."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = re.compile(r"\w[\w.-]*")  # the name of a file or folder, and no path
MODULES = "modules.json"
AGAIN = "fetch or copy the model again"


def read_json(path: Path) -> Any:
    """Read a JSON file of a model folder.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    object
        Its value; None if there is no such file.

    Raises
    ------
    TruewardError
        If the file is not valid JSON.

    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise TruewardError(f"{path} could not be read as JSON ({e}): {AGAIN}") from e


def module_names(path: Path) -> tuple[str, ...]:
    """Return the folders of the modules of sentence-transformers, in the order of modules.json.

    Parameters
    ----------
    path : Path
        Folder of the model.

    Returns
    -------
    tuple of str
        The transformer in the top folder has the name ""; without a modules.json there are none.

    Raises
    ------
    TruewardError
        If a name is a path: absolute, with ``..``, or more than one folder deep.

    """
    modules = read_json(path / MODULES)
    if not isinstance(modules, list):
        return ()
    names: list[str] = []
    for module in modules:
        name = module.get("path", "") if isinstance(module, dict) else None
        if not isinstance(name, str) or (name and not PLAIN.fullmatch(name)):
            raise TruewardError(
                f"{path / MODULES} should name folders beside it, and names {name!r}, which is not read: "
                f"{AGAIN}"
            )
        names.append(name)
    return tuple(names)


def require_own_names(path: Path) -> None:
    """Check that the configuration of a model names no file outside of its folder, and no code.

    Parameters
    ----------
    path : Path
        Folder of the model.

    Raises
    ------
    TruewardError
        With the file and the name that is not followed.

    """
    config = read_json(path / "config.json")
    for key, value in _values(config):
        # transformers would fetch the code of such an implementation from the hub and run it
        code = key.endswith("_implementation") and "/" in str(value)
        if code or (key == "transformers_weights" and value is not None):
            raise TruewardError(
                f"{path / 'config.json'} names {value!r} as its {key}, which is not followed: remove that "
                "line, or choose another model"
            )
    tokenizer = read_json(path / "tokenizer_config.json")
    files = tokenizer.get("fast_tokenizer_files") if isinstance(tokenizer, dict) else None
    for name in files if isinstance(files, list) else []:
        if not isinstance(name, str) or not PLAIN.fullmatch(name):
            raise TruewardError(
                f"{path / 'tokenizer_config.json'} should name files beside it, and names {name!r}, which is "
                f"not read: {AGAIN}"
            )


def _values(config: Any) -> list[tuple[str, Any]]:
    """Return keys and values of a configuration and of the configurations in it."""
    if not isinstance(config, dict):
        return []
    inner = [pair for value in config.values() for pair in _values(value)]
    return [*config.items(), *inner]
