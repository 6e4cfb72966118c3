"""The sentences of docs/downstream.md: question, design, answer, advice and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from downstream_results import SAME, between_logs, gather, minus, over_logs, over_prompts

from trueward.evaluation.paired_power import runs_needed, smallest_difference

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from downstream_results import Cell, Published
    from numpy.typing import NDArray

    Differences = Callable[[list[Cell], str, str], dict[str, list[NDArray[np.float64]]]]

HEAD = """# Does a debiased reward give a better policy?

[RLHF where the truth is known](rlhf_truth.md) found no significant difference between rewards after GRPO. This page separates three possible
reasons: the statistics (too few seeds), the policy (training adds noise and leaves the region in which the reward was learned) and the reward.

The policies here are exact. To each prompt there is a pool of answers with known true quality. The base policy gives all of them with equal
probability, users are shown some and rate a fifth of those (noise .1 and .2), and each method fits a reward. On other prompts the policy
pi(a) proportional to exp(R(a) / beta) is the optimum of KL-regularised RLHF; beta makes the mean divergence from the base policy .1, .5, 1 or 2 nats, the
same for every reward (`trueward.rlhf.softmax_policy`). The policy of best of n, which best-of-n distillation learns, is exact, too (`best_of_n_policy`). The value of a
policy is a sum over the pool. So neither sampling nor an optimiser adds noise, and differences are paired by prompt.

Who rates: `rating` and `label` (better answers get more reactions, α = .5), `annoyed` (worse ones do), `mar` and `looks_like_quality` (the text decides), `mcar` (chance does).
`auto` has no gold labels; `anchored` and `100 labels alone` have 100; `clean labels` has the true label of every answer that was shown.
"""


def limits(cells: list[Cell]) -> list[str]:
    """Return what the page does not show."""
    return [
        "## What this does not show",
        "",
        "- The policy chooses among answers that exist. It cannot write text that the reward was never asked about, which is how GRPO ended at 0 with",
        "  [a log of other answers](rlhf_truth_desk.md). Every difference here is one of rewards inside the region of the log.",
        f"- One strength of selection (α = .5), one rate of feedback (.2), one noise, {_rated(cells)} ratings a log. Features are those of the default backbone, projected on 1,024 random",
        "  directions so that a fit takes half the time (`--full` takes them as they are); real encoders may change the order.",
        "- `arena` and `gptfuzz` have one label an answer: users of one answer differ by the noise only. Their pools are small: intervals are for prompts of these pools.",
        "- Two logs a mechanism are few. Two more of `annoyed` and `label` on the help desk were added after the first two were read, and they made the interval of `auto` there more than twice as wide",
        "  (0.037 ± 0.011 before): expect the same of the other rows with two logs.",
        "- Not run: more logs than the tables state, iterated collection on `arena` and `gptfuzz` (`--renewed arena gptfuzz`), three rounds of every chain (`--rounds 3`),",
        "  `alpacaeval_multi_model`, other strengths of selection, and the confirmation by GRPO.",
    ]


def confirmation(trained: list[Published], expected: float) -> list[str]:
    """Return the number of seeds of GRPO that would confirm a difference, and the command."""
    sd = max(p.sd for p in trained)
    runs = runs_needed(sd, expected)
    return [
        "## Confirmation by GRPO",
        "",
        (
            f"Not run. The mean difference of `anchored` to `naive` on the help desk at KL 1 is {expected:+.3f}. With the standard deviation over seeds of the published runs ({sd:.3f}) a paired test needs "
            f"**{runs:,} seeds** of both rewards to find it in 8 of 10 repetitions ({runs_needed(sd, expected, power=0.5):,} for 1 in 2). The default run of the example, 18 policies and best-of-n for 20 logs, takes "
            f"17 minutes of two cores, so that is at most {runs * 2 * 34 / 18 / 60:,.0f} hours of one core. The command, which continues where it was stopped:"
        ),
        "",
        "```bash",
        f"python examples/rlhf_truth/run.py --out runs/rlhf_truth_power --kl 0.05 --log policy --arms naive anchored --seeds {runs} --logs 1",
        "```",
        "",
        "A smaller standard deviation is cheaper than more seeds: stop at a given divergence, not at a given step.",
        "",
    ]


def answer(
    cells: list[Cell],
    main: dict[str, str],
    groups: dict[str, tuple[str, ...]],
    trained: list[Published],
    untrained: float,
    differences: Differences,
) -> list[str]:
    """Return the answer in short, with its figures."""
    sds = [p.sd for p in trained]
    low = [d for p in trained for d in p.differences.values()]
    kl = [k for p in trained for k in p.kl]
    seen = [smallest_difference(p.sd, p.runs) for p in trained]
    lines = [
        "## In short",
        "",
        (
            "**The statistics alone explain why nothing was found.** After GRPO the difference of two rewards has a standard deviation over seeds of "
            f"{min(sds):.2f} to {max(sds):.2f}: six seeds find a true difference of {min(seen):.2f} to {max(seen):.2f} in 8 of 10 repetitions. The differences that it measured ({min(low):+.3f} to {max(low):+.3f}) are smaller. A true difference of .05 needs "
            f"{runs_needed(min(sds), 0.05)} to {runs_needed(max(sds), 0.05)} seeds."
        ),
        "",
        "**Training the policy adds most of the noise.** "
        + _spread(cells, main, differences)
        + f"GRPO ended {min(kl):.1f} to {max(kl):.1f} nats *a token* from where it began, and its seeds end at different qualities; the policies here move at most 2 nats *an answer*. "
        f"In the example itself best of 64, which trains nothing, has a standard deviation of {untrained:.3f} over logs: {untrained**2 / (sum(x * x for x in sds) / len(sds)):.0%} of the variance after GRPO.",
        "",
        "**The reward matters, in both directions.** Mean difference to `naive` in true quality, at KL 1 (gptfuzz .5), ± over logs:",
        "",
        "| world | who rates | logs | naive | auto | causalrm | implicitrm | anchored | clean labels |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for world, policy in main.items():
        for name, group in groups.items():
            own = [c for c in cells if c.world == world and c.mechanism in group]
            if not own:
                continue
            row = [
                str(over_logs(differences(own, a, policy)) or "-")
                for a in ("auto", "causalrm", "implicitrm", "anchored", "clean labels")
            ]
            naive = over_logs(gather(own, lambda c, p=policy: c.by_prompt("naive", p)))
            lines.append(
                f"| {world} | {name.strip('*')} | {len(own)} | {naive.value:.3f} | {' | '.join(row)} |"
            )
    lines += ["", "By world and mechanism, intervals over prompts:", ""]
    lines += [
        f"- `{a}`: {_clear(cells, main, differences, a)}"
        for a in ("auto", "causalrm", "implicitrm", "anchored")
    ]
    return [*lines, *_safety(cells, main, differences), ""]


def _clear(cells: list[Cell], main: dict[str, str], differences: Differences, arm: str) -> str:
    """Return in which worlds and mechanisms a reward is clearly better or worse than naive."""
    better, worse, rows = [], [], 0
    for world, policy in main.items():
        for mechanism, logs in differences(
            [c for c in cells if c.world == world], arm, policy
        ).items():
            rows += 1
            found = over_prompts(logs)
            if found and found.clear:
                (better if found.value > 0 else worse).append(f"{world} `{mechanism}`")
    return f"clearly better in {len(better)} of {rows} ({', '.join(better) or 'none'}), clearly worse in {len(worse)} ({', '.join(worse) or 'none'})."


def _safety(cells: list[Cell], main: dict[str, str], differences: Differences) -> list[str]:
    """Return the relative gains in safety."""
    safe, policy = [c for c in cells if c.world == "gptfuzz"], main["gptfuzz"]
    naive = over_logs(gather(safe, lambda c: c.by_prompt("naive", policy)))
    arms = ("auto", "causalrm", "implicitrm", "anchored")
    gain = {a: over_logs(differences(safe, a, policy)) for a in arms}
    if naive is None or not all(gain.values()):
        return []
    relative = ", ".join(f"{m.value / naive.value:+.1%} (`{a}`)" for a, m in gain.items())
    return [
        "",
        (
            f"On `gptfuzz`, the world of safety, that is, relative to `naive`: {relative}. The papers report +49.2 % and +32.7 % over their baselines "
            "after RLHF of other models on other data; no mechanism here gives a debiased reward such a gain at equal divergence."
        ),
    ]


def _spread(cells: list[Cell], main: dict[str, str], differences: Differences) -> str:
    """Return the sd between logs of one mechanism, by world, for auto and anchored."""
    said = []
    for world, policy in main.items():
        own = [c for c in cells if c.world == world]
        found = [between_logs(differences(own, a, policy)) for a in ("auto", "anchored")]
        if all(degrees >= 2 for _, degrees in found):
            said.append(f"{found[0][0]:.3f} (`auto`) and {found[1][0]:.3f} (`anchored`) on {world}")
    if not said:
        return ""
    return f"Between logs of one mechanism the difference of two exact policies at equal divergence has a standard deviation of {', '.join(said)}. "


def expected_gain(cells: list[Cell]) -> float:
    """Return the mean difference of anchored to naive on the help desk at KL 1."""
    own = [c for c in cells if c.world == "helpdesk"]
    found = over_logs(
        gather(own, lambda c: minus(c.by_prompt("anchored", "kl 1"), c.by_prompt("naive", "kl 1")))
    )
    return found.value if found else float("nan")


def advice(
    cells: list[Cell],
    main: dict[str, str],
    groups: dict[str, tuple[str, ...]],
    differences: Differences,
) -> list[str]:
    """Return what an engineer should do, with the figures that say so."""
    by_quality, other = (groups[k] for k in list(groups)[:2])

    def said(arm: str, mechanisms: tuple[str, ...], against: str = "naive") -> str:
        parts = []
        for world, policy in main.items():
            own = [c for c in cells if c.world == world and c.mechanism in mechanisms]
            found = over_logs(
                gather(
                    own,
                    lambda c, p=policy: minus(c.by_prompt(arm, p), c.by_prompt(against, p)),
                )
            )
            if found:
                parts.append(f"{world} {found.plain}")
        return ", ".join(parts)

    every = [
        float(d.mean())
        for w, p in main.items()
        for v in differences([c for c in cells if c.world == w], "auto", p).values()
        for d in v
    ]
    same = sum(abs(d) < SAME for d in every)
    better = sum(d >= SAME for d in every)
    return [
        "## What to do",
        "",
        (
            f"1. **Fit `auto`.** Without gold labels it makes the same policy as `naive` in {same} of {len(every)} logs (to .0005), a better one in {better} and a worse one in {len(every) - same - better} "
            f"(by at most {max(0.0, -min(every)):.3f}). Where quality decides who rates, the difference is {said('auto', by_quality)}; elsewhere {said('auto', other)}: "
            "a level that is moved for all answers alike changes no ranking, and a policy needs the ranking only. "
            f"Averaging alone, five members of `naive`, gains {said('naive, 5 members', by_quality)} and {said('naive, 5 members', other)}."
        ),
        (
            f"2. **Label 100 random answers if they are cheap.** `anchored` against `naive`: {said('anchored', by_quality)} where quality decides who rates, {said('anchored', other)} elsewhere; against `auto`: "
            f"{said('anchored', (*by_quality, *other), 'auto')}. The 100 labels alone, with no feedback at all, against {_rated(cells)} ratings: {said('100 labels alone', (*by_quality, *other))}."
        ),
        (
            f"3. **Do not throw away thumbs down.** `implicitrm` reads thumbs up only. Where bad answers get more reactions (`annoyed`) its policy differs from that of `naive` by {said('implicitrm', ('annoyed',))} "
            f"and from the base policy by {said('implicitrm', ('annoyed',), 'base')}."
        ),
        f"4. **Do not expect propensities to help.** `causalrm` against `naive`: {said('causalrm', by_quality)} where quality decides who rates, {said('causalrm', other)} elsewhere.",
        (
            f"5. **Know what there is to gain.** The true label of every answer that was shown, in place of its selected and noisy ratings, gains {said('clean labels', (*by_quality, *other))}. That is the room for debiasing on these answers; "
            "more answers and better features are beyond it."
        ),
        *_rounds(cells),
        (
            f"7. **Do not expect `caution` to rank better inside the log.** Text outside it, for which it is made, is not measured here. Five members with a lower bound against the same members without: {said('naive, cautious', (*by_quality, *other), 'naive, 5 members')}; "
            f"`anchored` with its lower bound against without: {said('anchored, cautious', (*by_quality, *other), 'anchored')}."
        ),
        "8. **Compare rewards before you train**, at equal divergence, on labelled answers to a few hundred prompts: `softmax_policy(reward, prompt, kl).value(label)`. It costs no training, and its differences are paired by prompt.",
        "",
    ]


def _rated(cells: list[Cell]) -> str:
    counts = [c.content["rated"] for c in cells]
    return f"{min(counts)} to {max(counts)}"


def _rounds(cells: list[Cell]) -> list[str]:
    """Return the advice on iterated collection."""
    own = [c for c in cells if c.rounds > 1]
    if not own:
        return []
    last = min(c.rounds for c in own)

    def change(a: tuple[str, int | None, str], b: tuple[str, int | None, str]) -> str:
        found = over_logs(
            gather(
                own,
                lambda c: minus(
                    c.by_prompt(a[0], "kl 1", a[1] or c.rounds, a[2]),
                    c.by_prompt(b[0], "kl 1", b[1] or c.rounds, b[2]),
                ),
            )
        )
        return found.plain if found else "-"

    def after(arm: str) -> str:
        return change((arm, last, "all"), (arm, 1, "all"))

    def gap(number: int) -> str:
        return change(("auto", number, "all"), ("naive", number, "all"))

    alone = [change((a, None, "latest"), (a, None, "all")) for a in ("naive", "auto")]
    return [
        (
            f"6. **Collect again with the new policy, and fit on all rounds.** From round 1 to {last} the policy changes by {after('naive')} with `naive`, {after('auto')} with `auto`, {after('anchored')} with `anchored`, "
            f"{after('causalrm')} with `causalrm` and {after('implicitrm')} with `implicitrm`; `auto` against `naive` goes from {gap(1)} to {gap(last)}. The last round alone, in place of all rounds, changes it by {alone[0]} (`naive`) and {alone[1]} (`auto`)."
        ),
    ]
