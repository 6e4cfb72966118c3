"""Safety evaluation of policies."""
