"""What the steps of a pipeline do: run a command, compare metrics, promote, reload."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError, UsageError
from trueward.core.output_lock import only_writer

from .contents import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .definition import Step

    Execute = Callable[[Sequence[str], bool, bool], "Executed"]

GATE = 3  # exit code of an evaluation whose own condition failed


@dataclass(frozen=True)
class Executed:
    """The end of a command: its exit code, and its standard output where it was kept."""

    code: int
    output: str = ""


class RefusedError(TruewardError):
    """A condition refuses the model: what is current stays in place.

    Attributes
    ----------
    exit_code : int
        Exit code of the pipeline: 3.

    """

    exit_code = GATE


def run_command(step: Step, execute: Execute, *, resume: bool) -> None:
    """Run the command of a step to its end.

    Raises
    ------
    TruewardError
        If it ends with an exit code that the step does not accept.

    """
    words = [*step.line.words, *(["--resume"] if resume else [])]
    _check_code(step, execute(words, step.kind == "run", False))


def measure(step: Step, model: str, execute: Execute) -> dict[str, Any]:
    """Run the command of a step on a model and return its metrics.

    Raises
    ------
    RefusedError
        If the command refuses the model itself.
    TruewardError
        If the command fails or prints no metrics.

    """
    words = list(step.line.words)
    words[words.index(step.line.model or "")] = model
    words += [] if "--json" in words else ["--json"]
    done = execute(words, True, True)
    if done.code == GATE and GATE not in step.accept:
        raise RefusedError(f"{step.name} refused {model} (exit code {GATE})")
    _check_code(step, done)
    try:
        read = json.loads(done.output)
        found = read.get("metrics", read)
        return {k: _numbers(v) for k, v in found.items() if _numbers(v)}
    except (ValueError, AttributeError, RecursionError) as e:
        raise TruewardError(f"step {step.name} printed no metrics as JSON ({e})") from e


def measured_as(step: Step, model: str, version: str) -> str:
    """Return the key of a measurement: equal for models of equal content, by the same command and data."""
    words = ["" if w == step.line.model else w for w in step.line.words]
    others = [r for r in step.line.reads if r != step.line.model]
    content = [version, words, digest(model), [digest(r) for r in others]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def promote(step: Step) -> None:
    """Put every new file or folder in its place, each as a whole.

    Raises
    ------
    TruewardError
        If a place holds something of another kind.

    """
    for source, target in step.promote:
        new, place = Path(source), Path(target)
        _require_same_kind(new, place)
        with only_writer(place):
            if step.keep_previous and place.exists():
                with replacing(place.with_name(f"{place.name}.previous")) as path:
                    _copy(place, path)
            with replacing(place) as path:
                _copy(new, path)


def reload(step: Step) -> None:
    """Tell every server to load the model.

    Raises
    ------
    TruewardError
        If one does not.

    """
    from trueward.features.http_json import (  # noqa: PLC0415 - it loads torch
        JsonRequest,
        request_json,
    )

    body = {} if step.model is None else {"model": step.model}
    promoted = {d for d in map(_model_digest, step.line.reads) if d}
    for url in step.urls:
        address = f"{url.rstrip('/')}/admin/reload"
        try:
            answer = request_json(JsonRequest(address, body, os.environ.get("TRUEWARD_API_KEY")))
        except UsageError as e:
            raise TruewardError(
                f"{address} is not there (HTTP 404): give the address of a `trueward serve`"
            ) from e
        except TruewardError as e:
            raise TruewardError(f"{url} did not load the promoted model: {e}") from e
        loaded = answer.get("digest") if isinstance(answer, dict) else None
        if promoted and loaded not in promoted:
            raise TruewardError(
                f"{url} loaded another model than was promoted (digest {loaded}): let the server serve the "
                "folder that `promote` writes, or name it with `model:`"
            )


def _model_digest(folder: str) -> str | None:
    """Return the digest in the record of a model folder; None for anything else."""
    try:
        record = json.loads(Path(folder, "model.json").read_text(encoding="utf-8"))
        return str(record["digest"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _check_code(step: Step, done: Executed) -> None:
    if done.code in step.accept:
        return
    accepted = f" (`accept: [{done.code}]` would go on)" if 0 < done.code < 128 else ""
    why = f"signal {-done.code}" if done.code < 0 else f"exit code {done.code}"
    raise TruewardError(
        f"step {step.name} ended with {why}, see above{accepted}; the same command continues here"
    )


def _numbers(value: Any) -> Any:
    """Return the numbers of a metric, without the texts of reasons; nothing if it has none."""
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if isinstance(v, int | float | None)}
    return value if isinstance(value, int | float) and not isinstance(value, bool) else {}


def _require_same_kind(new: Path, place: Path) -> None:
    """Refuse a promotion over what has nothing to do with it."""
    if not new.exists():
        raise TruewardError(
            f"promote: {new} does not exist; an earlier step should have written it"
        )
    if place.is_dir() and any(place.iterdir()):
        shared = new.is_dir() and {p.name for p in new.iterdir()} & {
            p.name for p in place.iterdir()
        }
        if not shared:
            raise TruewardError(
                f"promote: {place} exists and holds something else than {new}, so it is left alone; give "
                "another place"
            )
    elif place.is_file() and new.is_dir():
        raise TruewardError(f"promote: {place} is a file and {new} a folder; give another place")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)
