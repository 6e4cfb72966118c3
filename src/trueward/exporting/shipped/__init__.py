"""Code that exported folders carry. This library copies these files and does not import them."""
