"""Measure what a stratified draw of labels and a judge beside them do to the intervals of an audit; print tables.

python benchmarks/labelling.py                                      # --draws 300

The worlds are those of `chance_draw`: 2,000 responses to 500 prompts, 300 gold labels, P(preferred) as the scores say.
Width: mean width of the 95 % interval against a uniform draw without a judge. Covered: share of intervals that hold
the truth of the logged rows. A judge says the truth of each response with a probability; at .5 it is noise.
"""

from __future__ import annotations

import argparse

from chance_draw import METRICS, figures

JUDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--draws", type=int, default=300)
    draws = parser.parse_args().draws
    plain = figures(draws, 1.0, None)
    strata = figures(draws, 1.0, "stratified")
    print("| metric | width, stratified | covered | covered, uniform |\n|---|---:|---:|---:|")
    for name in METRICS:
        width = strata[name][:, 0].mean() / plain[name][:, 0].mean() - 1
        held = [f"{100 * v[name][:, 2].mean():.0f} %" for v in (strata, plain)]
        print(f"| {name} | {width:+.0%} | {' | '.join(held)} |", flush=True)
    print(
        "\n| judge is right | good: width | covered | brier: width | covered |\n|---|---:|---:|---:|---:|"
    )
    for right in JUDGES:
        found = figures(draws, 1.0, None, right)
        cells = []
        for name in ("good", "brier"):
            width = found[name][:, 0].mean() / plain[name][:, 0].mean() - 1
            cells += [f"{width:+.0%}", f"{100 * found[name][:, 2].mean():.0f} %"]
        print(f"| {right:.0%} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
