"""The command line as plain data, and commands whose exit codes are kept."""

from __future__ import annotations

import inspect
import json
import types
import typing
from pathlib import Path

import typer

from trueward.cli.app import app


def structure():
    """Command -> its arguments, in their order, and its options, by their flags; no wording."""
    group = typer.main.get_command(app)
    found = {"": _parameters(group, app.registered_callback.callback)}
    calls = {_name(c): c.callback for c in app.registered_commands}
    for name, command in group.commands.items():
        if name in calls:
            found[name] = _parameters(command, calls[name])
    for part in app.registered_groups:
        below = {_name(c): c.callback for c in part.typer_instance.registered_commands}
        word = part.name or part.typer_instance.info.name
        for name, command in group.commands[word].commands.items():
            found[f"{word} {name}"] = _parameters(command, below[name])
    return found


def _name(command):
    return command.name or command.callback.__name__.replace("_", "-")


def _parameters(command, callback):
    hints = typing.get_type_hints(inspect.unwrap(callback))
    found = {"arguments": [], "options": {}}
    for p in command.params:
        flags = [*p.opts, *p.secondary_opts]
        about = {
            "type": _kind(hints[p.name]) if p.name in hints else "bool",
            "default": _plain(p.default),
            "required": p.required,
            "nargs": p.nargs,
            "several": p.multiple,
        }
        about |= {k: getattr(p, k) for k in ("min", "max") if getattr(p, k, None) is not None}
        if flags[0].startswith("-"):
            found["options"][" ".join(flags)] = about
        else:
            found["arguments"].append({"name": flags[0], **about})
    found["options"].pop("--help -h", None)
    found["options"].pop("-h --help", None)
    found["options"] = dict(sorted(found["options"].items()))
    return found


def _kind(hint):
    """A word for what a value is: str, int, float, bool, path, or the choices."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        (one,) = {_kind(i) for i in inner if i is not type(None)}
        return one
    if origin is list:
        return _kind(inner[0])
    if origin is typing.Literal:
        return "|".join(map(str, inner))
    return "path" if hint is Path else hint.__name__


def _plain(value):
    value = str(value) if isinstance(value, Path) else value
    return json.loads(json.dumps(value, default=str))


N = 180
ROWS = {
    "prompt": [f"How do I undo step {i // 3}?" for i in range(N)],
    "response": [f"Press undo {i} times." for i in range(N)],
    "feedback": [[1.0, 0.0, None][i % 3] if i % 2 else [0.0, 1.0, None][i % 3] for i in range(N)],
}


def inputs(folder):
    """Write what the commands below read."""
    import numpy as np
    import polars as pl

    pl.DataFrame(ROWS).write_parquet(folder / "log.parquet")
    pl.DataFrame(ROWS).with_columns(feedback=pl.lit("good")).write_csv(folder / "words.csv")
    pl.DataFrame(ROWS).with_columns(pl.col("feedback").replace(0.0, None)).write_parquet(
        folder / "clicks.parquet"
    )
    rated = pl.DataFrame(ROWS).select("prompt", "response", rating=pl.Series(range(N)) % 5)
    rated.write_parquet(folder / "rated.parquet")
    np.save(folder / "x.npy", np.sin(np.arange(N * 3.0)).reshape(N, 3))
    (folder / "lines.jsonl").write_text(
        '{"prompt": "p", "response": "r", "feedback": 1}\nhello\n', "utf-8"
    )
    rows = [
        {"response_id": "a", "prompt": "p", "response": "r", "feedback": 1},
        {"response_id": "a2", "prompt": "p2", "response": "r2"},
        {"response_id": "a", "channel": "thumbs_up", "value": "much", "source": "user"},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "partly.jsonl").write_text(text, "utf-8")
    (folder / "whole.jsonl").write_text(text.replace('"much"', "1"), "utf-8")
    (folder / "empty.jsonl").write_text("", "utf-8")
    (folder / "run.yaml").write_text("fit: {epochs: 1, nonsense: 2}\n", "utf-8")
    (folder / "photos").mkdir()
    (folder / "photos" / "cat.txt").write_text("meow", "utf-8")


# a line a command; {x} is a place in the folder of `inputs`
COMMANDS = """
--version
--help
fit --help
nonsense
--nonsense
benchmark
benchmark list
benchmark list quick
benchmark list nonsense
benchmark run nonsense --out {b}
benchmark table {nothing}
methods
methods causalrm
methods nonsense
methods --json
inspect {log.parquet}
inspect {log.parquet} --json
inspect {nothing.parquet}
inspect {empty.jsonl}
inspect {lines.jsonl}
inspect {words.csv}
inspect {log.parquet} --nonsense
inspect {log.parquet} --map prompt
inspect {log.parquet} --map prompt=nonsense
inspect
import generic {whole.jsonl} --out {in1}
import generic {partly.jsonl} --out {in2}
import generic {partly.jsonl} --out {in3} --strict
import generic {partly.jsonl} --out {photos}
import nonsense {whole.jsonl} --out {in4}
import auto {log.parquet} --out {in5} --scale 5:1
import generic {whole.jsonl} --out {in6} --phone-region DE
import generic {nothing.jsonl} --out {in7}
simulate {rated.parquet} {world} --rate 0.5
simulate {rated.parquet} {world2} --alpha 2
simulate {rated.parquet} {photos}
fit naive {log.parquet} --out {rm} --epochs 1 --backbone precomputed:{x.npy}
fit nonsense {log.parquet} --out {rm1}
fit naive {log.parquet} --out {rm2} -o nonsense=1
fit ips {log.parquet} --out {rm3} -o clip=7
fit ips {log.parquet} --out {rm4} -o clip
fit ips {clicks.parquet} --out {rm5} --epochs 1
fit implicitrm {log.parquet} --out {rm6} -o identify=gold
fit causalrm {log.parquet} --out {rm7} -o preset=nonsense
fit oracle {log.parquet} --out {rm8}
fit naive {log.parquet} --out {photos}
fit naive {log.parquet}
fit naive {log.parquet} --out {rm9} --epochs 0
fit naive {log.parquet} --out {rm10} --rank 4
fit naive {log.parquet} --out {rm11} --backbone precomputed:{nothing.npy}
fit naive {log.parquet} --out {rm12} --backbone nonsense:thing
--config {run.yaml} fit naive {log.parquet} --out {rm13}
--config {nothing.yaml} fit naive {log.parquet} --out {rm14}
score {photos} {log.parquet} --out {s.parquet}
score {nothing} {log.parquet} --out {s.parquet}
score {rm} {log.parquet} --out {s.txt}
score {rm} {log.parquet} --out {s.parquet}
evaluate {rm} {log.parquet}
calibrate {rm} {log.parquet} --out {c}
calibrate {nothing} {log.parquet} --out {c} --feedback --chosen
export {nothing} {out}
export {rm} {out}
verify-export {photos}
report {nothing} --out {r.html}
sensitivity {nothing}
refute {nothing}
encode {log.parquet} --backbone nonsense:thing
training-data nonsense {rm} --out {t.jsonl}
plan --nonsense
""".strip().splitlines()


def words_of(line, folder):
    """A line of `COMMANDS` as words, with places in a folder."""
    return [word.replace("{", f"{folder}/").replace("}", "") for word in line.split()]
