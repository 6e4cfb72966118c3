"""Fitting reward models: checks of the log, cross-fitted nuisances, training, fine-tuning."""
