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
FREE = 1e30  # a limit that never binds


@dataclass(frozen=True)
class Layers:
    """M MLPs side by side, (n, d) -> (M, n).

    Attributes
    ----------
    weights : tuple of arrays of shape (M, a, b)
        Weights of every layer.
    biases : tuple of arrays of shape (M, 1, b)
        Biases of every layer.

    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    def __call__(self, x: Array) -> Array:
        """Return the logits (M, n) of (n, d) inputs."""
        h = x[None]
        for k, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = np.matmul(np.where(h > 0, h, SLOPE * h) if k else h, w) + b
        return np.asarray(h[..., 0])

    def sizes(self) -> list[int]:
        """Return the widths of the input, of every hidden layer and of the output."""
        return [*(w.shape[1] for w in self.weights), self.weights[-1].shape[2]]


@dataclass(frozen=True)
class Term:
    """A term c e of a reward, where e follows from the logits q and p of one or two networks.

    - ``odds``: e = q;
    - ``up``: e = p + log sigmoid(q);
    - ``down``: e = p + log sigmoid(-q);
    - ``place``: e is the log-odds of the point of a segment nearest to P(up) = sigmoid(p) sigmoid(q),
      P(down) = sigmoid(p) sigmoid(-q). Without p, sigmoid(p) is 1;
    - ``mixture``: e = logit sum_k w_k sigmoid(a_k + b_k q + c_k p).

    Attributes
    ----------
    kind : {"odds", "up", "down", "place", "mixture"}
        How e follows.
    of : tuple of str
        Names of the networks: q, then p.
    weight : float
        c.
    ends : tuple of float
        ``place``: (P(up), P(down)) of a bad response, then of a good one. ``mixture``: log w, a, b and c of
        the first component, then of the second, and so on.

    """

    kind: str
    of: tuple[str, ...]
    weight: float
    ends: tuple[float, ...] = ()

    def __call__(self, odds: Mapping[str, Array]) -> Array:
        """Return c e from the logits of all networks, by name."""
        q, *p = (odds[name] for name in self.of)
        if self.kind == "odds":
            return np.asarray(self.weight * q)
        if self.kind == "mixture":
            good, bad = [], []
            for log_w, a, b, c in zip(*(self.ends[k::4] for k in range(4)), strict=True):
                f = a + b * q + c * p[0]
                good.append(log_w - np.logaddexp(0, -f))
                bad.append(log_w - np.logaddexp(0, f))
            odds_of_good = np.logaddexp.reduce(good) - np.logaddexp.reduce(bad)
            return np.asarray(self.weight * odds_of_good)
        up, down = (-np.logaddexp(0, -v) for v in (q, -q))
        if self.kind == "place":
            react = np.exp(-np.logaddexp(0, -p[0])) if p else 1.0
            segment = Segment(np.array(self.ends[:2]), np.array(self.ends[2:]))
            return self.weight * segment.place(react * np.exp(up), react * np.exp(down))
        return np.asarray(self.weight * (p[0] + (up if self.kind == "up" else down)))


@dataclass(frozen=True)
class Networks:
    """r = logit mean_m sigmoid(b_m + w . x + sum_t c_t e_t), x = clip((h - mean) scale, -limit, limit).

    Attributes
    ----------
    mean, scale : arrays of shape (d,)
        Standardisation of the features h.
    limit : float
        Bound of the standardised features.
    nets : mapping of str to tuple of Layers
        By name, the MLPs whose mean is the logit of that name.
    terms : tuple of Term
        The terms c_t e_t.
    offset : array of shape (M,)
        b, one number for each member.
    linear : array of shape (d,)
        w.
    edge : float
        Bound of the logits of ``nets``.

    """

    mean: Array
    scale: Array
    limit: float
    nets: Mapping[str, tuple[Layers, ...]]
    terms: tuple[Term, ...]
    offset: Array
    linear: Array
    edge: float = FREE

    def __call__(self, h: Array) -> Array:
        """Return the rewards, (n,) float64, of (n, d) features."""
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

    def single_mlp(self) -> Layers | None:
        """Return the one MLP on x that computes the reward; None where there is no such MLP."""
        one = len(self.offset) == len(self.terms) == 1 and self.edge >= FREE
        if not one or self.linear.any() or self.terms[0].kind != "odds":
            return None
        (term,) = self.terms
        mlp, *more = self.nets[term.of[0]]
        if more:
            return None
        last = mlp.biases[-1] * term.weight + self.offset
        weights = (*mlp.weights[:-1], mlp.weights[-1] * term.weight)
        return Layers(weights, (*mlp.biases[:-1], last))

    def tensors(self) -> dict[str, Array]:
        """Return all arrays as float32, by dotted name."""
        arrays = {
            "mean": self.mean,
            "scale": self.scale,
            "linear": self.linear,
            "offset": self.offset,
        }
        for name, views in self.nets.items():
            for i, f in enumerate(views):
                for kind, layers in (("weights", f.weights), ("biases", f.biases)):
                    arrays |= {f"nets.{name}.{i}.{kind}.{k}": v for k, v in enumerate(layers)}
        return {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in arrays.items()}

    def to_json(self) -> dict[str, Any]:
        """Return as plain data what the arrays do not hold."""
        return {
            "width": len(self.mean),
            "members": len(self.offset),
            "limit": min(self.limit, FREE),
            "edge": self.edge,
            "terms": [{**vars(t), "of": list(t.of), "ends": list(t.ends)} for t in self.terms],
            "nets": {name: [f.sizes() for f in views] for name, views in self.nets.items()},
        }

    @staticmethod
    def from_json(data: Mapping[str, Any], tensors: Mapping[str, Array]) -> Networks:
        """Build the networks from the results of `to_json` and `tensors`.

        Parameters
        ----------
        data : mapping
            The result of `to_json`.
        tensors : mapping of str to array
            The result of `tensors`.

        Returns
        -------
        Networks
            The same networks.

        """

        def layers(name: str, sizes: list[int]) -> Layers:
            names = [
                [f"nets.{name}.{k}.{j}" for j in range(len(sizes) - 1)]
                for k in ("weights", "biases")
            ]
            weights, biases = (tuple(tensors[n] for n in column) for column in names)
            return Layers(weights, biases)

        nets = {
            k: tuple(layers(f"{k}.{i}", s) for i, s in enumerate(v))
            for k, v in data["nets"].items()
        }
        terms = tuple(
            Term(t["kind"], tuple(t["of"]), t["weight"], tuple(t["ends"])) for t in data["terms"]
        )
        return Networks(
            mean=tensors["mean"],
            scale=tensors["scale"],
            limit=data["limit"],
            nets=nets,
            terms=terms,
            offset=tensors["offset"],
            linear=tensors["linear"],
            edge=data["edge"],
        )
