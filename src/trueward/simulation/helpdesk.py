"""A generated help desk: rated answers of known quality, without outside data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from trueward.core.errors import UsageError
from trueward.core.random import numpy_stream

from . import helpdesk_phrases as words
from .helpdesk_phrases import RATINGS, SHARES
from .helpdesk_tasks import PRODUCTS, TASKS, Product, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

T = TypeVar("T")

#: Styles of `listed`.
STYLES = 4
#: First words of the steps after the first, in running text.
LINKS = ("Then ", "Next, ", "After that, ", "Also, ")


@dataclass(frozen=True)
class Ask:
    """The subject of a question.

    Attributes
    ----------
    product : Product
        The product.
    task : Task
        The task.

    """

    product: Product
    task: Task

    def fill(self, text: str) -> str:
        """Return ``text`` with {product}, {home}, {settings} and {topic} filled in."""
        return text.format(
            product=self.product.name,
            home=self.product.home,
            settings=self.product.settings,
            topic=self.task.topic,
        )


def helpdesk(
    n_prompts: int = 1500,
    answers: int = 4,
    seed: int = 0,
    *,
    products: int = len(PRODUCTS),
    tasks: int = len(TASKS),
) -> pl.DataFrame:
    """Generate distinct questions to a help desk, each with distinct rated answers.

    The rating of an answer is drawn from P(rating | kind of answer) (`RATINGS`), so the kind does
    not determine the label. The rows for fewer prompts are a prefix of the rows for more.

    Parameters
    ----------
    n_prompts : int
        Number of questions.
    answers : int
        Answers to each question.
    seed : int
        Seed of the random streams.
    products, tasks : int
        Number of products and of tasks that the questions are about.

    Returns
    -------
    polars.DataFrame, n_prompts * answers rows
        Columns prompt, response, rating (0 to 4; good is above 2), prompt_id, kind.

    Raises
    ------
    UsageError
        If a number is out of range.

    Examples
    --------
    >>> helpdesk(10, answers=2).shape
    (20, 5)

    """
    if n_prompts < 1 or answers < 1:
        raise UsageError(
            f"a help desk needs at least 1 prompt and 1 answer, found n_prompts={n_prompts}, "
            f"answers={answers}"
        )
    if not (0 < products <= len(PRODUCTS) and 0 < tasks <= len(TASKS)):
        raise UsageError(
            f"a help desk has 1 to {len(PRODUCTS)} products and 1 to {len(TASKS)} tasks, found "
            f"products={products}, tasks={tasks}"
        )
    prompts: set[str] = set()
    rows: list[tuple[str, str, int, str, str]] = []
    for i in range(n_prompts):
        rng = numpy_stream(seed, "helpdesk", i)
        ask = Ask(_pick(rng, PRODUCTS[:products]), _pick(rng, TASKS[:tasks]))
        prompt = _question(ask, rng)
        if prompt in prompts:
            prompt = f"{prompt} (ticket {100000 + i})"
        prompts.add(prompt)
        responses: set[str] = set()
        while len(responses) < answers:
            kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
            response = ANSWERS[kind](ask, rng)
            if response not in responses:
                responses.add(response)
                rating = int(rng.choice(5, p=RATINGS[kind]))
                rows.append((prompt, response, rating, f"q{i:05d}", kind))
    names = ("prompt", "response", "rating", "prompt_id", "kind")
    return pl.DataFrame(rows, schema=names, orient="row")


def _question(ask: Ask, rng: np.random.Generator) -> str:
    device, since = _pick(rng, words.DEVICES), _pick(rng, words.SINCE)
    name = ask.product.name
    if rng.random() < 0.5:
        wish = _pick(rng, ask.task.asks)
        form = _pick(
            rng,
            (
                "How do I {want} in {name}?",
                "Can you tell me how to {want} in {name}?",
                "I want to {want} in {name} {device}. How?",
                "What is the way to {want} with {name} {device}?",
                "In {name}, how can I {want}?",
            ),
        )
    else:
        wish = _pick(rng, ask.task.symptoms)
        form = _pick(
            rng,
            (
                "With {name}, {want} {since}. What can I do?",
                "{name} trouble {device}: {want} {since}.",
                "I use {name} {device} and {want}. How do I fix it?",
                "In {name} {want}. It has been so {since}.",
            ),
        )
    details = [_pick(rng, words.TRIED), _pick(rng, words.TEAMS).format(n=rng.integers(2, 90))]
    chosen = [d for d in details if rng.random() < 0.55]
    core = form.format(want=wish, name=name, device=device, since=since)
    return _join([_pick(rng, words.OPENERS), core, *chosen, _pick(rng, words.CLOSERS)])


def _complete(ask: Ask, rng: np.random.Generator) -> str:
    """All the steps; with probability 0.3 without the first or the last."""
    steps = list(ask.task.steps)
    if rng.random() < 0.3:
        steps.pop(_pick(rng, (0, -1)))
    return _framed(ask, _listed([ask.fill(s) for s in steps], rng), rng)


def _terse(ask: Ask, rng: np.random.Generator) -> str:
    extra = _pick(rng, words.CHECKS) if rng.random() < 0.4 else ""
    intro = _pick(rng, words.INTROS) if rng.random() < 0.3 else ""
    return _join([ask.fill(intro), ask.fill(_pick(rng, ask.task.short)), extra])


def _partial(ask: Ask, rng: np.random.Generator) -> str:
    """One or two correct steps, then vague ones."""
    steps = [ask.fill(s) for s in ask.task.steps[: int(rng.integers(1, 3))]]
    steps += [ask.fill(v) for v in _some(rng, words.VAGUE, 1, 3)]
    return _framed(ask, _listed(steps, rng), rng)


def _vague(ask: Ask, rng: np.random.Generator) -> str:
    """Vague steps only, of any number and style."""
    return _framed(ask, _listed([ask.fill(v) for v in _some(rng, words.VAGUE, 2, 6)], rng), rng)


def _off_topic(ask: Ask, rng: np.random.Generator) -> str:
    """A correct answer to another task."""
    other = Ask(ask.product, _other(rng, TASKS, ask.task))
    return _complete(other, rng) if rng.random() < 0.7 else _terse(other, rng)


def _wrong_product(ask: Ask, rng: np.random.Generator) -> str:
    """A correct answer for another product."""
    other = Ask(_other(rng, PRODUCTS, ask.product), ask.task)
    text = _complete(other, rng) if rng.random() < 0.7 else _terse(other, rng)
    return text if other.product.name in text else f"For {other.product.name}. {text}"


def _truncated(ask: Ask, rng: np.random.Generator) -> str:
    """A complete answer, cut in the middle."""
    text = _complete(ask, rng)
    cut = text[: int(len(text) * rng.uniform(0.2, 0.8))]
    return cut.rsplit(" ", 1)[0].rstrip(" .,;:-\n")


def _refusing(ask: Ask, rng: np.random.Generator) -> str:
    refusals = _some(rng, words.REFUSALS, 1, 3)
    return ask.fill(_join([_pick(rng, words.INTROS), *refusals, _pick(rng, words.OUTROS)]))


def _rude(ask: Ask, rng: np.random.Generator) -> str:
    """Rude remarks, with probability 0.3 followed by the short answer."""
    hint = _pick(rng, ask.task.short) if rng.random() < 0.3 else ""
    return ask.fill(_join([*_some(rng, words.RUDE, 1, 3), hint]))


def _framed(ask: Ask, body: str, rng: np.random.Generator) -> str:
    check = _pick(rng, words.CHECKS) if rng.random() < 0.5 else ""
    tail = _join([check, _pick(rng, words.OUTROS)])
    glue = "\n" if "\n" in body else " "
    return glue.join(s for s in (ask.fill(_pick(rng, words.INTROS)), body, tail) if s)


def _listed(steps: Sequence[str], rng: np.random.Generator) -> str:
    return listed(steps, int(rng.integers(STYLES)))


def listed(steps: Sequence[str], style: int) -> str:
    """Format steps as a list.

    Parameters
    ----------
    steps : sequence of str
        The steps, without numbers and periods.
    style : int
        0: numbered lines; 1: bullets; 2: sentences; 3: sentences with linking words.

    Returns
    -------
    str

    """
    capital = [s[0].upper() + s[1:] for s in steps]
    if style == 0:
        return "\n".join(f"{k}. {s}." for k, s in enumerate(capital, start=1))
    if style == 1:
        return "\n".join(f"- {s}" for s in capital)
    if style == 2:
        return " ".join(f"{s}." for s in capital)
    links = ["First, ", *LINKS * len(steps)]
    return " ".join(f"{k}{s}." for k, s in zip(links, steps, strict=False))


def _join(parts: Sequence[str]) -> str:
    return " ".join(p for p in parts if p)


def _pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def _some(rng: np.random.Generator, options: Sequence[str], low: int, high: int) -> list[str]:
    """Draw ``low`` to ``high`` different options in random order."""
    chosen = rng.permutation(len(options))[: int(rng.integers(low, high + 1))]
    return [options[int(k)] for k in chosen]


def _other(rng: np.random.Generator, options: Sequence[T], than: T) -> T:
    return _pick(rng, [o for o in options if o != than])


#: Kind of answer -> function that writes one.
ANSWERS: dict[str, Callable[[Ask, np.random.Generator], str]] = {
    "complete": _complete,
    "terse": _terse,
    "partial": _partial,
    "vague": _vague,
    "off_topic": _off_topic,
    "wrong_product": _wrong_product,
    "truncated": _truncated,
    "refusing": _refusing,
    "rude": _rude,
}
