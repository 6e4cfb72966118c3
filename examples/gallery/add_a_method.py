"""Adding a method"""

# %% [markdown]
# A method is a loss with declarations. This one trains on rated rows with a squared loss and smoothed labels; in a package it is one file
# and an entry point, see [add a method](../../docs/add_a_method.md).

# %%
from typing import Annotated

from trueward.plugin import Columns, Feedback, Method, Opt, Tensor, brier, masked_mean, observed


class NaiveBrier(Method):
    """L = mean over rated rows of (sigmoid(s) - t)^2, with t = (1 - smoothing) r + smoothing / 2.

    s: reward logit; r: rating.
    """

    smoothing: Annotated[float, Opt("share of the label that is replaced by 1/2", 0, 1)] = 0.0
    name = "naive_brier"
    paper = "Brier 1950"

    @property
    def assumption(self) -> str:
        return "feedback is given completely at random and is never wrong"

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        target = (1 - self.smoothing) * b.y + self.smoothing / 2
        return masked_mean(brier(out.reward, target), b.seen)


# %% [markdown]
# The loss by hand: two rated rows at logit 0, of which one is good, cost (1/2 - 1)^2 and (1/2 - 0)^2, and their mean is 1/4.

# %%
import torch

import trueward as tw

rows = tw.Feedback(torch.zeros(2, 1), torch.tensor([1.0, 0.0]), torch.ones(2))
print(float(NaiveBrier().loss(Columns(reward=torch.zeros(2)), rows)))

# %% [markdown]
# Values out of range are refused, since the field says its range:

# %%
try:
    NaiveBrier(smoothing=2.0)
except tw.UsageError as error:
    print(error)

# %% [markdown]
# The engine does the rest: folds, early stopping, calibration, evaluation.

# %%
from trueward.simulation import helpdesk

world = tw.simulate(helpdesk(200), mechanism="mcar", rate=0.4, seed=0)
data = tw.encode(tw.read_log(world.log))
train, val = data.split(0.2, seed=0)
for method in ("naive", NaiveBrier(), NaiveBrier(smoothing=0.2)):
    model = tw.fit(method, train, val, seed=0)
    metrics = tw.evaluate(model, world.test, draws=0)
    label = method if isinstance(method, str) else f"naive_brier, smoothing {method.smoothing:g}"
    print(f"{label:<27} AUROC {metrics['auroc'].value:.2f}  Brier {metrics['brier'].value:.3f}")

# %%
print(tw.card(NaiveBrier).split("\n\n")[2])
