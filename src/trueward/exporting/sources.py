"""Code that exports bring: files of this library, as they are."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[1]
MODELING = HERE / "shipped" / "modeling_trueward.py"
PACKAGE = "trueward_scorer"
BUILTIN = ("hashing", "ngrams", "scales", "surface", "tokens", "wordllama")
OTHERS = {
    "texts": ROOT / "features" / "texts.py",
    "errors": ROOT / "core" / "errors.py",
    "segment": ROOT / "estimation" / "mixture_segment.py",
    "networks": HERE / "networks.py",
}
REQUIREMENTS = "numpy\nscipy\npolars\ntokenizers\nsafetensors\nwordllama\n"
RENAMED = {"mixture_segment": "segment"}  # library module -> file of the package, where they differ
IMPORT = re.compile(r"from trueward\.(?:\w+\.)*(\w+) import")


def sources() -> dict[str, str]:
    """Name -> text of the files of the scorer: features, networks, errors, and what joins them."""
    paths = {name: ROOT / "features" / "builtin" / f"{name}.py" for name in BUILTIN} | OTHERS
    paths |= {k: HERE / "shipped" / f"{k}.py" for k in ("scorer", "__main__")}
    first = (
        '"""Scores prompts and responses as a reward model does."""\n\nfrom .scorer import Reward\n'
    )
    return {
        "__init__.py": f'{first}\n__all__ = ["Reward"]\n',
        **{f"{name}.py": _flat(path.read_text("utf-8")) for name, path in paths.items()},
    }


def digests(files: dict[str, bytes | None]) -> dict[str, str]:
    """Name -> SHA-256 of the content; files that are not there are left out."""
    return {k: hashlib.sha256(v).hexdigest() for k, v in files.items() if v is not None}


def released(kind: str) -> list[dict[str, str]]:
    """Digests of the code that earlier versions wrote: ``scorer`` or ``modeling``, name -> SHA-256."""
    found: dict[str, list[dict[str, str]]] = json.loads(
        (HERE / "shipped" / "released.json").read_text("utf-8")
    )
    return found[kind]


def _flat(text: str) -> str:
    """Let every import of the library name a file of the same folder."""
    return IMPORT.sub(lambda m: f"from .{RENAMED.get(m[1], m[1])} import", text)
