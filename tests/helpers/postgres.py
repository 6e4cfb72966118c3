"""A PostgreSQL server of its own, in a temporary folder, run by a user who may do nothing else."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PASSWORD = "s3cr3t-pw/of:boss"  # with what a URI has to spell otherwise
SPELLED = "s3cr3t-pw%2Fof%3Aboss"


def programs():
    """The folder of initdb and postgres, newest first; None where PostgreSQL or its user is not there."""
    if os.geteuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        return None
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
    named = shutil.which("initdb")
    places = [*reversed(found), *([Path(named).parent] if named else [])]
    return next((p for p in places if (p / "initdb").exists() and (p / "postgres").exists()), None)


@contextlib.contextmanager
def server():
    """Yield the address (host:port) of a server that knows one user, boss."""
    place = programs()
    home = Path(tempfile.mkdtemp(prefix="trueward-pg-"))
    as_user = {"cwd": home}
    if os.geteuid() == 0:  # which PostgreSQL refuses
        as_user |= {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(home, "postgres", "postgres")
    (home / "password").write_text(PASSWORD)
    (home / "password").chmod(0o644)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = ["-D", str(home / "data"), "-U", "boss", "-N", "-E", "UTF8", "--locale=C.UTF-8"]
    made += ["--auth=scram-sha-256", f"--pwfile={home / 'password'}"]
    subprocess.run([place / "initdb", *made], check=True, capture_output=True, **as_user)
    words = ["-D", str(home / "data"), "-p", str(port), "-k", str(home), "-F"]
    words += ["-c", "listen_addresses=127.0.0.1"]
    with (home / "log").open("wb") as log:
        running = subprocess.Popen([place / "postgres", *words], stderr=log, **as_user)
    try:
        _wait(home / "log", running)
        yield f"127.0.0.1:{port}"
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(timeout=60)
        shutil.rmtree(home)


def _wait(log, running):
    for _ in range(600):
        if "ready to accept connections" in log.read_text(errors="replace"):
            return
        if running.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(log.read_text(errors="replace"))
