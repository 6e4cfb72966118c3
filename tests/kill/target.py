"""Run by a forked process: set the limits that the environment names, say so, and run trueward."""

import io
import os
import resource
import signal
import sys
from pathlib import Path


def run():
    import torch

    import trueward.data.log_reading
    import trueward.features
    import trueward.fitting.fit
    import trueward.importers  # noqa: F401
    from trueward.cli import app  # noqa: F401
    from trueward.cli.start import main
    from trueward.training import checkpoints

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    checkpoints.Checkpoints.__init__.__defaults__ = (0.0,)  # at every epoch
    if limit := os.environ.get("KILL_FILE_SIZE"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    if limit := os.environ.get("KILL_MEMORY"):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + int(limit)
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    print("ready", flush=True)
    closed = os.environ.get("KILL_STDOUT")
    if closed:
        read, write = os.pipe()
        os.close(read)
        os.dup2(write, 1)
    try:
        main()
    finally:
        if closed:  # which is flushed once more when a forked process ends
            sys.stdout = io.StringIO()


if __name__ == "__main__":  # a process of a benchmark imports this file
    run()
