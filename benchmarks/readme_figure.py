"""Draw the figure of README.md: what P(preferred) says and what is true, on the clean test of the demo.

python benchmarks/readme_figure.py          writes docs/readme_figure.svg and prints its points
"""

from pathlib import Path

import numpy as np

from trueward.evaluation.plotting import lines
from trueward.reporting import demo

FILE = Path(__file__).parents[1] / "docs" / "readme_figure.svg"
SHOWN = {
    "naive": "naive",
    "anchored": "anchored (300 gold labels)",
}  # method -> its name in the figure
BINS = 8


def points(p: np.ndarray, good: np.ndarray, series: str) -> list[dict]:
    """Return mean P(preferred) and share of good responses, with its 95 % interval, of equal parts of the rows."""
    found = []
    for rows in np.array_split(np.argsort(p, kind="stable"), BINS):
        n, share = len(rows), good[rows].mean()
        middle = (share + 1.92 / n) / (1 + 3.84 / n)  # Wilson
        half = 1.96 / (1 + 3.84 / n) * np.sqrt(share * (1 - share) / n + 0.96 / n**2)
        said = {"P(preferred)": float(p[rows].mean()), "share that is good": float(share)}
        found.append(said | {"low": middle - half, "high": middle + half, "series": series})
    return found


def main() -> None:
    """Fit both on the log of the demo and draw."""
    demo.FITS = {name: {} for name in SHOWN}
    result = demo.run(print)
    test = result.test.frame
    good = test["label"].to_numpy()
    drawn = []
    for method, series in SHOWN.items():
        scores = result.models[method].score(test["prompt"], test["response"])
        drawn += points(scores.preferred.double().numpy(), good, series)
    for point in drawn:
        print({k: v if isinstance(v, str) else round(float(v), 4) for k, v in point.items()})
    draw(drawn)


def draw(drawn: list[dict]) -> None:
    """Write the figure."""
    chart = lines(drawn, "P(preferred)", "share that is good", diagonal=True, unit=True)
    title = {
        "text": "1,200 answers with clean labels, in eight parts by P(preferred)",
        "anchor": "start",
    }
    chart = chart.properties(background="white", title=title | {"fontSize": 12, "offset": 12})
    chart.configure_axisY(titlePadding=14).save(str(FILE))


if __name__ == "__main__":
    main()
