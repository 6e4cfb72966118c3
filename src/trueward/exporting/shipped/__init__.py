"""Code that exported folders carry. This library copies these files and imports none of them."""
