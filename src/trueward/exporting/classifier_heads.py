"""Classifier heads of stock encoder classes, and how they carry one linear head on the pooled activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

SMALL = 2.0**-10  # bound of the unit y where the activation is linear near 0 only
NORMED = 2.0**-4  # the same before a LayerNorm, beside a constant unit
CONSTANT = 8.0  # that constant unit


@dataclass(frozen=True)
class ClassifierHead:
    """A stock head: out(norm(act(dense(pooled))))."""

    #: path of the layer d -> d; ``{base}`` is the name of the encoder in the classifier
    dense: str
    #: path of the layer d -> 1
    out: str
    #: name of the activation in transformers, or the key of config.json that has the name
    activation: str
    #: pooled activations that the class reads
    poolings: tuple[str, ...] = ("cls",)
    #: path of a LayerNorm between activation and output
    norm: str = ""

    def layers(self, network: Any) -> tuple[Any, Any, Any]:
        """Return the modules dense, norm (None without one) and out of a classifier."""
        base = network.base_model_prefix
        norm = network.get_submodule(self.norm) if self.norm else None
        dense = network.get_submodule(self.dense.format(base=base))
        return dense, norm, network.get_submodule(self.out)

    def act(self, network: Any) -> Any:
        """Return the activation of a classifier."""
        from transformers.activations import ACT2FN  # noqa: PLC0415 - heavy

        return ACT2FN[getattr(network.config, self.activation, self.activation)]

    def __call__(self, network: Any, pooled: Tensor) -> Tensor:
        """Return the scores (n,) that a classifier's head gives pooled activations (n, d)."""
        dense, norm, out = self.layers(network)
        with torch.inference_mode():
            hidden = self.act(network)(dense(pooled))
            scores: Tensor = out(hidden if norm is None else norm(hidden))[:, 0]
        return scores

    def carry(self, network: Any, weight: Tensor, constant: float, reference: Tensor) -> None:
        """Set the head of a classifier to r = w . h + c.

        Two units y = s (w . h - m) and -y go through the activation a, and the output layer takes
        (a(y) - a(-y)) / (g s) + c + m. For ReLU, GELU, SiLU and the identity a(y) - a(-y) = g y exactly. For
        tanh it is 2 y (1 - y^2 / 3 + ...), so s keeps abs(y) below 2^-10 for every h of the norms of the
        reference: the error is at most 3e-7 of r - c - m. Before a LayerNorm a constant unit fixes the norm.

        Parameters
        ----------
        network : model of transformers
            The classifier, changed in place.
        weight : Tensor of shape (d,), float64
            w.
        constant : float
            c.
        reference : Tensor of shape (n, d)
            Pooled activations of typical responses: m is the mean of their w . h.

        """
        dense, norm, out = self.layers(network)
        z, largest = reference.double() @ weight, float(reference.double().norm(dim=1).max())
        middle = float(z.mean())
        bound = max(float(weight.norm()) * largest, abs(middle), 1e-30)
        scale = (NORMED if norm is not None else SMALL) / bound
        with torch.no_grad():
            for parameter in (*dense.parameters(), *out.parameters()):
                parameter.zero_()
            dense.weight[0].copy_(scale * weight)
            dense.weight[1].copy_(-scale * weight)
            dense.bias[:2] = torch.tensor([-scale * middle, scale * middle])
            if norm is not None:
                dense.bias[2] = CONSTANT
                norm.weight.fill_(1.0)
            gain = self._gain(network, scale * bound) * scale
            out.weight[0, :2] = torch.tensor([1 / gain, -1 / gain])
            out.bias.fill_(constant + middle)

    def _gain(self, network: Any, y: float) -> float:
        """(a(y) - a(-y)) / y, after the LayerNorm where there is one."""
        dense, norm, _ = self.layers(network)
        act = self.act(network)
        hidden = act(dense.bias.double())
        pair = act(torch.tensor([y, -y], dtype=torch.float64))
        gain = float(pair[0] - pair[1]) / y
        if norm is None:
            return gain
        hidden[:2] = act(torch.zeros(2, dtype=torch.float64))
        return gain / float((hidden.var(correction=0) + norm.eps).sqrt())


_POOLER = ClassifierHead("{base}.pooler.dense", "classifier", "tanh")
_DENSE = ClassifierHead("classifier.dense", "classifier.out_proj", "tanh")
_CONTEXT = ClassifierHead("pooler.dense", "classifier", "pooler_hidden_act")
# model types whose stock class reads the first token, as tests on tiny models show
HEADS = {
    "albert": ClassifierHead("{base}.pooler", "classifier", "tanh"),
    "bert": _POOLER,
    "camembert": _DENSE,
    "deberta": _CONTEXT,
    "deberta-v2": _CONTEXT,
    "distilbert": ClassifierHead("pre_classifier", "classifier", "relu"),
    "electra": ClassifierHead("classifier.dense", "classifier.out_proj", "gelu"),
    "modernbert": ClassifierHead(
        "head.dense", "classifier", "classifier_activation", ("cls", "mean"), "head.norm"
    ),
    "mpnet": _DENSE,
    "roberta": _DENSE,
    "xlm-roberta": _DENSE,
}
