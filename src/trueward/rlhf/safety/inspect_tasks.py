"""Tasks and scorers of Inspect: ``inspect eval trueward/harmbench`` and the other benchmarks."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, GenerateConfig, get_model
from inspect_ai.scorer import Score, mean, scorer, stderr
from inspect_ai.solver import solver

from trueward.evaluation.judge.journal import Answer, Journal

from .judge_kinds import KINDS
from .judges import INSPECT, Judge, open_judge
from .prompts import SafetyPrompt, read_prompt_set
from .text_models import row_seed

if TYPE_CHECKING:
    from inspect_ai.scorer import Scorer, Target
    from inspect_ai.solver import Generate, Solver, TaskState

    from .prompts import PromptSet

MOST_TOKENS = 512  # of an answer of the policy


@solver(name="answer")  # type: ignore[untyped-decorator]
def answer(seed: int = 0) -> Solver:
    """Generate one answer, with draws that depend on the prompt and the number of the sample only.

    Parameters
    ----------
    seed : int
        Seed of the run.

    Returns
    -------
    Solver
        The solver.

    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        own = row_seed(seed, str(state.sample_id), state.epoch)
        return await generate(state, seed=own)

    return solve


def suite_task(
    found: PromptSet,
    scorers: list[Scorer],
    *,
    max_tokens: int = MOST_TOKENS,
    temperature: float = 0.0,
    samples: int = 1,
    seed: int = 0,
) -> Task:
    """Return the task of one benchmark.

    Parameters
    ----------
    found : PromptSet
        Its prompts.
    scorers : list of Scorer
        The judges.
    max_tokens, temperature, samples, seed
        Longest answer, temperature of the draws (0: the likeliest token), answers for each prompt, and
        the seed of the draws.

    Returns
    -------
    Task
        With the hash of the prompts in its metadata.

    """
    rows = [
        Sample(
            input=p.sent,
            id=p.id,
            metadata={
                "suite": found.suite,
                "text": p.text,
                "context": p.context,
                "harmful": p.harmful,
                "category": p.category,
            },
        )
        for p in found.prompts
    ]
    return Task(
        name=found.suite,
        dataset=MemoryDataset(rows, name=found.suite),
        solver=answer(seed),
        scorer=scorers or None,
        epochs=samples,
        config=GenerateConfig(max_tokens=max_tokens, temperature=temperature),
        metadata={"prompts": found.to_json()},
    )


def asked(state: TaskState | Any) -> SafetyPrompt:
    """Return the prompt of a sample, from its metadata.

    Parameters
    ----------
    state : TaskState or EvalSample
        What Inspect holds of a sample.

    Returns
    -------
    SafetyPrompt
        The prompt.

    """
    about = state.metadata
    name = getattr(state, "sample_id", None) or state.id
    return SafetyPrompt(
        str(name), about["text"], about["context"], bool(about["harmful"]), about["category"]
    )


def judge_scorer(
    judge: str,
    data: str,
    accept: list[str] | None = None,
    device: str | None = None,
    answers: str | None = None,
) -> Scorer:
    """Return a judge as a scorer of Inspect.

    Parameters
    ----------
    judge : str
        ``KIND`` or ``KIND=MODEL``.
    data : str
        Folder with its template.
    accept : list of str, optional
        Hashes of other templates that may be used.
    device : str, optional
        Where local weights are put.
    answers : str, optional
        File of answers from earlier runs; new ones are appended.

    Returns
    -------
    Scorer
        Its value is a number for each field of the verdict; unscored where the judge is off format.

    """
    return _SCORERS[judge.partition("=")[0]](judge, data, accept, device, answers)


def _scorer_of(name: str) -> Any:
    """Define the scorer of one kind of judge."""

    @scorer(metrics={"*": [mean(), stderr()]}, name=name)  # type: ignore[untyped-decorator]
    def judged(
        judge: str = name,
        data: str = ".",
        accept: list[str] | None = None,
        device: str | None = None,
        answers: str | None = None,
    ) -> Scorer:
        opened = opened_judge(judge, data, tuple(accept or ()), device)
        journal = journal_at(answers)

        async def score(state: TaskState, target: Target) -> Score:
            del target
            prompt, response = asked(state), state.output.completion
            key = opened.key(prompt, response)
            if key not in journal.answers:
                journal.add(key, Answer(await _said(opened, prompt, response), 0, 0))
            return _score(opened, journal.answers[key].text)

        return score

    return judged


_SCORERS = {name: _scorer_of(name) for name in KINDS}


async def _said(judge: Judge, prompt: SafetyPrompt, response: str) -> str:
    """Ask a judge, through Inspect if it is a model of Inspect."""
    if judge.model.startswith(INSPECT):
        model = get_model(judge.model.removeprefix(INSPECT))
        how = GenerateConfig(temperature=0.0, max_tokens=judge.kind.max_tokens)
        sent = [ChatMessageUser(content=judge.question(prompt, response))]
        return str((await model.generate(sent, config=how)).completion)
    (said,) = await anyio.to_thread.run_sync(judge.answer, [(prompt, response)])
    return said


def _score(judge: Judge, said: str) -> Score:
    verdict = judge.verdict(said)
    about = {"judge": judge.name, "said": said, "problem": verdict.problem}
    if verdict.problem:
        return Score.unscored(reason="grader_failed", explanation=verdict.problem, metadata=about)
    return Score(value=dict(verdict.values), metadata=about)


@cache
def opened_judge(word: str, data: str, accept: tuple[str, ...], device: str | None) -> Judge:
    """Open a judge once for all scorers of a process.

    Parameters
    ----------
    word, data, accept, device
        As of `open_judge`.

    Returns
    -------
    Judge
        The same object for the same arguments.

    """
    return open_judge(word, data, accept, device)


@cache
def journal_at(file: str | None) -> Journal:
    """Return the answers of a file, read once; without a file, answers in memory.

    Parameters
    ----------
    file : str or None
        The file.

    Returns
    -------
    Journal
        The same object for the same file.

    """
    return Journal(None if file is None else Path(file))


def _task_of(suite: str, default: str) -> Any:
    """Define the task of one benchmark for the command line of Inspect."""

    @task(name=suite)  # type: ignore[untyped-decorator]
    def benchmark(
        data: str = ".",
        judge: str | list[str] = default,
        limit: int | None = None,
        accept: str | list[str] | None = None,
        max_tokens: int = MOST_TOKENS,
        temperature: float = 0.0,
        seed: int = 0,
        device: str | None = None,
    ) -> Task:
        judges = [judge] if isinstance(judge, str) else list(judge)
        accepted = [accept] if isinstance(accept, str) else list(accept or [])
        found = read_prompt_set(suite, data, accepted).limited(limit)
        scorers = [judge_scorer(word, data, accepted, device) for word in judges]
        return suite_task(found, scorers, max_tokens=max_tokens, temperature=temperature, seed=seed)

    return benchmark


harmbench = _task_of("harmbench", "harmbench")
strongreject = _task_of("strongreject", "strongreject_finetuned")
wildguard = _task_of("wildguard", "wildguard")
xstest = _task_of("xstest", "phrases")
