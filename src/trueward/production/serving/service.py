"""What every route of the server shares: the model, the way from texts to scores, reloading, health."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError

from .batcher import answers
from .engine import Engine
from .errors import RequestError
from .metrics import Metrics
from .request_log import RequestLog
from .scoring_process import ScoringProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from .frames import Answer, Text
    from .scoring_process import Start
    from .settings import Settings

LOG = logging.getLogger("trueward.serve")
GONE = 499  # of a request whose client left; nobody reads it


class Service:
    """A server's state.

    Parameters
    ----------
    settings : Settings
        What the server was told.
    scorer : callable, default ScoringProcess
        See `Engine`.

    Attributes
    ----------
    metrics : Metrics
        What is counted.
    engine : Engine or None
        The model that is served; None while the first one is loaded.
    stopping : bool
        Whether no new request is taken.

    """

    def __init__(
        self, settings: Settings, scorer: Callable[[Start, int], Any] = ScoringProcess
    ) -> None:
        self.settings, self._scorer = settings, scorer
        self.metrics = Metrics(vllm=settings.vllm_metrics)
        self.engine: Engine | None = None
        self.stopping = False
        self.failed: TruewardError | None = None
        self._reloading = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        self._running = 0
        self._log = RequestLog(settings.log_requests) if settings.log_requests else None
        self.metrics.watch(
            {
                "queue_tokens": lambda: self.engine.batcher.queue.tokens if self.engine else 0,
                "batch_budget_tokens": lambda: self.engine.batcher.budget if self.engine else 0,
                "scorers_alive": lambda: self.engine.batcher.alive if self.engine else 0,
                "running": lambda: max(0, self._running - self._waiting()),
                "waiting": self._waiting,
            }
        )

    def _waiting(self) -> int:
        return min(self._running, len(self.engine.batcher.queue)) if self.engine else 0

    @property
    def name(self) -> str:
        """Name of the model in answers."""
        return str(self.settings.name or self.about["name"])

    @property
    def about(self) -> dict[str, Any]:
        """What is known of the model; 503 while it is loaded."""
        if self.engine is None:
            raise RequestError(
                503, "the model is still loading: send the request again", retry_after=5
            )
        return self.engine.about

    @property
    def healthy(self) -> bool:
        """Whether batches end: false while rows wait and none has ended for the time of ``--stall``."""
        stall = self.settings.start.stall
        return self.engine is None or not self.engine.batcher.stalled(stall)

    @property
    def ready(self) -> bool:
        """Whether a request would be scored now."""
        batcher = self.engine.batcher if self.engine else None
        able = batcher is not None and batcher.alive > 0 and not batcher.memory_short
        return able and not self.stopping and self.healthy

    async def begin(self) -> None:
        """Load the model of the settings; an error is kept in ``failed``."""
        async with self._reloading:
            engine = self._new_engine(self.settings.start.folder)
            try:
                await engine.start()
            except TruewardError as e:
                self.failed = e
                return
            self._serve(engine)

    async def reload(self, folder: str | None = None) -> dict[str, Any]:
        """Load a model and serve it; requests before are answered by the model before.

        Parameters
        ----------
        folder : str, optional
            The model's folder; by default that of the model that is served.

        Returns
        -------
        dict
            What is known of the new model.

        Raises
        ------
        TruewardError
            If it cannot be loaded; the model before goes on.

        """
        async with self._reloading:
            before = self.engine
            known = before.start_options.folder if before else self.settings.start.folder
            engine = self._new_engine(folder or known)
            try:
                await engine.start()
            except TruewardError as e:
                self.metrics.reloads.labels("failed").inc()
                LOG.exception("reload failed", extra={"error": str(e)})
                raise
            self.metrics.reloads.labels("done").inc()
            self._serve(engine)
            if before is not None:
                task = asyncio.create_task(before.stop())
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)
            return engine.about

    def _new_engine(self, folder: str) -> Engine:
        start = replace(self.settings.start, folder=folder)
        return Engine(start, self.settings.batches, self.metrics, self._scorer)

    def _serve(self, engine: Engine) -> None:
        self.engine = engine
        self.metrics.serve(self.name, engine.about["digest"])
        LOG.info("serving", extra={"model": self.name, "digest": engine.about["digest"][:16]})

    async def end(self) -> None:
        """Answer what waits, and end every process."""
        self.stopping = True
        engine, self.engine = self.engine, None
        if engine is not None:
            await engine.stop()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        if self._log is not None:
            self._log.close()

    async def score(self, request: Request, texts: Sequence[Text]) -> list[Answer]:
        """Score the texts of a request.

        Parameters
        ----------
        request : Request
            The request, whose body was read.
        texts : sequence of Text
            Its texts.

        Returns
        -------
        list of Answer
            One for each text.

        Raises
        ------
        RequestError
            If it cannot be scored now, or not at all.

        """
        bounds, about = self.settings.requests, self.about
        assert self.engine is not None
        request.state.digest = about[
            "digest"
        ]  # of the model that scores, whatever is loaded meanwhile
        if len(texts) > bounds.rows:
            raise RequestError(
                413,
                f"batch size {len(texts):,} > maximum allowed batch size {bounds.rows:,}: send several "
                "requests, or raise --max-client-batch",
            )
        if bounds.truncate:
            texts = [t._replace(truncate=True) for t in texts]
        self._refuse_long(texts, about["limit"])
        batcher = self.engine.batcher
        rows, shared = batcher.enter(texts)
        self.metrics.shared.inc(shared)
        request.state.rows = len(rows)
        self._running += 1
        try:
            found = await self._unless_gone(request, answers(batcher, rows, bounds.seconds))
        except RequestError as e:
            if e.code == 413:
                self.metrics.too_long.inc()
            raise
        finally:
            self._running -= 1
        self.metrics.answers(found)
        if self._log is not None:
            self._log.add(request, about["digest"], texts, found)
        return found

    def _refuse_long(self, texts: Sequence[Text], limit: dict[str, Any]) -> None:
        """413 before any work, where the limit needs no tokenizer."""
        if limit["most"] is None or limit["unit"] != "characters":
            return
        for i, t in enumerate(texts):
            size = max(len(t.prompt), len(t.response))
            if size > limit["most"] and not t.truncate:
                self.metrics.too_long.inc()
                raise RequestError(
                    413,
                    f"text {i + 1} of the request has {size:,} characters, and the model reads "
                    f"{limit['most']:,}: shorten it, or let it be truncated (truncate in the request, "
                    "--truncate of the server)",
                )

    async def _unless_gone(self, request: Request, work: Any) -> list[Answer]:
        """Wait for the scores, but no longer than the client does."""
        scores = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait({scores, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not scores.done():
                self.metrics.left.inc()
                raise RequestError(GONE, "the client left")
            return list(scores.result())
        finally:
            scores.cancel()
            gone.cancel()
