"""Score the lines of standard input."""

from .scorer import main

main()
