"""`trueward --help`: the commands in groups, in the order in which they are used."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

#: Title -> names of its commands, in order. A command that no group names is listed last, under OTHERS.
GROUPS = {
    "From a log to a reward model, in this order": (
        *("import", "inspect", "fit", "evaluate", "report", "export"),
    ),
    "Start": ("demo", "simulate", "methods"),
    "Collect better feedback": ("ask", "label"),
    "Use a model": ("score", "serve", "push", "monitor", "pipeline"),
    "Trust a model": (*("calibrate", "plan", "bounds", "sensitivity", "refute", "verify-export"),),
    "Train with a model": ("training-data", "align", "safety", "track"),
    "Compare methods": ("benchmark", "leaderboard", "reproduce"),
    "Prepare": ("encode",),
}
OTHERS = "Others"


class GroupedHelp(TyperGroup):
    """A group of commands whose help lists them by `GROUPS`."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each group, with the first sentence of each command's help."""
        known = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        shown = {name: c for name, c in known.items() if c is not None and not c.hidden}
        named = {name for names in GROUPS.values() for name in names}
        groups = {**GROUPS, OTHERS: tuple(name for name in shown if name not in named)}
        pad = max(map(len, shown), default=0)
        for title, names in groups.items():
            rows = [(f"{n:<{pad}}", _sentence(shown[n])) for n in names if n in shown]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _sentence(command: Any) -> str:
    """Return the first sentence of a command's help, whole."""
    text = " ".join((command.help or "").split("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".") + "." if text else ""
