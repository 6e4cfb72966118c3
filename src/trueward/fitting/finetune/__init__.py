"""Fine-tune a language model together with the reward."""
