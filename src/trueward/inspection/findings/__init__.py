"""Findings of `inspect`, one module a theme.

Each module defines ``FINDINGS``, a tuple of functions ``finding(log) -> Iterator[Finding]``. A new
module in this folder is found by its presence.
"""
