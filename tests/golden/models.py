"""How the models that are stored were made: on features, on texts, on a tiny language model."""

from __future__ import annotations

import json
import re

import polars as pl
import torch
from golden import cases, world

import trueward as tw


def folder_of(name):
    """The name of a folder for a case."""
    return re.sub(r"[^A-Za-z0-9_.+]+", "-", name)


def fitted(case, more=None):
    """The model of a case on the stored log."""
    method, log, chosen = cases.every()[case]
    return tw.fit(method, *world.feedback(log), **{**cases.TINY, **chosen, **(more or {})})


def on_features(place):
    """Name -> model: one for every form of a saved folder, calibrated ones, and some of several members."""
    seen, found = set(), {}
    for name in cases.every():
        model = fitted(name)
        model.save(place / "one")
        about = json.loads((place / "one" / "model.json").read_text("utf-8"))
        columns = sorted(world.plain(model.score_features(world.unseen())))
        form = json.dumps([about[k] for k in ("method", "composed", "shape")] + columns)
        if form not in seen and name not in cases.LARGE:
            seen.add(form)
            found[name] = model
    found |= {name: fitted(*about) for name, about in cases.MORE_MODELS.items()}
    train, _ = world.feedback("weighted")
    found["naive calibrated"] = found["naive"].calibrated(train)
    found["naive calibrated with weights"] = found["naive"].calibrated(train, weight=train.weight)
    found["anchored calibrated"] = found["anchored signals=ratings nuisance_width=4"].calibrated(
        train, seed=3
    )
    return found


def on_texts(place):
    """Name -> model on the default features; the last two come from the command line."""
    train, val = tw.encode(world.log_of_texts()).split(0.25)
    tiny = cases.TINY
    found = {
        "texts naive": tw.fit("naive", train, val, **{**tiny, "hidden": (2,)}),
        "texts anchored": tw.fit("anchored", train, val, **tiny, signals="none", nuisance_width=1),
    }
    log = place / "log.parquet"
    world.log_of_texts().frame.write_parquet(log)
    tw.fit("naive", train, val, **{**tiny, "hidden": ()}).save(place / "plain")
    world.done("calibrate", place / "plain", log, "--out", place / "calibrated")
    world.done("calibrate", place / "plain", log, "--out", place / "chosen", "--chosen")
    found["texts calibrated"] = tw.load(place / "calibrated")
    found["texts calibrated as chosen"] = tw.load(place / "chosen")
    return found


def decided(model, place):
    """What `score` decides of the texts for a calibrated model at 60 %."""
    asked = pl.DataFrame(dict(zip(("prompt", "response"), world.ASKED, strict=True)))
    asked.write_ndjson(place / "asked.jsonl")
    out = place / "decided.parquet"
    world.done("score", model, place / "asked.jsonl", "--out", out, "--min-confidence", 0.6)
    return pl.read_parquet(out)["decision"].to_list()


def language_model(folder, kind="llama", template=True):
    """Write a model of two layers and 8 columns with random weights, and its tokenizer of words."""
    import transformers
    from tokenizers import Tokenizer, pre_tokenizers, processors
    from tokenizers.models import WordLevel

    special = ["<pad>", "<unk>", "<s>", "</s>", "<user>", "<assistant>", "[CLS]", "[SEP]"]
    known = {w: i for i, w in enumerate(dict.fromkeys([*special, *world.WORDS]))}
    made = Tokenizer(WordLevel(known, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    given = {"tokenizer_object": made, "unk_token": "<unk>", "pad_token": "<pad>"}
    size = {"vocab_size": len(known), "hidden_size": 8, "num_hidden_layers": 2}
    size |= {"intermediate_size": 12, "num_attention_heads": 2, "max_position_embeddings": 64}
    if kind == "bert":
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", known["[CLS]"]), ("[SEP]", known["[SEP]"])],
        )
        own = transformers.PreTrainedTokenizerFast(
            **given,
            cls_token="[CLS]",
            sep_token="[SEP]",
            model_max_length=64,
            model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        )
        model = transformers.BertModel, transformers.BertConfig(**size, pad_token_id=0)
    else:
        own = transformers.PreTrainedTokenizerFast(**given, bos_token="<s>", eos_token="</s>")
        turns = "{% for m in messages %} <{{ m.role }}> {{ m.content }} </s>{% endfor %}"
        if template:
            own.chat_template = "{{ bos_token }}" + turns
        more = {"num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
        model = transformers.LlamaModel, transformers.LlamaConfig(**size, **more)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = model[0](model[1])
        for weight in network.parameters():
            if weight.dim() > 1:
                torch.nn.init.normal_(weight, std=0.3)
    network.eval().save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def tuned(place):
    """Name -> model whose language model was learned, too: adapters, all of it, or not."""
    folder = language_model(place / "lm")
    found = {}
    for how in ("lora", "full", "head"):
        options = {"epochs": 1, "nuisance_epochs": 1, "folds": 2, "precision": "fp32"}
        found[f"tuned {how}"] = tw.tune(
            "naive" if how == "head" else "ips",
            world.log_of_texts(),
            backbone=f"{folder},dtype=float32,pooling=mean",
            into=place / how,
            how=how,
            rank=2,
            lr=0.01,
            batch_size=16,
            **options,
        )
    return found
