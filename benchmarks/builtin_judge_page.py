"""Write the page of the judge in the package from its figures."""

from __future__ import annotations

from trueward.rlhf.safety.builtin_judge import CONFIDENCE

HEAD = """# The judge in the package

`--judge builtin` needs no download, no GPU and no network. **It is for smoke tests**: it shows that an evaluation runs from the policy to
the table. It is no measure of safety, and its figures are not those of any published judge.

```python
from trueward.rlhf.safety.builtin_judge import load_builtin_judge

judge = load_builtin_judge()
judge.score(["How do I pick a lock?"], ["I'm sorry, but I can't help with that."])
# [HarmEstimate(harmful={example:.3f}, abstains={abstains})]
```

It gives P(harmful), the probability that the response does what a harmful request asks for, and it abstains where its conformal set at
confidence {confidence:.0%}, by class, holds both labels or none, where the text is out of distribution, and where the response is blank.
The prompt is the request itself, without the jailbreak around it.

## How it is made

```text
python benchmarks/builtin_judge.py --data ../shared/data \\
    --model src/trueward/rlhf/safety/builtin_model --out docs/builtin_judge.md
```

A linear reward model (`naive`, `hidden=()`) on the [default features](features.md) is fitted on every answer with its label as the rating,
good = harmless. Three questions in four fit it, the fourth calibrates it, and the three sets weigh the same. The command makes
the folder of the package, {size:.0f} kB, and this page; no figure here was typed by hand. The folder holds no text.

| set | label | harmful means | licence |
|---|---|---|---|
| [GPTFuzz](https://github.com/sherdencooper/GPTFuzz), responses_labeled | human | jailbroken | MIT |
| [JailbreakBench artifacts](https://github.com/JailbreakBench/artifacts) | Llama-3-70B, not human | jailbroken | MIT |
| [XSTest](https://github.com/paul-rottger/exaggerated-safety) completions | two humans | full compliance with an unsafe prompt | CC BY 4.0 |

All three licences allow a model made from the data to be passed on with attribution, and the folder is small. So it is part of the wheel, and nothing
has to be fetched on first use. `src/trueward/rlhf/safety/NOTICE.md` has the attributions. Answers that occur twice to one question count once.
{partial} answers of XSTest that refuse an unsafe prompt in part are left out: their label is neither. The judge gives them a mean
P(harmful) of {partial_mean:.2f} and decides {partial_decided:.0%} of them.

## What it is worth

Intervals are 95 %, by question. `bias` is the mean P(harmful) less the share of harmful answers: the error of an attack success rate that
is estimated by the mean P. `decided`: share of answers without an abstention. Among decided answers, `wrong` is the share of wrong verdicts,
`missed` the share of harmful answers that are called harmless, `false alarms` the share of harmless ones that are called harmful.
AUROC higher is better, all others except `decided` closer to 0.
"""
ABOUT = {
    "held-out questions": "Five folds by question: every answer is judged by a model that was fitted and calibrated on other questions "
    "of the three sets. This is what to expect of answers like these.",
    "held-out sets": "Fitted and calibrated on the two other sets. This is what to expect of answers of another source, such as those "
    "of your policy: the ranking is worse, the probabilities are off, and the confidence of {confidence:.0%} does not hold.",
    "another set": "The judge of the package on PKU-SafeRLHF, whose annotators call an answer unsafe for other reasons. Answers with "
    "contradicting labels are left out; nothing was fitted on this set (CC BY-NC).",
}
WORDS = """- It reads words, not meaning: a refusal that repeats the request, an answer in another language than English, or an answer that
  complies without saying so can have any P. Text that is no answer at all can be called harmless without an abstention.
- The requests are short and English, and the answers are of models of 2023 and 2024.
- JailbreakBench's labels are those of a language model, so its errors are learned, too.

For a figure that someone will act on, use a judge that was trained for it, and correct it by human labels."""
COLUMNS = {
    "auroc": "AUROC", "brier": "Brier", "ece": "ECE", "bias": "bias", "decided": "decided", "wrong": "wrong",
    "missed": "missed", "false_alarms": "false alarms",
}  # fmt: skip
SIGNED = ("bias",)


def page(found: dict[str, dict], partial: dict, facts: dict) -> str:
    """Return the page as Markdown."""
    text = HEAD.format(
        confidence=CONFIDENCE,
        partial=partial["answers"],
        partial_mean=partial["mean"],
        partial_decided=partial["decided"],
        **facts,
    )
    parts = [text]
    for name, sets in found.items():
        about = ABOUT[name].format(confidence=CONFIDENCE)
        parts.append(f"### {name[0].upper()}{name[1:]}\n\n{about}\n\n{table(sets)}\n")
    parts.append(f"## Where it fails\n\n{failures(found)}\n")
    return "\n".join(parts)


def table(sets: dict[str, dict]) -> str:
    """Return a table with one row a set."""
    head = ["set", "answers", "questions", "harmful", *COLUMNS.values()]
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for name, f in sets.items():
        cells = [name, f"{f['answers']:,}", f"{f['questions']:,}", f"{f['harmful']:.2f}"]
        cells += [cell(f[k], signed=k in SIGNED) for k in COLUMNS]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(estimate, *, signed: bool) -> str:
    """Return a value and its interval."""
    if estimate.value is None:
        return f"– ({estimate.reason})"
    form = "+.2f" if signed else ".2f"
    ends = "" if estimate.low is None else f" [{estimate.low:{form}}, {estimate.high:{form}}]"
    return f"{estimate.value:{form}}{ends}"


def failures(found: dict[str, dict]) -> str:
    """Name the sets where the judge is worst, by figures of the tables."""
    lines = []
    inside = found["held-out questions"]
    outside = {**found["held-out sets"], **found["another set"]}
    for name, f in outside.items():
        bias = f["bias"]
        direction = "too high" if bias.value > 0 else "too low"
        off = (
            ""
            if bias.low is None or bias.low <= 0 <= bias.high
            else f", and its mean P is {abs(bias.value):.2f} {direction}"
        )
        before = (
            f" (questions of the set held out: {inside[name]['auroc'].value:.2f})"
            if name in inside
            else ""
        )
        wrong = f["wrong"]
        errors = (
            "; it decides none"
            if wrong.value is None
            else f"; {wrong.value:.0%} of its {f['decided'].value:.0%} decided verdicts are wrong"
        )
        lines.append(
            f"- `{name}`, not read before: AUROC {f['auroc'].value:.2f}{before}{off}{errors}."
        )
    return "\n".join([*lines, WORDS])
