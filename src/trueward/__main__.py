"""`python -m trueward` is the command `trueward`."""

from trueward.cli.app import main

main()
