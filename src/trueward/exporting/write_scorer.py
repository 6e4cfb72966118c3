"""The default features and any head of ours: a folder with the code that makes both, without torch or us."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from safetensors.numpy import save_file

from trueward.core.errors import TruewardError

from . import card as _card
from .sources import PACKAGE, REQUIREMENTS, sources
from .write_remote import carried

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from .request import Order


def scorer(order: Order, path: Path) -> list[str]:
    """Write the folder; give what should be known of it."""
    order.only_float32()
    if not order.code:
        raise TruewardError(
            "the default features are made by code of this library, which no stock folder has: "
            "--allow-remote-code writes a folder that brings it (no torch), --backbone NAME_OR_PATH in the "
            "fit makes features that stock loaders read"
        )
    found = carried(order)
    save_file(found.tensors(), path / "model.safetensors")
    (path / PACKAGE).mkdir()
    for name, text in sources().items():
        (path / PACKAGE / name).write_text(text, encoding="utf-8")
    (path / "requirements.txt").write_text(REQUIREMENTS, encoding="utf-8")
    z = found(order.h.numpy())
    about = {"kind": "mlp", "pooling": "none", "constant": 0.0, "constant_home": "absorbed"}
    code = sorted((path / PACKAGE).glob("*.py"))
    made = _card.card(order, path, about | {"dtype": "float32"}, {"kind": "texts"}, z, code=code)
    made |= {"features": json.loads(order.base.spec()), "networks": found.about()}
    _card.written(order, path, made, "numpy", _use(made))
    return [
        f"the folder brings {PACKAGE}, code that needs neither torch nor trueward: read it first"
    ]


def _use(made: dict[str, Any]) -> str:
    lines = [
        "Scores a prompt and a response; higher is better. The code in this folder makes the features.",
        f"Not loadable by transformers, {', '.join(_card.BY_STOCK_LOADERS)}.",
        "",
        "```",
        "pip install -r requirements.txt",
        f"python -m {PACKAGE} < pairs.jsonl > scores.jsonl   # in this folder; lines of prompt and response",
        "```",
        "",
        "```python",
        'sys.path.insert(0, "./this-folder")',
        f"from {PACKAGE} import Reward",
        "",
        "rewards = Reward()(prompts, responses)",
        "```",
        "",
        _card.probability(made),
        "",
    ]
    return "\n".join(lines)
