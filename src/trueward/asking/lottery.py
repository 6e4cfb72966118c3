"""The lottery that decides whether a product asks about a response: a pure function of the response's id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trueward.core.errors import UsageError

from .shipped.ask import ask as outcome


@dataclass(frozen=True)
class Ask:
    """The outcome of the lottery for one response.

    Attributes
    ----------
    asked : bool
        Whether to ask.
    p : float
        The probability that it was asked; 0 where the response is not in the lottery. Log it as ``p_ask``.
    level : int
        How strongly to ask: 0 where it is not asked, else 1 to ``levels``. Log it as ``ask_level``.

    See Also
    --------
    ask : Draws it.

    """

    asked: bool
    p: float
    level: int

    def columns(self) -> dict[str, Any]:
        """Return what to log beside the response: ``asked``, ``p_ask`` and ``ask_level``."""
        return {"asked": int(self.asked), "p_ask": self.p, "ask_level": self.level}


def ask(
    response_id: str,
    p: float,
    key: str,
    *,
    levels: int = 1,
    earlier: int = 0,
    per_day: int | None = None,
) -> Ask:
    """Decide by a lottery whether to ask for feedback on a response.

    asked = [ H(key, "ask" 0 response_id) < p 2^64 ] with H the first 8 bytes, big-endian, of HMAC-SHA256.
    The level is 1 + floor(levels H(key, "level" 0 response_id) / 2^64). Equal ids give equal outcomes, so
    retries do not ask twice and an import can compute `asked` again. Whoever is asked at p is asked at every
    larger p, and outcomes of different keys are independent.

    Parameters
    ----------
    response_id : str
        Id of the response, as it will stand in the log.
    p : float
        Probability of asking, in [0, 1].
    key : str
        Names the lottery; a new key is a new draw. It need not be secret, but users who know it know whether
        they will be asked.
    levels : int, default 1
        Number of ways to ask, such as a line below the answer (1) and a dialog (2), all equally likely.
    earlier : int, default 0
        Number of responses that this user was shown earlier on the same day.
    per_day : int or None
        Only this many responses of a user and day, the first ones, are in the lottery, so that nobody is
        asked more often. Those after them have p = 0.

    Returns
    -------
    Ask
        Whether to ask, and what to log.

    Raises
    ------
    UsageError
        If p, levels, earlier or per_day is out of range, or the id or the key is empty.

    Examples
    --------
    >>> ask("resp-1", 1.0, "k1")
    Ask(asked=True, p=1.0, level=1)
    >>> sum(ask(f"resp-{i}", 0.03, "k1").asked for i in range(10_000))
    318
    >>> ask("resp-1", 1.0, "k1", earlier=2, per_day=2).columns()
    {'asked': 0, 'p_ask': 0.0, 'ask_level': 0}

    """
    _check(response_id, p, key, levels, earlier, per_day)
    found = outcome(response_id, float(p), key, levels, earlier, per_day)
    return Ask(asked=found["asked"] == 1, p=found["p_ask"], level=int(found["ask_level"]))


def _check(
    response_id: str, p: float, key: str, levels: int, earlier: int, per_day: int | None
) -> None:
    """Raise about a parameter that is out of range."""
    for name, text in (("response_id", response_id), ("key", key)):
        if not isinstance(text, str) or not text:
            raise UsageError(f"ask: {name} must be a text that is not empty, not {text!r}")
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
        raise UsageError(f"ask: p must be a probability from 0 to 1, not {p!r}")
    for name, number, least in (
        ("levels", levels, 1),
        ("earlier", earlier, 0),
        ("per_day", 1 if per_day is None else per_day, 1),
    ):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise UsageError(
                f"ask: {name} must be a whole number of at least {least}, not {number!r}"
            )
