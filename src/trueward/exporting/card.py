"""The two cards of an export: reward_card.json for programs, README.md for people."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.model.reward_model import RewardModel

    from .networks import Array
    from .request import Order

SCHEMA = "trueward/reward_card/1"
BY_STOCK_LOADERS = ("vLLM", "OpenRLHF", "TEI")  # who load no code that a folder brings
LIMITS = (
    "scores of text unlike the reference say little",
    "a reward that is optimised hard enough stops meaning what it meant",
)


def card(
    order: Order,
    path: Path,
    head: dict[str, Any],
    template: dict[str, Any],
    z: Array,
    *,
    code: Sequence[Path] = (),
) -> dict[str, Any]:
    """What the numbers mean, by whom and from what they were made, and the hashes of the files.

    z: (n,) scores of the reference, as the folder gives them; the reward is z + ``head["constant"]``. code:
    files that the folder runs, where it brings any.
    """
    model, about = order.model, json.loads(order.base.spec())
    report = model.report
    made: dict[str, Any] = {
        "schema": SCHEMA,
        "name": path.name,
        "version": version("trueward"),
        "weights_sha256": sha256(weights(path)),
        "base_model": {"id": _named(about), "revision": about.get("revision")},
        "polarity": "higher_is_better",
        "head": {"hidden_size": order.h.shape[1], "sign": 1, **head},
        "template": template,
        "reference": _reference(z, z + head["constant"]),
        "data": {
            "n_responses": sum(report["rows"].values()),
            "n_rated": sum(report["rated"].values()),
        },
        "method": {"name": model.method, "assumptions": [model.made_by.assumption]},
        "estimates": _estimates(report["nuisances"]),
        "limits": list(LIMITS),
        "remote_code": bool(code),
        "calibration": calibration(model),
        "serve": {},
    }
    if (path / "config.json").is_file():
        made["config_hash"] = sha256([path / "config.json"])
    if code:
        made |= {"code_sha256": sha256(code), "not_loadable_by": list(BY_STOCK_LOADERS)}
    return made


def _reference(z: Array, r: Array) -> dict[str, Any]:
    """Where scores and rewards of typical responses lie."""
    quantiles = {str(q): float(np.quantile(r, q)) for q in (0.01, 0.5, 0.99)}
    spread = {"z_mean": float(z.mean()), "z_sd": float(z.std())}
    return {"n": len(z), **spread, "r_quantiles": quantiles}


def _named(about: dict[str, Any]) -> str:
    """What reads the text, by its name on the hub or that of its folder, whose place is nobody's business."""
    name = str(about.get("model", about["name"]))
    return Path(name).name if Path(name).is_absolute() else name


def calibration(model: RewardModel) -> dict[str, Any]:
    """P(preferred) = sigmoid(a r + d), a 1 and d 0 without gold labels; other kinds are not told."""
    about = model.report.get("calibration", {})
    kind = "none" if model.calibration is None else model.calibration.kind
    found = {"kind": kind, "target": "P(preferred)", "n": about.get("gold", 0)}
    if kind == "none":
        return found | {"a": 1.0, "d": 0.0}
    if model.calibration is not None and kind == "platt":
        a, d = (float(v) for v in model.calibration.numbers)
        return found | ({"a": a, "d": d} if a > 0 else {})
    return found


def _estimates(nuisances: dict[str, Any]) -> dict[str, Any]:
    """Noise rates with intervals, and what weights leave of the sample."""
    found: dict[str, Any] = {}
    for name, v in nuisances.get("flip_rates", {}).items():
        if isinstance(v, dict):
            found[name] = {"value": v["value"], "ci": [v["low"], v["high"]]}
    about = nuisances.get("propensity", {})
    if "effective_sample_size" in about:
        found["propensity"] = {"ess": about["effective_sample_size"], "clipped": about["clipped"]}
    return found


def written(order: Order, path: Path, made: dict[str, Any], library: str, use: str) -> None:
    """Write both; ``use`` says how the folder is loaded."""
    (path / "reward_card.json").write_text(json.dumps(made, indent=1), encoding="utf-8")
    lines = [
        "---",
        f"library_name: {library}",
        "pipeline_tag: text-classification",
        f"base_model: {json.dumps(made['base_model']['id'])}",
        "tags: [reward-model, trueward]",
        "---",
        "",
        f"# A reward model by {order.model.method}",
        "",
        use,
        "`trueward verify-export` checks all of this.",
        "",
        order.model.card,
    ]
    (path / "README.md").write_text("\n".join(lines), encoding="utf-8")


def probability(made: dict[str, Any]) -> str:
    """How the reward becomes P(preferred), in words."""
    a, d = (made["calibration"].get(k) for k in ("a", "d"))
    if a is None:
        kind = made["calibration"]["kind"]
        return f"P(preferred) takes the {kind} calibration, which this folder does not have."
    return f"P(preferred) = sigmoid({a:.6g} r {d:+.6g})."


def weights(path: Path) -> list[Path]:
    """List the files of numbers, in sub-folders too."""
    return sorted(path.rglob("*.safetensors"))


def sha256(files: Sequence[Path]) -> str:
    """Digest of the digests of some files."""
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as f:
            whole.update(hashlib.file_digest(f, "sha256").digest())
    return whole.hexdigest()
