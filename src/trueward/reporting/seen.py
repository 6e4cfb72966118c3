"""What a report is made of: models, a log or a sample of it, a clean test, and what they give together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch

from trueward.core.errors import TruewardError
from trueward.core.random import torch_stream
from trueward.data.feedback import whole_prompts
from trueward.data.log import Log, Test
from trueward.evaluation.audit import Audit, audit
from trueward.evaluation.evaluate import evaluate
from trueward.evaluation.log_signals import signal_probabilities
from trueward.evaluation.sensitivity import Sensitivity, sensitivity
from trueward.features import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from trueward.data.feedback import Feedback, Labelled
    from trueward.evaluation.measure import Metrics
    from trueward.model.reward_model import RewardModel, Scores

T = TypeVar("T")
Rows = TypeVar("Rows", Log, Test)
FEATURES = "this model was fitted on features of unknown origin and cannot read text"


@dataclass(frozen=True, eq=False)
class Seen:
    """Everything is computed when first asked for, and once."""

    models: Mapping[str, RewardModel]
    log: Log | None
    test: Test | None
    seed: int
    rows: int  # of the log and of the test that are read at most
    say: Callable[[str], None]
    _kept: dict[tuple[str, ...], Any] = field(default_factory=dict)

    @property
    def table(self) -> Log:
        """The log, or a sample of it."""
        if self.log is None:
            raise TruewardError("it needs a log, and none was given")
        log = self.log
        return self._once(("table",), lambda: sample(log, self.seed, self.rows))

    @property
    def clean(self) -> Test:
        """The test, or a sample of it."""
        if self.test is None:
            raise TruewardError("it needs a clean test, and none was given")
        test = self.test
        return self._once(("clean",), lambda: sample(test, self.seed, self.rows))

    def data(self, name: str) -> Feedback:
        """The log as a model reads it, with the chance of every signal given x."""

        def make() -> Feedback:
            self.say("reading the log ...")
            found = encode(self.table, backbone=self._backbone(name))
            return replace(found, eta=found.eta | signal_probabilities(found, self.seed))

        return self._once(("data", self._backbone(name)), make)

    def truth(self, name: str) -> Labelled:
        """The clean test as a model reads it."""
        return self._once(
            ("truth", self._backbone(name)),
            lambda: encode(self.clean, backbone=self._backbone(name)),
        )

    def scores(self, name: str, of: Literal["log", "test"] = "log") -> Scores:
        """What a model says of the log or of the test."""
        x = (self.data(name) if of == "log" else self.truth(name)).x
        return self._once(("scores", of, name), lambda: self.models[name].score_features(x))

    def preferred(self, name: str, of: Literal["log", "test"]) -> Tensor:
        """P(preferred), or an error where a model identifies only an interval."""
        found = self.scores(name, of).preferred
        if found is None:
            raise TruewardError(f"{name} identifies only an interval of P(preferred)")
        return found

    def metrics(self, name: str) -> Metrics:
        """The figures on the clean test."""
        return self._once(
            ("metrics", name),
            lambda: evaluate(self.models[name], self.truth(name), seed=self.seed),
        )

    def audit(self, name: str) -> Audit:
        """The figures on the log by its gold labels."""
        return self._once(
            ("audit", name), lambda: audit(self.models[name], self.data(name), seed=self.seed)
        )

    def sensitivity(self, name: str) -> Sensitivity:
        """The conclusions under other ways to react."""
        return self._once(
            ("sensitivity", name),
            lambda: sensitivity(self.models[name], self.data(name), seed=self.seed),
        )

    @property
    def sampled(self) -> list[str]:
        """Say where rows were left out."""
        parts: list[tuple[str, Log | Test, Log | Test]] = []
        parts += [] if self.log is None else [("logged", self.log, self.table)]
        parts += [] if self.test is None else [("clean", self.test, self.clean)]
        return [
            f"Of {len(whole):,} {what} responses it reads {len(part):,}: whole prompts drawn at random, "
            "those with gold labels first."
            for what, whole, part in parts
            if len(part) < len(whole)
        ]

    def _backbone(self, name: str) -> str:
        found = self.models[name].backbone
        if found is None:
            raise TruewardError(f"{FEATURES}: use the library on features made the same way")
        return found

    def _once(self, key: tuple[str, ...], make: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found


def sample(table: Rows, seed: int, most: int) -> Rows:
    """At most so many rows of a table: whole prompts at random, those with gold labels first."""
    if len(table) <= most:
        return table
    frame = table.frame
    prompt = torch.from_numpy(frame["prompt_id"].rank("dense").to_numpy().astype("int64") - 1)
    gold = frame["gold"].is_not_null().arg_true().to_list() if "gold" in frame.columns else []
    g = torch_stream(seed, "report", "sample")
    rows = whole_prompts(prompt, torch.tensor(gold, dtype=torch.long), most, g)
    return replace(table, frame=frame[rows.tolist()])
