"""From a log to a reward model: checks, cross-fitted nuisances, training, fine-tuning."""
