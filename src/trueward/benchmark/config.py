"""The YAML of a benchmark: read once, every name checked against what exists."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from trueward.core.errors import UsageError
from trueward.features import backbone

from .entries import MethodEntry, SetEntry, budget, method_entries, set_entry
from .names import known_keys, listed, number, one_of
from .scenarios import LOGGED, Scenario, noise_entry, read_scenarios

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.resources.abc import Traversable

FEWEST_SEEDS = 5
KINDS = ("fit", "predictions")
ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Config:
    """A benchmark: which worlds, which methods, which seeds, and one budget for all."""

    name: str
    about: str
    kind: str  # fit: train and measure; predictions: the estimated loss of given predictions
    sets: tuple[SetEntry, ...]
    scenarios: tuple[Scenario, ...]  # of the sets that need a simulation
    methods: tuple[MethodEntry, ...]
    seeds: tuple[int, ...]
    backbone: str
    trials: int
    train: dict[str, Any]
    selected_on_test: bool
    gold: int  # trusted labels in the logs of real sets

    def to_json(self) -> dict[str, Any]:
        """Give plain data; equal for equal benchmarks."""
        return dataclasses.asdict(self)

    def scenarios_of(self, entry: SetEntry) -> tuple[Scenario, ...]:
        """Give the scenarios of a set: those of the config, or the one that its log is."""
        return (Scenario(LOGGED, gold=self.gold),) if entry.logged else self.scenarios


def ready() -> dict[str, Traversable]:
    """Give the configs that come with the package, by name."""
    folder = resources.files("trueward.benchmark") / "configs"
    found = (f for f in folder.iterdir() if f.name.endswith(ENDINGS))
    return {f.name.rpartition(".")[0]: f for f in sorted(found, key=lambda f: f.name)}


def read_config(
    source: str | Path, *, seeds: Sequence[int] | None = None, allow_few: bool = False
) -> Config:
    """Read a ready config by its name, or a YAML file; ``seeds`` replaces those of the config."""
    word = str(source)
    if not word.endswith(ENDINGS):
        found = ready()
        text, name = found[one_of(word, found, "ready benchmark")].read_text("utf-8"), word
    else:
        try:
            text, name = Path(source).read_text(encoding="utf-8"), Path(source).stem
        except (OSError, UnicodeDecodeError) as e:
            raise UsageError(f"the config {word} cannot be read ({e}): check the path") from e
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise UsageError(f"the config {word} is no YAML: {' '.join(str(e).split())}") from e
    if not isinstance(read, dict):
        raise UsageError(f"the config {word} must map names to values, like `sets: [helpdesk]`")
    try:
        return _config({"name": name, **read}, seeds, allow_few=allow_few)
    except UsageError as e:
        raise UsageError(f"{word}: {e}") from e


KEYS = {
    "name", "about", "kind", "sets", "mechanisms", "alpha", "rate", "noise", "gold", "methods",
    "seeds", "allow_few_seeds", "backbone", "budget", "selected_on_test",
}  # fmt: skip


def _config(read: dict[str, Any], seeds: Sequence[int] | None, *, allow_few: bool) -> Config:
    known_keys(read, KEYS, "a benchmark")
    for key in ("sets", "methods", "seeds"):
        if not read.get(key):
            raise UsageError(f"{key} is empty or missing: a benchmark needs at least one")
    sets = tuple(set_entry(s) for s in listed(read["sets"]))
    _distinct([s.label for s in sets], "set")
    trials, train = budget(read.get("budget"))
    if _flag(read, "selected_on_test") and trials < 2:
        raise UsageError(
            "selected_on_test shows a choice among trials: give budget: {trials: 2} or more"
        )
    methods = tuple(method_entries(read["methods"], train))
    _distinct([m.label for m in methods], "method")
    name = str(read.get("backbone", "wordllama"))
    if any(s.name not in ("synthetic", "coat") for s in sets):
        backbone(name)
    return Config(
        name=str(read["name"]),
        about=str(read.get("about", "")).strip(),
        kind=one_of(read.get("kind", "fit"), KINDS, "kind of benchmark"),
        sets=sets,
        scenarios=_scenarios(read, sets),
        methods=methods,
        seeds=_seeds(read, seeds, allow_few=allow_few),
        backbone=name,
        trials=trials,
        train=train,
        selected_on_test=_flag(read, "selected_on_test"),
        gold=_gold(read),
    )


def _scenarios(read: dict[str, Any], sets: Sequence[SetEntry]) -> tuple[Scenario, ...]:
    """Cross mechanisms, alphas and noises."""
    mechanisms = listed(read.get("mechanisms") or [])
    simulated = [s.label for s in sets if not s.logged]
    if simulated and not mechanisms:
        raise UsageError(
            f"the set {simulated[0]} has no feedback of its own: name mechanisms to simulate it"
        )
    if mechanisms and not simulated:
        raise UsageError("these sets are real logs, which nothing simulates: drop mechanisms")
    alphas = [number(a, "alpha") for a in listed(read.get("alpha", 0.5))]
    noises = [noise_entry(n) for n in listed(read.get("noise"))]
    shared = {"rate": read.get("rate"), "gold": read.get("gold", 0)}
    found = read_scenarios(mechanisms, alphas, noises, shared)
    _distinct([str(s) for s in found], "scenario")
    return tuple(found)


def _seeds(
    read: dict[str, Any], given: Sequence[int] | None, *, allow_few: bool
) -> tuple[int, ...]:
    found = listed(read["seeds"]) if given is None else list(given)
    for seed in found:
        if type(seed) is not int or seed < 0:
            raise UsageError(f"seeds are whole numbers from 0 on, and one is {seed!r}")
    _distinct(list(map(str, found)), "seed")
    if not found:
        raise UsageError("no seeds were given: name five or more")
    if len(found) < FEWEST_SEEDS and not (allow_few or _flag(read, "allow_few_seeds")):
        raise UsageError(
            f"{len(found)} seeds are too few for an interval: give {FEWEST_SEEDS} or more, or "
            "say allow_few_seeds: true (or --allow-few-seeds), and the table will say it too"
        )
    return tuple(found)


def _gold(read: dict[str, Any]) -> int:
    gold = read.get("gold", 0)
    if type(gold) is not int or gold < 0:
        raise UsageError(f"gold takes a whole number of trusted labels, not {gold!r}")
    return gold


def _flag(read: dict[str, Any], name: str) -> bool:
    value = read.get(name, False)
    if not isinstance(value, bool):
        raise UsageError(f"{name} takes true or false, not {value!r}")
    return value


def _distinct(labels: Sequence[str], what: str) -> None:
    twice = next((v for k, v in enumerate(labels) if v in labels[:k]), None)
    if twice is not None:
        raise UsageError(f"the {what} {twice} is named twice: drop one, or give it a label")
