"""Rules of a stock classifier on an encoder: its score is the reward in every library that loads it."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError
from trueward.features.transformers import loading
from trueward.features.transformers.prompt_rendering import render_chats
from trueward.features.transformers.transformer import Transformer

from .chat_format import chat
from .verify_rules import (
    RuleBroken,
    RuleSkipped,
    check_cards,
    check_files,
    model_rewards,
    read_json,
)
from .verify_scores import MODEL, compare, compare_ranks, compare_with_model
from .verify_vllm import TEXTS, Z_TOLERANCE
from .vllm_server import Server, server_address
from .write_encoder import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Callable

    from .loaded_encoder import EncoderClassifier

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "README.md")
BATCH = 8


def _files(at: EncoderClassifier) -> str:
    """Files exist and have the hashes of the card; config.json asks no loader for a sigmoid."""
    check_files(at.folder, at.card, FILES)
    config = read_json(at.folder / "config.json")
    if config.get("problem_type") != "regression" or config.get("id2label") != {"0": "LABEL_0"}:
        raise RuleBroken(
            "config.json: expected problem_type regression and one label, LABEL_0; export again"
        )
    if config.get("sentence_transformers", {}).get("activation_fn") != IDENTITY:
        raise RuleBroken(
            f"config.json: expected activation_fn {IDENTITY}, else CrossEncoder applies a sigmoid; export "
            "again"
        )
    return "files, hashes and config keys are in order"


def _documents(at: EncoderClassifier) -> str:
    """Both cards can be read."""
    return check_cards(at.folder, at.card, "transformers")


def _truncation(at: EncoderClassifier) -> str:
    """Truncation keeps the end of a text that is too long."""
    if at.tokenizer.truncation_side != "left":
        raise RuleBroken(
            "truncation cuts the end of the response: set truncation_side to left in "
            "tokenizer_config.json"
        )
    return "a text that is too long loses its beginning"


def _reward_model(at: EncoderClassifier) -> str:
    """The scores equal the rewards of the exported model."""
    head, scaled = at.card["head"], at.card["head"].get("normalised", {})
    expected = model_rewards(at.model, at.pairs)
    expected = (expected - scaled.get("mean", 0.0)) / scaled.get("std", 1.0)
    if head["kind"] == "distilled":
        return compare_ranks(at.scores, expected, head["rank_correlation"])
    tolerance = MODEL
    if at.model and json.loads(at.model.backbone or "{}").get("dtype") == "bfloat16":
        low = Transformer(
            at.backbone.folder, replace(at.backbone.reading, dtype="bfloat16"), "cpu"
        ).encode(*map(list, zip(*at.pairs, strict=True)))
        tolerance += 2 * float((at.head(low.float()) - at.scores).abs().max()) / at.sd
    return compare_with_model(at.head, at.activations, expected, tolerance, at.sd, at.pairs)


def _own_forward(at: EncoderClassifier) -> str:
    """The head on pooled activations, computed by hand, gives the scores of the class."""
    return at.equal(at.head(at.activations), "the scores of the classifier")


def _batches(at: EncoderClassifier) -> str:
    """Batches that the tokenizer makes score as texts one by one."""
    parts = []
    for k in range(0, len(at.pairs), BATCH):
        one, two = map(list, zip(*at.pairs[k : k + BATCH], strict=True))
        texts = (one, two) if at.pair else (at.texts()[k : k + BATCH],)
        inputs = at.tokenizer(*texts, padding=True, truncation=True, return_tensors="pt")
        parts.append(at.logits(dict(inputs)))
    return at.equal(torch.cat(parts), "texts one by one, with the tokens of the fit")


def _pipeline(at: EncoderClassifier) -> str:
    """``pipeline("text-classification")`` gives the reward."""
    with loading.quiet_transformers() as transformers:
        classify = transformers.pipeline("text-classification", str(at.folder), device="cpu")
        texts: list[Any] = at.texts() if not at.pair else [_named(pair) for pair in at.pairs]
        found = [classify(text, truncation=True) for text in texts]
    rows = [one[0] if isinstance(one, list) else one for one in found]
    return at.equal(torch.tensor([row["score"] for row in rows]), "the scores of the classifier")


def _named(pair: tuple[str, str]) -> dict[str, str]:
    return {"text": pair[0], "text_pair": pair[1]}


def _cross_encoder(at: EncoderClassifier) -> str:
    """``CrossEncoder.predict`` gives the reward, without a sigmoid."""
    if not at.pair:
        raise RuleSkipped("CrossEncoder takes pairs of texts, and this model reads one text")
    if importlib.util.find_spec("sentence_transformers") is None:
        raise RuleSkipped("sentence-transformers is not installed")
    from sentence_transformers import CrossEncoder  # noqa: PLC0415 - heavy

    with loading.quiet_transformers(), torch.random.fork_rng(devices=[]):
        model = CrossEncoder(str(at.folder), device="cpu", local_files_only=True)
        scores = model.predict(at.pairs, batch_size=BATCH, show_progress_bar=False)
    return at.equal(torch.from_numpy(scores).float(), "the scores of the classifier")


def _trl(at: EncoderClassifier) -> str:
    """TRL's batches score alike: the chat template's text, without added special tokens."""
    if not at.tokenizer.chat_template:
        raise RuleSkipped(
            "the folder has no chat template, so TRL refuses chats; fit with template=plain for TRL"
        )
    parts = []
    for k in range(0, len(at.pairs), BATCH):
        chats = [chat(*pair) for pair in at.pairs[k : k + BATCH]]
        texts = render_chats(at.tokenizer, chats)
        inputs = at.tokenizer(
            texts,
            return_tensors="pt",
            padding=True,
            padding_side="right",
            add_special_tokens=False,
        )
        parts.append(at.logits(dict(inputs)))
    return at.equal(torch.cat(parts), "texts one by one, with the tokens of the fit")


def _vllm(at: EncoderClassifier) -> str:
    """A vLLM server gives the reward: /score for pairs, /classify for one text."""
    if at.url is None:
        raise RuleSkipped("compare with `vllm serve FOLDER --dtype float32` and --url")
    address, n = server_address(at.url), min(TEXTS, len(at.pairs))
    try:
        server = Server.at(address)
        found = server.scores(at.pairs[:n]) if at.pair else server.texts(at.texts()[:n])
    except TruewardError as e:
        raise RuleBroken(str(e)) from e
    route, what = ("/score" if at.pair else "/classify"), "the scores of the classifier"
    said = compare(found, at.scores[:n].double(), Z_TOLERANCE, at.sd, what, at.pairs[:n])
    return f"{route} of {n} texts: {said}"


RULES: dict[str, Callable[[EncoderClassifier], str]] = {
    "files": _files,
    "documents": _documents,
    "truncation": _truncation,
    "reward model": _reward_model,
    "own forward": _own_forward,
    "batches": _batches,
    "pipeline": _pipeline,
    "CrossEncoder": _cross_encoder,
    "TRL": _trl,
    "vLLM": _vllm,
}
