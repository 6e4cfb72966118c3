"""The experiments of the papers as benchmarks: their sets, scenarios and training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.benchmark.config import Config
from trueward.benchmark.entries import SetEntry, budget, method_entries, set_entry
from trueward.benchmark.protocols import AS_PUBLISHED
from trueward.benchmark.scenarios import read_scenarios

from . import methods
from .published import name_of, tables

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Training as in the authors' code: MLP 256-64, batches of 512, patience 30.
TRAIN = {"lr": 5e-4, "weight_decay": 1e-6, "batch_size": 512, "patience": 30, "hidden": (256, 64)}
#: Largest number of epochs in the authors' code.
EPOCHS = 600
_MECHANISM = {"causalrm": "rating", "implicitrm": "implicit"}


@dataclass(frozen=True)
class Settings:
    """What a user chooses of a reproduction.

    Attributes
    ----------
    paper : str
        One of `PAPERS`.
    sets : dict of str to str
        Set of the paper -> set of the benchmark that is read for it.
    backbone : str
        Backbone of the features.
    seeds : tuple of int
        The seeds.
    trials : int
        Trials of the search of every method.
    epochs : int or None
        Largest number of epochs. None: 600 as published, and the benchmark's own by prompt.
    rows : int or None
        Largest number of rows of a set.

    """

    paper: str
    sets: dict[str, str]
    backbone: str
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    trials: int = 8
    epochs: int | None = None
    rows: int | None = None


def experiment(settings: Settings, protocol: str) -> Config:
    """Return the benchmark of a paper in one protocol.

    Parameters
    ----------
    settings : Settings
        Choices of the user.
    protocol : str
        ``as published`` or ``by prompt``.

    Returns
    -------
    Config

    """
    published = protocol == AS_PUBLISHED
    train = {**TRAIN, "epochs": EPOCHS} if published else {}
    if settings.epochs is not None:
        train["epochs"] = settings.epochs
    trials, train = budget({"trials": settings.trials, **train})
    rows = [e for row in methods.rows_of(settings.paper) if (e := row.entry(protocol)) is not None]
    seen: list[dict[str, float]] = []
    for table in tables(settings.paper):
        seen += [table.scenario] if table.scenario not in seen else []
    mechanism = _MECHANISM[settings.paper]
    scenarios = [
        s
        for at in seen
        for s in read_scenarios(
            [{"name": mechanism, "rate": at["rate"], "alpha": at["alpha"]}],
            [],
            [{k: at[k] for k in ("rho_01", "rho_10")}],
            {},
        )
    ]
    return Config(
        name=f"{settings.paper}, {protocol}",
        about=f"{name_of(settings.paper)}: rows split {protocol}.",
        kind=protocol,
        sets=_sets(settings),
        scenarios=tuple(scenarios),
        methods=tuple(method_entries(rows, train)),
        seeds=settings.seeds,
        backbone=settings.backbone,
        trials=trials,
        train=train,
        selected_on_test=False,
        gold=0,
    )


def _sets(settings: Settings) -> tuple[SetEntry, ...]:
    """Return the sets; on PKU-SafeRLHF good means severe harm, as in the papers."""
    entries: list[Mapping[str, Any]] = []
    for label, name in settings.sets.items():
        entry: dict[str, Any] = {"name": name, "label": label}
        entry |= {"positive": "severe"} if name == "pku_saferlhf" else {}
        entry |= {} if settings.rows is None else {"rows": settings.rows}
        entries.append(entry)
    return tuple(set_entry(e) for e in entries)
