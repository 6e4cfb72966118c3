"""Let a model label responses first: its answers are a column `judge`, and never gold labels."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.core.arguments import FUNCTION, WHOLE, Kind, require_kinds
from trueward.core.errors import TruewardError
from trueward.data.readers import (
    match_columns,
    missing_columns_error,
    read_table,
    typed_frame,
    wanted_columns,
)
from trueward.features.http_json import RefusedRequestError

from .journal import Answer, Journal
from .model import Judge, Texts, label_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

JUDGE = Kind("a Judge", lambda v: isinstance(v, Judge))
JOURNAL = Kind("a Journal", lambda v: isinstance(v, Journal))
SHOWN = 60  # characters of an answer in a message


@dataclass(frozen=True)
class Judgements:
    """The answers of a model about responses; ``str()`` is the account.

    See Also
    --------
    judge_responses : Computes it.

    """

    #: ``prompt``, ``response``, ``judge`` (1 good, 0 bad, null where the answer is neither),
    #: ``judge_answer``, ``judge_model`` and ``judge_prompt``, the digest of what the model was told.
    frame: pl.DataFrame
    #: Answers that are neither GOOD nor BAD, and responses that the server refused.
    off_format: int
    refused: int
    #: Tokens sent and received, as the server counted them.
    tokens: tuple[int, int]
    #: One of the answers that are neither.
    example: str | None = field(default=None)

    def to_json(self) -> dict[str, Any]:
        """Return the account as plain data."""
        return {
            "rows": self.frame.height,
            "good": self.frame["judge"].mean(),
            "off_format": self.off_format,
            "refused": self.refused,
            "tokens": list(self.tokens),
            "judge_model": self.frame["judge_model"][0],
            "judge_prompt": self.frame["judge_prompt"][0],
        }

    def __str__(self) -> str:
        """Format the account."""
        answered = self.frame["judge"].count()
        good = int(self.frame["judge"].sum())
        lines = [
            f"{answered:,} of {self.frame.height:,} responses judged"
            + (f", {good / answered:.0%} good" if answered else "")
            + f"; {self.off_format:,} answers off format, {self.refused:,} texts refused; "
            f"{self.tokens[0]:,} tokens sent, {self.tokens[1]:,} received",
        ]
        if self.example is not None:
            lines.append(f"off format, for example: {self.example!r}")
        lines.append(
            "a judge is no gold label: label some responses by people, and give both to trueward "
            "evaluate --log LOG --gold GOLD --judge FILE"
        )
        return "\n".join(lines)


def read_judged(source: object, mapping: Mapping[str, str] | None = None) -> Texts:
    """Read the prompts and responses of any table, each pair once.

    Parameters
    ----------
    source : str, Path or table
        A log, the file of a plan, or any table of ``prompt`` and ``response``.
    mapping : mapping of str to str or None
        Canonical name -> column of the source.

    Returns
    -------
    list of (str, str)
        In the order of the table.

    Raises
    ------
    TruewardError
        If a column is missing or there is no row.

    """
    wanted = wanted_columns(("prompt", "response"), (), mapping)
    table = read_table(source, wanted, None)
    names = match_columns(wanted, table.names, table.source)
    missing = [name for name in ("prompt", "response") if name not in names]
    if missing:
        raise missing_columns_error(table.source, missing, table.names)
    frame = typed_frame(table, names)
    if not frame.height:
        raise TruewardError(f"{table.source} has no row, so there is nothing to judge")
    return list(dict.fromkeys(zip(frame["prompt"], frame["response"], strict=True)))


def journal_of(out: Path, judge: Judge) -> Journal:
    """Return the answers that an earlier run towards the same output has stored.

    Parameters
    ----------
    out : Path
        The output of the run.
    judge : Judge
        The model; answers of another model or prompt are not used.

    Returns
    -------
    Journal
        Of the file ``OUT.answers.jsonl``, and of a finished output.

    """
    journal = Journal(out.with_name(f"{out.name}.answers.jsonl"))
    if out.exists():
        wanted = wanted_columns(("prompt", "response"), (), None)
        try:
            table = read_table(out, replace(wanted, also=lambda _: True), None)
            rows = pl.DataFrame({k: list(v) for k, v in table.columns.items()}, strict=False)
            same = rows.filter(
                (pl.col("judge_model") == judge.model)
                & (pl.col("judge_prompt") == judge.prompt_hash)
            )
            for row in same.drop_nulls("judge_answer").iter_rows(named=True):
                key = judge.key(row["prompt"], row["response"])
                journal.answers.setdefault(key, Answer(row["judge_answer"], 0, 0))
        except (TruewardError, pl.exceptions.PolarsError, KeyError):
            return journal  # another file, which this run replaces
    return journal


def judge_responses(
    texts: object,
    judge: Judge,
    *,
    journal: Journal | None = None,
    parallel: int = 4,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Judgements:
    """Let a model label responses; every answer is stored as soon as it is there.

    Parameters
    ----------
    texts : list of (str, str), str, Path or table
        Prompts and responses, or what `read_judged` reads.
    judge : Judge
        The model and its prompt.
    journal : Journal, optional
        Answers that are there already; new ones are appended to its file.
    parallel : int, default 4
        Requests at a time.
    progress : callable
        Called as ``progress(done, total)``.

    Returns
    -------
    Judgements
        In the order of the texts.

    Raises
    ------
    TruewardError
        If the server does not answer, or refuses the first texts; the answers before are in the journal.

    Examples
    --------
    >>> judge = Judge("http://127.0.0.1:8000/v1", "judge")
    >>> known = Journal()
    >>> known.answers[judge.key("Hi", "Hello!")] = Answer("GOOD", 150, 1)
    >>> judge_responses([("Hi", "Hello!")], judge, journal=known).frame["judge"].to_list()
    [1.0]

    """
    require_kinds("judge_responses", judge=(judge, JUDGE), journal=(journal, JOURNAL.or_none))
    require_kinds("judge_responses", parallel=(parallel, WHOLE), progress=(progress, FUNCTION))
    known = isinstance(texts, list) and all(isinstance(pair, tuple) for pair in texts)
    pairs = texts if isinstance(texts, list) and known else read_judged(texts)
    journal = Journal() if journal is None else journal
    left = [pair for pair in pairs if judge.key(*pair) not in journal.answers]
    done, refused = len(pairs) - len(left), 0
    for pair, answer in _answers(left, judge, parallel, journal):
        done += 1
        progress(done, len(pairs))
        if answer is None:
            refused += 1
        else:
            journal.add(judge.key(*pair), answer)
    found = [journal.answers.get(judge.key(*pair)) for pair in pairs]
    labels = [None if a is None else label_of(a.text) for a in found]
    off = [
        a.text for a, label in zip(found, labels, strict=True) if a is not None and label is None
    ]
    frame = pl.DataFrame(
        {
            "prompt": [p for p, _ in pairs],
            "response": [r for _, r in pairs],
            "judge": pl.Series(labels, dtype=pl.Float64),
            "judge_answer": pl.Series(
                [None if a is None else a.text for a in found], dtype=pl.String
            ),
            "judge_model": [judge.model] * len(pairs),
            "judge_prompt": [judge.prompt_hash] * len(pairs),
        }
    )
    tokens = [(a.sent, a.received) for a in found if a is not None]
    sent, received = (sum(column) for column in zip((0, 0), *tokens, strict=True))
    return Judgements(frame, len(off), refused, (sent, received), off[0][:SHOWN] if off else None)


def _answers(
    left: Texts, judge: Judge, parallel: int, journal: Journal
) -> Iterable[tuple[tuple[str, str], Answer | None]]:
    """Yield each answer when it comes; None where the server refuses a text after it has answered others."""
    pool = ThreadPoolExecutor(parallel)
    running: dict[Future[Answer], tuple[str, str]] = {}
    rest = iter(left)
    try:
        while True:
            for pair in rest:
                running[pool.submit(judge.ask, *pair)] = pair
                if len(running) >= (parallel if journal.answers else 1):  # the first one alone
                    break
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                pair = running.pop(future)
                try:
                    yield pair, future.result()
                except RefusedRequestError:
                    if not journal.answers:
                        raise
                    yield pair, None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
