"""Code that exported folders carry: files of this library, and the check that a folder has no others."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from .folder_files import config_folder
from .verify_rules import RuleBroken, read_json

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
RENAMED = {"mixture_segment": "segment"}  # module of the library -> file of the package
IMPORT = re.compile(r"from trueward\.(?:\w+\.)*(\w+) import")

AUTO_MAP = {
    "AutoConfig": f"{MODELING.stem}.TruewardConfig",
    "AutoModelForSequenceClassification": f"{MODELING.stem}.TruewardForSequenceClassification",
}
JSON = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
CARDS = {"reward_card.json", "README.md", "model.safetensors"}
# a trusting loader would follow other files, too, such as an adapter's base model
TOKENS = {"added_tokens.json", "vocab.json", "vocab.txt", "chat_template.jinja", "tokenizer.model"}
CLASSIFIER_FILES = {*CARDS, *JSON, *TOKENS, "merges.txt"}
MODULES = ("Transformer", "Pooling", "Dense", "Normalize")
SENTENCE_OPTIONS = {"max_seq_length", "do_lower_case"}


def scorer_sources() -> dict[str, str]:
    """Return the files of the package ``trueward_scorer``.

    Returns
    -------
    dict of str to str
        File name -> text: features, networks, errors and the scorer. Imports of the library name files of
        the same package.

    """
    paths = {name: ROOT / "features" / "builtin" / f"{name}.py" for name in BUILTIN} | OTHERS
    paths |= {k: HERE / "shipped" / f"{k}.py" for k in ("scorer", "__main__")}
    init = (
        '"""Scores prompts and responses as a reward model does."""\n\nfrom .scorer import Reward\n'
    )
    return {
        "__init__.py": f'{init}\n__all__ = ["Reward"]\n',
        **{f"{name}.py": _flat(path.read_text("utf-8")) for name, path in paths.items()},
    }


def folder_kind(folder: Path, *, allow_code: bool) -> str:
    """Return the kind of an exported folder, after checking that it is safe to load.

    Parameters
    ----------
    folder : Path
        The folder.
    allow_code : bool
        Whether code in the folder may run. It runs only if this or a released version wrote it, bit by bit,
        and no other file leads a loader elsewhere.

    Returns
    -------
    {"stock", "remote", "sentence", "scorer"}
        A stock classifier, a classifier with code, a sentence-transformers folder, or a scorer with code.

    Raises
    ------
    RuleBroken
        If the folder must not be loaded.

    """
    scorer = (folder / PACKAGE).is_dir()
    code = any(folder.rglob("*.py")) or any(
        "auto_map" in read_json(p) for name in JSON for p in folder.rglob(name)
    )
    if (folder / "modules.json").is_file():
        return _check_sentence(folder, code=code)
    if not (code or scorer):
        if (folder / "adapter_config.json").exists():
            raise RuleBroken(
                "adapter_config.json leads loaders to another model, and export writes no such file: remove "
                "it"
            )
        return "stock"
    if not allow_code:
        raise RuleBroken(
            "the folder has code, which does not run without your consent: read it, and add "
            "--allow-remote-code if you trust it"
        )
    if scorer:
        _check_files(folder, PACKAGE, "scorer", scorer_sources(), CARDS | {"requirements.txt"})
        return "scorer"
    _check_files(
        folder, ".", "modeling", {MODELING.name: MODELING.read_text("utf-8")}, CLASSIFIER_FILES
    )
    _check_auto_map(folder)
    return "remote"


def _check_files(
    folder: Path, within: str, kind: str, current: dict[str, str], others: set[str]
) -> None:
    """Check that the code is that of this or a released version, and that no unknown file is there."""
    versions = [_digests({k: v.encode() for k, v in current.items()}), *_released(kind)]
    names = {name for version in versions for name in version}
    paths = {name: folder / within / name for name in names}
    written = _digests({k: p.read_bytes() if p.is_file() else None for k, p in paths.items()})
    own = next((v for v in versions if v.items() <= written.items()), versions[0])
    changed = [name for name, digest in own.items() if written.get(name) != digest]
    if changed:
        raise RuleBroken(
            f"{changed[0]} is not the file that this version of trueward writes, so no code was run: export "
            "again with this version"
        )
    files = (p.relative_to(folder) for p in folder.rglob("*") if not p.is_dir())
    known = others | {(folder / within / name).relative_to(folder).as_posix() for name in own}
    # Python's cache beside code that ran is never read here: a copy of the code runs
    unknown = sorted(
        p.as_posix() for p in files if p.as_posix() not in known and "__pycache__" not in p.parts
    )
    if unknown:
        raise RuleBroken(
            f"{unknown[0]} is not a file that export writes, so no code was run: export again"
        )


def _check_auto_map(folder: Path) -> None:
    """Check that no file of the folder names other code."""
    config = read_json(folder / "config.json")
    if config.get("auto_map") != AUTO_MAP or "auto_map" in config.get("base", {}):
        raise RuleBroken(
            "auto_map in config.json names other code than export writes, which was not run: export again"
        )
    if any("auto_map" in read_json(p) for n in JSON[1:] if (p := folder / n).is_file()):
        raise RuleBroken(
            "auto_map in the tokenizer's files names code, which was not run: export again"
        )


def _check_sentence(folder: Path, *, code: bool) -> str:
    """Check that a sentence-transformers folder has only the modules and options that export writes."""
    kinds = [str(m.get("type", "")) for m in read_json(folder / "modules.json")]
    known = {f"sentence_transformers.models.{m}" for m in MODULES}
    unknown = [k for k in kinds if k not in known]
    if code or unknown:
        what = f"the module {unknown[0]}" if unknown else "code"
        raise RuleBroken(
            f"the folder has {what}, which export does not write, so it was not loaded: export again"
        )
    options = (
        read_json(config_folder(folder) / "sentence_bert_config.json").keys() - SENTENCE_OPTIONS
    )
    if options:
        raise RuleBroken(
            f"sentence_bert_config.json has {min(options)}, which export does not write: export again"
        )
    return "sentence"


def _digests(files: dict[str, bytes | None]) -> dict[str, str]:
    """Name -> SHA-256 of the content, without files that are missing."""
    return {k: hashlib.sha256(v).hexdigest() for k, v in files.items() if v is not None}


def _released(kind: str) -> list[dict[str, str]]:
    """Return the digests of the code of earlier versions, ``scorer`` or ``modeling``: name -> SHA-256."""
    text = (HERE / "shipped" / "released.json").read_text("utf-8")
    released: dict[str, list[dict[str, str]]] = json.loads(text)
    return released[kind]


def _flat(text: str) -> str:
    """Let every import of the library name a file of the same folder."""
    return IMPORT.sub(lambda m: f"from .{RENAMED.get(m[1], m[1])} import", text)
