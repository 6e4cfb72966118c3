"""A reward model as a folder that others load, in the form that its backbone and its head allow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError, UsageError
from trueward.features.backbones import backbone as backbone_of
from trueward.features.builtin.wordllama import WordLlama
from trueward.features.encode import cached_in, features
from trueward.features.transformers.transformer import Transformer

from .head import linear
from .request import Order
from .write_remote import remote
from .write_scorer import scorer
from .write_sentence import sentence
from .write_stock import read_alike, stock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trueward.model.reward_model import RewardModel

REFERENCE = 5_000  # responses that means and quantiles are measured on


@dataclass(frozen=True)
class Export:
    """What was written, and what should be known of it."""

    folder: Path
    card: dict[str, Any]
    notes: list[str]


def export(
    model: RewardModel,
    folder: str | Path,
    prompts: Sequence[str],
    responses: Sequence[str],
    *,
    distil: bool = False,
    allow_remote_code: bool = False,
    dtype: str | None = None,
) -> Export:
    """Write ``model`` as a folder of stock files, r = score . h(last token) + c, with nothing to run in it.

    Prompts and responses are a reference: typical ones, on which means, quantiles and the cost of what is
    folded are measured. A ``reward_card.json`` says what the numbers mean. A reward with no linear form is
    refused; ``distil`` fits a linear one to it, and ``allow_remote_code`` lets the folder bring code that
    computes it as it is. dtype: float32 or bfloat16; none: as the features were made.
    """
    if distil and allow_remote_code:
        raise UsageError(
            "a head is distilled or carried by code, not both: choose distil or allow_remote_code"
        )
    if model.backbone is None:
        raise TruewardError(
            "this model was fitted on features from outside, and a folder must read text: fit it with "
            "--backbone NAME_OR_PATH"
        )
    base = backbone_of(model.backbone)
    prompts, responses = list(prompts)[:REFERENCE], list(responses)[:REFERENCE]
    if len(prompts) < 2:
        raise TruewardError(f"an export needs reference responses, and {len(prompts)} were given")
    write = _form(base)
    h = features(base, prompts, responses, cached_in()).float()
    order, place = Order(model, base, h, distil, allow_remote_code, dtype), Path(folder)
    with replacing(place) as path:
        path.mkdir()
        notes = write(order, path)
        card = json.loads((path / "reward_card.json").read_text("utf-8"))
    return Export(place, card, notes)


def _form(base: Any) -> Callable[[Order, Path], list[str]]:
    """What writes a folder for models on this backbone."""
    if isinstance(base, Transformer):
        return _decoder if base.reading.template == "chat" else sentence
    if isinstance(base, WordLlama):
        return scorer
    raise TruewardError(
        "the features of this model are vectors of a server, which no folder holds: fit it with --backbone "
        "NAME_OR_PATH of the model that is served there"
    )


def _decoder(order: Order, path: Path) -> list[str]:
    """Stock where stock loaders read the same and the head is linear; else with code, if that is allowed."""
    own = order.base.reading
    alike = read_alike(order.base)
    if order.code and not (alike and linear(order.model, order.h)):
        return remote(order, path)
    if alike:
        return stock(order, path)
    raise TruewardError(
        "stock loaders score the last token of the last layer of a chat, and this model reads "
        f"pooling={own.pooling}, layer={own.layer}: fit it with --backbone NAME,pooling=last, or let the "
        "folder bring code of its own with --allow-remote-code"
    )
