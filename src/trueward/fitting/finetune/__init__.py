"""Fine-tuning a language model together with the reward."""
