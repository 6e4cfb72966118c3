"""The routes of the server: one module for each protocol that clients speak."""

from . import llamafactory, openrlhf, own, rerank, tei, vllm

ALL = (
    *own.ROUTES,
    *vllm.ROUTES,
    *openrlhf.ROUTES,
    *tei.ROUTES,
    *rerank.ROUTES,
    *llamafactory.ROUTES,
)
