"""The default features: WordLlama vectors, surface features and hashed n-grams."""
