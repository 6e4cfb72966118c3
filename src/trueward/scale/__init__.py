"""Features and scores of a `ray.data.Dataset`, and the cluster that commands work on (the extra `scale`)."""

from trueward.core.ray_cluster import Cluster

from .datasets import encode, score, text_digests

__all__ = ["Cluster", "encode", "score", "text_digests"]
