"""What the files of a run's folder must hold; they may come from another machine, or damaged."""

from __future__ import annotations

from typing import Any

from trueward.core.shapes import NUMBER, TEXT, misfit

from .sets import SETS

NONE = type(None)
WHOLE = (int,)
#: a scenario's columns, which rows have, too
SCENARIO: dict[str, Any] = {
    "mechanism": TEXT,
    "alpha": NUMBER,
    "rate": (*NUMBER, NONE),
    "rho_01": NUMBER,
    "rho_10": NUMBER,
    "gold": WHOLE,
    "more": {},
}
CONFIG: dict[str, Any] = {
    "name": TEXT,
    "about": TEXT,
    "kind": TEXT,
    "sets": [{"name": TEXT, "label": TEXT}],
    "scenarios": [SCENARIO],
    "methods": [{"label": TEXT}],
    "seeds": [WHOLE],
    "trials": WHOLE,
    "gold": WHOLE,
}
MEASURED = (NONE, {"*": (*NUMBER, NONE)})
TRIED: dict[str, Any] = {
    "criterion": (*NUMBER, NONE),
    "validation_r2": (*NUMBER, NONE),
    "metrics": {"r2": (*NUMBER, NONE), "*": (*NUMBER, NONE)},
}
ROW: dict[str, Any] = {
    "key": TEXT,
    "set": TEXT,
    **SCENARIO,
    "method": TEXT,
    "name": TEXT,
    "seed": WHOLE,
    "status": TEXT,
    "reason?": TEXT,
    "labels?": NUMBER,
    "seconds?": (*NUMBER, NONE),
    "warnings?": [TEXT],
    "metrics?": MEASURED,
    "on_test?": MEASURED,
    "tried?": [TRIED],
}


def wrong_config(config: Any) -> str | None:
    """Return what is wrong with the config of a run; None if nothing is.

    Parameters
    ----------
    config : object
        Value of ``config`` in benchmark.json.

    Returns
    -------
    str or None
        The place of the first value of another type, or an unknown set.

    """
    found = misfit(config, CONFIG, "config")
    if found:
        return found
    unknown = [s["name"] for s in config["sets"] if s["name"] not in SETS]
    return f"config.sets names {unknown[0]!r}" if unknown else None


def is_row(row: Any, config: dict[str, Any]) -> bool:
    """Return whether a value is the row of a job of a benchmark.

    Parameters
    ----------
    row : object
        Content of a job's file.
    config : dict
        Config of the run; see `wrong_config`.

    Returns
    -------
    bool
        True if every column has its type, and the config has its set and method.

    """
    return (
        misfit(row, ROW, "row") is None
        and ("reason" in row or row["status"] == "done")
        and row["set"] in {s["label"] for s in config["sets"]}
        and row["method"] in {m["label"] for m in config["methods"]}
    )
