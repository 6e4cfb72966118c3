"""What of a folder may run: nothing, or, where that is allowed, this version's own files to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .loaded import Failure, read
from .sources import MODELING, PACKAGE, digests, released, sources

if TYPE_CHECKING:
    from pathlib import Path

AUTO_MAP = {
    "AutoConfig": f"{MODELING.stem}.TruewardConfig",
    "AutoModelForSequenceClassification": f"{MODELING.stem}.TruewardForSequenceClassification",
}
JSON = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
CARDS = {"reward_card.json", "README.md", "model.safetensors"}
# a loader that trusts a folder would also follow what other files say, such as an adapter's base model
TOKENS = {"added_tokens.json", "vocab.json", "vocab.txt", "chat_template.jinja", "tokenizer.model"}
MODEL = {*CARDS, *JSON, *TOKENS, "merges.txt"}
MODULES = ("Transformer", "Pooling", "Dense", "Normalize")
SENTENCE = {"max_seq_length", "do_lower_case"}


def form_of(folder: Path, *, allowed: bool) -> str:
    """What the folder is: stock, remote, sentence or scorer; Failure where it must not be loaded.

    Code runs where that is ``allowed``, if it is what this version writes and no other file leads elsewhere.
    """
    scorer = (folder / PACKAGE).is_dir()
    code = any(folder.rglob("*.py")) or any(
        "auto_map" in read(p) for name in JSON if (p := folder / name).is_file()
    )
    if (folder / "modules.json").is_file():
        return _sentence(folder, code=code)
    if not (code or scorer):
        if (folder / "adapter_config.json").exists():
            raise Failure(
                "adapter_config.json leads loaders to another model, and export writes none: remove it"
            )
        return "stock"
    if not allowed:
        raise Failure(
            "the folder brings code, which is not run: read it, and say --allow-remote-code if you trust it"
        )
    if scorer:
        _same(folder, PACKAGE, "scorer", sources(), CARDS | {"requirements.txt"})
        return "scorer"
    _same(folder, ".", "modeling", {MODELING.name: MODELING.read_text("utf-8")}, MODEL)
    _mapped(folder)
    return "remote"


def _same(folder: Path, within: str, kind: str, current: dict[str, str], beside: set[str]) -> None:
    """Files of code are to the bit what this or a released version writes, and there are no others."""
    versions = [digests({k: v.encode() for k, v in current.items()}), *released(kind)]
    names = {name for version in versions for name in version}
    paths = {name: folder / within / name for name in names}
    there = digests({k: p.read_bytes() if p.is_file() else None for k, p in paths.items()})
    own = next((v for v in versions if v.items() <= there.items()), versions[0])
    changed = [name for name, digest in own.items() if there.get(name) != digest]
    if changed:
        raise Failure(
            f"{changed[0]} is not the file that this version of trueward writes, so nothing of it is run: "
            "export again with this version"
        )
    files = (p.relative_to(folder) for p in folder.rglob("*") if not p.is_dir())
    known = beside | {(folder / within / name).relative_to(folder).as_posix() for name in own}
    strange = sorted(p.as_posix() for p in files if p.as_posix() not in known and _read_by_us(p))
    if strange:
        raise Failure(
            f"{strange[0]} is nothing that export writes, so no code is run: export again"
        )


def _read_by_us(path: Path) -> bool:
    """What Python keeps beside code that was run is not read: the code is, from a copy."""
    return "__pycache__" not in path.parts


def _mapped(folder: Path) -> None:
    """No file leads to other code."""
    config = read(folder / "config.json")
    if config.get("auto_map") != AUTO_MAP or "auto_map" in config.get("base", {}):
        raise Failure(
            "config.json leads to other code than export writes, which is not run: export again"
        )
    if any("auto_map" in read(p) for n in JSON[1:] if (p := folder / n).is_file()):
        raise Failure("the tokenizer leads to code of its own, which is not run: export again")


def _sentence(folder: Path, *, code: bool) -> str:
    """No module but those that export writes, and no option of a loader."""
    kinds = [str(m.get("type", "")) for m in read(folder / "modules.json")]
    strange = [k for k in kinds if k not in {f"sentence_transformers.models.{m}" for m in MODULES}]
    if code or strange:
        what = f"the module {strange[0]}" if strange else "code"
        raise Failure(f"the folder has {what}, which export does not write: it is not loaded")
    options = read(folder / "sentence_bert_config.json").keys() - SENTENCE
    if options:
        raise Failure(f"sentence_bert_config.json has {min(options)}, which export does not write")
    return "sentence"
