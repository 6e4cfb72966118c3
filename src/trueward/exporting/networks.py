"""A reward on fixed features as plain arrays: needs numpy alone, so that a folder can carry this file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.estimation.mixture_segment import Segment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]

SLOPE = 0.01  # of LeakyReLU below 0
FREE = 1e30  # a limit that holds nothing back


@dataclass(frozen=True)
class Layers:
    """M MLPs side by side, (n, d) -> (M, n): weights (M, a, b) and biases (M, 1, b) of every layer."""

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    def __call__(self, x: Array) -> Array:
        """Give the logits of every member."""
        h = x[None]
        for k, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = np.matmul(np.where(h > 0, h, SLOPE * h) if k else h, w) + b
        return np.asarray(h[..., 0])

    def sizes(self) -> list[int]:
        """Width of the input, of every hidden layer and of the output."""
        return [*(w.shape[1] for w in self.weights), self.weights[-1].shape[2]]


@dataclass(frozen=True)
class Term:
    """c e: the logit q of a network (odds), of two p + log sigmoid(q) (up) or p + log sigmoid(-q) (down).

    place: the log-odds of the point of a segment nearest to P(up) = sigmoid(p) sigmoid(q) and P(down) =
    sigmoid(p) sigmoid(-q), whose ``ends`` are those of a bad and of a good answer; without p all react.
    """

    kind: str
    of: tuple[str, ...]  # q, then p
    weight: float
    ends: tuple[float, ...] = ()

    def __call__(self, odds: Mapping[str, Array]) -> Array:
        """Give it of the logits of all networks."""
        q, *p = (odds[name] for name in self.of)
        if self.kind == "odds":
            return np.asarray(self.weight * q)
        up, down = (-np.logaddexp(0, -v) for v in (q, -q))
        if self.kind == "place":
            react = np.exp(-np.logaddexp(0, -p[0])) if p else 1.0
            segment = Segment(np.array(self.ends[:2]), np.array(self.ends[2:]))
            return self.weight * segment.place(react * np.exp(up), react * np.exp(down))
        return np.asarray(self.weight * (p[0] + (up if self.kind == "up" else down)))


@dataclass(frozen=True)
class Networks:
    """r = logit mean_m sigmoid(b_m + w . x + sum_t c_t e_t), x = clip((h - mean) scale, -limit, limit).

    ``nets``: name -> MLPs whose mean is the logit of that name, which counts up to ``edge`` either way.
    """

    mean: Array  # (d,)
    scale: Array  # (d,)
    limit: float
    nets: Mapping[str, tuple[Layers, ...]]
    terms: tuple[Term, ...]
    offset: Array  # b, (M,)
    linear: Array  # w, (d,)
    edge: float = FREE

    def __call__(self, h: Array) -> Array:
        """Rewards, float64 (n,), of (n, d) features."""
        x = ((h.astype(np.float64) - self.mean) * self.scale).clip(-self.limit, self.limit)
        odds = {
            name: np.mean([f(x) for f in views], 0).clip(-self.edge, self.edge)
            for name, views in self.nets.items()
        }
        s = self.offset[:, None] + x @ self.linear + sum(term(odds) for term in self.terms)
        if len(s) == 1:
            return np.asarray(s[0])
        good, bad = (np.logaddexp.reduce(-np.logaddexp(0, v)) for v in (-s, s))
        return np.asarray(good - bad)

    def plain(self) -> Layers | None:
        """Give the one MLP that this is; None where it is more."""
        one = len(self.offset) == len(self.terms) == 1 and self.edge >= FREE
        if not one or self.linear.any() or self.terms[0].kind != "odds":
            return None
        (term,) = self.terms
        found, *more = self.nets[term.of[0]]
        if more:
            return None
        last = found.biases[-1] * term.weight + self.offset
        weights = (*found.weights[:-1], found.weights[-1] * term.weight)
        return Layers(weights, (*found.biases[:-1], last))

    def tensors(self) -> dict[str, Array]:
        """All arrays, float32, by dotted name."""
        found = {
            "mean": self.mean,
            "scale": self.scale,
            "linear": self.linear,
            "offset": self.offset,
        }
        for name, views in self.nets.items():
            for i, f in enumerate(views):
                for kind, arrays in (("weights", f.weights), ("biases", f.biases)):
                    found |= {f"nets.{name}.{i}.{kind}.{k}": v for k, v in enumerate(arrays)}
        return {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in found.items()}

    def about(self) -> dict[str, Any]:
        """Give what the arrays do not say, as plain data."""
        return {
            "width": len(self.mean),
            "members": len(self.offset),
            "limit": min(self.limit, FREE),
            "edge": self.edge,
            "terms": [{**vars(t), "of": list(t.of), "ends": list(t.ends)} for t in self.terms],
            "nets": {name: [f.sizes() for f in views] for name, views in self.nets.items()},
        }

    @staticmethod
    def of(about: Mapping[str, Any], tensors: Mapping[str, Array]) -> Networks:
        """Undo ``about`` and ``tensors``."""

        def layers(name: str, sizes: list[int]) -> Layers:
            names = [
                [f"nets.{name}.{k}.{j}" for j in range(len(sizes) - 1)]
                for k in ("weights", "biases")
            ]
            weights, biases = (tuple(tensors[n] for n in column) for column in names)
            return Layers(weights, biases)

        nets = {
            k: tuple(layers(f"{k}.{i}", s) for i, s in enumerate(v))
            for k, v in about["nets"].items()
        }
        terms = tuple(
            Term(t["kind"], tuple(t["of"]), t["weight"], tuple(t["ends"])) for t in about["terms"]
        )
        return Networks(
            mean=tensors["mean"],
            scale=tensors["scale"],
            limit=about["limit"],
            nets=nets,
            terms=terms,
            offset=tensors["offset"],
            linear=tensors["linear"],
            edge=about["edge"],
        )
