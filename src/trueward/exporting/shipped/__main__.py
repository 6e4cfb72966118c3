"""Score the lines of the standard input."""

from .scorer import main

main()
