"""The rewards of a scoring server, as a reward function for TRL."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError
from trueward.features.http_json import JsonRequest, NoAnswerError, request_json
from trueward.features.named_servers import api_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    RemoteReward = Callable[..., Awaitable[list[float | None]]]

LOG = logging.getLogger("trueward")
ROWS = 64  # of one request
AT_ONCE = 8  # requests


def remote(url: str, *, key: str | None = None, name: str = "trueward_remote") -> RemoteReward:
    """Return a reward function for TRL that asks a server of ``trueward serve``.

    ``GRPOTrainer(reward_funcs=remote("http://HOST:8000"))`` trains without the reward model in its own
    process. The reward is the logit of P(preferred), unbounded: `Reward` standardises and clips, this does
    not. The mean P(preferred) and the share of out-of-distribution texts are logged as ``NAME/preferred`` and
    ``NAME/far``.

    Parameters
    ----------
    url : str
        Address of the server.
    key : str, optional
        Key of the server; by default the environment variable TRUEWARD_API_KEY.
    name : str, default "trueward_remote"
        Name in the trainer's metrics.

    Returns
    -------
    callable
        Asynchronous. Takes ``prompts`` and ``completions``, texts or lists of messages; returns one float for
        each. A busy or broken server is asked seven times within about a minute; after that the rows of the
        request get None, which TRL leaves out, and a warning.

    Raises
    ------
    UsageError
        If the address is neither http nor https. The function itself raises a TruewardError if the server
        refuses a request, or its model identifies only an interval.

    Examples
    --------
    >>> from trueward.rlhf import remote
    >>> remote("http://127.0.0.1:8000").__name__
    'trueward_remote'

    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(
            f"the address of a server begins with http:// or https://, not {url[:20]!r}"
        )
    address = url.rstrip("/") + "/v1/rewards"

    async def reward(
        prompts: Sequence[Any],
        completions: Sequence[Any],
        log_metric: Callable[[str, float], None] | None = None,
        **_columns: Any,
    ) -> list[float | None]:
        rows = [{"prompt": p, "response": c} for p, c in zip(prompts, completions, strict=True)]
        free = asyncio.Semaphore(AT_ONCE)

        async def part(start: int) -> list[dict[str, Any] | None]:
            body: dict[str, Any] = {"rows": rows[start : start + ROWS], "truncate": True}
            request = JsonRequest(address, body, key or api_key(address))
            async with free:
                try:
                    return list((await asyncio.to_thread(request_json, request))["rewards"])
                except NoAnswerError:
                    LOG.warning(
                        "%s did not answer: %d completions have no reward",
                        address,
                        len(body["rows"]),
                    )
                    return [None] * len(body["rows"])

        parts = await asyncio.gather(*(part(i) for i in range(0, len(rows), ROWS)))
        found = [row for each in parts for row in each]
        if log_metric is not None:
            _log(log_metric, name, [row for row in found if row is not None])
        return [None if row is None else _reward(row, address) for row in found]

    reward.__name__ = name
    return reward


def _reward(row: dict[str, Any], address: str) -> float:
    """The reward of a row."""
    if row["reward"] is None:
        raise TruewardError(
            f"the model at {address} identifies only an interval, and a reward is one number: serve a model "
            "of another method"
        )
    return float(row["reward"])


def _log(
    log_metric: Callable[[str, float], None], name: str, rows: Sequence[dict[str, Any]]
) -> None:
    """Log the mean P(preferred) and the share of rows that are out of distribution."""
    p = [float(row["preferred"]) for row in rows if row["preferred"] is not None]
    if p:
        log_metric(f"{name}/preferred", sum(p) / len(p))
        log_metric(f"{name}/far", sum(row["out_of_distribution"] for row in rows) / len(rows))
