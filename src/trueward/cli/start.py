"""The entry point: quiet if it is stopped while the command line is still loading."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Load the command line and run it."""
    try:
        from .app import main as run

        run()
    except SystemExit:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C changes nothing
        raise
    except KeyboardInterrupt as e:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stderr.write("stopped\n")
        sys.exit(getattr(e, "code", 130))  # of a signal to stop
