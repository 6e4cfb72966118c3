"""A reward model as a stock folder that transformers, TRL, OpenRLHF, veRL and vLLM load as it is."""

from ._verify import Check, Verified, verify
from ._write import export

__all__ = ["Check", "Verified", "export", "verify"]
