"""Notes on an exported classifier, and how its consumers load it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .card import NO_REMOTE_CODE, probability_sentence
from .shipped_code import MODELING

if TYPE_CHECKING:
    from .chat_format import ChatFormat
    from .linear_heads import LinearHead


def head_notes(head: LinearHead) -> list[str]:
    """Return what the user should know of a linear head."""
    notes = []
    if head.kind == "distilled":
        notes.append(
            f"the head is distilled: rank correlation {head.rank_correlation:.3f} with the model"
        )
    if head.constant_home == "card":
        why = (
            "where its cost cannot be measured on so few reference rows"
            if head.absorb_rmse is None
            else f"where it would cost {head.absorb_rmse:.1%} of sd(r), {head.absorb_worst:.1%} in the worst "
            "of the held-out reference rows"
        )
        notes.append(f"the constant {head.constant:.4g} is in the card, not in the weights, {why}")
    return notes


def pad_note(chat_format: ChatFormat) -> list[str]:
    """Return a note where the vocabulary has grown."""
    added = "a pad token was added, so the vocabulary is larger than the policy's"
    return [added] if chat_format.added_pad else []


def stock_usage(card: dict[str, Any]) -> str:
    """Return how a stock classifier is loaded, in Markdown."""
    pooler = card["serve"].get("vllm_pooler_config")
    probability = (
        f"P(preferred) with `--pooler-config '{json.dumps(pooler)}'` and "
        '`--hf-overrides \'{"problem_type": "multi_label_classification"}\'`'
        if pooler
        else probability_sentence(card)
    )
    return f"""\
Scores the last token of a chat of one user message and one assistant message; higher is better.

```python
GRPOTrainer(model=policy, reward_funcs=["./this-folder"], ...)  # TRL
```

- OpenRLHF: `--reward.model_name_or_path this-folder`; not `--reward.normalize_enable`, which reads
  uninitialised numbers under transformers 5
- veRL: `reward.reward_model.enable=true reward.reward_model.model_path=this-folder`
- vLLM: `/classify` with `messages`; {probability}
"""


def code_usage(card: dict[str, Any]) -> str:
    """Return how a classifier with code is loaded, in Markdown."""
    return f"""\
Scores a chat of one user message and one assistant message; higher is better.

The head is not linear, so the folder has {MODELING.name} (torch and transformers).
It runs only with trust_remote_code: read it before you allow it.
Not loadable by {", ".join(NO_REMOTE_CODE)}.

```python
model = AutoModelForSequenceClassification.from_pretrained(
    "./this-folder", num_labels=1, trust_remote_code=True
)
tokenizer = AutoTokenizer.from_pretrained("./this-folder", trust_remote_code=True)
GRPOTrainer(..., reward_funcs=[model], reward_processing_classes=[tokenizer])  # TRL
```

{probability_sentence(card)}
"""
