"""True quality of any answer to a help desk question, computed from its text."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError

from . import helpdesk_phrases as words
from .helpdesk import STYLES, Ask, listed
from .helpdesk_phrases import RATINGS
from .helpdesk_tasks import PRODUCTS, TASKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Slot = tuple[frozenset[str], int, int]  # phrases, fewest and most of them in the text

#: P(rating > 2) of each kind of answer; 0 for texts of no kind.
QUALITY = {kind: chances[3] + chances[4] for kind, chances in RATINGS.items()} | {"foreign": 0.0}
#: First characters of a step in a list.
MARK = re.compile(r"(?:\d+\. |- |First, |Then |Next, |After that, |Also, )")
#: Separator of steps.
SPLIT = re.compile(r"\n|(?<=\.) ")


def quality(prompt: str, response: str) -> float:
    """Return P(rating > 2 | kind of answer), a function of the text alone.

    Parameters
    ----------
    prompt : str
        A question of `helpdesk`.
    response : str
        Any text.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    TruewardError
        If the prompt is not a question of the help desk.

    """
    return QUALITY[kind_of(prompt, response)]


def kind_of(prompt: str, response: str) -> str:
    """Return the kind of an answer; if several kinds can produce the text, the best one.

    Parameters
    ----------
    prompt : str
        A question of `helpdesk`.
    response : str
        Any text. Leading and trailing space is ignored.

    Returns
    -------
    str
        A kind of `helpdesk`, or "foreign" if no kind can produce the text. The quality of foreign
        texts is 0.

    Raises
    ------
    TruewardError
        If the prompt is not a question of the help desk.

    """
    return _kind(subject(prompt), response.strip())


@lru_cache(maxsize=65536)
def subject(prompt: str) -> Ask:
    """Return the product and the task that a question names.

    Raises
    ------
    TruewardError
        If the prompt does not name exactly one of each.

    """
    products = [p for p in PRODUCTS if p.name in prompt]
    tasks = [t for t in TASKS if any(w in prompt for w in (*t.asks, *t.symptoms))]
    if len(products) != 1 or len(tasks) != 1:
        raise TruewardError(
            f"a question of the help desk names one product and one task; {prompt[:60]!r} names "
            f"{len(products)} and {len(tasks)}"
        )
    return Ask(products[0], tasks[0])


def _kind(ask: Ask, text: str) -> str:
    if _answers(ask, text):
        return "complete" if _complete(ask, text) else "terse"
    kind = _partial_or_vague(ask, text)
    if kind:
        return kind
    intro, outro = _one(ask, words.INTROS), _one(ask, words.OUTROS)
    if _matches(text, (intro, (_filled(ask, words.REFUSALS), 1, 3), outro)):
        return "refusing"
    if _matches(text, ((_filled(ask, words.RUDE), 1, 3), _one(ask, ask.task.short))):
        return "rude"
    if any(_answers(Ask(ask.product, t), text) for t in TASKS if t != ask.task):
        return "off_topic"
    if any(_for_another(Ask(p, ask.task), text) for p in PRODUCTS if p != ask.product):
        return "wrong_product"
    return "truncated" if text and _is_prefix(ask, text) else "foreign"


def _answers(ask: Ask, text: str) -> bool:
    return _complete(ask, text) or _terse(ask, text)


def _for_another(ask: Ask, text: str) -> bool:
    name = ask.product.name
    return name in text and (
        _answers(ask, text) or _answers(ask, text.removeprefix(f"For {name}. "))
    )


def _complete(ask: Ask, text: str) -> bool:
    return any(body in _lists(ask) for body in _bodies(ask, text))


def _terse(ask: Ask, text: str) -> bool:
    short = (_filled(ask, ask.task.short), 1, 1)
    return _matches(text, (_one(ask, words.INTROS), short, _one(ask, words.CHECKS)))


def _partial_or_vague(ask: Ask, text: str) -> str:
    """Return "partial", "vague", or an empty string for all other texts."""
    steps = [ask.fill(s) for s in ask.task.steps[:2]]
    vague = _filled(ask, words.VAGUE)
    known = {phrase.lower(): phrase for phrase in (*steps, *vague)}
    for body in _bodies(ask, text):
        parts = [MARK.sub("", p, count=1).removesuffix(".").lower() for p in SPLIT.split(body)]
        phrases = [known[p] for p in parts if p in known]
        n = len(phrases) - sum(s in vague for s in phrases)
        rest = phrases[n:]
        whole = bool(phrases) and any(listed(phrases, k) == body for k in range(STYLES))
        if (
            whole
            and phrases[:n] == steps[:n]
            and len(set(rest)) == len(rest)
            and vague.issuperset(rest)
        ):
            if n and 1 <= len(rest) <= 3:
                return "partial"
            if not n and 2 <= len(rest) <= 6:
                return "vague"
    return ""


def _is_prefix(ask: Ask, text: str) -> bool:
    """Return whether ``text`` is the beginning of a complete answer."""
    for intro, body in product(_phrases(ask, words.INTROS), _lists(ask)):
        glue = "\n" if "\n" in body else " "
        head = f"{intro}{glue}{body}" if intro else body
        if head.startswith(text):
            return True
        rest = text.removeprefix(head)
        if rest != text and any(f"{glue}{tail}".startswith(rest) for tail in TAILS):
            return True
    return False


def _bodies(ask: Ask, text: str) -> Iterator[str]:
    """Yield the possible lists of steps in ``text``, without the introduction and the end."""
    for intro, glue in product(_phrases(ask, words.INTROS), ("\n", " ")):
        head = intro + glue if intro else ""
        if not text.startswith(head):
            continue
        for tail in TAILS:
            end = glue + tail if tail else ""
            if len(head) + len(end) < len(text) and text.endswith(end):
                body = text[len(head) : len(text) - len(end)]
                if ("\n" in body) == (glue == "\n") or not (intro or tail):
                    yield body


@lru_cache(maxsize=1024)
def _lists(ask: Ask) -> frozenset[str]:
    """Return all the steps, or all but the first or the last, in every style."""
    steps = [ask.fill(s) for s in ask.task.steps]
    chosen = (steps, steps[1:], steps[:-1])
    return frozenset(listed(c, style) for c in chosen for style in range(STYLES))


def _matches(text: str, slots: Sequence[Slot]) -> bool:
    """Return whether ``text`` consists of distinct phrases of the slots, in order, joined by spaces."""
    if not slots or not text:
        return not text and all(low == 0 for _, low, _ in slots)
    (phrases, low, high), later = slots[0], slots[1:]
    if low == 0 and _matches(text, later):
        return True
    return high > 0 and any(
        _matches(text[len(p) + 1 :], ((phrases - {p}, max(low - 1, 0), high - 1), *later))
        for p in phrases
        if text == p or text.startswith(f"{p} ")
    )


def _one(ask: Ask, phrases: tuple[str, ...]) -> Slot:
    return _filled(ask, phrases), 0, 1


def _filled(ask: Ask, phrases: tuple[str, ...]) -> frozenset[str]:
    return frozenset(p for p in _phrases(ask, phrases) if p)


@lru_cache(maxsize=8192)
def _phrases(ask: Ask, phrases: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ask.fill(p) for p in phrases))


#: Possible ends of an answer.
TAILS = tuple(
    dict.fromkeys(" ".join(s for s in pair if s) for pair in product(words.CHECKS, words.OUTROS))
)
