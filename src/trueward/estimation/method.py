"""The contract of a method."""

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

#: sets of nuisances, any one of which must be right
Claims = tuple[frozenset[str], ...]


class Method(Objective, final=False):
    """A way to learn a reward: fields are hyper-parameters, properties declare, ``loss`` is the mathematics.

    A subclass becomes a frozen, keyword-only dataclass whose fields are checked against their ranges. It is
    found under the name of its file if it lives in ``estimators/``, or if an entry point of the group
    ``trueward.methods`` names it. A declaration that depends on a field is a property.

    Attributes
    ----------
    paper : str
        Authors, venue, year, equation.
    presets : mapping
        Name -> options that ``-o preset=NAME`` sets.
    variants : tuple of mapping
        Options that the contract tests try.
    takes_truth : bool
        Whether it is fitted on `Labelled`, the true labels: benchmarks only.
    defaults : mapping
        Options of `Train` that it changes; options given by the user override them.

    Examples
    --------
    >>> from trueward.estimators._registry import make
    >>> method = make("ips", {"clip": 0.05})
    >>> method.clip, sorted(method.needs), [nu.name for nu in method.nuisances]
    (0.05, ['o'], ['propensity'])

    """

    paper: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    takes_truth: ClassVar[bool] = False
    defaults: ClassVar[Mapping[str, Any]] = {}

    @property
    def needs(self) -> frozenset[str]:
        """Columns that the log must have."""
        return frozenset()

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        """Columns of ``eta`` that are estimated before the fit, in this order, and then held fixed."""
        return ()

    @property
    def unbiased_if(self) -> Claims:
        """Sets of nuisances: if any one set is right, E[loss] is the ideal risk for every reward."""
        return ()

    @property
    def consistent_if(self) -> Claims:
        """Sets of nuisances: if any one set is right, the minimiser of the population loss is right."""
        return ()

    @property
    def assumption(self) -> str:
        """The assumptions under which the method is right, in one sentence."""
        return "none: a heuristic"

    @property
    def bounded_alternative(self) -> str:
        """What to use instead of a loss without a lower bound; empty if the loss has one."""
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
        """Return the method configured for a log, and the reasons of that choice.

        Parameters
        ----------
        capabilities : LogCapabilities
            What the log has.

        Returns
        -------
        method : Method
            This method, unless it depends on the log.
        reasons : tuple of str
            Sentences for the report.

        """
        return self, ()

    def interval(self, out: Columns) -> tuple[Tensor, Tensor] | None:  # noqa: ARG002
        """Return the (n,) logits of the ends of a 95 % interval of P(preferred), if there is one."""
        return None


def settings(method: Method) -> dict[str, Any]:
    """Return the fields of a method as plain data, for a model card.

    Parameters
    ----------
    method : Method
        The method.

    Returns
    -------
    dict
        Name of every option -> its value.

    """
    return {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}
