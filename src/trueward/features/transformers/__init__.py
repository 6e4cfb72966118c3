"""Features of language models in the Hugging Face layout."""
