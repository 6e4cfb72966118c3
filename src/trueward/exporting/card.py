"""The two cards of an exported folder: reward_card.json for programs, README.md for people."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .folder_files import config_folder, sha256_of, weight_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.model.reward_model import RewardModel

    from .networks import Array
    from .request import ExportRequest

SCHEMA = "trueward/reward_card/1"
# library that loads a folder -> what its result is, in the words of the hub
PIPELINES = {
    "transformers": "text-classification",
    "sentence-transformers": "feature-extraction",
    "trueward": "text-classification",
}
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
LICENSE = re.compile(r"^(license(?:_name)?): *([\w.-]+) *$", re.MULTILINE)
LICENSE_LINK = re.compile(r"^(license_link): *(https?://[\w.:/~%#-]+) *$", re.MULTILINE)
NO_REMOTE_CODE = ("vLLM", "OpenRLHF", "TEI")  # loaders that never run the code of a folder
LIMITS = (
    "scores of out-of-distribution text are unreliable",
    "a reward that is optimised hard enough stops measuring quality",
)


def reward_card(
    request: ExportRequest,
    folder: Path,
    head: dict[str, Any],
    template: dict[str, Any],
    scores: Array,
    *,
    code: Sequence[Path] = (),
) -> dict[str, Any]:
    """Describe an exported folder: the meaning of its scores, its origin and the hashes of its files.

    Parameters
    ----------
    request : ExportRequest
        The model and the reference features that the folder was made from.
    folder : Path
        The folder, whose weights are already written.
    head : dict
        Description of the head. The reward is ``z + head["constant"]``.
    template : dict
        How a prompt and a response become tokens.
    scores : array of shape (n,)
        Scores z of the reference responses, as the folder gives them.
    code : sequence of Path
        Files of code in the folder.

    Returns
    -------
    dict
        The content of ``reward_card.json``.

    """
    model = request.model
    spec = json.loads(request.backbone.spec())
    report = model.report
    card: dict[str, Any] = {
        "schema": SCHEMA,
        "name": folder.name,
        "version": version("trueward"),
        "weights_sha256": sha256_of(weight_files(folder)),
        "base_model": {"id": base_name(request), "revision": spec.get("revision")},
        "polarity": "higher_is_better",
        "head": {"hidden_size": request.features.shape[1], "sign": 1, **head},
        "template": template,
        "reference": _reference(scores, scores + head["constant"]),
        "data": {
            "n_responses": sum(report["rows"].values()),
            "n_rated": sum(report["rated"].values()),
        },
        "method": {"name": model.method, "assumptions": [model.estimator.assumption]},
        "estimates": _estimates(report["nuisances"]),
        "limits": list(LIMITS),
        "remote_code": bool(code),
        "calibration": calibration_entry(model, **head.get("normalised", {})),
        "serve": {},
    }
    if (config := config_folder(folder) / "config.json").is_file():
        card["config_hash"] = sha256_of([config])
    if code:
        card |= {"code_sha256": sha256_of(code), "not_loadable_by": list(NO_REMOTE_CODE)}
    return card


def base_name(request: ExportRequest) -> str:
    """Return the name of the backbone, without any path of this machine.

    Parameters
    ----------
    request : ExportRequest
        The exported model and its backbone.

    Returns
    -------
    str
        The name on the hub, or the name of the backbone's folder.

    """
    spec = json.loads(request.backbone.spec())
    name = str(spec.get("model", spec["name"]))
    return Path(name).name if Path(name).is_absolute() else name


def calibration_entry(model: RewardModel, mean: float = 0.0, std: float = 1.0) -> dict[str, Any]:
    """Describe the calibration P(preferred) = sigmoid(a r + d).

    Parameters
    ----------
    model : RewardModel
        The exported model.
    mean, std : float
        r is (reward of the model - mean) / std.

    Returns
    -------
    dict
        ``kind``, ``target`` and the number ``n`` of gold labels. Without a calibration a = 1 and d = 0.
        With Platt's calibration a and d are its numbers. Other kinds have no a and d.

    """
    report = model.report.get("calibration", {})
    kind = "none" if model.calibration is None else model.calibration.kind
    entry = {"kind": kind, "target": "P(preferred)", "n": report.get("gold", 0)}
    if kind == "none":
        return entry | {"a": std, "d": mean}
    if model.calibration is not None and kind == "platt":
        a, d = (float(v) for v in model.calibration.parameters)
        return entry | ({"a": a * std, "d": d + a * mean} if a > 0 else {})
    return entry


def write_cards(
    request: ExportRequest, folder: Path, card: dict[str, Any], library: str, usage: str
) -> None:
    """Write ``reward_card.json`` and ``README.md``.

    Parameters
    ----------
    request : ExportRequest
        The exported model.
    folder : Path
        Where to write.
    card : dict
        The reward card.
    library : str
        The library that loads the folder: ``library_name`` in the front matter of the README.
    usage : str
        How the folder is loaded, in Markdown.

    """
    (folder / "reward_card.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
    lines = [
        "---",
        f"library_name: {library}",
        f"pipeline_tag: {PIPELINES[library]}",
        *_origin(request, card),
        "tags: [reward-model, trueward]",
        "---",
        "",
        f"# A reward model by {request.model.method}",
        "",
        usage,
        "`trueward verify-export` checks this folder.",
        "",
        request.model.card,
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _origin(request: ExportRequest, card: dict[str, Any]) -> list[str]:
    """Lines on the base model, if it has a name on the hub, and on its licence, if its card names one.

    The hub wants the name and the link of a licence that it does not list (``license: other``).
    """
    name = str(card["base_model"]["id"])
    lines = [f"base_model: {json.dumps(name)}"] if HUB_NAME.fullmatch(name) else []
    folder = getattr(request.backbone, "folder", None)
    readme = None if folder is None else folder.path / "README.md"
    if readme is None or not readme.is_file():
        return lines
    front = readme.read_text("utf-8", "replace").split("---")
    about = front[1] if len(front) > 2 and not front[0].strip() else ""
    found = [*LICENSE.findall(about), *LICENSE_LINK.findall(about)]
    return lines + [f"{key}: {value}" for key, value in found]


def probability_sentence(card: dict[str, Any]) -> str:
    """Say how the reward becomes P(preferred).

    Parameters
    ----------
    card : dict
        A reward card.

    Returns
    -------
    str
        One sentence with the formula, or with the calibration that is missing.

    """
    a, d = (card["calibration"].get(k) for k in ("a", "d"))
    if a is None:
        kind = card["calibration"]["kind"]
        return f"P(preferred) needs the {kind} calibration, which this folder does not hold."
    return f"P(preferred) = sigmoid({a:.6g} r {d:+.6g})."


def _reference(z: Array, r: Array) -> dict[str, Any]:
    """Mean and sd of the scores, and quantiles of the rewards, of the reference responses."""
    quantiles = {str(q): float(np.quantile(r, q)) for q in (0.01, 0.5, 0.99)}
    return {
        "n": len(z),
        "z_mean": float(z.mean()),
        "z_sd": float(z.std()),
        "r_quantiles": quantiles,
    }


def _estimates(nuisances: dict[str, Any]) -> dict[str, Any]:
    """Noise rates with 95 % intervals, and the effective sample size under the weights."""
    estimates: dict[str, Any] = {}
    for name, rate in nuisances.get("flip_rates", {}).items():
        if isinstance(rate, dict) and "value" in rate:  # beside them are counts of gold labels
            estimates[name] = {"value": rate["value"], "ci": [rate["low"], rate["high"]]}
    propensity = nuisances.get("propensity", {})
    if "effective_sample_size" in propensity:
        estimates["propensity"] = {
            "ess": propensity["effective_sample_size"],
            "clipped": propensity["clipped"],
        }
    return estimates
