"""The contract every method keeps, and how a method is found."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Mapping  # noqa: TC003 - class attributes are read at run time
from dataclasses import MISSING, dataclass
from functools import cache, partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar, Literal, dataclass_transform

from . import samplers
from .data import Columns
from .errors import UsageError
from .options import check, known, options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    import torch
    from torch import Tensor

    from .data import Feedback
    from .estimable import Estimable
    from .support import Facts

Claims = tuple[frozenset[str], ...]


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Method:
    """Fields are hyper-parameters; class attributes declare the method; ``loss`` is its mathematics.

    A subclass becomes a frozen, keyword-only dataclass whose fields are checked against their ranges. One
    that lives in ``methods/``, or is named by an entry point ``trueward.methods``, is found under the
    name of its file. What depends on a field is declared by a property.
    """

    name: ClassVar[str] = ""
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
    def heads(self) -> dict[str, str]:
        """Networks trained together, name -> input: x, z, xz, or one for a single learned number."""
        return {"reward": "x"}

    @property
    def shared(self) -> bool:
        """One trunk for all heads on x, or one each."""
        return False

    @property
    def hidden(self) -> bool:
        """Whether the loss also reads ``out.hidden``, (n, h): the last hidden layer of the reward."""
        return False

    @property
    def begins(self) -> float:
        """Share of the training before which no epoch may be kept: the warm-up of the loss."""
        return 0.0

    @property
    def watches(self) -> Literal["validation", "training"]:
        """The rows that ``monitor`` is measured on after every epoch."""
        return "validation"

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
    def unbounded(self) -> str:
        """Say what to use instead where the loss has no lower bound; empty where it has one."""
        return ""

    @property
    def interval_only(self) -> bool:
        """Whether ``reward`` is only the lower end of an interval [reward, 1], not a score."""
        return False

    @property
    def composed(self) -> bool:
        """Whether its reward is the column ``target`` of ``eta``, given by the networks of its nuisances.

        Nothing is trained on top then, but where the log brings nuisances along: ``loss`` is what a network
        of its own minimises. ``eta.low`` and ``eta.high`` are the ends of an interval, where there are any.
        """
        return False

    def on(self, facts: Facts) -> tuple[Method, tuple[str, ...]]:  # noqa: ARG002
        """The method for a log with these facts, and what a user is to be told of that choice."""
        return self, ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the subclass a frozen dataclass."""
        super().__init_subclass__(**kwargs)
        if cls.__bases__ != (Method,):
            raise TypeError(f"{cls.__name__}: methods are final; share mathematics through losses")
        dataclass(frozen=True, kw_only=True)(cls)
        if "name" not in cls.__annotations__:
            cls.name = cls.__module__.rpartition(".")[2]

    def __post_init__(self) -> None:
        """Check every field against its declared range, then the fields together."""
        check(self, self.name or type(self).__name__)
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

    def remember(self, data: Feedback) -> Columns:  # noqa: ARG002 - for those that do
        """Columns of ``b.eta`` that training itself updates, as they stand before the first epoch."""
        return Columns()

    def refresh(self, out: Columns, b: Feedback) -> Columns:
        """The columns of ``remember`` after an epoch, from the logits of all ``rows`` at its end."""
        raise AssertionError(type(self).__name__, out, b)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        """Scalar loss of the logits ``out`` (one (n,) column a head) on the rows ``b``."""
        raise AssertionError(type(self).__name__, out, b)

    def monitor(self, out: Columns, b: Feedback) -> Tensor:
        """Scalar that early stopping minimises on the watched rows; what the log shows, no more."""
        return self.loss(out, b)

    def reward(self, out: Columns) -> Tensor:
        """(n,) logit that becomes the reward model's output."""
        return out.reward

    def interval(self, out: Columns) -> tuple[Tensor, Tensor] | None:  # noqa: ARG002
        """(n,) logits of the ends of a 95 % interval of P(preferred), where the method has one."""
        return None


@cache
def _sources() -> dict[str, Callable[[], ModuleType | type[Method]]]:
    """What loads each method, by name: the files in ``methods/``, then entry points of packages."""
    package = importlib.import_module("trueward.methods")
    files = (m.name for m in pkgutil.iter_modules(package.__path__))
    found: dict[str, Callable[[], Any]] = {
        name: partial(importlib.import_module, f"{package.__name__}.{name}") for name in files
    }
    found |= {e.name: e.load for e in entry_points(group="trueward.methods")}
    return dict(sorted(found.items()))


@cache
def _loaded(name: str) -> type[Method]:
    return _only_method(name, _sources()[name]())


def methods() -> dict[str, type[Method]]:
    """Every method by name."""
    return {name: _loaded(name) for name in _sources()}


def _only_method(name: str, module: ModuleType | type[Method]) -> type[Method]:
    if isinstance(module, type):
        classes = [module]
    else:
        classes = [
            v
            for v in vars(module).values()
            if isinstance(v, type) and v.__module__ == module.__name__ and issubclass(v, Method)
        ]
    if len(classes) != 1:
        raise TypeError(f"methods/{name}.py must define one Method, and defines {len(classes)}")
    classes[0].name = name
    return classes[0]


def method_class(name: str) -> type[Method]:
    """Find a method by name, or say which there are; only its own file is loaded."""
    found = _sources()
    if name not in found:
        near = difflib.get_close_matches(name, found, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(found)}"
        raise UsageError(f"no method is called {name!r}: {hint}")
    return _loaded(name)


def make(name: str, given: Mapping[str, Any] | None = None) -> Method:
    """Make a method from its name and options; ``preset`` names a set that the others override."""
    cls, chosen = method_class(name), dict(given or {})
    if (preset := chosen.pop("preset", None)) is not None:
        if preset not in cls.presets:
            have = ", ".join(cls.presets) or "none"
            raise UsageError(f"{name} has no preset {preset!r}: it has {have}")
        chosen = {**cls.presets[preset], **chosen}
    allowed = options(cls)
    known(chosen, allowed, name)
    for option in allowed.values():
        if option.default is MISSING and option.name not in chosen:
            raise UsageError(
                f"{name} needs the option {option.name}, which has no default: choose "
                f"{option.wanted} ({option.opt.help}), e.g. -o {option.name}={option.kinds[0]}"
            )
    read = {k: allowed[k].parse(v, name) if isinstance(v, str) else v for k, v in chosen.items()}
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in read.items()})


def settings(method: Method) -> dict[str, Any]:
    """The fields of a method as plain data, for a model card."""
    return {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}  # type: ignore[arg-type]
