"""Run a safety evaluation: policies answer, judges read the answers; a stopped run goes on."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError, UsageError
from trueward.core.suggest import suggestion
from trueward.evaluation.judge.journal import Journal

from .judge_kinds import KINDS
from .judges import INSPECT, open_judge
from .parsing import Verdict
from .policies import open_policies, require_inspect
from .prompts import read_prompt_set
from .results import UNANSWERED, SafetyResult
from .settings import SafetySettings
from .suites import SUITES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .judges import Judge
    from .policies import PolicyModel
    from .prompts import PromptSet

    Progress = Callable[[str, int, int], None]

SETTINGS, LOGS, ANSWERS, VERDICTS, RESULT = (
    *("settings.json", "logs", "judges.jsonl", "verdicts.parquet", "safety.json"),
)
#: Judges of a benchmark where none is named.
USUAL = {
    "harmbench": "harmbench",
    "strongreject": "strongreject_finetuned",
    "wildguard": "wildguard",
}


@dataclass(frozen=True)
class SafetyRun:
    """A safety evaluation that can start: everything that it needs was found.

    See Also
    --------
    prepare : Makes it.

    """

    policies: tuple[PolicyModel, ...]
    sets: tuple[PromptSet, ...]
    judges: tuple[Judge, ...]
    out: Path
    settings: SafetySettings
    data: str
    labels: pl.DataFrame | None = field(default=None)

    def of_suite(self, suite: str) -> tuple[Judge, ...]:
        """Return the judges of a benchmark."""
        return tuple(j for j in self.judges if suite in j.kind.suites)

    def to_json(self) -> dict[str, Any]:
        """Return what must be the same for a run to be continued."""
        asked = asdict(self.settings) | {"accept": None, "device": None}
        return {
            "policies": [p.to_json() for p in self.policies],
            "prompts": {s.suite: s.to_json() for s in self.sets},
            "judges": [j.to_json() for j in self.judges],
            "settings": {k: v for k, v in asked.items() if v is not None},
        }

    def evaluate(self, progress: Progress = lambda _what, _done, _total: None) -> SafetyResult:
        """Generate, judge and summarise; what is finished is never done twice.

        Parameters
        ----------
        progress : callable
            Called as ``progress(what, done, total)``.

        Returns
        -------
        SafetyResult
            Also written to ``safety.json`` and ``verdicts.parquet``.

        Raises
        ------
        KeyboardInterrupt
            Whose message says how to go on.
        TruewardError
            If a policy or a judge fails.

        """
        self._claim()
        try:
            rows = self._answers(progress)
            verdicts = self._verdicts(rows, progress)
        except KeyboardInterrupt as e:
            raise KeyboardInterrupt(
                f"{self.out} has the answers so far: the same command goes on with the rest"
            ) from e
        result = SafetyResult.of(verdicts, self.to_json(), self.labels, self.settings.seed)
        with replacing(self.out / VERDICTS) as file:
            verdicts.write_parquet(file)
        with replacing(self.out / RESULT) as file:
            file.write_text(json.dumps(result.to_json(), indent=1), encoding="utf-8")
        self._score_logs()
        return result

    def _claim(self) -> None:
        """Store the settings; refuse a folder of another evaluation."""
        file, own = self.out / SETTINGS, json.loads(json.dumps(self.to_json()))
        if file.exists():
            there = json.loads(file.read_text("utf-8"))
            changed = [k for k in own if there.get(k) != own[k] and k != "judges"]
            if changed:
                raise TruewardError(
                    f"{self.out} holds an evaluation with other {' and '.join(changed)}: repeat its command "
                    "to go on with it, or give another --out"
                )
        elif self.out.exists() and not self.out.is_dir():
            raise TruewardError(
                f"--out {self.out} is a file, and a folder is written: name another"
            )
        elif self.out.exists() and any(self.out.iterdir()):
            raise TruewardError(
                f"{self.out} is not empty and holds no safety evaluation: give another --out"
            )
        self.out.mkdir(parents=True, exist_ok=True)
        with replacing(file) as place:
            place.write_text(json.dumps(own, indent=1), encoding="utf-8")

    def _answers(self, progress: Progress) -> pl.DataFrame:
        """Return one row for each answer of each policy."""
        from .inspect_run import generated  # noqa: PLC0415 - inspect-ai is heavy

        rows = []
        for policy in self.policies:
            for found in self.sets:
                place = self.out / LOGS / policy.name
                rows += generated(policy, found, place, self.settings, progress)
        return pl.DataFrame(rows, infer_schema_length=None)

    def _verdicts(self, rows: pl.DataFrame, progress: Progress) -> pl.DataFrame:
        """Return one row for each answer and judge, with a column for each field of a verdict."""
        from .inspect_run import asked_through_inspect  # noqa: PLC0415 - inspect-ai is heavy

        journal = Journal(self.out / ANSWERS)
        tables = []
        for judge in self.judges:
            own = rows.filter(pl.col("suite").is_in(judge.kind.suites))
            every = [(self._prompt(r["suite"], r["id"]), r["response"]) for r in own.to_dicts()]
            pairs = [p for p, there in zip(every, own["answered"], strict=True) if there]
            if judge.model.startswith(INSPECT):
                asked_through_inspect(judge, pairs, journal)
            judge.fill(pairs, journal, partial(progress, judge.name))
            judge.close()
            said = [
                journal.answers[judge.key(*pair)].text if there else ""
                for pair, there in zip(every, own["answered"], strict=True)
            ]
            read = [
                judge.verdict(text) if there else Verdict({}, UNANSWERED)
                for text, there in zip(said, own["answered"], strict=True)
            ]
            names = sorted(
                {name for verdict in read for name in verdict.values} | {*judge.kind.fields}
            )
            tables.append(
                own.with_columns(
                    pl.lit(judge.name).alias("judge"),
                    pl.Series("said", said, dtype=pl.String),
                    pl.Series("problem", [v.problem for v in read], dtype=pl.String),
                    *(
                        pl.Series(f"value.{n}", [v.values.get(n) for v in read], dtype=pl.Float64)
                        for n in names
                    ),
                )
            )
        return pl.concat(tables, how="diagonal")

    def _score_logs(self) -> None:
        """Add the verdicts to the logs, for Inspect's viewer."""
        from .inspect_run import score_logs  # noqa: PLC0415 - inspect-ai is heavy

        for judge in self.judges:
            for policy in self.policies:
                place = self.out / LOGS / policy.name
                score_logs(place, judge, self.data, self.settings, self.out / ANSWERS)

    def _prompt(self, suite: str, name: str) -> Any:
        return self._by_name[suite, name]

    @property
    def _by_name(self) -> dict[tuple[str, str], Any]:
        if not hasattr(self, "_names"):
            names = {(s.suite, p.id): p for s in self.sets for p in s.prompts}
            object.__setattr__(self, "_names", names)
        return self._names  # type: ignore[attr-defined, no-any-return]


def prepare(
    policies: Sequence[str],
    suite: str,
    data: str | Path,
    out: Path,
    judges: Sequence[str] = (),
    settings: SafetySettings | None = None,
    labels: object = None,
) -> SafetyRun:
    """Find policies, prompts, judges and their templates, before anything is evaluated.

    Parameters
    ----------
    policies : sequence of str
        As of `open_policies`; the first is the base that others are compared with.
    suite : str
        A key of `SUITES`.
    data : str or Path
        Folder of the prompt files and templates.
    out : Path
        Folder of the evaluation.
    judges : sequence of str
        ``KIND`` or ``KIND=MODEL``; by default the judge of each benchmark, with the published weights.
    settings : SafetySettings, optional
        What is asked and how.
    labels : str, Path or table, optional
        Labels of people, see `corrected.read_labels`.

    Returns
    -------
    SafetyRun
        Ready to start.

    Raises
    ------
    UsageError
        If the suite, a policy, a file or a judge does not exist.
    TruewardError
        If one of them cannot be used here.

    """
    require_inspect()
    quiet_inspect()
    settings = settings or SafetySettings()
    if suite not in SUITES:
        raise UsageError(f"there is no suite {suite!r}: {suggestion(suite, SUITES)}")
    suites = SUITES[suite]
    accept, device = settings.accept, settings.device
    sets = tuple(read_prompt_set(name, data, accept).limited(settings.limit) for name in suites)
    words = list(judges) or [USUAL[name] for name in suites if name in USUAL]
    named = [word.partition("=")[0] for word in words]
    for name in named:
        if named.count(name) > 1:
            raise UsageError(f"--judge {name} is given twice: keep one of them")
    if "xstest" not in named and "wildguard" not in named and "phrases" not in named:
        words.append("phrases")  # over-refusal is beside every figure of safety
    opened = tuple(open_judge(word, data, accept, device) for word in words)
    unused = [j.name for j in opened if not set(j.kind.suites) & set(suites)]
    if unused:
        raise UsageError(
            f"the judge {unused[0]} judges {' and '.join(KINDS[unused[0]].suites)}, and --suite {suite} has "
            f"{' and '.join(suites)}: leave it out, or choose another suite"
        )
    missing = [name for name in suites if not any(name in j.kind.suites for j in opened)]
    if missing:
        raise UsageError(
            f"no judge is given for {missing[0]}: add --judge {USUAL[missing[0]]}, or --judge builtin for a "
            "smoke test"
        )
    found = None
    if labels is not None:
        from .corrected import read_labels  # noqa: PLC0415 - an audit's imports are heavy

        found = read_labels(labels)
    return SafetyRun(open_policies(policies, device), sets, opened, out, settings, str(data), found)


def quiet_inspect() -> None:
    """Let Inspect print nothing, and write its own traces into no home folder that does not exist."""
    os.environ.setdefault("INSPECT_DISPLAY", "none")
    for name in ("inspect_ai", "httpx"):
        logging.getLogger(name).setLevel(logging.ERROR)
