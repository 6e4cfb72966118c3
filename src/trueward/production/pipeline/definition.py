"""The YAML of a pipeline: its steps, each checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError
from trueward.core.yaml_text import read_yaml

from .gate import Condition
from .values import codes, known_keys, text, texts, truth, within, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Parse = Callable[[list[str], dict[str, Any]], "CommandLine"]

#: what a step does -> the keys that it may have beside those of every step
KINDS = {
    "run": ("options", "accept", "fail_if", "current"),
    "program": ("accept",),
    "promote": ("keep_previous",),
    "reload": ("model",),
}
COMMON = ("name", "inputs", "outputs", "always")


@dataclass(frozen=True)
class CommandLine:
    """The words of a command, and what it reads and writes.

    Attributes
    ----------
    words : tuple of str
        The words: of a command of trueward those after ``trueward``.
    reads : tuple of str
        Values that are paths if something is there.
    needs : tuple of str
        Those of them that must exist.
    writes : tuple of str
        Files and folders that the command writes.
    model : str or None
        The model folder that the command measures, for commands that do.
    resumes : bool
        Whether the command has ``--resume``.

    """

    words: tuple[str, ...]
    reads: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    model: str | None = None
    resumes: bool = False


@dataclass(frozen=True)
class Step:
    """One step of a pipeline.

    Attributes
    ----------
    name : str
        Its name, unique in the pipeline.
    kind : str
        ``run`` (a command of trueward), ``program``, ``promote`` or ``reload``.
    line : CommandLine
        The words of the command or program, and the paths that the step reads and writes.
    always : bool
        Run it each time, because it reads what is no file.
    accept : frozenset of int
        Exit codes of the command that are no failure.
    fail_if : tuple of Condition
        Conditions under which the model is refused.
    current : str or None
        Folder of the current model, which ``fail_if`` compares with.
    promote : tuple of (str, str)
        What is put in whose place.
    keep_previous : bool
        Keep what a promotion replaces as ``TARGET.previous``.
    urls : tuple of str
        Servers to reload.
    model : str or None
        Path of the model to load, as the server sees it; None for the folder that it serves.

    """

    name: str
    kind: str
    line: CommandLine
    always: bool = False
    accept: frozenset[int] = frozenset({0})
    fail_if: tuple[Condition, ...] = ()
    current: str | None = None
    promote: tuple[tuple[str, str], ...] = ()
    keep_previous: bool = False
    urls: tuple[str, ...] = ()
    model: str | None = None

    def described(self) -> dict[str, Any]:
        """Return what the step does as plain data: two equal descriptions do the same."""
        return {
            "kind": self.kind,
            "words": list(self.line.words),
            "promote": [list(pair) for pair in self.promote],
            "urls": list(self.urls),
            "model": self.model,
        }


@dataclass(frozen=True)
class Pipeline:
    """A name and the steps in their order."""

    name: str
    steps: tuple[Step, ...]


def read_pipeline(file: str | Path, parse: Parse) -> Pipeline:
    """Read and check a pipeline; nothing is run.

    Parameters
    ----------
    file : str or Path
        The YAML file. Its paths are relative to the working folder.
    parse : callable
        Words and options of a command of trueward -> `CommandLine`; raises UsageError.

    Returns
    -------
    Pipeline

    Raises
    ------
    UsageError
        If the file cannot be read, a step is wrong, or a step reads what is not there and no earlier step
        writes.

    """
    try:
        read = read_yaml(Path(file).read_text(encoding="utf-8"))
    except OSError as e:
        raise UsageError(f"the pipeline {file} could not be read: {e.strerror}") from e
    except ValueError as e:
        raise UsageError(f"the pipeline {file} could not be read as YAML: {e}") from e
    try:
        return _pipeline(read, Path(file).stem, parse)
    except UsageError as e:
        raise UsageError(f"{file}: {e}") from e


def _pipeline(read: Any, stem: str, parse: Parse) -> Pipeline:
    known_keys(read, ("name", "steps"), "a pipeline")
    given = read.get("steps")
    if not isinstance(given, list) or not given:
        raise UsageError("a pipeline has a list of steps, such as `steps: [{run: ...}]`")
    name = read.get("name", stem)
    if not isinstance(name, str) or not name or Path(name).name != name:
        raise UsageError(f"name must be a word that can be the name of a folder, not {name!r}")
    steps: list[Step] = []
    for number, value in enumerate(given, 1):
        try:
            steps.append(_placed(_step(value, parse), steps, named="name" in value))
        except UsageError as e:
            raise UsageError(f"step {number}: {e}") from e
    _check_paths(steps)
    return Pipeline(name, tuple(steps))


def _placed(step: Step, before: list[Step], *, named: bool) -> Step:
    """Return a step with a name of its own, which reloads when another model is promoted."""
    taken = {s.name for s in before}
    if step.name in taken and named:
        raise UsageError(f"an earlier step has the name {step.name}, too: give another")
    if step.name in taken:
        free = (f"{step.name}-{k}" for k in range(2, len(before) + 3))
        step = replace(step, name=next(n for n in free if n not in taken))
    if step.kind != "reload":
        return step
    targets = tuple(target for s in before for _, target in s.promote)
    line = replace(step.line, reads=(*step.line.reads, *targets))
    return replace(step, line=line, always=step.always or not line.reads)


def _step(value: Any, parse: Parse) -> Step:
    if not isinstance(value, dict):
        raise UsageError(f"a step is a mapping such as `run: fit auto log.parquet`, not {value!r}")
    kinds = [kind for kind in KINDS if kind in value]
    if len(kinds) != 1:
        found = ", ".join(map(str, value)) or "nothing"
        raise UsageError(f"a step has one of {', '.join(KINDS)}; this one has {found}")
    kind = kinds[0]
    known_keys(value, (kind, *KINDS[kind], *COMMON), f"a step with `{kind}`")
    step = _READERS[kind](value, parse)
    inputs, outputs = (texts(value.get(k, []), k) for k in ("inputs", "outputs"))
    line = replace(
        step.line,
        reads=(*step.line.reads, *inputs),
        needs=(*step.line.needs, *inputs),
        writes=(*step.line.writes, *outputs),
    )
    name = text(value.get("name", step.name), "name")
    return replace(step, name=name, line=line, always=truth(value, "always") or step.always)


def _run(value: dict[str, Any], parse: Parse) -> Step:
    options = value.get("options") or {}
    if not isinstance(options, dict):
        raise UsageError(f"options maps names to values, like `seed: 1`, and is {options!r}")
    line = parse(words_of(value["run"], "run"), options)
    conditions = tuple(Condition.parse(c) for c in texts(value.get("fail_if", []), "fail_if"))
    current = None if value.get("current") is None else text(value["current"], "current")
    relative = next((c.text for c in conditions if c.relative), None)
    if (conditions or current) and line.model is None:
        raise UsageError(f"fail_if and current belong to evaluate, not to {line.words[0]}")
    if current and relative is None:
        raise UsageError(
            "current is the model to compare with: add fail_if: 'auroc < current - 0.01'"
        )
    if relative and not current:
        raise UsageError(f"{relative!r} needs `current: FOLDER`, the model to compare with")
    return Step(
        line.words[0],
        "run",
        line,
        always=any(name.endswith(".sql") for name in line.reads),  # a database is no file
        accept=codes(value.get("accept", [])),
        fail_if=conditions,
        current=current,
    )


def _program(value: dict[str, Any], _parse: Parse) -> Step:
    words = tuple(words_of(value["program"], "program"))
    accept = codes(value.get("accept", []))
    name = Path(words[0]).name
    return Step(name, "program", CommandLine(words), always="inputs" not in value, accept=accept)


def _promote(value: dict[str, Any], _parse: Parse) -> Step:
    given = value["promote"]
    if not isinstance(given, dict) or not given:
        raise UsageError("promote maps what is new to its place, like `work/rm: live/rm`")
    pairs = tuple((text(k, "promote"), text(v, "promote")) for k, v in given.items())
    for source, target in pairs:
        if within(source, target) or within(target, source):
            raise UsageError(f"promote: {source} and {target} must not contain each other")
    sources, targets = zip(*pairs, strict=True)
    line = CommandLine((), reads=sources, needs=sources, writes=targets)
    keep = truth(value, "keep_previous")
    return Step("promote", "promote", line, promote=pairs, keep_previous=keep)


def _reload(value: dict[str, Any], _parse: Parse) -> Step:
    urls = tuple(texts(value["reload"], "reload"))
    for url in urls:
        if not url.startswith(("http://", "https://")) or "@" in url:
            raise UsageError(
                f"reload is the address of a server such as http://127.0.0.1:8000, not {url!r}; its key is "
                "read from TRUEWARD_API_KEY"
            )
    if not urls:
        raise UsageError("reload is the address of a server, or a list of them, and is empty")
    model = None if value.get("model") is None else text(value["model"], "model")
    return Step("reload", "reload", CommandLine(()), urls=urls, model=model)


_READERS = {"run": _run, "program": _program, "promote": _promote, "reload": _reload}


def _check_paths(steps: list[Step]) -> None:
    """Refuse a step that reads what will not be there, and two steps that write one place."""
    written: dict[str, str] = {}
    for step in steps:
        for path in step.line.needs:
            if not Path(path).exists() and not any(within(path, w) for w in written):
                raise UsageError(
                    f"step {step.name} reads {path}, which does not exist and which no earlier step writes"
                )
        for path in step.line.writes:
            for read in step.line.reads:
                if within(read, path) or (within(path, read) and Path(read).is_dir()):
                    raise UsageError(
                        f"step {step.name} writes {path} and reads {read}, which contain each other, so "
                        "that it would run again each time: give another place"
                    )
            other = [n for w, n in written.items() if within(path, w) or within(w, path)]
            if other:
                raise UsageError(f"steps {other[0]} and {step.name} write the same place, {path}")
        written |= dict.fromkeys(step.line.writes, step.name)
