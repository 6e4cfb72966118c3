"""Tiny fits of every method in every form, and what is kept of them."""

from __future__ import annotations

from golden import cases, world

import trueward as tw

# The loss is of differences between two rewards, so the offset of all of them has no gradient but rounding
# errors, which AdamW makes steps of: the differences are kept, and not the offset.
PAIRWISE = ("bpr", "bradley_terry", "ubpr", "uprl log", "uprl theta")
LEFT_OUT = {"warning", "assumes", "calibration_bins"}


def fitted(name, **more):
    """What a fit came to: rewards, intervals, losses, and the report of its nuisances."""
    method, log, chosen = cases.every()[name]
    given = {**cases.TINY, **chosen, **more}
    stages = []
    model = tw.fit(
        method, *world.feedback(log), **given, progress=lambda stage, *_: stages.append(stage)
    )
    found = world.plain(model.score_features(world.unseen()))
    if name.startswith(PAIRWISE):
        mean = sum(found["reward"]) / len(found["reward"])
        found = {"reward": [v - mean for v in found["reward"]], "far": found["far"]}
    report = model.report
    return {
        "method": model.method,
        "stages": list(dict.fromkeys(stages)),
        "scores": found,
        "losses": {k: report["training"][k] for k in ("validation_loss", "training_loss")},
        "nuisances": numbers(report["nuisances"]),
        "rows": {k: report[k] for k in ("rows", "rated")},
        "warnings": len(report["warnings"]),
    }


def numbers(tree):
    """A report without its sentences and its charts."""
    if isinstance(tree, dict):
        return {k: numbers(v) for k, v in tree.items() if k not in LEFT_OUT}
    if isinstance(tree, list | tuple):
        return [numbers(v) for v in tree]
    return tree
