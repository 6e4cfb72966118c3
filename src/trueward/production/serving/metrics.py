"""Prometheus metrics of a server, under its own names and under five of vLLM that dashboards read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .frames import Answer
    from .queue import Row

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 170)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
TOKENS = (16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144)
REWARDS = (-8, -6, -5, -4, -3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)


class Metrics:
    """Counters and histograms of one server.

    Parameters
    ----------
    vllm : bool, default True
        Add ``vllm:num_requests_running``, ``vllm:num_requests_waiting``, ``vllm:request_queue_time_seconds``,
        ``vllm:e2e_request_latency_seconds`` and ``vllm:request_success_total``.

    """

    def __init__(self, *, vllm: bool = True) -> None:
        self.registry = CollectorRegistry()
        self._vllm = vllm
        self._model = ""
        self._loads: list[tuple[Gauge, Callable[[], float]]] = []

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"trueward_{name}", what, labels, registry=self.registry)

        def histogram(name: str, what: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(
                f"trueward_{name}", what, labels, buckets=buckets, registry=self.registry
            )

        self.requests = counter("requests", "Requests by route and HTTP status.", "route", "code")
        self.seconds = histogram(
            "request_seconds", "Seconds from a request to its answer.", SECONDS, "route"
        )
        self.queued = histogram(
            "queue_seconds", "Seconds that a row waited for its batch.", SECONDS
        )
        self.scoring = histogram("batch_seconds", "Seconds that a batch took.", SECONDS)
        self.rows = histogram("batch_rows", "Rows of a batch.", ROWS)
        self.batch_tokens = histogram("batch_tokens", "Estimated tokens of a batch.", TOKENS)
        self.tokens = counter("tokens", "Estimated tokens that were scored.")
        self.shared = counter("cache_hits", "Rows answered by an equal row that was in flight.")
        self.failures = counter("batch_failures", "Batches that failed, by kind.", "kind")
        self.truncated = counter("truncated", "Rows whose text was truncated.")
        self.too_long = counter("too_long", "Rows refused because their text was too long.")
        self.left = counter("disconnected", "Requests whose client left before the answer.")
        self.reward = histogram("reward", "Rewards, in logits.", REWARDS)
        self.ood = counter("ood", "Rows that were out of distribution.")
        self.reloads = counter("reloads", "Reloads of the model, by result.", "result")
        self.info = Gauge(
            "trueward_model_info",
            "The model that is served.",
            ("name", "digest"),
            registry=self.registry,
        )
        if vllm:
            self._add_vllm()

    def _add_vllm(self) -> None:
        label, registry = ("model_name",), self.registry
        self._success = Counter(
            "vllm:request_success", "Requests that were answered.", label, registry=registry
        )
        self._latency = Histogram(
            "vllm:e2e_request_latency_seconds",
            "Seconds from a request to its answer.",
            label,
            buckets=SECONDS,
            registry=registry,
        )
        self._waited = Histogram(
            "vllm:request_queue_time_seconds",
            "Seconds that a row waited for its batch.",
            label,
            buckets=SECONDS,
            registry=registry,
        )

    def watch(self, gauges: dict[str, Callable[[], float]]) -> None:
        """Read gauges when metrics are asked for.

        Parameters
        ----------
        gauges : dict of str to callable
            ``queue_tokens``, ``batch_budget_tokens``, ``scorers_alive``, ``running`` and ``waiting``.

        """
        own = {
            "queue_tokens": "Estimated tokens that wait.",
            "batch_budget_tokens": "Tokens of a batch at most; halved when memory runs out.",
            "scorers_alive": "Scoring processes that run.",
        }
        for name, what in own.items():
            gauge = Gauge(f"trueward_{name}", what, registry=self.registry)
            gauge.set_function(gauges[name])
        if self._vllm:
            for name in ("running", "waiting"):
                whole = f"vllm:num_requests_{name}"
                gauge = Gauge(
                    whole, f"Requests that are {name}.", ("model_name",), registry=self.registry
                )
                self._loads.append((gauge, gauges[name]))

    def serve(self, name: str, digest: str) -> None:
        """Name the model that is served now."""
        self._model = name
        self.info.clear()
        self.info.labels(name, digest[:16]).set(1)
        if self._vllm:
            for metric, function in self._loads:
                metric.clear()
                metric.labels(name).set_function(function)

    def batch(self, rows: Sequence[Row], began: float, ended: float) -> None:
        """Count a batch that was scored, from when to when."""
        tokens = sum(row.tokens for row in rows)
        self.rows.observe(len(rows))
        self.batch_tokens.observe(tokens)
        self.tokens.inc(tokens)
        self.scoring.observe(ended - began)
        waited = self._waited.labels(self._model) if self._vllm else None
        for row in rows:
            self.queued.observe(began - row.since)
            if waited is not None:
                waited.observe(began - row.since)

    def failure(self, kind: str) -> None:
        """Count a batch that failed."""
        self.failures.labels(kind).inc()

    def answers(self, answers: Sequence[Answer]) -> None:
        """Count the scores of a request."""
        for a in answers:
            if a.reward is not None:
                self.reward.observe(a.reward)
            if a.out_of_distribution:
                self.ood.inc()
            if a.truncated:
                self.truncated.inc()

    def request(self, route: str, code: int, seconds: float, *, scoring: bool) -> None:
        """Count a request that was answered."""
        self.requests.labels(route, str(code)).inc()
        self.seconds.labels(route).observe(seconds)
        if self._vllm and scoring and code < 400:
            self._success.labels(self._model).inc()
            self._latency.labels(self._model).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
