"""`--config run.yaml`: the same names as on the command line, which wins where both speak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trueward.core.errors import UsageError

GROUPS = ("ask", "benchmark", "label")


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
        command = next((k for k, w in enumerate(rest) if not w.startswith("-")), len(rest) - 1)
        if rest[command : command + 1] and rest[command] in GROUPS:  # the second word is the command
            command += 1
        return rest[: command + 1] + words + rest[command + 1 :]
    return given


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
    words: list[str] = []
    for name, value in read.items():
        words += _option(str(name).replace("_", "-"), value)
    return words


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
