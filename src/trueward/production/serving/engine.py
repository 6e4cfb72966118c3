"""One model that is served: its scoring processes and its queue. A reload replaces the whole engine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError

from .batcher import Batcher
from .scoring_process import ScoringProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from .batcher import BatchLimits, Observer
    from .scoring_process import Start


class Engine:
    """A model with its processes and its queue.

    Parameters
    ----------
    start : Start
        How its processes are started.
    limits : BatchLimits
        Bounds of batches and queue.
    observer : Observer
        Counts batches.
    scorer : callable, default ScoringProcess
        Takes ``start`` and a number, and returns a scorer that knows ``about`` after its start.

    """

    def __init__(
        self,
        start: Start,
        limits: BatchLimits,
        observer: Observer,
        scorer: Callable[[Start, int], Any] = ScoringProcess,
    ) -> None:
        self.start_options, self._limits = start, limits
        self.processes = [scorer(start, i) for i in range(start.processes)]
        self.batcher = Batcher(self.processes, limits, observer)

    @property
    def about(self) -> dict[str, Any]:
        """What the processes say of the model."""
        return dict(self.processes[0].about)

    async def start(self) -> None:
        """Start the processes, and score from then on.

        Raises
        ------
        TruewardError
            If the model cannot be loaded. No process is left then.

        """
        try:
            await asyncio.gather(*(p.start() for p in self.processes))
            self._require_one_model()
        except BaseException:
            await asyncio.gather(*(p.end(wait=0) for p in self.processes), return_exceptions=True)
            raise
        if not self._limits.batch_tokens:
            self.batcher.budget = self.batcher.most_tokens = self.about["batch_tokens"]
        self.batcher.run()

    def _require_one_model(self) -> None:
        if len({p.about["digest"] for p in self.processes}) > 1:
            raise TruewardError(
                f"{self.start_options.folder} changed while it was loaded: load it again"
            )

    async def stop(self) -> None:
        """Answer what waits, then end the processes."""
        await self.batcher.stop()
