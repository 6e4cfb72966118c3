"""300 gold labels: what they buy"""

# %% [markdown]
# Gold labels are trusted labels on a random draw of responses. They buy two things: a better model, and an estimate of how good a model is.

# %%

import trueward as tw
from trueward.simulation import helpdesk

world = tw.simulate(helpdesk(400), mechanism="rating", alpha=0.3, rho_10=0.2, gold=300, seed=0)
log = tw.read_log(world.log)
print(repr(log))

# %% [markdown]
# ## A model with and without them

# %%
without = tw.read_log(world.log.drop("gold"))
models = {
    "naive, no gold labels": tw.fit("naive", without, seed=0),
    "auto, no gold labels": tw.fit("auto", without, seed=0),
    "auto, 300 gold labels": tw.fit("auto", log, seed=0),
}
for name, model in models.items():
    m = tw.evaluate(model, world.test, draws=0)
    print(
        f"{name:<23} {model.method:<14} AUROC {m['auroc'].value:.2f}  "
        f"Brier {m['brier'].value:.3f}  mean P - truth {m['bias'].value:+.2f}"
    )

# %% [markdown]
# ## How good is a model?
#
# `audit` estimates the metrics on the log. The log predicts the labels that are missing, and the gold labels correct the prediction, so that
# a poor prediction widens the interval and does not bias it. The audited model was not fitted on the labels.

# %%
audit = tw.audit(models["naive, no gold labels"], log)
for name in ("auroc", "accuracy", "bias", "good"):
    print(f"{name:<9} {audit[name]}   gold labels alone {audit.gold_alone[name]}")
print(f"truth: share of good responses {world.truth['label'].mean():.3f}")

# %% [markdown]
# ## How many more?

# %%
print(tw.plan(models["naive, no gold labels"], log, "good", 0.08))

# %% [markdown]
# [What gold labels are worth](../../docs/reliability.md) has coverage and widths over many worlds; this is one of them.
