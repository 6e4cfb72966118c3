"""Run the steps of a pipeline whose inputs changed, and keep a record."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError
from trueward.core.output_lock import only_writer

from .changes import can_resume, reason_to_run, state_of
from .contents import digest
from .store import Store, now, portable, write_record
from .work import GATE, RefusedError, measure, measured_as, promote, reload, run_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from .definition import Pipeline, Step
    from .work import Execute


@dataclass(frozen=True)
class Outcome:
    """The end of a run.

    Attributes
    ----------
    record : dict
        What ran and why, as it is stored.
    sentence : str
        The result in words.
    exit_code : int
        0 done, 3 refused by a gate.

    """

    record: dict[str, Any]
    sentence: str
    exit_code: int


@dataclass
class _Run:
    """One run of a pipeline: what it keeps and whom it tells."""

    pipeline: Pipeline
    store: Store
    version: str
    execute: Execute
    say: Callable[[str], None]
    force: bool
    entries: list[dict[str, Any]] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)  # places that a dry run would write


def run_pipeline(
    pipeline: Pipeline,
    folder: Path,
    execute: Execute,
    *,
    version: str,
    say: Callable[[str], None] = lambda _line: None,
    force: bool = False,
    dry_run: bool = False,
) -> Outcome:
    """Run the steps whose inputs, options or version changed since they last ended.

    Parameters
    ----------
    pipeline : Pipeline
        The steps.
    folder : Path
        Where the state and the records are kept.
    execute : callable
        Runs words: (words, of trueward or of any program, keep its output) -> `Executed`.
    version : str
        Version of trueward; another one runs all steps again.
    say : callable
        Receives one line for each step.
    force : bool
        Run every step.
    dry_run : bool
        Run nothing and write nothing; the record says what would run and why.

    Returns
    -------
    Outcome

    Raises
    ------
    TruewardError
        If a step fails, or another process runs this pipeline. What has ended is kept.

    """
    if dry_run:
        run = _Run(pipeline, Store.read(folder), version, execute, say, force)
        return _planned(run)
    with only_writer(folder):
        run = _Run(pipeline, Store.read(folder), version, execute, say, force)
        return _run_all(run)


def _planned(run: _Run) -> Outcome:
    steps = run.pipeline.steps
    for number, step in enumerate(steps, 1):
        why = _why(run, step)
        status = "would run" if why else "would be skipped"
        run.say(f"[{number}/{len(steps)}] {step.name}: {status}" + (f", {why}" if why else ""))
        run.entries.append(_entry(step, status, why))
        run.planned += step.line.writes if why else ()
    count = sum(e["status"] == "would run" for e in run.entries)
    record = _record(run, now()) | {"result": "dry run"}
    return Outcome(record, f"{run.pipeline.name}: {count} of {len(steps)} steps would run", 0)


def _run_all(run: _Run) -> Outcome:
    """Run the steps in their order; the record is on the disk after each of them."""
    store, began, started = run.store, time.monotonic(), now()
    store.close_killed_runs()
    file = store.new_record()
    result, code, why = "failed", 1, ""
    steps = run.pipeline.steps
    write_record(file, _record(run, started))
    try:
        for number, step in enumerate(steps, 1):
            _run_one(run, step, f"[{number}/{len(steps)}] {step.name}")
            write_record(file, _record(run, started))
        result, code = "done", 0
    except RefusedError as e:
        result, code, why = "refused", GATE, str(e)
    except KeyboardInterrupt as e:
        result, code = "stopped", getattr(e, "code", 130)
        e.args = ("the finished steps are kept; the same command continues",)
        raise
    except TruewardError as e:
        code = e.exit_code
        raise
    finally:
        for entry in run.entries:
            entry["status"] = result if entry["status"] == "started" else entry["status"]
        run.entries += [_entry(s, "not run", None) for s in steps[len(run.entries) :]]
        ended = {"result": result, "exit_code": code, "seconds": round(time.monotonic() - began, 1)}
        write_record(file, _record(run, started) | ended)
    ran = [e["name"] for e in run.entries if e["status"] == "ran"]
    if code:
        return Outcome(_record(run, started) | ended, f"{run.pipeline.name}: {why}", code)
    store.measured = {k: v for k, v in store.measured.items() if k in _used(run)}
    store.save()
    done = f"ran {', '.join(ran)}" if ran else "nothing changed, so nothing ran"
    sentence = (
        f"{run.pipeline.name}: {done} ({len(steps) - len(ran)} of {len(steps)} steps skipped)"
    )
    return Outcome(_record(run, started) | ended, f"{sentence}; record: {file}", 0)


def _run_one(run: _Run, step: Step, label: str) -> None:
    """Run a step if something changed since it last ended, and check its conditions in any case."""
    entry, began = _entry(step, "started", None), time.monotonic()
    run.entries.append(entry)
    try:
        entry["why"] = why = _why(run, step)
        run.say(f"{label}: runs, {why}" if why else f"{label}: skipped, nothing changed")
        if why:
            _do(run, step)
        if step.line.model is not None:
            _measure_and_judge(run, step, entry)
        if why:
            _finish(run, step, entry)
            run.say(f"{label}: done in {time.monotonic() - began:.1f} s")
        entry["status"] = "ran" if why else "skipped"
    finally:
        entry["seconds"] = round(time.monotonic() - began, 1)


def _why(run: _Run, step: Step) -> str | None:
    return reason_to_run(step, run.store, run.version, force=run.force, planned=run.planned)


def _do(run: _Run, step: Step) -> None:
    begins = {"name": step.name, **state_of(step, run.version)}
    resume = can_resume(step, run.store.started, begins)
    run.store.started = begins
    run.store.steps.pop(step.name, None)
    run.store.save()
    if step.kind == "promote":
        promote(step)
    elif step.kind == "reload":
        reload(step)
    elif step.line.model is None:
        run_command(step, run.execute, resume=resume)


def _finish(run: _Run, step: Step, entry: dict[str, Any]) -> None:
    """Keep a step as finished, with the inputs that it began with."""
    assert run.store.started is not None
    begun = {k: v for k, v in run.store.started.items() if k != "name"}
    outputs = {path: digest(path) for path in step.line.writes}
    missing = [path for path, content in outputs.items() if content is None]
    if missing:
        raise TruewardError(f"step {step.name} ended without {missing[0]}, which it should write")
    run.store.steps[step.name] = {**begun, "outputs": outputs}
    run.store.started = None
    run.store.save()
    entry["inputs"] = [{"path": portable(p), "sha256": d} for p, d in begun["inputs"].items()]
    entry["outputs"] = [{"path": portable(p), "sha256": d} for p, d in outputs.items()]


def _measure_and_judge(run: _Run, step: Step, entry: dict[str, Any]) -> None:
    """Take the metrics of the model, and of the current one, and refuse the model if a condition holds."""
    assert step.line.model is not None
    metrics = _metrics(run, step, step.line.model, entry)
    entry["metrics"] = metrics
    current = None
    if step.current is not None and Path(step.current).exists():
        current = _metrics(run, step, step.current, entry)
        entry["current"] = current
    findings = [condition.check(metrics, current) for condition in step.fail_if]
    entry["conditions"] = [f.to_json() for f in findings]
    for finding in findings:
        run.say(f"  {finding.sentence}{': refused' if finding.fails else ''}")
    failed = [f.sentence for f in findings if f.fails]
    if failed:
        raise RefusedError(
            f"refused by {step.name}: {'; '.join(failed)}; the later steps did not run"
        )


def _metrics(run: _Run, step: Step, model: str, entry: dict[str, Any]) -> dict[str, Any]:
    key = measured_as(step, model, run.version)
    known = run.store.measured.get(key)
    if known is None or ((run.force or step.always) and key not in _used(run)):
        run.say(f"  measuring {model}")
        known = measure(step, model, run.execute)
        run.store.measured[key] = known
        run.store.save()
    entry.setdefault("measured", []).append(key)
    return dict(known)


def _used(run: _Run) -> set[str]:
    return {key for entry in run.entries for key in entry.get("measured", ())}


def _entry(step: Step, status: str, why: str | None) -> dict[str, Any]:
    words = [portable(w) for w in step.line.words]
    return {"name": step.name, "kind": step.kind, "words": words, "status": status, "why": why}


def _record(run: _Run, started: str) -> dict[str, Any]:
    return {
        "pipeline": run.pipeline.name,
        "trueward": run.version,
        "started": started,
        "result": "running",
        "steps": [{k: v for k, v in e.items() if k != "measured"} for e in run.entries],
    }
