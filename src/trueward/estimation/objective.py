"""What the training loop minimises: the contract that methods and nuisances share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, dataclass_transform

from trueward.core.options import check_values
from trueward.data.feedback import Columns

from . import samplers
from .reward_form import HeadLogit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor

    from trueward.data.comparisons import Pairs
    from trueward.data.feedback import Feedback

    from .reward_form import RewardForm


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Objective:
    """A loss on logits, and how networks are trained to minimise it.

    A subclass becomes a frozen, keyword-only dataclass. Its fields are hyper-parameters, checked against
    their declared ranges. A declaration that depends on a field is a property.

    Attributes
    ----------
    name : str
        Name of the module that defines the subclass.

    """

    name: ClassVar[str] = ""

    @property
    def heads(self) -> dict[str, str]:
        """Networks trained together, name -> input: x, z, xz, or one (a single learned number)."""
        return {"reward": "x"}

    @property
    def shared(self) -> bool:
        """Whether all heads on x share one trunk."""
        return False

    @property
    def hidden(self) -> bool:
        """Whether the loss reads ``out.hidden``, (n, h): the last hidden layer of the reward."""
        return False

    @property
    def users(self) -> str:
        """What users do whose log-odds the logit ``reward`` is: ``ratings``, ``reactions``, or nothing.

        Where users of the log differ in it, training adds the intercept of each row's user to that logit,
        so that the network learns the log-odds of a typical user. ``loss`` does not see the intercept.
        """
        return ""

    @property
    def compares(self) -> bool:
        """Whether the loss reads ``b.pairs``; the rows of a prompt are then in one batch.

        Pairs count by their weights, and rows are not resampled by theirs.
        """
        return False

    def pairs_of(self, data: Feedback) -> Pairs | None:
        """Return the comparisons that the loss reads; None if it reads none."""
        return data.pairs if self.compares else None

    @property
    def warm_up_fraction(self) -> float:
        """Fraction of the training that is warm-up; no epoch of it is kept."""
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
        """Raise `UsageError` for fields that contradict each other."""

    def rows(self, data: Feedback) -> Tensor:
        """Return the numbers of the rows that can contribute to the loss; others are not computed."""
        return samplers.every(data)

    def batches(
        self, data: Feedback, rows: Tensor, size: int, g: torch.Generator
    ) -> Iterator[Tensor]:
        """Yield the row numbers of every step of one epoch.

        Parameters
        ----------
        data : Feedback
            The training rows.
        rows : Tensor, shape (m,)
            Row numbers to use, those of ``rows(data)``.
        size : int
            Largest number of rows in a batch.
        g : torch.Generator
            Source of the random order.

        Yields
        ------
        Tensor
            Row numbers of a batch.

        """
        if self.compares:
            return samplers.prompt_batches(replace(data, weight=None), rows, size, g)
        return samplers.shuffle(rows, size, g, data.weight)

    def mixing(self, b: Feedback, g: torch.Generator) -> tuple[Tensor, Tensor] | None:
        """Return how inputs of a batch are mixed (MixUp), or None to leave them as they are.

        Parameters
        ----------
        b : Feedback
            The batch, n rows.
        g : torch.Generator
            Source of random numbers.

        Returns
        -------
        partner, share : Tensor, shape (n,)
            The networks get share * x + (1 - share) * x[partner]. The loss finds both in ``b.eta``.

        """

    def init_memory(self, data: Feedback) -> Columns:  # noqa: ARG002 - subclasses read it
        """Return the columns of ``b.eta`` that training itself updates, before the first epoch.

        Parameters
        ----------
        data : Feedback
            The training rows, or the validation rows.

        Returns
        -------
        Columns
            (n,) each; empty if there is no memory.

        """
        return Columns()

    def update_memory(self, out: Columns, b: Feedback) -> Columns:
        """Return the columns of ``init_memory`` after an epoch.

        Parameters
        ----------
        out : Columns
            Logits of all ``rows`` at the end of the epoch.
        b : Feedback
            These rows, with the memory of the epoch before in ``b.eta``.

        Returns
        -------
        Columns

        """
        raise AssertionError(type(self).__name__, out, b)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        """Return the scalar loss of a batch.

        Pure algebra on logits: no random numbers, no ``.item()``, finite for batches that are empty or of one
        class. It never reads ``b.x``.

        Parameters
        ----------
        out : Columns
            Logits, one (n,) column per head.
        b : Feedback
            The n rows, with nuisances in ``b.eta`` and the progress of the training in ``b.t``.

        Returns
        -------
        Tensor, scalar

        """
        raise AssertionError(type(self).__name__, out, b)

    def monitor(self, out: Columns, b: Feedback) -> Tensor:
        """Return the scalar that early stopping minimises on ``monitor_split``, from the log alone."""
        return self.loss(out, b)

    def reward_form(self) -> RewardForm:
        """Declare how the reward follows from the heads; the default is the logit of ``reward``."""
        return HeadLogit()

    def reward(self, out: Columns) -> Tensor:
        """Return the (n,) logit that becomes the reward model's output, as `reward_form` declares it.

        Override `reward_form`, not this: export reads the declaration.

        Parameters
        ----------
        out : Columns
            Logits, one (n,) column per head.

        Returns
        -------
        Tensor, shape (n,)

        """
        return self.reward_form().logit(out)
