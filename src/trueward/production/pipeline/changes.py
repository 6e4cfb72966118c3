"""Whether a step has to run: what it reads, does and writes, compared with when it last ended."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .contents import digest
from .values import within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .definition import Step
    from .store import Store

CHECKPOINT = ".checkpoint"  # ending of what an interrupted fit leaves beside its output


def reason_to_run(
    step: Step, store: Store, version: str, *, force: bool, planned: Sequence[str]
) -> str | None:
    """Return why a step has to run; None if nothing changed since it last ended.

    Parameters
    ----------
    step : Step
        The step.
    store : Store
        What is known of earlier runs.
    version : str
        Version of trueward.
    force : bool
        Every step has to run.
    planned : sequence of str
        Places that earlier steps of a dry run would write.

    Returns
    -------
    str or None

    """
    old, started = store.steps.get(step.name), store.started
    if old is None:
        stopped = started is not None and started.get("name") == step.name
        return "it has not ended yet" if stopped else "it has not run yet"
    if force:
        return "--force"
    if step.always:
        return "it depends on more than files"
    if old["version"] != version:
        return f"it ran with trueward {old['version']}"
    if old["described"] != step.described():
        return "its options changed"
    new = _inputs(step)
    changed = [p for p in {**new, **old["inputs"]} if new.get(p) != old["inputs"].get(p)]
    if changed:
        return f"{changed[0]} changed"
    rewritten = [p for p in step.line.reads if any(within(p, w) or within(w, p) for w in planned)]
    if rewritten:
        return f"if {rewritten[0]} comes out different"
    lost = [p for p, content in old["outputs"].items() if digest(p) != content]
    return f"{lost[0]} is not as the step left it" if lost else None


def state_of(step: Step, version: str) -> dict[str, Any]:
    """Return what decides whether a step has to run again: version, what it does, digests of its inputs."""
    return {"version": version, "described": step.described(), "inputs": _inputs(step)}


def can_resume(step: Step, started: dict[str, Any] | None, begins: dict[str, Any]) -> bool:
    """Return whether an interrupted command can go on; the checkpoint of one with other inputs is removed.

    Parameters
    ----------
    step : Step
        The step that begins.
    started : dict or None
        Name and state of the step that did not end in the last run.
    begins : dict
        Name and state of this one.

    Returns
    -------
    bool

    """
    if not step.line.resumes or started is None or started.get("name") != step.name:
        return False
    outputs = (Path(p).resolve() for p in step.line.writes)
    saved = [c for c in (p.with_name(p.name + CHECKPOINT) for p in outputs) if c.is_dir()]
    if started != begins:
        for checkpoint in saved:
            shutil.rmtree(checkpoint)
        return False
    return bool(saved) and "--resume" not in step.line.words


def _inputs(step: Step) -> dict[str, str]:
    found = {path: digest(path) for path in step.line.reads}
    return {path: content for path, content in found.items() if content is not None}
