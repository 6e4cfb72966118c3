"""A reward that is safe to optimise"""

# %% [markdown]
# A learned reward is wrong somewhere, and an optimiser finds that place. `Reward` standardises the model's log-odds on typical responses,
# clips them, subtracts standard deviations where the model is unsure, and gives text far from the log the worst reward.

# %%
import trueward as tw
from trueward.rlhf import Reward, best_of_n
from trueward.simulation import helpdesk

world = tw.simulate(helpdesk(300), mechanism="rating", alpha=0.5, rate=0.3, seed=0)
log = tw.read_log(world.log)
model = tw.fit("naive", log, members=4, seed=0)
texts = log.frame["prompt"].to_list(), log.frame["response"].to_list()
rewards = {
    "plain": Reward.of(model, *texts, limit=100.0),
    "clipped": Reward.of(model, *texts),
    "safe": Reward.of(model, *texts, caution=1.0, far="worst"),
}

# %% [markdown]
# ## Text that no log has
#
# What an optimiser would write if it could: praise and fillers around nothing.

# %%
prompt = texts[0][0]
candidates = {
    "an answer of the log": texts[1][0],
    "the answer 40 times": texts[1][0] * 40,
    "praise": "Great question! " * 40,
    "symbols": "!?* " * 200,
}
print(f"{'':<22}" + "".join(f"{name:>9}" for name in rewards))
for name, response in candidates.items():
    values = [float(reward([prompt], [response])[0]) for reward in rewards.values()]
    print(f"{name:<22}" + "".join(f"{value:>+9.1f}" for value in values))

# %% [markdown]
# ## Best of four answers
#
# On prompts that the model has not seen, the mean true rating of the answer that each reward chooses:

# %%
answers = world.test.group_by("prompt", maintain_order=True).agg("response", "rating")
print(f"{'mean of all answers':<22}{world.test['rating'].mean():.2f}")
for name, reward in rewards.items():
    chosen = [
        ratings[best_of_n(reward, prompt, responses)]
        for prompt, responses, ratings in answers.iter_rows()
    ]
    print(f"{name:<22}{sum(chosen) / len(chosen):.2f}")
best = [max(ratings) for ratings in answers["rating"]]
print(f"{'best of all answers':<22}{sum(best) / len(best):.2f}")

# %% [markdown]
# Caution has a price on ordinary answers; in return, text that is far from the log cannot win.
# [RLHF](../../docs/rlhf.md) trains a policy on such a reward, and [the truth about it](../../docs/rlhf_truth.md) measures what is gained.
