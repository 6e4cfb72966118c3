"""Fitted reward models: scoring, calibration, saving and loading."""
