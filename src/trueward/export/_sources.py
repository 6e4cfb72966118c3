"""Code that exports bring: files of this library, as they are."""

from __future__ import annotations

from pathlib import Path

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[1]
MODELING = HERE / "shipped" / "modeling_trueward.py"
PACKAGE = "trueward_scorer"
FEATURES = ("hashing", "ngrams", "scales", "surface", "texts", "tokens", "wordllama")
REQUIREMENTS = "numpy\nscipy\npolars\ntokenizers\nsafetensors\nwordllama\n"


def sources() -> dict[str, str]:
    """Name -> text of the files of the scorer: features, networks, errors, and what joins them."""
    own = {f"{name}.py": ROOT / "features" / f"{name}.py" for name in FEATURES}
    own |= {f"{name}.py": ROOT / f"{name}.py" for name in ("errors", "segment")}
    own |= {"networks.py": HERE / "_networks.py"}
    own |= {f"{k}.py": HERE / "shipped" / f"{k}.py" for k in ("scorer", "__main__")}
    texts = {name: path.read_text("utf-8") for name, path in own.items()}
    first = (
        '"""Scores prompts and responses as a reward model does."""\n\nfrom .scorer import Reward\n'
    )
    return {
        "__init__.py": f'{first}\n__all__ = ["Reward"]\n',
        **{k: v.replace("from trueward.", "from .") for k, v in texts.items()},
    }
