"""Metrics with 95 % intervals, on clean labels or on a log with a few gold labels."""
