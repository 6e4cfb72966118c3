"""Features from language models in the Hugging Face format."""
