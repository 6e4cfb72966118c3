"""Exports for tests: the fixtures of the reference, and records written to files by hand."""

from __future__ import annotations

import json
from pathlib import Path

from trueward.importers import import_log

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sources"


def fixture(*names, source="auto", **options):
    """Import fixtures by name."""
    return import_log(source, [FIXTURES / name for name in names], **options)


def fixture_records(name):
    """Records of a fixture of JSON lines or of one array."""
    text = (FIXTURES / name).read_text("utf-8")
    if text.startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines()]


def lines(path, records):
    """Write records as JSON lines; a string is written as it is."""
    text = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in records]
    path.write_text("".join(line + "\n" for line in text), "utf-8")
    return path


def signals(result):
    """(id without its prefix, channel, value, source) of every event, sorted."""
    return sorted(
        (short(e["response_id"]), e["channel"], e["value"], e["source"])
        for e in result.tables.events.iter_rows(named=True)
    )


def short(name):
    """An id without the source and the chat before it."""
    return name.rpartition("/")[2].rpartition(":")[2]


def column(result, name):
    """One column of the log by response id without the source's prefix."""
    return dict(zip(map(short, result.log["response_id"]), result.log[name].to_list(), strict=True))
