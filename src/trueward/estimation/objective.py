"""What the training loop minimises: the part of the contract that methods and nuisances share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, dataclass_transform

from trueward.core.options import check_values
from trueward.data.feedback import Columns

from . import samplers
from .reward_form import HeadLogit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .reward_form import RewardForm


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Objective:
    """A loss on logits, and how networks are trained to minimise it.

    A final subclass becomes a frozen, keyword-only dataclass. Its fields are hyper-parameters, checked
    against their declared ranges. What depends on a field is declared by a property.
    """

    name: ClassVar[str] = ""

    @property
    def heads(self) -> dict[str, str]:
        """Networks trained together, name -> input: x, z, xz, or one for a single learned number."""
        return {"reward": "x"}

    @property
    def shared(self) -> bool:
        """Whether all heads on x share one trunk."""
        return False

    @property
    def hidden(self) -> bool:
        """Whether the loss also reads ``out.hidden``, (n, h): the last hidden layer of the reward."""
        return False

    @property
    def warm_up_fraction(self) -> float:
        """Fraction of the training that is warm-up: no epoch in it may be kept."""
        return 0.0

    @property
    def monitor_split(self) -> Literal["validation", "training"]:
        """The rows on which ``monitor`` is measured after every epoch."""
        return "validation"

    def __init_subclass__(cls, *, final: bool = True, **kwargs: Any) -> None:
        """Make a final subclass a frozen dataclass, named after its module."""
        super().__init_subclass__(**kwargs)
        if any("__dataclass_fields__" in vars(base) for base in cls.__bases__):
            raise TypeError(f"{cls.__name__}: methods are final; share mathematics through losses")
        if final:
            dataclass(frozen=True, kw_only=True)(cls)
            if "name" not in cls.__annotations__:
                cls.name = cls.__module__.rpartition(".")[2]

    def __post_init__(self) -> None:
        """Check every field against its declared range, then the fields together."""
        check_values(self, self.name or type(self).__name__)
        self.validate()

    def validate(self) -> None:
        """Refuse fields that do not go together."""

    def rows(self, data: Feedback) -> Tensor:
        """Row numbers that can contribute to the loss; the others are not computed."""
        return samplers.every(data)

    def batches(
        self, data: Feedback, rows: Tensor, size: int, g: torch.Generator
    ) -> Iterator[Tensor]:
        """Row numbers of every step of one epoch."""
        return samplers.shuffle(rows, size, g, data.weight)

    def mixing(self, b: Feedback, g: torch.Generator) -> tuple[Tensor, Tensor] | None:
        """(partner, share), (n,) each: the networks see share x + (1 - share) x[partner] of the batch.

        The loss finds both in ``b.eta``; None leaves the rows as they are.
        """

    def init_memory(self, data: Feedback) -> Columns:  # noqa: ARG002 - for those that do
        """Columns of ``b.eta`` that training itself updates, as they stand before the first epoch."""
        return Columns()

    def update_memory(self, out: Columns, b: Feedback) -> Columns:
        """The columns of ``init_memory`` after an epoch, from the logits of all ``rows`` at its end."""
        raise AssertionError(type(self).__name__, out, b)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        """Scalar loss of the logits ``out`` (one (n,) column a head) on the rows ``b``."""
        raise AssertionError(type(self).__name__, out, b)

    def monitor(self, out: Columns, b: Feedback) -> Tensor:
        """Scalar that early stopping minimises on the rows of ``monitor_split``; what a log shows."""
        return self.loss(out, b)

    def reward_form(self) -> RewardForm:
        """Declare how the reward follows from the heads; the default is the logit of ``reward``."""
        return HeadLogit()

    def reward(self, out: Columns) -> Tensor:
        """(n,) logit that becomes the reward model's output, as `reward_form` declares it."""
        return self.reward_form().logit(out)
