"""From a Langfuse export to a TRL reward"""

# %% [markdown]
# Langfuse's blob export has two kinds of files: observations, which hold prompts and responses, and scores, which hold what users did.
# This script first writes such an export: a help desk with 200 questions and four answers to each, of which users rated about a fifth.

# %%
import json
from pathlib import Path

import trueward as tw
from trueward.simulation import helpdesk

world = tw.simulate(helpdesk(200), mechanism="rating", alpha=0.5, seed=0)
observations, scores = [], []
for k, row in enumerate(world.log.iter_rows(named=True)):
    at = f"2026-03-{1 + k // 60 % 28:02d} 09:{k % 60:02d}:00.000"
    observations.append(
        {"id": f"obs-{k}", "trace_id": f"tr-{k}", "type": "GENERATION", "start_time": at}
        | {"input": json.dumps([{"role": "user", "content": row["prompt"]}])}
        | {"output": json.dumps({"role": "assistant", "content": row["response"]})}
    )
    if row["feedback"] is not None:
        scores.append(
            {"id": f"sc-{k}", "trace_id": f"tr-{k}", "timestamp": at, "name": "user-feedback"}
            | {"value": int(row["feedback"]), "data_type": "BOOLEAN", "source": "API"}
        )
for name, rows in (("observations", observations), ("scores", scores)):
    Path(name).mkdir()
    Path(name, "part-0.jsonl").write_text("\n".join(map(json.dumps, rows)))
print(len(observations), "observations,", len(scores), "scores")

# %% [markdown]
# `import_log` turns the export into a log: one row for every response that was shown. It says what it read.

# %%
imported = tw.import_log("langfuse", ["observations", "scores"], "log")
log = tw.read_log("log")
print(repr(log))

# %% [markdown]
# `fit("auto", log)` encodes the texts, holds out a fifth of the prompts for early stopping, chooses a method that the log supports, and
# gives its reasons.

# %%
model = tw.fit("auto", log, seed=0)
print(repr(model))
for reason in model.report["reasons"][:2]:
    print("-", reason)

# %% [markdown]
# In this world the truth is known. A product has a few gold labels instead, and `audit`.

# %%
metrics = tw.evaluate(model, world.test, draws=0)
print(f"AUROC {metrics['auroc'].value:.2f}, pair accuracy {metrics['pair_accuracy'].value:.2f}")

# %% [markdown]
# The reward for TRL is a function of prompts and completions, for `GRPOTrainer(reward_funcs=[...])`. It is standardised on the responses
# of the log and clipped, see [a reward that is safe to optimise](safe_reward.md).

# %%
from trueward.rlhf import Reward, trl

texts = log.frame["prompt"].to_list(), log.frame["response"].to_list()
reward = trl(Reward.of(model, *texts, far="worst"))
chat = [{"role": "user", "content": texts[0][0]}]
answers = log.frame.filter(log.frame["prompt"] == texts[0][0])["response"].to_list()
completions = [[{"role": "assistant", "content": answer}] for answer in answers]
for answer, value in sorted(
    zip(answers, reward(prompts=[chat] * len(answers), completions=completions), strict=True),
    key=lambda pair: -pair[1],
):
    print(f"{value:+.1f}  {answer[:70]}")

# %% [markdown]
# For a folder that TRL, OpenRLHF or vLLM load without trueward, fit on a language model (`backbone="Qwen/Qwen3-0.6B"`) and
# [export](../../docs/export.md) the model.
