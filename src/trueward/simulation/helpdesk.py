"""A generated help desk: questions and answers of known quality, from no outside data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from trueward.core.errors import UsageError
from trueward.core.random import numpy_stream

from . import helpdesk_phrases as words
from .helpdesk_tasks import PRODUCTS, TASKS, Product, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

T = TypeVar("T")

STYLES = 4  # of a list
LINKS = ("Then ", "Next, ", "After that, ", "Also, ")


@dataclass(frozen=True)
class Ask:
    """What a question is about."""

    product: Product
    task: Task

    def fill(self, text: str) -> str:
        """Put the product's and the task's words into ``text``."""
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
    """Write ``n_prompts`` different questions with ``answers`` different answers each.

    Columns: prompt, response, rating (0 to 4; good is above 2), prompt_id, kind. Raters differ:
    each kind of answer has its usual rating (`RATINGS`) and often gets a neighbouring one, so not
    even the kind separates good from bad. A larger world begins with the smaller one.
    """
    if n_prompts < 1 or answers < 1:
        raise UsageError(
            f"a help desk needs at least 1 prompt and 1 answer, and got n_prompts={n_prompts}, "
            f"answers={answers}"
        )
    if not (0 < products <= len(PRODUCTS) and 0 < tasks <= len(TASKS)):
        raise UsageError(
            f"a help desk is asked about 1 to {len(PRODUCTS)} products and 1 to {len(TASKS)} tasks, and got "
            f"products={products}, tasks={tasks}"
        )
    asked: set[str] = set()
    rows: list[tuple[str, str, int, str, str]] = []
    for i in range(n_prompts):
        rng = numpy_stream(seed, "helpdesk", i)
        ask = Ask(_pick(rng, PRODUCTS[:products]), _pick(rng, TASKS[:tasks]))
        prompt = _question(ask, rng)
        if prompt in asked:
            prompt = f"{prompt} (ticket {100000 + i})"
        asked.add(prompt)
        given: set[str] = set()
        while len(given) < answers:
            kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
            response = ANSWERS[kind](ask, rng)
            if response not in given:
                given.add(response)
                rating = int(rng.choice(5, p=RATINGS[kind]))
                rows.append((prompt, response, rating, f"q{i:05d}", kind))
    names = ("prompt", "response", "rating", "prompt_id", "kind")
    return pl.DataFrame(rows, schema=names, orient="row")


def _question(ask: Ask, rng: np.random.Generator) -> str:
    device, since = _pick(rng, words.DEVICES), _pick(rng, words.SINCE)
    name = ask.product.name
    if rng.random() < 0.5:
        want = _pick(rng, ask.task.asks)
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
        want = _pick(rng, ask.task.symptoms)
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
    kept = [d for d in details if rng.random() < 0.55]
    core = form.format(want=want, name=name, device=device, since=since)
    return _join([_pick(rng, words.OPENERS), core, *kept, _pick(rng, words.CLOSERS)])


def _complete(ask: Ask, rng: np.random.Generator) -> str:
    """List all the steps, now and then without the last or the first."""
    steps = list(ask.task.steps)
    if rng.random() < 0.3:
        steps.pop(_pick(rng, (0, -1)))
    return _dressed(ask, _listed([ask.fill(s) for s in steps], rng), rng)


def _terse(ask: Ask, rng: np.random.Generator) -> str:
    extra = _pick(rng, words.CHECKS) if rng.random() < 0.4 else ""
    intro = _pick(rng, words.INTROS) if rng.random() < 0.3 else ""
    return _join([ask.fill(intro), ask.fill(_pick(rng, ask.task.short)), extra])


def _partial(ask: Ask, rng: np.random.Generator) -> str:
    """Begin well, then say nothing in particular."""
    steps = [ask.fill(s) for s in ask.task.steps[: int(rng.integers(1, 3))]]
    steps += [ask.fill(v) for v in _some(rng, words.VAGUE, 1, 3)]
    return _dressed(ask, _listed(steps, rng), rng)


def _vague(ask: Ask, rng: np.random.Generator) -> str:
    """Say nothing in particular, at any length and also as a list."""
    return _dressed(ask, _listed([ask.fill(v) for v in _some(rng, words.VAGUE, 2, 6)], rng), rng)


def _off_topic(ask: Ask, rng: np.random.Generator) -> str:
    """Answer another question well."""
    other = Ask(ask.product, _other(rng, TASKS, ask.task))
    return _complete(other, rng) if rng.random() < 0.7 else _terse(other, rng)


def _wrong_product(ask: Ask, rng: np.random.Generator) -> str:
    """Answer the question well for another product."""
    other = Ask(_other(rng, PRODUCTS, ask.product), ask.task)
    text = _complete(other, rng) if rng.random() < 0.7 else _terse(other, rng)
    return text if other.product.name in text else f"For {other.product.name}. {text}"


def _truncated(ask: Ask, rng: np.random.Generator) -> str:
    """Stop in the middle of a sentence."""
    text = _complete(ask, rng)
    cut = text[: int(len(text) * rng.uniform(0.2, 0.8))]
    return cut.rsplit(" ", 1)[0].rstrip(" .,;:-\n")


def _refusing(ask: Ask, rng: np.random.Generator) -> str:
    said = _some(rng, words.REFUSALS, 1, 3)
    return ask.fill(_join([_pick(rng, words.INTROS), *said, _pick(rng, words.OUTROS)]))


def _rude(ask: Ask, rng: np.random.Generator) -> str:
    """Dismiss the question, sometimes with a hint of the answer."""
    hint = _pick(rng, ask.task.short) if rng.random() < 0.3 else ""
    return ask.fill(_join([*_some(rng, words.RUDE, 1, 3), hint]))


def _dressed(ask: Ask, body: str, rng: np.random.Generator) -> str:
    check = _pick(rng, words.CHECKS) if rng.random() < 0.5 else ""
    tail = _join([check, _pick(rng, words.OUTROS)])
    glue = "\n" if "\n" in body else " "
    return glue.join(s for s in (ask.fill(_pick(rng, words.INTROS)), body, tail) if s)


def _listed(steps: Sequence[str], rng: np.random.Generator) -> str:
    return listed(steps, int(rng.integers(STYLES)))


def listed(steps: Sequence[str], style: int) -> str:
    """Set out steps as numbers, bullets, sentences or one flowing sentence after another."""
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
    """Pick ``low`` to ``high`` different options in random order."""
    chosen = rng.permutation(len(options))[: int(rng.integers(low, high + 1))]
    return [options[int(k)] for k in chosen]


def _other(rng: np.random.Generator, options: Sequence[T], than: T) -> T:
    return _pick(rng, [o for o in options if o != than])


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
SHARES = {
    "complete": 0.28,
    "terse": 0.2,
    "partial": 0.1,
    "vague": 0.12,
    "off_topic": 0.05,
    "wrong_product": 0.03,
    "truncated": 0.07,
    "refusing": 0.07,
    "rude": 0.08,
}
RATINGS = {  # chance of each rating 0 to 4
    "complete": (0.0, 0.01, 0.04, 0.25, 0.7),
    "terse": (0.0, 0.02, 0.08, 0.7, 0.2),
    "partial": (0.02, 0.18, 0.7, 0.09, 0.01),
    "vague": (0.06, 0.34, 0.54, 0.05, 0.01),
    "off_topic": (0.25, 0.65, 0.08, 0.02, 0.0),
    "wrong_product": (0.14, 0.64, 0.18, 0.04, 0.0),
    "truncated": (0.1, 0.6, 0.24, 0.05, 0.01),
    "refusing": (0.52, 0.42, 0.05, 0.01, 0.0),
    "rude": (0.76, 0.2, 0.04, 0.0, 0.0),
}
