"""A reward head on a language model whose weights, or adapters, are trained with it."""

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
from trueward.features.transformers.loading import language_tower
from trueward.features.transformers.model_folder import missing_text_extra
from trueward.features.transformers.token_pooling import pool_tokens
from trueward.training.networks import Shape
from trueward.training.preprocessing import Standardizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trueward.features.transformers.prompt_rendering import TokenRow
    from trueward.features.transformers.transformer import Transformer

TuneMode = Literal["lora", "full", "head"]
MAMBA = ("mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h")


@dataclass(frozen=True)
class TextRows:
    """Row source of texts: the input ``text`` is the number of each row in the log.

    Attributes
    ----------
    numbers : Tensor
        (n,) row numbers in the log, int64, on the CPU.

    """

    numbers: Tensor

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.numbers)

    def widths(self) -> dict[str, int]:
        """Return the number of columns of the input ``text``."""
        return {"text": 1}

    def __call__(self, rows: Tensor, _names: set[str]) -> dict[str, Tensor]:
        """Return the log's numbers of some rows; see `trueward.training.row_sources.RowSource`."""
        return {"text": self.numbers[rows.cpu()]}


@dataclass(frozen=True)
class WeightSlot:
    """Where a trained weight goes in the language model.

    Attributes
    ----------
    module : nn.Module
        Module that holds the weight.
    name : str
        Its name there.
    weight : int
        Its place among the trained weights; tied weights share one.
    dtype : torch.dtype
        Precision of the model's copy.

    """

    module: nn.Module
    name: str
    weight: int
    dtype: torch.dtype


class TunedNet(nn.Module):
    """s = w . (h - mu) / sd + b for every head, with h the pooled activations of a trained language model.

    Implements `trueward.training.networks.TrainableNet` with one member: parameters have a leading axis
    of 1. They are fp32 whatever the model computes in; every pass rounds a copy into the model. Dropout is
    off, so a repeated pass has the same gradient.

    Parameters
    ----------
    backbone : Transformer
        The language model and its tokenizer.
    rows : sequence of Row
        Tokens of every row of the log.
    standardizer : Standardizer
        mu and 1 / sd of the activations before tuning.
    heads : mapping of str to (Tensor, Tensor)
        Head -> (w (d,), b ()) to start from.
    mode : {'lora', 'full', 'head'}
        Train low-rank adapters, every weight that reads text, or the heads alone.
    rank : int, default 16
        Rank of the adapters.
    seed : int, default 0
        Root of the random stream ``adapters``.
    checkpointing : bool, default False
        Whether activations are recomputed in the backward pass.
    activations : Tensor, optional
        (n, d) activations of all rows, where only the heads are trained: no pass of the model is needed.

    """

    def __init__(
        self,
        backbone: Transformer,
        rows: Sequence[TokenRow],
        standardizer: Standardizer,
        heads: Mapping[str, tuple[Tensor, Tensor]],
        mode: TuneMode,
        *,
        rank: int = 16,
        seed: int = 0,
        checkpointing: bool = False,
        activations: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.rows, self.activations = backbone, rows, activations
        self.lengths = torch.tensor([len(row.ids) for row in rows])
        width = len(standardizer.mean)
        self.shape = Shape({"text": width}, dict.fromkeys(heads, "text"), (), members=1)
        self.w = nn.ParameterDict({k: nn.Parameter(w[None].clone()) for k, (w, _) in heads.items()})
        self.b = nn.ParameterDict(
            {k: nn.Parameter(b.reshape(1, 1).clone()) for k, (_, b) in heads.items()}
        )
        self.weights = nn.ParameterList()
        self.slots: list[WeightSlot] = []
        self.device = backbone.device
        mean, scale = (v.to(self.device) for v in (standardizer.mean, standardizer.scale))
        self.standardizer = Standardizer(mean, scale, standardizer.limit)
        model = with_adapters(backbone.model, rank, seed) if mode == "lora" else backbone.model
        self.to(self.device)
        # in a list, so that its parameters are not registered as this module's
        self.model = [model]
        if mode != "head":
            self._take_weights(full=mode == "full")
        _disable_dropout(model)
        if checkpointing and mode != "head":
            _enable_checkpointing(model)

    def _take_weights(self, *, full: bool) -> None:
        """Move the trained weights out of the model as fp32 parameters; tied weights become one."""
        taken: dict[int, int] = {}
        for module in (language_tower(self.model[0]) if full else self.model[0]).modules():
            for name, p in list(module.named_parameters(recurse=False)):
                if not (full or p.requires_grad):
                    continue
                if id(p) not in taken:
                    taken[id(p)] = len(self.weights)
                    self.weights.append(nn.Parameter(p.detach().float()[None].clone()))
                self.slots.append(WeightSlot(module, name, taken[id(p)], p.dtype))
                del module._parameters[name]  # noqa: SLF001 - a plain tensor takes its place

    def _put_weights(self) -> None:
        """Put rounded copies of the weights into the model; gradients flow through them."""
        copies: dict[int, Tensor] = {}
        for slot in self.slots:
            if slot.weight not in copies:
                copies[slot.weight] = self.weights[slot.weight][0].to(slot.dtype)
            setattr(slot.module, slot.name, copies[slot.weight])

    def forward(self, inputs: Mapping[str, Tensor]) -> Columns:
        """Compute the logits of every head.

        Parameters
        ----------
        inputs : mapping of str to Tensor
            ``text``: (n,) row numbers in the log.

        Returns
        -------
        Columns
            Head -> (1, n).

        """
        self._put_weights()
        numbers = inputs["text"].tolist()
        if self.activations is not None:
            h = self.activations[numbers].to(self.device, torch.float32)
        elif torch.is_grad_enabled():
            h = self._pooled(numbers)
        else:
            h = torch.empty(len(numbers), self.shape.inputs["text"], device=self.device)

            def put(part: list[int]) -> None:
                h[part] = self._pooled([numbers[k] for k in part])

            lengths = {k: len(self.rows[i].ids) for k, i in enumerate(numbers)}
            self.backbone.run_batches(lengths, put)
        x = (h - self.standardizer.mean) * self.standardizer.scale
        return Columns({k: (x @ w[0].to(x) + self.b[k]) for k, w in self.w.items()})

    def _pooled(self, numbers: Sequence[int]) -> Tensor:
        inputs = self.backbone.inputs([self.rows[i] for i in numbers])
        h = self.backbone.activations(inputs, self.model[0])
        return pool_tokens(h, inputs["attention_mask"], self.backbone.reading.pooling)

    def linear(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return head -> (w (d,), b ()), on the CPU."""
        return {k: (w.detach()[0].cpu(), self.b[k].detach()[0, 0].cpu()) for k, w in self.w.items()}

    def merged(self) -> Any:
        """Return the model of transformers with the trained weights inside, adapters merged."""
        for slot in self.slots:
            trained = self.weights[slot.weight].detach()[0].to(slot.dtype)
            vars(slot.module).pop(slot.name, None)
            slot.module.register_parameter(slot.name, nn.Parameter(trained, requires_grad=False))
        model = self.model[0]
        if hasattr(model, "merge_and_unload"):
            model = model.merge_and_unload()
        model.eval()
        return model


def with_adapters(model: Any, rank: int, seed: int) -> Any:
    """Add low-rank adapters to all linear layers of a model; its own weights are frozen.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The language model.
    rank : int
        Rank of the adapters.
    seed : int
        Root of the random stream ``adapters``.

    Raises
    ------
    TruewardError
        If peft is not installed or knows no adapters for the model, or the rank is below 1.

    References
    ----------
    Hu et al., LoRA, ICLR 2022.

    """
    try:
        peft: Any = importlib.import_module("peft")
    except ImportError:
        raise missing_text_extra("peft") from None
    if rank < 1:
        raise TruewardError(f"the rank of an adapter must be at least 1, not {rank}")
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        exclude_modules=_not_adaptable(model) or None,
    )
    with warnings.catch_warnings(), torch.random.fork_rng():
        torch.manual_seed(stream_seed(seed, "adapters"))
        # peft uses a name that transformers has deprecated
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        try:
            return peft.get_peft_model(model, config)
        except (ValueError, NotImplementedError, AttributeError) as e:
            kind, reason = model.config.model_type, " ".join(str(e).split())[:200]
            raise TruewardError(
                f"peft has no adapters for {kind} ({reason}): choose --tune full or head"
            ) from e


def _not_adaptable(model: Any) -> list[str]:
    """Names of linear layers that read no text, or are used otherwise than as a product.

    A router returns a pair, and the kernels of Mamba read the weight of ``out_proj`` itself.
    """
    mamba, tower = model.config.model_type in MAMBA, set(language_tower(model).modules())
    return [
        name
        for name, m in model.named_modules()
        if isinstance(m, nn.Linear)
        and (type(m) is not nn.Linear or m not in tower or (mamba and name.endswith("out_proj")))
    ]


def _enable_checkpointing(model: Any) -> None:
    """Store activations between layers only, and recompute the others in the backward pass."""
    names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")  # new and old
    enable = next(method for name in names if (method := getattr(model, name, None)))
    enable({"use_reentrant": False})
    model.train()  # checkpointing is active in training mode only


def _disable_dropout(model: Any) -> None:
    """Set all dropout to 0, in training mode, too."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in ("attention_dropout", "hidden_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
