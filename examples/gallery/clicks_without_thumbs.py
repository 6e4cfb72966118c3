"""Clicks and copies without thumbs"""

# %% [markdown]
# A product without thumbs logs what users do: copy, share, ask again. Each signal is noisy, and none of them is a rating.

# %%
import trueward as tw
from trueward.simulation import helpdesk

world = tw.simulate(helpdesk(200), mechanism="channels", seed=0)
log = tw.read_log(world.log.drop("feedback", strict=False))
print(repr(log))
for name in log.channels:
    print(f"{name}: {log.frame[name].mean():.2f} of {log.frame[name].count()} responses")

# %% [markdown]
# `auto` chooses `channels`, which learns how often a satisfied and a dissatisfied user sets each signal off.

# %%
model = tw.fit("auto", log, seed=0)
print(repr(model))
for reason in model.report["reasons"][:2]:
    print("-", reason)

# %% [markdown]
# Against the truth of this world, beside a fit that takes one signal for a rating:

# %%
first = log.channels[0]
one = tw.read_log(world.log.select("prompt", "response", "prompt_id", feedback=first))
naive = tw.fit("naive", one, seed=0)
for name, fitted in (("all signals", model), (f"{first} alone, naive", naive)):
    metrics = tw.evaluate(fitted, world.test, draws=0)
    print(
        f"{name:<28} AUROC {metrics['auroc'].value:.2f}, mean P - truth {metrics['bias'].value:+.2f}"
    )
