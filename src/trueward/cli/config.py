"""`--config run.yaml`: the same names as on the command line, which wins where both speak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trueward.core.errors import UsageError

GROUPS = (["ask"], ["benchmark"], ["label"])


def expand(given: list[str]) -> list[str]:
    """Replace ``--config FILE`` by the options in the file, right after the command's name."""
    for i, word in enumerate(given):
        if word == "--config" and i + 1 < len(given):
            file, rest = given[i + 1], given[:i] + given[i + 2 :]
        elif word.startswith("--config="):
            file, rest = word.removeprefix("--config="), given[:i] + given[i + 1 :]
        else:
            continue
        words = _words(Path(file))
        return with_options(rest, words)
    return given


def with_options(given: list[str], words: list[str]) -> list[str]:
    """Put the words of options right after the name of the command, so that later ones win."""
    command = next((k for k, w in enumerate(given) if not w.startswith("-")), len(given) - 1)
    if given[command : command + 1] in GROUPS:  # their commands are the second word
        command += 1
    return given[: command + 1] + words + given[command + 1 :]


def _words(file: Path) -> list[str]:
    from trueward.core.yaml_text import read_yaml

    try:
        read = read_yaml(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise UsageError(f"--config {file} could not be read as YAML: {e}") from e
    if not isinstance(read, dict):
        raise UsageError(
            f"--config {file} must map option names to values, like `seed: 1`, and holds "
            f"{type(read).__name__}"
        )
    return option_words(read)


def option_words(options: dict[Any, Any]) -> list[str]:
    """Return options by name as the words of a command line.

    Parameters
    ----------
    options : dict
        Name without dashes -> a value, true, a list of values, or a mapping for NAME=VALUE.

    Returns
    -------
    list of str

    """
    return [w for k, v in options.items() for w in _option(str(k).replace("_", "-"), v)]


def _option(name: str, value: Any) -> list[str]:
    flag = f"-{name}" if len(name) == 1 else f"--{name}"
    if isinstance(value, dict):
        return [w for k, v in value.items() for w in (flag, f"{k}={_plain(v)}")]
    if isinstance(value, list):
        return [w for v in value for w in (flag, _plain(v))]
    if isinstance(value, bool):
        return [flag] if value else []
    return [] if value is None else [flag, _plain(value)]


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    return str(value)
