"""A language model whose weights, or adapters on them, are learned with the reward."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from trueward.core.errors import TruewardError
from trueward.core.random import stream_seed
from trueward.data.feedback import Columns
from trueward.features.transformers.folder import needs_extra
from trueward.features.transformers.pooling import pooled
from trueward.training.networks import Net, Shape
from trueward.training.preprocessing import Standard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trueward.features.transformers.rendering import Row
    from trueward.features.transformers.transformer import Transformer

How = Literal["lora", "full", "head"]


@dataclass(frozen=True)
class Place:
    """Where in the model a learned weight goes, and in what precision."""

    module: nn.Module
    name: str
    weight: int
    dtype: torch.dtype


class Tuned(Net):
    """s = w . (h - mu) / sd + b for every head, h the pooled activations of a model that learns, too.

    A parameter has a leading axis of one member, as those of `Net`, and is fp32 whatever the model computes
    in: what the model holds is its rounded copy, made in every pass. Nothing is dropped out, so a pass can
    be made again and its gradient is that of the first. Where only the head learns, ``still`` (n, d) are the
    activations, and no pass is made.
    """

    def __init__(
        self,
        backbone: Transformer,
        rows: Sequence[Row],
        standard: Standard,
        heads: Mapping[str, tuple[Tensor, Tensor]],
        how: How,
        *,
        rank: int = 16,
        seed: int = 0,
        checkpointing: bool = False,
        still: Tensor | None = None,
    ) -> None:
        nn.Module.__init__(self)
        self.backbone, self.rows, self.still = backbone, rows, still
        self.lengths = torch.tensor([len(row.ids) for row in rows])
        self.shape = Shape({"x": len(standard.mean)}, dict.fromkeys(heads, "x"), (), members=1)
        self.w = nn.ParameterDict({k: nn.Parameter(w[None].clone()) for k, (w, _) in heads.items()})
        self.b = nn.ParameterDict(
            {k: nn.Parameter(b.reshape(1, 1).clone()) for k, (_, b) in heads.items()}
        )
        self.weights = nn.ParameterList()
        self.places: list[Place] = []
        self.device = backbone.device
        mean, scale = (v.to(self.device) for v in (standard.mean, standard.scale))
        self.standard = Standard(mean, scale, standard.limit)
        model = adapted(backbone.model, rank, seed) if how == "lora" else backbone.model
        nn.Module.to(self, self.device)
        self.network = [model]  # in a list, because its parameters are none of ours
        if how != "head":
            self._learn(full=how == "full")
        _undropped(model)
        if checkpointing and how != "head":
            _forgetful(model)

    def _learn(self, *, full: bool) -> None:
        """Take what learns out of the model, and keep fp32 copies; tied weights are one."""
        taken: dict[int, int] = {}
        for module in self.network[0].modules():
            for name, p in list(module.named_parameters(recurse=False)):
                if not (full or p.requires_grad):
                    continue
                if id(p) not in taken:
                    taken[id(p)] = len(self.weights)
                    self.weights.append(nn.Parameter(p.detach().float()[None].clone()))
                self.places.append(Place(module, name, taken[id(p)], p.dtype))
                del module._parameters[name]  # noqa: SLF001 - a plain tensor takes its place

    def _bind(self) -> None:
        """Put rounded copies into the model, through which gradients flow."""
        copies: dict[int, Tensor] = {}
        for place in self.places:
            if place.weight not in copies:
                copies[place.weight] = self.weights[place.weight][0].to(place.dtype)
            setattr(place.module, place.name, copies[place.weight])

    def forward(self, inputs: Mapping[str, Tensor], _rows: Sequence[int] | None = None) -> Columns:
        """(1, n) logits of every head for rows by number, (n, 1)."""
        self._bind()
        numbers = inputs["x"].reshape(-1).long().tolist()
        if self.still is not None:
            h = self.still[numbers].to(self.device, torch.float32)
        elif torch.is_grad_enabled():
            h = self._pooled(numbers)
        else:
            h = torch.empty(len(numbers), self.shape.inputs["x"], device=self.device)

            def put(part: list[int]) -> None:
                h[part] = self._pooled([numbers[k] for k in part])

            lengths = {k: len(self.rows[i].ids) for k, i in enumerate(numbers)}
            self.backbone.by_length(lengths, put)
        x = (h - self.standard.mean) * self.standard.scale
        return Columns({k: (x @ w[0].to(x) + self.b[k]) for k, w in self.w.items()})

    def _pooled(self, numbers: Sequence[int]) -> Tensor:
        inputs = self.backbone.inputs([self.rows[i] for i in numbers])
        h = self.backbone.activations(inputs, self.network[0])
        return pooled(h, inputs["attention_mask"], self.backbone.reading.pooling)

    def linear(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Name -> w (d,) and b () of every head."""
        return {k: (w.detach()[0].cpu(), self.b[k].detach()[0, 0].cpu()) for k, w in self.w.items()}

    def merged(self) -> Any:
        """The whole model with what was learned inside, as the library knows it."""
        for place in self.places:
            learned = self.weights[place.weight].detach()[0].to(place.dtype)
            vars(place.module).pop(place.name, None)
            place.module.register_parameter(place.name, nn.Parameter(learned, requires_grad=False))
        model = self.network[0]
        if hasattr(model, "merge_and_unload"):
            model = model.merge_and_unload()
        model.eval()
        return model


def adapted(model: Any, rank: int, seed: int) -> Any:
    """The model with low-rank adapters on all its linear layers, which alone learn (Hu et al. 2021)."""
    try:
        peft: Any = importlib.import_module("peft")
    except ImportError:
        raise needs_extra("peft") from None
    if rank < 1:
        raise TruewardError(f"the rank of an adapter is at least 1, and is {rank}")
    config = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear"
    )
    with warnings.catch_warnings(), torch.random.fork_rng():
        torch.manual_seed(stream_seed(seed, "adapters"))
        # it asks by a name that transformers has given up
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return peft.get_peft_model(model, config)


def _forgetful(model: Any) -> None:
    """Keep the activations between layers only, and compute the others again when a gradient needs them."""
    names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")  # new and old
    enable = next(found for name in names if (found := getattr(model, name, None)))
    enable({"use_reentrant": False})
    model.train()  # without which nothing is forgotten


def _undropped(model: Any) -> None:
    """Drop nothing, in training mode either."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in ("attention_dropout", "hidden_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
