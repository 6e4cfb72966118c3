"""Speed and recall of redaction, by trueward or by another installed library.

python benchmarks/redact_speed.py                                  MB/s on paragraphs of docs/, and the hand-made set
python benchmarks/redact_speed.py --library presidio               the same set and paragraphs, by the library's own rules
python benchmarks/redact_speed.py --library detect-secrets         (also bc-detect-secrets, its fork)

The hand-made set is that of tests/helpers/sensitive_texts.py. Our patterns were written with it in view, so it shows what a
library misses, and not how well ours do on unseen texts.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from trueward.importers import Redactor

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from helpers.sensitive_texts import HARMLESS, SENSITIVE  # noqa: E402

Spans = Callable[[str], list[tuple[int, int]]]
PERSONAL = (
    "ann.lee@example.org",
    "+1 415-555-2671",
    "password=Tr0ub4dor3",
    "sk-proj-a1B2c3D4e5F6g7H8i9J0k1L2",
)


def presidio() -> tuple[tuple[str, ...], Spans]:
    from presidio_analyzer import predefined_recognizers as known  # noqa: PLC0415

    mail, phone = known.EmailRecognizer(), known.PhoneRecognizer()

    def spans(text: str) -> list[tuple[int, int]]:
        found = [
            *mail.analyze(text, ["EMAIL_ADDRESS"], None),
            *phone.analyze(text, ["PHONE_NUMBER"], None),
        ]
        return [(r.start, r.end) for r in found if r.score > 0]

    return ("EMAIL", "PHONE"), spans


def detect_secrets() -> tuple[tuple[str, ...], Spans]:
    from detect_secrets import plugins  # noqa: PLC0415
    from detect_secrets.plugins.base import BasePlugin  # noqa: PLC0415

    found = []
    for module in pkgutil.iter_modules(plugins.__path__):
        if module.name not in {
            "base",
            "high_entropy_strings",
            "ip_public",
        }:  # the last two are not about shapes
            held = vars(importlib.import_module(f"{plugins.__name__}.{module.name}")).values()
            found += [
                c()
                for c in held
                if isinstance(c, type)
                and issubclass(c, BasePlugin)
                and c.__module__.endswith(module.name)
            ]

    def spans(text: str) -> list[tuple[int, int]]:
        values = [value for plugin in found for value in plugin.analyze_string(text)]
        return [(text.find(v), text.find(v) + len(v)) for v in values if isinstance(v, str) and v]

    return ("SECRET",), spans


def ours() -> tuple[tuple[str, ...], Spans]:
    redactor = Redactor()

    def spans(text: str) -> list[tuple[int, int]]:
        """Return the spans that were removed, from the texts between the placeholders."""
        left = re.split("<(?:EMAIL|PHONE|SECRET)>", redactor.redact_text(text)[0])
        whole = re.fullmatch("([\\s\\S]+?)".join(map(re.escape, left)), text)
        return list(whole.regs[1:]) if whole else []

    return ("EMAIL", "PHONE", "SECRET"), spans


LIBRARIES = {
    "trueward": ours,
    "presidio": presidio,
    "detect-secrets": detect_secrets,
    "bc-detect-secrets": detect_secrets,
}


def quality(kinds: tuple[str, ...], spans: Spans) -> None:
    """Print the share of sensitive spans that are found, and the harmless texts with a false match."""
    for kind in kinds:
        gone = of = 0
        for marked in SENSITIVE[kind]:
            text = marked.replace("«", "").replace("»", "")
            covered = {i for a, b in spans(text) for i in range(a, b)}
            for i, mark in enumerate(re.finditer("«([^»]*)»", marked)):
                start = mark.start() - 2 * i
                span = {j for j in range(start, start + len(mark[1])) if text[j].isalnum()}
                of, gone = of + 1, gone + (span <= covered)
        print(f"{kind:<7} {gone} of {of} covered")
    print(
        f"harmless texts touched: {sum(bool(spans(text)) for text in HARMLESS)} of {len(HARMLESS)}"
    )


def paragraphs(n: int, share: float) -> list[str]:
    """Texts of some paragraphs of the documentation; into a share of them something personal is put."""
    draw = random.Random(0)
    pages = "\n\n".join(p.read_text("utf-8") for p in sorted((ROOT / "docs").rglob("*.md")))
    parts = [part.strip() for part in pages.split("\n\n") if len(part) > 40]
    texts = ["\n".join(draw.choices(parts, k=3)) for _ in range(n)]
    return [f"{t}\n{draw.choice(PERSONAL)}" if draw.random() < share else t for t in texts]


def megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def speed() -> None:
    print("share personal | texts | MB | texts changed | s | MB/s | s of the processor | MB/s")
    for share, times in ((0.0, 1), (0.01, 1), (0.1, 1), (1.0, 1), (0.01, 10)):
        texts = paragraphs(20_000, share) * times
        column, redactor = pl.Series("response", texts), Redactor()
        start, used = time.perf_counter(), time.process_time()
        changed = (redactor.redact_rows(column.to_frame(), b"key")["response"] != column).sum()
        clock, cpu, size = time.perf_counter() - start, time.process_time() - used, megabytes(texts)
        figures = f"{clock:.1f} | {size / clock:.1f} | {cpu:.1f} | {size / cpu:.1f}"
        print(f"{share:.0%} | {len(texts):,} | {size:.1f} | {changed:,} | {figures}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--library", choices=LIBRARIES, default="trueward")
    name = parser.parse_args().library
    kinds, spans = LIBRARIES[name]()
    quality(kinds, spans)
    if name == "trueward":
        speed()
        return
    texts = paragraphs(300, 0.1)
    start = time.perf_counter()
    for text in texts:
        spans(text)
    print(f"{megabytes(texts) / (time.perf_counter() - start):.2f} MB/s")


if __name__ == "__main__":
    main()
