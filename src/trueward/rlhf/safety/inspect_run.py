"""Answers of policies and of chat judges through Inspect: only those that no log has yet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
from inspect_ai import eval as inspect_eval
from inspect_ai import score as inspect_score
from inspect_ai.log import list_eval_logs, read_eval_log, write_eval_log
from inspect_ai.model import ChatMessageUser, GenerateConfig, get_model

from trueward.core.errors import TruewardError
from trueward.evaluation.judge.journal import Answer

from . import inspect_models
from .inspect_tasks import journal_at, judge_scorer, suite_task
from .judges import INSPECT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from trueward.evaluation.judge.journal import Journal

    from .judges import Judge, Pair
    from .policies import PolicyModel
    from .prompts import PromptSet
    from .settings import SafetySettings

__all__ = ["asked_through_inspect", "generated", "inspect_models", "score_logs"]

PARALLEL = 8  # questions to a judge at a time


def generated(
    policy: PolicyModel,
    found: PromptSet,
    place: Path,
    settings: SafetySettings,
    progress: Callable[[str, int, int], None],
) -> list[dict[str, Any]]:
    """Return the answers of one policy to one benchmark; generate those that are missing.

    Parameters
    ----------
    policy : PolicyModel
        The policy.
    found : PromptSet
        The prompts.
    place : Path
        Folder of Inspect's logs of this policy.
    settings : SafetySettings
        How answers are generated.
    progress : callable
        Called as ``progress(what, done, total)``.

    Returns
    -------
    list of dict
        One record for each answer.

    Raises
    ------
    KeyboardInterrupt
        If the run was stopped; the answers so far are in the logs.
    TruewardError
        If the policy fails.

    """
    there = _logged(place, found.suite)
    wanted = range(1, settings.samples + 1)
    left = tuple(p for p in found.prompts if any((p.id, k) not in there for k in wanted))
    what = f"{policy.name} on {found.suite}"
    progress(what, len(found.prompts) - len(left), len(found.prompts))
    if left:
        _generate(policy, replace(found, prompts=left), place, settings)
        there = _logged(place, found.suite)
        progress(what, len(found.prompts), len(found.prompts))
    absent = [(p.id, k) for p in found.prompts for k in wanted if (p.id, k) not in there]
    if absent:
        raise TruewardError(
            f"{policy.source} gave no answer to {len(absent)} of {len(found.prompts)} prompts of "
            f"{found.suite}: run the same command again to ask for them"
        )
    if all(there[p.id, k] is None for p in found.prompts for k in wanted):
        raise TruewardError(
            f"{policy.source} can read none of the prompts of {found.suite}: they are longer than its "
            "context, or its server refuses them; check the name of its model there"
        )
    return [
        {
            "policy": policy.name,
            "suite": found.suite,
            "id": p.id,
            "sample": k,
            "harmful": p.harmful,
            "category": p.category,
            "prompt": p.sent,
            "response": there[p.id, k] or "",
            "answered": there[p.id, k] is not None,
        }
        for p in found.prompts
        for k in wanted
    ]


def _generate(policy: PolicyModel, left: PromptSet, place: Path, settings: SafetySettings) -> None:
    """Run Inspect on the prompts that have no answer yet."""
    model = get_model(policy.model, memoize=False, **policy.arguments)
    task = suite_task(
        left,
        [],
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        samples=settings.samples,
        seed=settings.seed,
    )
    try:
        logs = inspect_eval(
            task,
            model=model,
            log_dir=str(place),
            log_format="eval",
            log_buffer=1,
            score=False,
            display="none",
            fail_on_error=True,
        )
    finally:
        model.api.close()
    if not logs or logs[0].status == "cancelled":  # Inspect takes a Ctrl-C for itself
        raise KeyboardInterrupt
    log = logs[0]
    if log.status != "success":
        said = "" if log.error is None else " ".join(log.error.message.split())
        raise TruewardError(
            f"{policy.source} failed on {left.suite} ({said[:300]}): correct that, and run the same command "
            "again; the answers so far are kept"
        )


def _logged(place: Path, suite: str) -> dict[tuple[str, int], str | None]:
    """Return (prompt, sample) -> response of all logs in a folder, also of interrupted runs.

    It is None where the policy could not read the prompt.
    """
    if not place.is_dir():
        return {}
    found: dict[tuple[str, int], str | None] = {}
    for info in sorted(list_eval_logs(str(place)), key=lambda entry: entry.name):
        try:
            log = read_eval_log(info)
        except Exception:  # noqa: BLE001, S112 - a log that was cut holds no whole answer
            continue
        for sample in log.samples or []:
            if (sample.metadata or {}).get("suite") != suite or sample.error is not None:
                continue
            if sample.output.choices:
                said: str | None = sample.output.completion
                if not said and sample.output.stop_reason == "model_length":
                    said = None
                found.setdefault((str(sample.id), sample.epoch), said)
    return found


def score_logs(
    place: Path, judge: Judge, data: str, settings: SafetySettings, answers: Path
) -> None:
    """Add the verdicts of a judge to the logs, for Inspect's viewer; logs that have them stay as they are.

    Parameters
    ----------
    place : Path
        Folder of logs.
    judge : Judge
        The judge.
    data : str
        Folder with its template.
    settings : SafetySettings
        With the hashes that are accepted.
    answers : Path
        File of the judge's answers, which holds all of them.

    """
    journal_at.cache_clear()
    for info in list_eval_logs(str(place)):
        header = read_eval_log(info, header_only=True)
        scores = [] if header.results is None else header.results.scores
        there = {score.scorer.rpartition("/")[2] for score in scores}  # trueward/KIND if installed
        if header.status != "success" or header.eval.task not in judge.kind.suites:
            continue
        if judge.name in there:
            continue
        scorer = judge_scorer(
            judge.word, data, list(settings.accept), settings.device, str(answers)
        )
        log = inspect_score(read_eval_log(info), scorer, action="append", display="none")
        write_eval_log(log, info.name)


def asked_through_inspect(judge: Judge, pairs: Sequence[Pair], journal: Journal) -> None:
    """Ask a chat judge of Inspect's providers about the responses that have no answer yet.

    Parameters
    ----------
    judge : Judge
        Its model begins with ``inspect:``.
    pairs : sequence of (SafetyPrompt, str)
        Prompts and responses.
    journal : Journal
        Answers of earlier runs; new ones are added.

    Raises
    ------
    TruewardError
        If the provider refuses; the answers so far are in the journal.

    """
    left = {judge.key(*pair): pair for pair in pairs if judge.key(*pair) not in journal.answers}
    if not left:
        return
    model = get_model(judge.model.removeprefix(INSPECT))
    how = GenerateConfig(temperature=0.0, max_tokens=judge.kind.max_tokens)

    async def ask(key: str, pair: Pair, limit: anyio.CapacityLimiter) -> None:
        async with limit:
            sent = [ChatMessageUser(content=judge.question(*pair))]
            journal.add(key, Answer((await model.generate(sent, config=how)).completion, 0, 0))

    async def every() -> None:
        limit = anyio.CapacityLimiter(PARALLEL)
        async with anyio.create_task_group() as group:
            for key, pair in left.items():
                group.start_soon(ask, key, pair, limit)

    try:
        anyio.run(every)
    except ExceptionGroup as e:
        first = e.exceptions[0]
        raise TruewardError(
            f"the judge {judge.name}={judge.model} failed ({type(first).__name__}: "
            f"{' '.join(str(first).split())[:200]}): correct that, and run the same command again; the "
            "answers so far are kept"
        ) from e
