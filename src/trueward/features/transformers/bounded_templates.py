"""Chat templates are programs of a model's author: they run in jinja's sandbox, with bounds on work and size.

The sandbox gives a template no files and no attributes of Python. It does not bound what a template computes:
``{{ "x" * 10 ** 10 }}`` takes all memory, and nested loops never end. Here every turn of a loop, every call
and every text is counted before it is computed.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MARK = "{# bounded #}\n"  # prints nothing; a template with this line was compiled by nobody else before
CHARACTERS = 20_000_000  # that one call may produce on the way, and
PER_CHARACTER = 50  # as many for each character of its input
STEPS = 1_000_000  # turns of loops, and calls
SECONDS = 60.0
PARTS = 300_000  # of a list of lists
LARGEST = 100_000  # whole number that a function or a filter is given
#: methods and filters whose result may be as long as the product of what they are given
PRODUCTS = {"replace", "join", "translate", "wordwrap", "expandtabs", "indent"}
BY_NUMBERS = {"expandtabs", "indent"}  # of these, also as long as a number says
FORMATS = {"format", "format_map"}
PLACES = re.compile(r"[{%]")  # where a format inserts a value


class Meter:
    """What the templates of one call have used.

    Parameters
    ----------
    characters : int
        Characters that they may produce.

    """

    def __init__(self, characters: int) -> None:
        self.characters, self.steps, self.ends = characters, STEPS, time.monotonic() + SECONDS

    def step(self) -> None:
        """Count a turn of a loop or a call."""
        self.steps -= 1
        if self.steps < 0 or time.monotonic() > self.ends:
            raise SecurityError(f"it takes more than {STEPS:,} steps or {SECONDS:.0f} seconds")

    def check(self, size: int) -> None:
        """Refuse a text that is longer than what is left."""
        if size > self.characters:
            raise SecurityError(f"it makes texts of more than {CHARACTERS:,} characters")

    def charge(self, value: Any) -> None:
        """Count the characters of a value that is printed."""
        size = self.size(value)
        self.check(size)
        self.characters -= size

    def charged(self, value: Any) -> Any:
        """Count a text or a list that was computed, and return it."""
        if isinstance(value, str | bytes | list | tuple | dict):
            self.characters -= len(value)
            self.check(0)
        return value

    def size(self, value: Any) -> int:
        """Return about the number of characters of a value in print, at most one more than are left."""
        total, parts, stack = 0, 0, [value]
        while stack and total <= self.characters:
            one, parts = stack.pop(), parts + 1
            total += 1 if parts < PARTS else self.characters
            if isinstance(one, str | bytes):
                total += len(one)
            elif isinstance(one, int):
                total += one.bit_length() // 3
            elif isinstance(one, dict):
                stack += [*one.keys(), *one.values()]
            elif isinstance(one, list | tuple | set | frozenset):
                stack += one
            elif isinstance(one, Namespace):
                stack.append(vars(one))
        return total


_meter: ContextVar[Meter | None] = ContextVar("meter", default=None)
_compiling = threading.RLock()


@contextlib.contextmanager
def bounded(utilities: Any, characters: int) -> Iterator[None]:
    """Let transformers compile and run templates that begin with `MARK` within bounds.

    Parameters
    ----------
    utilities : module
        ``transformers.utils.chat_template_utils``, which names the class of its environment.
    characters : int
        Number of characters of the input.

    """
    with _compiling:
        before = utilities.ImmutableSandboxedEnvironment
        token = _meter.set(Meter(CHARACTERS + PER_CHARACTER * characters))
        utilities.ImmutableSandboxedEnvironment = BoundedEnvironment
        try:
            yield
        finally:
            utilities.ImmutableSandboxedEnvironment = before
            _meter.reset(token)


def _current() -> Meter:
    """Return the meter of this call; one of its own for whoever else runs such a template."""
    return _meter.get() or Meter(CHARACTERS)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with every loop, call, filter and operation counted."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, finalize=_printed)
        self.filters = _BoundedFilters(self.filters)
        self.globals.pop("lipsum", None)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Counted().visit(super()._parse(source, name, filename))
        return tree

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Compute an operation whose result may be far larger than what it is given."""
        meter = _current()
        sizes = meter.size(left), meter.size(right)
        if operator == "*":
            counts = [v for v in (left, right) if isinstance(v, int)]
            texts = [s for v, s in zip((left, right), sizes, strict=True) if not isinstance(v, int)]
            meter.check(max(counts, default=1) * max(texts, default=0) if texts else sum(sizes))
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            meter.check(sizes[0] * abs(right))
        elif operator == "%" and isinstance(left, str):
            _require_narrow(left, right)
            meter.check(sizes[0] + len(PLACES.findall(left)) * sizes[1])
        else:
            meter.check(sum(sizes))
        return meter.charged(super().call_binop(context, operator, left, right))

    def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the template, or a method of a value."""
        name, value = getattr(called, "__name__", ""), getattr(called, "__self__", None)
        _check_arguments(name, value, args, kwargs)
        return _current().charged(super().call(context, called, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return the format method of a text, which the sandbox replaces by its own."""
        own = super().wrap_str_format(value)
        return None if own is None else _checked_format(value.__self__, own)


def _checked_format(text: str, own: Callable[..., str]) -> Callable[..., str]:
    def run(*args: Any, **kwargs: Any) -> str:
        _check_arguments("format", text, args, kwargs)
        return own(*args, **kwargs)

    return run


class _BoundedFilters(dict[str, Any]):
    """The filters by name, each with a check of what it is given; transformers adds some later."""

    def __init__(self, filters: dict[str, Any]) -> None:
        super().__init__({name: _checked(name, f) for name, f in filters.items()})
        self |= {"bounded_steps": _steps, "bounded_concat": _concat}

    def __setitem__(self, name: str, function: Callable[..., Any]) -> None:
        super().__setitem__(name, _checked(name, function))


def _checked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    skipped = (
        1 if hasattr(function, "jinja_pass_arg") else 0
    )  # a context or an environment comes first

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        given = args[skipped:]
        _check_arguments(name, given[0] if given else None, given[1:], kwargs)
        return _current().charged(function(*args, **kwargs))

    return run


def _check_arguments(name: str, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    meter = _current()
    meter.step()
    others = [*args, *kwargs.values()]
    if any(isinstance(v, int) and abs(v) > LARGEST for v in others):
        raise SecurityError(f"it gives a function a number beyond {LARGEST:,}")
    own, sizes = meter.size(value), [meter.size(v) for v in others]
    if isinstance(value, str) and name in FORMATS:
        _require_narrow(value, others)
        meter.check(own + len(PLACES.findall(value)) * max(sizes, default=0))
    elif name in PRODUCTS:
        numbers = [v if name in BY_NUMBERS else 1 for v in others if type(v) is int]
        texts = [s for v, s in zip(others, sizes, strict=True) if type(v) is not int]
        meter.check(own * max([1, *numbers, *texts]))
    else:
        meter.check(own + sum(sizes))


def _require_narrow(pattern: str, values: Any) -> None:
    """Refuse a width or a precision that pads a text beyond all use."""
    numbers = values if isinstance(values, list | tuple) else [values]
    digits = "".join(c if c.isdigit() else " " for c in pattern).split()
    if any(len(d) > 4 for d in digits) or any(
        isinstance(n, int) and abs(n) > LARGEST for n in numbers
    ):
        raise SecurityError("it formats a text with a width of more than four digits")


def _printed(value: Any) -> Any:
    _current().charge(value)
    return value


def _steps(values: Iterable[Any], printed: int) -> Iterator[Any]:
    """Count the turns of a loop, and the plain text that each prints."""
    meter = _current()
    for value in values:
        meter.step()
        meter.characters -= printed
        meter.check(0)
        yield value


def _concat(values: list[Any]) -> str:
    meter = _current()
    meter.check(meter.size(values))
    return str(meter.charged("".join(map(str, values))))


class _Counted(NodeTransformer):
    """Count the turns of every loop, and join texts in a function that checks them."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - as jinja names it
        self.generic_visit(node)
        printed = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        arguments: list[nodes.Expr] = [nodes.Const(printed)]
        counted = nodes.Filter(node.iter, "bounded_steps", arguments, [], None, None)
        node.iter = counted.set_lineno(node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802 - as jinja names it
        self.generic_visit(node)
        joined = nodes.Filter(nodes.List(node.nodes), "bounded_concat", [], [], None, None)
        joined.set_lineno(node.lineno)
        return joined
