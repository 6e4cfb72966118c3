"""Inputs of a report: models, a sample of the log and of the test, and results computed on demand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch

from trueward.core.errors import TruewardError
from trueward.core.random import torch_stream
from trueward.data.log import Log
from trueward.data.splits import sample_prompts
from trueward.data.truth import Test
from trueward.evaluation.audit import Audit, audit
from trueward.evaluation.evaluate import evaluate
from trueward.evaluation.log_signals import signal_probabilities
from trueward.evaluation.sensitivity import Sensitivity, sensitivity
from trueward.features import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback, Labelled
    from trueward.evaluation.measure import Metrics
    from trueward.model.reward_model import RewardModel, Scores

T = TypeVar("T")
Rows = TypeVar("Rows", Log, Test)


@dataclass(frozen=True, eq=False)
class ReportInputs:
    """Models, a log and a test; every result is computed once, when it is first needed."""

    #: The models by name.
    models: Mapping[str, RewardModel]
    log: Log | None
    test: Test | None
    seed: int
    #: Largest number of rows read of the log, and of the test.
    rows: int
    #: Is called with a line of text as a slow step begins.
    say: Callable[[str], None]
    _results: dict[tuple[str, ...], Any] = field(default_factory=dict)

    @property
    def table(self) -> Log:
        """The log, or a sample of its prompts."""
        if self.log is None:
            raise TruewardError("this section needs a log, and none was given")
        log = self.log
        return self._once(("table",), lambda: sample(log, self.seed, self.rows))

    @property
    def clean(self) -> Test:
        """The test, or a sample of its prompts."""
        if self.test is None:
            raise TruewardError("this section needs a clean test, and none was given")
        test = self.test
        return self._once(("clean",), lambda: sample(test, self.seed, self.rows))

    def data(self, name: str) -> Feedback:
        """The log as features of a model, with the probability of every signal given x."""

        def read() -> Feedback:
            self.say("reading the log ...")
            log = encode(self.table, backbone=self._backbone(name))
            return replace(log, eta=log.eta | signal_probabilities(log, self.seed))

        return self._once(("data", self._backbone(name)), read)

    @property
    def weight(self) -> NDArray[np.float64] | None:
        """(n,) what each row of `table` represents; None where every row has weight 1."""
        weighted = "weight" in self.table.columns
        return self.table.row_weight.to_numpy() if weighted else None

    def labelled(self, name: str) -> Labelled:
        """The clean test as features of a model."""
        return self._once(
            ("labelled", self._backbone(name)),
            lambda: encode(self.clean, backbone=self._backbone(name)),
        )

    def scores(self, name: str, of: Literal["log", "test"] = "log") -> Scores:
        """Scores of a model on the log or on the test."""
        x = (self.data(name) if of == "log" else self.labelled(name)).x
        return self._once(("scores", of, name), lambda: self.models[name].score_features(x))

    def preferred(self, name: str, of: Literal["log", "test"]) -> Tensor:
        """Return P(preferred) of a model on the log or on the test.

        Parameters
        ----------
        name : str
            Name of the model.
        of : {"log", "test"}
            What to score.

        Returns
        -------
        (n,) Tensor
            P(preferred).

        Raises
        ------
        TruewardError
            If the model identifies only an interval.

        """
        preferred = self.scores(name, of).preferred
        if preferred is None:
            raise TruewardError(f"{name} identifies only an interval of P(preferred)")
        return preferred

    def metrics(self, name: str) -> Metrics:
        """Metrics of a model on the clean test."""
        return self._once(
            ("metrics", name),
            lambda: evaluate(self.models[name], self.labelled(name), seed=self.seed),
        )

    def audit(self, name: str) -> Audit:
        """Audit of a model on the log."""
        return self._once(
            ("audit", name), lambda: audit(self.models[name], self.data(name), seed=self.seed)
        )

    def sensitivity(self, name: str) -> Sensitivity:
        """Sensitivity of a model to who reacts."""
        return self._once(
            ("sensitivity", name),
            lambda: sensitivity(self.models[name], self.data(name), seed=self.seed),
        )

    @property
    def sampled(self) -> list[str]:
        """Sentences on the log and on the test where only a sample was read."""
        parts: list[tuple[str, Log | Test, Log | Test]] = []
        parts += [] if self.log is None else [("logged", self.log, self.table)]
        parts += [] if self.test is None else [("clean", self.test, self.clean)]
        return [
            f"Of {len(whole):,} {what} responses the report reads {len(part):,}: whole prompts drawn at "
            "random, those with gold labels first."
            for what, whole, part in parts
            if len(part) < len(whole)
        ]

    def _backbone(self, name: str) -> str:
        backbone = self.models[name].backbone
        if backbone is None:
            raise TruewardError(
                "this model was fitted on features of unknown origin and cannot read text: use the library "
                "on features made the same way"
            )
        return backbone

    def _once(self, key: tuple[str, ...], make: Callable[[], T]) -> T:
        if key not in self._results:
            self._results[key] = make()
        result: T = self._results[key]
        return result


def sample(table: Rows, seed: int, most: int) -> Rows:
    """Draw at most ``most`` rows of a table: whole prompts at random, those with gold labels first.

    Parameters
    ----------
    table : Log or Test
        The table; it is returned as it is where it is short enough.
    seed : int
        Seed of the draw.
    most : int
        Largest number of rows.

    Returns
    -------
    Log or Test
        The rows of the drawn prompts.

    """
    if len(table) <= most:
        return table
    frame = table.frame
    prompt = torch.from_numpy(frame["prompt_id"].rank("dense").to_numpy().astype("int64") - 1)
    gold = frame["gold"].is_not_null().arg_true().to_list() if "gold" in frame.columns else []
    g = torch_stream(seed, "report", "sample")
    rows = sample_prompts(prompt, torch.tensor(gold, dtype=torch.long), most, g)
    return replace(table, frame=frame[rows.tolist()])
