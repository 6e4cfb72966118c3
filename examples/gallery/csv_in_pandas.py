"""A CSV in pandas"""

# %% [markdown]
# A table of answers with stars, under names of its own. Most answers have no stars.

# %%
import numpy as np
import pandas as pd

import trueward as tw
from trueward.simulation import helpdesk

world = tw.simulate(helpdesk(150), mechanism="rating", alpha=0.5, rate=0.3, seed=1)
stars = np.random.default_rng(0).integers(0, 2, len(world.log))
table = world.log.to_pandas().rename(columns={"prompt": "question", "response": "answer"})
table["stars"] = np.where(table["feedback"] == 1, 4 + stars, 1 + stars)
table.loc[table["feedback"].isna(), "stars"] = np.nan
table[["question", "answer", "stars"]].to_csv("answers.csv", index=False)

data = pd.read_csv("answers.csv")
print(data["stars"].value_counts(dropna=False).sort_index().to_string())

# %% [markdown]
# Columns are named, never guessed. Without a mapping the error says which one to write:

# %%
try:
    tw.read_log(data)
except tw.TruewardError as error:
    print(error)

# %%
log = tw.read_log(data, prompt="question", response="answer", feedback="stars")
print(repr(log))
for value, (label, rows) in log.feedback_values.items():
    print(f"{value} stars -> {'no feedback' if label is None else f'{label:g}'}, {rows} rows")

# %% [markdown]
# `inspect` names what matters before a fit:

# %%
for finding in tw.inspect(log).findings[:3]:
    print(f"{finding.severity}: {finding.message}")

# %%
model = tw.fit("auto", log, seed=0)
print(repr(model))

# %% [markdown]
# Scores come back as a table beside the data:

# %%
scored = data.assign(p=model.predict_proba(log)[:, 1].round(2))
print(scored.groupby("stars", dropna=False)["p"].agg(["mean", "size"]).round(2).to_string())

# %% [markdown]
# The mean over all answers, rated or not, against the mean over those with stars, and the truth of this world:

# %%
print(f"share of 4 and 5 stars among ratings: {log.frame['feedback'].mean():.2f}")
print(f"mean P(preferred) over all answers:   {scored['p'].mean():.2f}")
print(f"truth:                                {world.truth['label'].mean():.2f}")

# %%
tw.report(model, log).save("report.html")
model.save("rm")
print(tw.load("rm").score([{"prompt": "How do I undo a commit?", "response": "git reset"}]))

# %% [markdown]
# How far the mean depends on who gives stars is [doubt](../../docs/doubt.md): `tw.sensitivity(model, log)`.
