"""A lock on what a process writes for a long time, with its owner: two of them would overwrite each other.

The lock is a hidden file beside the target, held by the system for as long as its process lives. Where the
system has no such locks, the owner that the file names decides: process, machine and start of the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import NotWrittenError, TruewardError, UsageError
from .remote_files import output_address

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIES, PAUSE = 5, 0.01  # another process may remove a lock between two of our steps; seconds
OLD = 60.0  # seconds after which a lock that nobody holds is removed
ENDING = ".trueward-lock"
LONGEST = 4096  # bytes of a lock that are read


@dataclass(frozen=True)
class Owner:
    """The process that holds a lock.

    Attributes
    ----------
    pid : int
        Its number.
    host : str
        Its machine.
    started : str
        When the system started it, in units of the system; empty if that is unknown. A number that another
        process has now has another start.
    since : str
        When it took the lock, for people.
    command : str
        What it runs.

    """

    pid: int
    host: str
    started: str
    since: str
    command: str

    @staticmethod
    def this_process() -> Owner:
        """Return this process as an owner."""
        words = [Path(sys.argv[0]).name, *sys.argv[1:2]] if sys.argv else []
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        pid = os.getpid()
        return Owner(pid, socket.gethostname(), _started(pid), since, " ".join(words))

    @staticmethod
    def parse(text: str) -> Owner | None:
        """Return the owner that a lock names; None if it names none."""
        try:
            value = json.loads(text)
            words = {k: str(value[k]) for k in ("host", "started", "since", "command")}
            return Owner(int(value["pid"]), **words)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None

    def alive(self) -> bool | None:
        """Return whether the process still runs; None if this machine cannot tell."""
        if self.host != socket.gethostname():
            return None
        if self.started:
            return _started(self.pid) == self.started
        if os.name != "posix" or self.pid <= 0:
            return None
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        return True

    def __str__(self) -> str:
        """Return the owner in words."""
        return f"process {self.pid} on {self.host} since {self.since} ({self.command})"


@contextlib.contextmanager
def only_writer(target: str | Path) -> Iterator[None]:
    """Hold the lock of a target while the block runs.

    Parameters
    ----------
    target : str or Path
        The file or folder that is written; its parent folders are created.

    Raises
    ------
    UsageError
        If the target is the address of a store.
    TruewardError
        If another process holds the lock. What a dead process left is taken over.
    NotWrittenError
        If the lock cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp(), "rm")
    >>> with only_writer(place):
    ...     lock_of(place).is_file()
    True
    >>> lock_of(place).exists()
    False

    """
    if address := output_address(target):
        raise UsageError(
            f"{address} is an address, where only single files are written: give a folder"
        )
    try:
        whole = Path(target).resolve()
        lock = lock_of(whole)
        missing = [p for p in (whole.parent, *whole.parent.parents) if not p.exists()]
        whole.parent.mkdir(parents=True, exist_ok=True)
        _sweep(whole.parent)
        descriptor = _taken(lock, whole)
    except (OSError, RuntimeError) as e:  # RuntimeError: symbolic links in a circle
        raise NotWrittenError(
            f"{target} could not be written ({getattr(e, 'strerror', None) or e}): free some disk space or "
            "choose a folder you may write to"
        ) from e
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()
        os.close(descriptor)
        if fcntl is None:  # Windows removes no file that is open
            lock.unlink(missing_ok=True)
        for folder in missing:  # what was made for the lock alone
            with contextlib.suppress(OSError):
                folder.rmdir()


def lock_of(target: Path) -> Path:
    """Return the file that is the lock of a target."""
    if not target.name:
        raise OSError(0, "it is the root of all folders")
    return target.with_name(f".{target.name}{ENDING}")


def _sweep(parent: Path) -> None:
    """Remove the locks of killed processes in a folder, where the system says that nobody holds them."""
    for lock in parent.glob(f".*{ENDING}") if fcntl is not None else ():
        with contextlib.suppress(OSError):
            if time.time() - lock.stat().st_mtime < OLD:
                continue
            descriptor = os.open(lock, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.unlink()
            finally:
                os.close(descriptor)


def _taken(lock: Path, target: Path) -> int:
    """Return a descriptor that holds the lock, with this process as its owner in the file."""
    for _ in range(TRIES):
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            free = _free(descriptor)
            if free and _same_file(descriptor, lock):  # else the last owner has just removed it
                os.ftruncate(descriptor, 0)
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, json.dumps(asdict(Owner.this_process())).encode())
                return descriptor
            found = _content(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        owner, swept = Owner.parse(found), not _same_file(descriptor, lock)
        os.close(descriptor)
        if not free and not swept:
            raise _held(lock, target, owner)
        time.sleep(PAUSE)
    raise _held(lock, target, None)


def _free(descriptor: int) -> bool:
    """Whether nobody holds a lock; where the system has locks, it is ours from here on."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a disk without locks
            pass
        else:
            return True
    found = _content(descriptor)
    owner = Owner.parse(found)
    return not found or (owner is not None and owner.alive() is False)


def _content(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, LONGEST).decode("utf-8", "replace")


def _same_file(descriptor: int, lock: Path) -> bool:
    try:
        ours, there = os.fstat(descriptor), lock.stat()
    except OSError:
        return False
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


def _held(lock: Path, target: Path, owner: Owner | None) -> TruewardError:
    who = "another process" if owner is None else str(owner)
    ours = owner is not None and (owner.pid, owner.host) == (os.getpid(), socket.gethostname())
    unsure = "" if owner is not None and owner.alive() else f", or delete {lock} if it has ended"
    return TruewardError(
        f"{target} is being written by {'this process already' if ours else who}: wait for it, or give "
        f"another folder or file{'' if ours else unsure}"
    )


def _started(pid: int) -> str:
    """Return when the system started a process; empty if it does not run or that is unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    except OSError:
        return ""
    return f"{boot}:{fields[19]}" if len(fields) > 19 else ""
