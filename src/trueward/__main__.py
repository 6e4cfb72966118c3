"""`python -m trueward` is the command `trueward`."""

from trueward.cli.start import main

main()
