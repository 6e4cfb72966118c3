"""The contract every method keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping  # noqa: TC003 - class attributes are read at run time
from typing import TYPE_CHECKING, Any, ClassVar

from .objective import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.capabilities import LogCapabilities
    from trueward.data.feedback import Columns

    from .nuisance_types import Estimable

Claims = tuple[frozenset[str], ...]


class Method(Objective, final=False):
    """Fields are hyper-parameters; class attributes declare the method; ``loss`` is its mathematics.

    A subclass becomes a frozen, keyword-only dataclass whose fields are checked against their ranges. One
    that lives in ``estimators/``, or is named by an entry point ``trueward.methods``, is found under the
    name of its file. What depends on a field is declared by a property.
    """

    paper: ClassVar[str] = ""  # authors, venue, year, equation
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # named sets of options
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)  # what the contract tests try
    takes_truth: ClassVar[bool] = False  # fitted on `Labelled`: benchmark only
    defaults: ClassVar[Mapping[str, Any]] = {}  # options of `Train` it wants; those given win

    @property
    def needs(self) -> frozenset[str]:
        """Columns the log must have."""
        return frozenset()

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        """Columns of ``eta`` estimated before the fit, in this order, then held fixed."""
        return ()

    @property
    def unbiased_if(self) -> Claims:
        """Sets of nuisances; with any one set right, E[loss] is the ideal risk for every reward."""
        return ()

    @property
    def consistent_if(self) -> Claims:
        """Sets of nuisances; with any one set right, the minimiser of the population loss is right."""
        return ()

    @property
    def assumption(self) -> str:
        """Say in one sentence when the method is right."""
        return "none: a heuristic"

    @property
    def bounded_alternative(self) -> str:
        """Say what to use instead where the loss has no lower bound; empty where it has one."""
        return ""

    @property
    def interval_only(self) -> bool:
        """Whether ``reward`` is only the lower end of an interval [reward, 1], not a score."""
        return False

    @property
    def composed(self) -> bool:
        """Whether the reward is the column ``target`` of ``eta``, given by the networks of its nuisances.

        Follows from `reward_form`. Nothing is trained on top then, unless the log brings nuisances along:
        ``loss`` is what a network of its own minimises. ``eta.low`` and ``eta.high`` are the ends of an
        interval, where there are any.
        """
        return self.reward_form().composed

    def resolve(self, capabilities: LogCapabilities) -> tuple[Method, tuple[str, ...]]:  # noqa: ARG002
        """The method for a log with these capabilities, and the reasons of that choice for the user."""
        return self, ()

    def interval(self, out: Columns) -> tuple[Tensor, Tensor] | None:  # noqa: ARG002
        """(n,) logits of the ends of a 95 % interval of P(preferred), where the method has one."""
        return None


def settings(method: Method) -> dict[str, Any]:
    """The fields of a method as plain data, for a model card."""
    return {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}
