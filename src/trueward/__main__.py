"""`python -m trueward` is the command `trueward`."""

from .cli.app import main

main()
