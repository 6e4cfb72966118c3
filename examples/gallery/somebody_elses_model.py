"""Evaluating somebody else's reward model on your log"""

# %% [markdown]
# A reward model of another library is judged on your log, with your gold labels. All that `audit` needs is an object with `backbone` and
# `score_features`. Here the other model's own score is the only feature.

# %%
import numpy as np
import torch

import trueward as tw
from trueward.model.scores import Scores
from trueward.simulation import helpdesk

world = tw.simulate(helpdesk(300), mechanism="rating", alpha=0.5, gold=200, seed=0)
log = tw.read_log(world.log)


def somebody_elses_score(prompt, response):
    """Stand in for a published model: it likes long answers with steps."""
    return 0.02 * len(response) + 0.5 * response.count("\n") - 2


def features(table):
    rows = table.frame.select("prompt", "response").iter_rows()
    return np.array([[somebody_elses_score(p, r)] for p, r in rows], dtype=np.float32)


class TheirModel:
    """Reward and P(preferred) are what their model says."""

    backbone = None

    def score_features(self, x):
        reward = x[:, 0].float()
        no = torch.zeros(len(x), dtype=torch.bool)
        return Scores(reward, torch.sigmoid(reward), torch.zeros(len(x)), no)


theirs = tw.precomputed(features(log), log)
print(repr(theirs))

# %% [markdown]
# ## Audit on the log, by 200 gold labels

# %%
audit = tw.audit(TheirModel(), theirs)
for name in ("auroc", "pair_accuracy", "brier", "bias"):
    print(f"{name:<14} {audit[name]}")

# %% [markdown]
# ## Beside a model fitted on the log

# %%
ours = tw.fit("auto", tw.read_log(world.log.drop("gold")), seed=0)
mine = tw.audit(ours, log)
for name in ("auroc", "pair_accuracy", "brier", "bias"):
    print(f"{name:<14} {mine[name]}")

# %% [markdown]
# ## Their score as a feature
#
# A head on their score learns from the log what the score says about good answers here. It need not rise with the score:

# %%
rows = tw.precomputed(features(log), log)
head = tw.fit("anchored", rows, seed=0)
test = tw.read_test(world.test)
for name, model in (("their own P", TheirModel()), ("P learned from the log", head)):
    metrics = tw.evaluate(model, tw.precomputed(features(test), test), draws=0)
    print(f"{name:<23} AUROC {metrics['auroc'].value:.2f}  Brier {metrics['brier'].value:.3f}")

# %% [markdown]
# Published pairs are judged by `tw.evaluate_pairs` ([pairs](../../docs/pairs.md)).
