"""Row-aligned tensors: `Feedback` for methods, and `Labelled` with the truth for evaluations."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

import torch

from trueward.core.errors import TruewardError
from trueward.core.overview import Overview, Shown

from .comparisons import Pairs
from .gold import missing_gold_weight
from .row_order import ReorderedRows, row_order
from .splits import split_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from .export_scope import ExportScope


T = TypeVar("T", "Feedback", "Labelled")


class Columns(dict[str, "Tensor"]):
    """Row-aligned tensors by name, which can also be read as attributes.

    A dictionary whose tensors all have the rows as first dimension. Indexing with a name gives the
    tensor; indexing with a tensor of row numbers gives the same columns at these rows.

    Examples
    --------
    >>> out = Columns(reward=torch.tensor([1.0, 2.0]), propensity=torch.tensor([0.5, 0.1]))
    >>> out.reward
    tensor([1., 2.])
    >>> out[torch.tensor([1])]["propensity"]
    tensor([0.1000])
    >>> sorted(out | {"weight": torch.ones(2)})
    ['propensity', 'reward', 'weight']

    """

    def __getattr__(self, name: str) -> Tensor:
        """Return a column; the error of an unknown name lists the columns."""
        try:
            return dict.__getitem__(self, name)
        except KeyError:
            raise AttributeError(f"no column {name!r} among {sorted(self)}") from None

    def __or__(self, other: Mapping[str, Tensor]) -> Columns:  # type: ignore[override]
        """Return the union; on equal names the column of ``other`` is taken."""
        return Columns({**self, **other})

    @overload
    def __getitem__(self, i: str, /) -> Tensor: ...
    @overload
    def __getitem__(self, i: Tensor, /) -> Columns: ...
    def __getitem__(self, i: str | Tensor, /) -> Tensor | Columns:
        """Return the column of a name, or all columns at row numbers."""
        if isinstance(i, str):
            return dict.__getitem__(self, i)
        return Columns({k: v[i] for k, v in self.items()})


@dataclass(frozen=True, eq=False, repr=False)
class Feedback(Shown):
    """Everything a method may learn from: features and feedback, row by row.

    True labels have no field here, so that no method can use them by mistake. Indexing with a tensor of
    row numbers, of any shape, gives a batch of the same type.

    Attributes
    ----------
    x : Tensor
        (n, d) features of prompt and response; the reward depends on these only.
    y : Tensor
        (n,) feedback in [0, 1]; 0 where none was given.
    o : Tensor or None
        (n,) 1 where feedback was given, else 0; None if the log has clicks only, so that a 0 of ``y``
        may be an unrated response.
    z : Tensor or None
        (n, c) context: influences whether a user reacts, and is not part of the reward.
    channels : Columns
        Name -> (n,) signal, 1 or 0; NaN where it was not logged.
    gold : Tensor or None
        (n,) gold label in [0, 1]; NaN where there is none.
    group : Tensor or None
        (n,) integer id of the prompt.
    user : Tensor or None
        (n,) integer id of the user.
    weight : Tensor or None
        (n,) number of rows of the population that the row represents.
    gold_weight : Tensor or None
        (n,) 1 / P(labelled) of the rows with a gold label, NaN elsewhere; None if the gold rows are a random
        draw of the rows.
    asks : Columns
        Name -> (n,) of a lottery that decided whom to ask: ``asked``, ``p_ask``, and where the log has them
        ``seen`` and ``ask_level``; NaN where not logged. Empty without a lottery.
    eta : Columns
        Name -> (n, ...) nuisances, logged or estimated out of fold.
    t : float
        Progress of the training in [0, 1], for schedules.
    backbone : str or None
        JSON of the backbone that computed ``x``; a model that keeps it can score text.
    export_scope : ExportScope or None
        Which responses the export behind the log holds; None if unknown.
    pairs : Pairs or None
        Comparisons of two rows of one prompt, by row number; None without any.

    Raises
    ------
    TruewardError
        If a column has another number of rows than ``x``, or a pair names a row that is not there.

    Examples
    --------
    >>> b = Feedback(x=torch.randn(4, 3), y=torch.tensor([1.0, 0, 0, 1]), o=torch.tensor([1, 1, 0, 1]))
    >>> len(b), b[torch.tensor([0, 3])].y
    (4, tensor([1., 1.]))

    """

    x: Tensor
    y: Tensor
    o: Tensor | None = None
    z: Tensor | None = None
    channels: Columns = field(default_factory=Columns)
    gold: Tensor | None = None
    group: Tensor | None = None
    user: Tensor | None = None
    weight: Tensor | None = None
    gold_weight: Tensor | None = None
    eta: Columns = field(default_factory=Columns)
    t: float = 1.0
    backbone: str | None = None
    export_scope: ExportScope | None = None
    asks: Columns = field(default_factory=Columns)
    pairs: Pairs | None = None

    def __post_init__(self) -> None:
        """Raise if a column has another number of rows than ``x``, or a pair a row that is not there."""
        columns = {"y": self.y, "o": self.o, "z": self.z, "gold": self.gold, "group": self.group}
        columns |= {"user": self.user, "weight": self.weight, "gold_weight": self.gold_weight}
        columns |= {**self.channels, **self.eta, **self.asks}
        n = len(self.x)
        for name, column in columns.items():
            if column is not None and len(column) != n:
                raise TruewardError(
                    f"every column needs one value for each of the {n} rows of x, but {name} has "
                    f"{len(column)}: pass one value per row"
                )
        if self.pairs is not None:
            _require_rows(self.pairs, n)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.y)

    def __getitem__(self, i: Tensor) -> Feedback:
        """Return the rows ``i`` of every column."""
        return _rows(self, i)

    @property
    def seen(self) -> Tensor:
        """(n,) 1 where feedback was given: ``o``.

        Raises
        ------
        TruewardError
            If the log has clicks only.

        """
        if self.o is None:
            raise TruewardError(
                "expected a log that says which responses were rated, but this one has clicks only: "
                "add negative feedback, or choose a method for clicks"
            )
        return self.o

    @property
    def labels(self) -> Tensor | None:
        """(n,) ratings, NaN where there is none, or clicks; None without any feedback."""
        rated = self.y > 0 if self.o is None else self.o > 0
        if not bool(rated.any()):
            return None
        return self.y if self.o is None else torch.where(rated, self.y, torch.nan)

    @property
    def audited(self) -> Tensor:
        """int64 row numbers with a gold label."""
        known = torch.zeros(len(self)) if self.gold is None else ~self.gold.isnan()
        return known.nonzero().squeeze(-1)

    @property
    def row_weight(self) -> Tensor:
        """(n,) number of rows of the population that each row represents, float64; 1 without ``weight``."""
        return torch.ones_like(self.y).double() if self.weight is None else self.weight.double()

    @property
    def label_weight(self) -> Tensor:
        """(n,) weight x gold_weight, float64: what each gold label represents; 0 where there is none.

        A weighted mean over gold rows estimates the mean over the population. Without ``gold_weight`` the
        gold rows are a random draw of the rows, and only ``weight`` counts.

        Raises
        ------
        TruewardError
            If ``gold_weight`` is given and lacks a positive number in a row with a gold label.

        """
        weight = torch.zeros_like(self.row_weight)
        rows = self.audited
        weight[rows] = self.row_weight[rows]
        if self.gold_weight is not None:
            chance = self.gold_weight[rows].double()
            if not ((chance > 0) & chance.isfinite()).all():
                raise missing_gold_weight(
                    int((~((chance > 0) & chance.isfinite())).sum()), len(rows)
                )
            weight[rows] *= chance
        return weight

    def _overview(self) -> Overview:
        rated = "clicks only" if self.o is None else f"{int((self.o > 0).sum()):,} with feedback"
        return _sizes(self, f", {rated}, {len(self.audited):,} with a gold label")

    def to(self, device: torch.device) -> Feedback:
        """Return the same data on a device.

        Parameters
        ----------
        device : torch.device
            Where every column is moved to.

        Returns
        -------
        Feedback
            This object if it is there already.

        """
        if self.y.device == device:
            return self
        moved: dict[str, Any] = {}
        for f in fields(self):
            column = getattr(self, f.name)
            if isinstance(column, torch.Tensor | Pairs):
                moved[f.name] = column.to(device)
            elif isinstance(column, Columns):
                moved[f.name] = Columns({k: v.to(device) for k, v in column.items()})
        return replace(self, **moved)

    def columns(self) -> set[str]:
        """Return the names of the optional columns that are present.

        Returns
        -------
        set of str
            Of ``o``, ``z``, ``gold``, ``group``, ``user``, ``weight``, ``gold_weight``, ``pairs``,
            ``channels`` and ``asks``, and the names in ``eta``.

        """
        optional = ("o", "z", "gold", "group", "user", "weight", "gold_weight", "pairs")
        present = {k for k in optional if getattr(self, k) is not None}
        families = {k for k in ("channels", "asks") if getattr(self, k)}
        return present | set(self.eta) | families

    def row_order(self, digest: Tensor | None = None) -> Tensor:
        """Return the row numbers in the order that a fit draws from, see `trueward.data.row_order`.

        Parameters
        ----------
        digest : Tensor, optional
            (n,) `trueward.data.row_order.row_digests` of ``x``, if they are known.

        Returns
        -------
        Tensor
            (n,) int64, on the CPU.

        """
        aligned = {k: v for k, v in vars(self).items() if isinstance(v, torch.Tensor)}
        columns = {k: v for k, v in aligned.items() if k not in {"x", "group"}}
        for name in ("channels", "eta", "asks"):
            columns |= {f"{name}.{k}": v for k, v in getattr(self, name).items()}
        if self.pairs is not None:
            columns["pairs"] = self.pairs.wins(len(self))
        return row_order(self.x, self.group, columns, digest)

    def split(self, share: float, seed: int = 0) -> tuple[Feedback, Feedback]:
        """Split at random into training and validation rows; no prompt is on both sides.

        The same rows in another order are split alike, and so are rows without prompts. Where a part would
        get fewer than 5 rows of a class, prompts are drawn within strata of feedback, see
        `trueward.data.splits.split_rows`.

        Parameters
        ----------
        share : float
            Share of the prompts for validation, between 0 and 1.
        seed : int
            Root seed.

        Returns
        -------
        train, validation : Feedback
            The two parts.

        Raises
        ------
        TruewardError
            If the share is not between 0 and 1, or with fewer than two prompts.

        """
        group = self.group
        if group is None:  # every row is a prompt, with the same number in any order of the rows
            group = self.row_order().argsort()
        train, validation = split_rows(len(self), share, seed, group, self.labels)
        return _part(self, train), _part(self, validation)


@dataclass(frozen=True, eq=False, repr=False)
class Labelled(Shown):
    """Features with true labels, for `evaluate`, `benchmark` and the method ``oracle`` only.

    Attributes
    ----------
    x : Tensor
        (n, d) features of prompt and response.
    r : Tensor or None
        (n,) true label in [0, 1].
    rating : Tensor or None
        (n,) graded quality in any unit, higher is better.
    group : Tensor or None
        (n,) integer id of the prompt.
    backbone : str or None
        JSON of the backbone that computed ``x``.
    user : Tensor or None
        (n,) integer id of the user.
    weight : Tensor or None
        (n,) number of rows of the population that the row represents.

    Examples
    --------
    >>> truth = Labelled(x=torch.randn(3, 2), r=torch.tensor([1.0, 0.0, 1.0]))
    >>> truth[torch.tensor([2])].r
    tensor([1.])

    """

    x: Tensor
    r: Tensor | None = None
    rating: Tensor | None = None
    group: Tensor | None = None
    backbone: str | None = None
    user: Tensor | None = None
    weight: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.x)

    @property
    def row_weight(self) -> Tensor:
        """(n,) number of rows of the population that each row represents, float64; 1 without ``weight``."""
        one = torch.ones(len(self), dtype=torch.float64, device=self.x.device)
        return one if self.weight is None else self.weight.double()

    def __getitem__(self, i: Tensor) -> Labelled:
        """Return the rows ``i`` of every column."""
        return _rows(self, i)

    def _overview(self) -> Overview:
        return _sizes(self, ", true labels" if self.r is not None else ", ratings")


def _sizes(table: Feedback | Labelled, what: str) -> Overview:
    """State the size of every column."""
    columns = {k: v for k, v in vars(table).items() if isinstance(v, torch.Tensor)}
    columns |= {
        f"{n}.{k}": v for n in ("channels", "eta") for k, v in vars(table).get(n, {}).items()
    }
    title = f"{len(table.x):,} rows of {table.x.shape[-1]:,} features{what}"
    rows = [[name, str(tuple(v.shape)), str(v.dtype)] for name, v in columns.items()]
    return Overview(title, ("column", "shape", "type"), rows)


def _part(log: Feedback, rows: Tensor) -> Feedback:
    """Return rows of a log; features that are on disk stay there."""
    if isinstance(log.x, torch.Tensor) and log.x.untyped_storage().filename is None:
        return log[rows]
    part = _rows(replace(log, x=log.y[:, None]), rows)
    vars(part)["x"] = ReorderedRows.of(log.x, rows)
    return part


def _rows(table: T, i: Tensor) -> T:
    taken = object.__new__(type(table))  # whose columns have one length, as those of ``table`` have
    for name, column in vars(table).items():
        aligned = isinstance(column, torch.Tensor | Columns | ReorderedRows)
        vars(taken)[name] = column[i] if aligned else column
    if (pairs := getattr(table, "pairs", None)) is not None:
        vars(taken)["pairs"] = pairs[i] if i.dim() == 1 else None
    return taken


def _require_rows(pairs: Pairs, rows: int) -> None:
    """Refuse pairs of rows that are not there."""
    if len(pairs):
        ends = torch.stack([pairs.winner, pairs.loser])
        if int(ends.min()) < 0 or int(ends.max()) >= rows:
            raise TruewardError(
                f"pairs must name rows from 0 to {rows - 1}, but one names row "
                f"{int(ends.max() if int(ends.min()) >= 0 else ends.min())}: number the rows of x from 0"
            )
