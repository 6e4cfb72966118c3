"""Reward models as folders that transformers, TRL, OpenRLHF, veRL, vLLM and sentence-transformers load."""

from .verify import Check, Verification, verify, verify_export
from .write import Export, export

__all__ = ["Check", "Export", "Verification", "export", "verify", "verify_export"]
