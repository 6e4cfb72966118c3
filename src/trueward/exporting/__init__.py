"""A reward model as a stock folder that transformers, TRL, OpenRLHF, veRL and vLLM load as it is."""

from .verify import Check, Verified, verify
from .write import export

__all__ = ["Check", "Verified", "export", "verify"]
