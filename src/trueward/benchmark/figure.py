"""The figure: which share of the gap between naive and clean-mcar each method recovers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError
from trueward.plotting import recovered_shares

from .entries import CLEAN, NAIVE, ORACLE
from .summary import OBSERVABLE, Section

if TYPE_CHECKING:
    from pathlib import Path

SHOWN = (-1.0, 1.5)  # shares beyond are drawn at the edge


def points(found: list[Section], metric: str) -> list[dict[str, Any]]:
    """Give one point a method and scenario where a share is defined."""
    made = []
    for section in found:
        s = section.settings
        rest = [f"alpha {s['alpha']:g}"] if s["mechanism"] != "logged" else []
        rest += [f"{k} {s[k]:g}" for k in ("rho_01", "rho_10") if s[k]]
        for f in section.figures:
            share = f.recovered
            skipped = f.method in (ORACLE, CLEAN, NAIVE) or f.metric != metric
            if skipped or f.selection != OBSERVABLE or share is None or share.value is None:
                continue
            low = share.value if share.low is None else share.low
            high = share.value if share.high is None else share.high
            ends = {"share": share.value, "low": low, "high": high}
            made.append(
                {
                    "mechanism": s["mechanism"],
                    "method": f.method,
                    "scenario": ", ".join([s["set"], *rest]),
                    **{k: min(SHOWN[1], max(SHOWN[0], v)) for k, v in ends.items()},
                }
            )
    return made


def draw(found: list[Section], metric: str, folder: Path) -> tuple[list[Path], str | None]:
    """Write recovered.svg and .png; or say why there is none."""
    shown = points(found, metric)
    if not shown:
        return [], "no figure: in no scenario is there a gap between naive and clean-mcar"
    files = [folder / "recovered.svg", folder / "recovered.png"]
    try:
        recovered_shares(shown, metric, SHOWN, files)
    except TruewardError:
        return [], "no figure: it needs the extra `report` (pip install 'trueward[report]')"
    return files, None
