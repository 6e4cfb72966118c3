"""The default backbone: WordLlama vectors, surface features and hashed n-grams."""
