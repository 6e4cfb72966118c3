"""An encoder with a linear head as a stock classifier of transformers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError
from trueward.features.transformers import loading
from trueward.features.transformers.prompt_rendering import render_chats
from trueward.features.transformers.reading_options import is_decoder

from .card import probability_sentence, reward_card, write_cards
from .chat_format import copied_tokenizer, save_tokenizer
from .classifier_heads import HEADS
from .linear_heads import LinearHead, distilled_head, exact_linear, normalised

if TYPE_CHECKING:
    from pathlib import Path

    from trueward.features.transformers.prompt_rendering import PromptRendering
    from trueward.features.transformers.transformer import Transformer

    from .request import ExportRequest

IDENTITY = "torch.nn.modules.linear.Identity"
# CrossEncoder renders a pair as a query and a document wherever a chat template exists
ONE_TURN = (
    "{%- if messages | length != 2 or messages[1]['role'] not in ('assistant', 'document') -%}"
    "{{ raise_exception('expected one user message and one assistant message') }}{%- endif -%}"
)


def no_classifier(backbone: Transformer) -> str:
    """Say why no stock classifier reads the features of an encoder; empty where one does.

    Parameters
    ----------
    backbone : Transformer
        Makes the features.

    Returns
    -------
    str
        The reason, and what to do.

    """
    reading, config = backbone.reading, loading.model_config(backbone.folder)
    kind = config.model_type
    if is_decoder(config):
        return (
            "stock classifiers on decoders score chats, and this model reads plain text "
            "(template=plain): fit with template=chat"
        )
    if kind not in HEADS:
        return f"trueward knows no sequence-classification head for {kind}"
    wanted = HEADS[kind].poolings
    found = [f"pooling={reading.pooling}"] * (reading.pooling not in wanted)
    found += ["normalize=true"] * reading.normalize
    found += ["the linear layers of the folder"] * bool(reading.dense)
    last = loading.layer_count(backbone.folder)
    found += [f"layer={reading.layer}"] * (reading.layer != last)
    if not found:
        return ""
    return (
        f"stock classifiers of {kind} read pooling={' or '.join(wanted)} of the last layer, and this model "
        f"reads {', '.join(found)}: fit with --backbone NAME,pooling=cls -o hidden= for such a folder"
    )


def write_encoder(request: ExportRequest, path: Path) -> list[str]:
    """Write a stock classifier of transformers whose head is one linear head on an encoder.

    Parameters
    ----------
    request : ExportRequest
        A model on an encoder whose class reads the features; see `no_classifier`.
    path : Path
        An empty folder.

    Returns
    -------
    list of str
        Notes for the user.

    Raises
    ------
    TruewardError
        If the reward is not linear and may not be distilled.
    UsageError
        If another precision than float32 was requested.

    """
    request.require_float32()
    backbone, reading, head = request.backbone, request.backbone.reading, _head(request)
    tokenizer = _tokenizer(backbone)
    with loading.quiet_transformers():
        _network(request, head).save_pretrained(path)
    save_tokenizer(tokenizer, path)
    entry: dict[str, Any] = {
        "kind": head.kind,
        "pooling": reading.pooling,
        "constant": 0.0,
        "constant_home": "absorbed",
        "absorb_rmse": 0.0,
        "rank_correlation": head.rank_correlation,
        "dtype": "float32",
    }
    if request.normalize:
        entry["normalised"] = {"mean": head.mean, "std": head.std}
    template = {
        "kind": reading.template,
        "max_length": reading.max_length,
        "truncation_side": "left",
        "chat": bool(tokenizer.chat_template),
    }
    card = reward_card(request, path, entry, template, head.rewards(request.features).numpy())
    write_cards(request, path, card, "transformers", _usage(card))
    notes = []
    if head.kind == "distilled":
        rank = head.rank_correlation
        notes.append(f"the head is distilled: rank correlation {rank:.3f} with the model")
    if not tokenizer.chat_template:
        why = (
            "TRL passes one segment and this model reads two"
            if backbone.rendering.segments
            else "no single text has the tokens of a prompt and a response of this tokenizer"
        )
        notes.append(
            f"{why}, so the folder has no chat template and TRL refuses it: fit with template=plain for TRL"
        )
    return notes


def _head(request: ExportRequest) -> LinearHead:
    """The linear head, with its constant, which stock heads of encoders have."""
    exact = exact_linear(request.model, request.features)
    if exact is None and not request.distil:
        raise TruewardError(
            f"a stock classifier has one linear head, and the reward of {request.model.method} is none "
            "(hidden layers, members or nuisances): fit with -o hidden=, or add --distil"
        )
    head = (
        LinearHead(*exact, "absorbed", 0.0, 0.0, "linear")
        if exact
        else distilled_head(request.model, request.features, request.group)
    )
    return normalised(head, request.features) if request.normalize else head


def _network(request: ExportRequest, head: LinearHead) -> Any:
    """The stock class with the weights of the encoder, the head, and the config keys of every consumer."""
    from transformers import AutoModelForSequenceClassification  # noqa: PLC0415 - heavy

    encoder = loading.load_network(request.backbone.folder, "float32", "cpu")
    config = type(encoder.config).from_dict(encoder.config.to_dict())
    keys = {"id2label": {0: "LABEL_0"}, "label2id": {"LABEL_0": 0}, "problem_type": "regression"}
    keys |= {"sentence_transformers": {"activation_fn": IDENTITY}}  # of CrossEncoder
    if hasattr(config, "classifier_pooling"):  # of ModernBERT
        keys |= {"classifier_pooling": request.backbone.reading.pooling, "classifier_bias": True}
    for key, value in keys.items():
        setattr(config, key, value)
    with torch.random.fork_rng(devices=[]):
        network: Any = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    missing = network.base_model.load_state_dict(encoder.state_dict(), strict=False)
    lost = [k for k in missing.missing_keys if "pooler" not in k]
    if lost:
        raise TruewardError(
            f"{type(network).__name__} has tensors that {request.backbone.folder.path} lacks, such as "
            f"{lost[0]}: export with --form sentence-transformers"
        )
    carried = HEADS[config.model_type]
    carried.carry(network, head.weight.double(), head.constant, request.features)
    network.config.architectures = [type(network).__name__]
    return network.eval()


def _tokenizer(backbone: Transformer) -> Any:
    """A tokenizer that makes the tokens of the fit, with a chat template where one segment is enough."""
    tokenizer, reading = copied_tokenizer(backbone), backbone.reading
    tokenizer.padding_side, tokenizer.truncation_side = "right", "left"
    tokenizer.model_max_length = reading.max_length
    rendering = backbone.rendering
    names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer.model_input_names = names if rendering.segments else names[::2]
    tokenizer.chat_template = None if rendering.segments else _chat_template(tokenizer, rendering)
    return tokenizer


def _chat_template(tokenizer: Any, rendering: PromptRendering) -> str | None:
    """A template whose text becomes the tokens of the fit without special tokens; None if there is none."""
    pair = rendering.template == "pair"
    one, two = ("a", "b") if pair else ("a\n\nb", None)
    encoding = tokenizer(one, two, return_special_tokens_mask=True)
    runs: list[str] = [""]
    for i, fixed in zip(encoding["input_ids"], encoding["special_tokens_mask"], strict=True):
        if fixed:
            runs[-1] += tokenizer.convert_ids_to_tokens(i)
        elif runs[-1] or len(runs) == 1:
            runs.append("")
    before, *between, after = (json.dumps(run) for run in runs)
    middle = between[0] if pair and between else json.dumps("\n\n")
    template = (
        f"{ONE_TURN}{{{{- {before} + messages[0]['content'] + {middle} + messages[1]['content'] + {after} "
        "-}}"
    )
    prompts, responses = zip(*_PROBES, strict=True)
    wanted = [row.ids for row in rendering.tokenize(prompts, responses)[0]]
    chats = [
        [{"role": "user", "content": p}, {"role": "assistant", "content": r}] for p, r in _PROBES
    ]
    texts = render_chats(tokenizer, chats, template)
    found = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return template if [list(row) for row in found] == wanted else None


_PROBES = (
    ("Name a colour.", "Blue."),
    ("  How do I undo\na commit?", "git reset --soft HEAD~1\n\n```\nx\n``` "),
    ("hi", "  Two spaces.\nÜber 日本"),
)


PLAIN = 'f"{prompt}\\n\\n{response}"'


def _usage(card: dict[str, Any]) -> str:
    pair = card["template"]["kind"] == "pair"
    text, first = ('{"text": prompt, "text_pair": response}', "") if pair else (PLAIN, "[0]")
    cross = (
        '\nrewards = CrossEncoder("./this-folder").predict([(prompt, response)])  # sentence-transformers'
        if pair
        else ""
    )
    trl = (
        '\nGRPOTrainer(model=policy, reward_funcs=["./this-folder"], ...)  # TRL, of one user message'
        if card["template"]["chat"]
        else ""
    )
    vllm = "`/score` with `queries` and `documents`" if pair else "`/classify` with `input`"
    return f"""\
Scores a prompt and a response; higher is better. The score is the reward, without a sigmoid.

```python
classify = pipeline("text-classification", "./this-folder", truncation=True)
reward = classify({text}){first}["score"]{cross}{trl}
```

- vLLM, started with `--dtype float32`: {vllm}

{probability_sentence(card)}
Texts of more than {card["template"]["max_length"]} tokens are cut differently than in the fit.
"""
