"""The YAML config of a benchmark, validated: every name is checked when it is read."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError
from trueward.core.yaml_text import read_yaml
from trueward.features import backbone

from .entries import MethodEntry, SetEntry, budget, method_entries, set_entry
from .scenarios import LOGGED, Scenario, noise_entry, read_scenarios
from .validation import as_list, known_keys, number, one_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.resources.abc import Traversable

#: Fewest seeds without ``allow_few_seeds``.
FEWEST_SEEDS = 5
KINDS = ("fit", "predictions")
#: File types of a config.
ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Config:
    """A benchmark: sets, scenarios, methods, seeds, and one budget for all methods.

    Attributes
    ----------
    name, about : str
        Name and description, shown above the table.
    kind : str
        ``fit``: train and evaluate models. ``predictions``: measure the error of the estimated loss
        of synthetic predictions.
    sets : tuple of SetEntry
        The sets.
    scenarios : tuple of Scenario
        Scenarios of the sets without feedback of their own.
    methods : tuple of MethodEntry
        The methods.
    seeds : tuple of int
        The seeds.
    backbone : str
        Backbone of the features of text.
    trials : int
        Trials of the random search.
    train : dict
        Training options of every method.
    selected_on_test : bool
        Also report the trial with the best R2 on the test set.
    gold : int
        Number of gold labels in the logs of real sets.

    """

    name: str
    about: str
    kind: str
    sets: tuple[SetEntry, ...]
    scenarios: tuple[Scenario, ...]
    methods: tuple[MethodEntry, ...]
    seeds: tuple[int, ...]
    backbone: str
    trials: int
    train: dict[str, Any]
    selected_on_test: bool
    gold: int

    def to_json(self) -> dict[str, Any]:
        """Return plain data; equal for equal benchmarks."""
        return dataclasses.asdict(self)

    def scenarios_of(self, entry: SetEntry) -> tuple[Scenario, ...]:
        """Return the scenarios of a set; a set with its own log has exactly one."""
        return (Scenario(LOGGED, gold=self.gold),) if entry.logged else self.scenarios


def ready() -> dict[str, Traversable]:
    """Return the configs of the package, by name."""
    folder = resources.files("trueward.benchmark") / "configs"
    files = (f for f in folder.iterdir() if f.name.endswith(ENDINGS))
    return {f.name.rpartition(".")[0]: f for f in sorted(files, key=lambda f: f.name)}


def read_config(
    source: str | Path, *, seeds: Sequence[int] | None = None, allow_few: bool = False
) -> Config:
    """Read and validate a config.

    Parameters
    ----------
    source : str or Path
        Name of a config of the package (`ready`), or a file that ends in .yaml or .yml.
    seeds : sequence of int, optional
        Replace the seeds of the config.
    allow_few : bool
        Accept fewer than five seeds.

    Returns
    -------
    Config

    Raises
    ------
    UsageError
        If the file cannot be read or a value is invalid.

    """
    word = str(source)
    if not word.endswith(ENDINGS):
        configs = ready()
        name = one_of(word, configs, "ready benchmark")
        text = configs[name].read_text("utf-8")
    else:
        try:
            text, name = Path(source).read_text(encoding="utf-8"), Path(source).stem
        except (OSError, UnicodeDecodeError) as e:
            raise UsageError(f"the config {word} cannot be read ({e}): check the path") from e
    try:
        read = read_yaml(text)
    except ValueError as e:
        raise UsageError(f"the config {word} is not valid YAML: {e}") from e
    if not isinstance(read, dict):
        raise UsageError(f"the config {word} must be a mapping, such as `sets: [helpdesk]`")
    try:
        return _config({"name": name, **read}, seeds, allow_few=allow_few)
    except UsageError as e:
        raise UsageError(f"{word}: {e}") from e


#: Keys of a config.
KEYS = {
    "name", "about", "kind", "sets", "mechanisms", "alpha", "rate", "noise", "gold", "methods",
    "seeds", "allow_few_seeds", "backbone", "budget", "selected_on_test",
}  # fmt: skip


def _config(read: dict[str, Any], seeds: Sequence[int] | None, *, allow_few: bool) -> Config:
    known_keys(read, KEYS, "a benchmark")
    try:
        json.dumps(read)  # as it is stored with the results
    except (TypeError, ValueError) as e:
        raise UsageError(
            f"values must be text, numbers, true, false, lists or mappings ({e}): put dates in quotes"
        ) from e
    for key in ("sets", "methods", "seeds"):
        if not read.get(key):
            raise UsageError(f"{key} is empty or missing; a benchmark needs at least one entry")
    sets = tuple(set_entry(s) for s in as_list(read["sets"]))
    _distinct([s.label for s in sets], "set")
    trials, train = budget(read.get("budget"))
    if _flag(read, "selected_on_test") and trials < 2:
        raise UsageError(
            "selected_on_test needs at least two trials: set budget: {trials: 2} or more"
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
    """Return the product of mechanisms, alphas and noise rates."""
    mechanisms = as_list(read.get("mechanisms") or [])
    simulated = [s.label for s in sets if not s.logged]
    if simulated and not mechanisms:
        raise UsageError(
            f"the set {simulated[0]} has no feedback of its own: add mechanisms to simulate it"
        )
    if mechanisms and not simulated:
        raise UsageError("all sets are real logs and need no simulation: remove mechanisms")
    alphas = [number(a, "alpha") for a in as_list(read.get("alpha", 0.5))]
    noises = [noise_entry(n) for n in as_list(read.get("noise"))]
    shared = {"rate": read.get("rate"), "gold": read.get("gold", 0)}
    scenarios = read_scenarios(mechanisms, alphas, noises, shared)
    _distinct([str(s) for s in scenarios], "scenario")
    return tuple(scenarios)


def _seeds(
    read: dict[str, Any], given: Sequence[int] | None, *, allow_few: bool
) -> tuple[int, ...]:
    values = as_list(read["seeds"]) if given is None else list(given)
    for seed in values:
        if type(seed) is not int or seed < 0:
            raise UsageError(f"seeds must be whole numbers from 0, found {seed!r}")
    _distinct(list(map(str, values)), "seed")
    if not values:
        raise UsageError("no seeds were given; give at least five")
    if len(values) < FEWEST_SEEDS and not (allow_few or _flag(read, "allow_few_seeds")):
        raise UsageError(
            f"{len(values)} seeds are too few for an interval: give {FEWEST_SEEDS} or more, or set "
            "allow_few_seeds: true (--allow-few-seeds); the table then has a warning"
        )
    return tuple(values)


def _gold(read: dict[str, Any]) -> int:
    gold = read.get("gold", 0)
    if type(gold) is not int or gold < 0:
        raise UsageError(f"gold must be a whole number of gold labels, found {gold!r}")
    return gold


def _flag(read: dict[str, Any], name: str) -> bool:
    value = read.get(name, False)
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be true or false, found {value!r}")
    return value


def _distinct(labels: Sequence[str], kind: str) -> None:
    repeated = next((v for k, v in enumerate(labels) if v in labels[:k]), None)
    if repeated is not None:
        raise UsageError(
            f"the {kind} {repeated} is named twice: remove one, or give it another label"
        )
