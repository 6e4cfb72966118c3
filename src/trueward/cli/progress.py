"""Progress on standard error: one line that is overwritten on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import shutil
import sys
import time
from typing import TYPE_CHECKING

import typer

from .terminal import quiet

if TYPE_CHECKING:
    from trueward.training.loop import Progress

STEP = re.compile(r"\[(\d+)/(\d+)\] (.*)")  # how the library names a step: [3/12] calibration


def note(text: str) -> None:
    """Print a line about the course of a command to standard error; --quiet leaves it out."""
    if not quiet():
        finish_progress()
        typer.echo(text, err=True)


def duration(seconds: float) -> str:
    """Format a time: 40 s, 3 min, 2.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class Steps:
    """Steps of a command on a terminal: what runs, and the time left. Elsewhere only texts that are no step.

    Parameters
    ----------
    *shares : float
        Share of the time that each step takes, where the steps have no numbers.

    """

    def __init__(self, *shares: float) -> None:
        self._shares, self._count, self._done = shares, 0, 0.0
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        """Begin a step; ``[3/12] name`` states its number."""
        step = STEP.fullmatch(text)
        if quiet():
            return
        if not sys.stderr.isatty():
            if step is None and not self._shares:
                typer.echo(text, err=True)
            return
        if step is not None:
            self._done = (int(step[1]) - 1) / int(step[2])
            text = f"{step[3]} ({step[1]} of {step[2]})"
        elif self._shares:
            self._done = sum(self._shares[: self._count]) / sum(self._shares)
        self._count += 1
        done, spent = self._done, time.monotonic() - self._start
        left = f"about {duration(spent / done * (1 - done))} left: " if done and spent > 1 else ""
        overwrite(f"{bar_of(done)} {left}{text}")


def bar_of(share: float) -> str:
    """Draw a share as a bar of 24 characters."""
    done = round(24 * min(1.0, share))
    return "█" * done + "·" * (24 - done)


def overwrite(text: str) -> None:
    """Replace the line of progress, cut to the width of the terminal."""
    most = max(20, shutil.get_terminal_size().columns - 1)
    typer.echo(f"\r\x1b[K{text[:most]}", nl=False, err=True)


def progress(of: int | None = None) -> Progress:
    """Report the epochs of fits: a bar on a terminal; elsewhere one plain line a stage.

    Parameters
    ----------
    of : int, optional
        Number of stages, from which the time left follows; without it that of the stage, at most.

    """
    seen: dict[str, float] = {}
    start = time.monotonic()

    def line(stage: str, _epoch: int, _of: int, _loss: float) -> None:
        if stage not in seen:
            seen[stage] = 0.0
            typer.echo(f"fitting {stage} ...", err=True)

    def bar(stage: str, epoch: int, epochs: int, loss: float) -> None:
        now = time.monotonic()
        began = seen.setdefault(stage, now)
        if of is None:
            left = (now - began) / max(1, epoch - 1) * (epochs - epoch) if epoch > 1 else 0.0
            time_left = f"  at most {duration(left)} left" if left > 1 else ""
            overwrite(
                f"{stage:<12} {bar_of(epoch / epochs)} epoch {epoch}/{epochs}  loss {loss:.4f}{time_left}"
            )
            return
        finished = len(seen) - 1
        left = (began - start) / max(1, finished) * (of - finished) - (now - began)
        time_left = f"about {duration(left)} left: " if finished and left > 1 else ""
        overwrite(f"{bar_of(finished / of)} {time_left}fit {len(seen)} of {of}, {stage}")

    if quiet():
        return lambda *_: None
    return bar if sys.stderr.isatty() else line


def finish_progress() -> None:
    """Clear the line of progress."""
    if sys.stderr.isatty() and not quiet():
        typer.echo("\r\x1b[K", nl=False, err=True)
