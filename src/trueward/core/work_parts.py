"""Work in numbered parts in a folder: a stopped run continues, and several processes share it.

A finished part is a file with its SHA-256 beside it. A process claims a part by a lease file, which only one
can create, and touches the lease while it works. The lease of a process that died is taken over, so no fixed
number of processes is needed, on one machine or on several that share a folder. A part that two processes
made all the same is the same twice, because a part depends on its number alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from .atomic_io import replacing
from .errors import NotWrittenError, TruewardError
from .output_lock import Owner
from .remote_files import output_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

BEAT = 5.0  # seconds between two touches of a lease
STALE = 60.0  # seconds without a touch after which a lease of another machine is taken over
PAUSE = 0.5  # seconds between two looks at parts that others make
PLAN = "parts.json"


@dataclass(frozen=True)
class WorkParts:
    """The parts of one piece of work.

    Attributes
    ----------
    folder : Path
        Where the parts are.
    count : int
        Number of parts.
    ending : str
        Ending of their files, such as ``.parquet``.

    """

    folder: Path
    count: int
    ending: str

    @staticmethod
    def open(folder: Path, count: int, ending: str, key: Mapping[str, object]) -> WorkParts:
        """Create the folder, or continue in it if it holds parts of the same work.

        Parameters
        ----------
        folder : Path
            Where the parts are, or will be.
        count : int
            Number of parts.
        ending : str
            Ending of their files.
        key : mapping of str to str or number
            All that the parts depend on: inputs, options, versions.

        Raises
        ------
        TruewardError
            If the folder holds parts of other work; with what differs.
        NotWrittenError
            If the folder cannot be written.

        """
        plan = {"count": count, **key}
        path = folder / PLAN
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise NotWrittenError(
                f"{folder} could not be created ({e.strerror}): free disk space or choose another place"
            ) from e
        if not path.exists():
            with replacing(path) as new:
                new.write_text(json.dumps(plan), "utf-8")
        try:
            found = json.loads(path.read_text("utf-8"))
            differs = [
                name for name in sorted({*found, *plan}) if found.get(name) != plan.get(name)
            ]
        except (OSError, ValueError, TypeError, AttributeError):
            differs = ["record"]
        if differs:
            raise TruewardError(
                f"{folder} holds parts of other work (another {', '.join(differs)}): delete that folder to "
                "start again, or repeat the command that began it"
            )
        return WorkParts(folder, count, ending)

    def path(self, part: int) -> Path:
        """Return the file of a part."""
        return self.folder / f"{part:06d}{self.ending}"

    def done(self, part: int) -> bool:
        """Return whether a part is finished and its file is as it was written."""
        path = self.path(part)
        try:
            return _digest(path) == self._record(part).read_text("utf-8")
        except OSError:
            return False

    @staticmethod
    def require(folder: Path) -> None:
        """Raise if this machine does not see the folder that another one works in.

        Parameters
        ----------
        folder : Path
            Where the parts are.

        Raises
        ------
        TruewardError
            With the name of this machine.

        """
        if not (folder / PLAN).is_file():
            raise TruewardError(
                f"the node {socket.gethostname()} does not see {folder}, where the parts are written: give "
                "an output in a folder that all nodes share"
            )

    def run(
        self,
        make: Callable[[int, Path], object],
        each: Callable[[int], None],
        parts: Iterable[int] | None = None,
    ) -> int:
        """Make the parts that nobody has made or makes, and wait for those of others.

        Parameters
        ----------
        make : callable
            Called with a part and the path to write it to.
        each : callable
            Called with the number of finished parts, whenever it may have changed.
        parts : iterable of int or None
            The parts to finish; None: all.

        Returns
        -------
        int
            How many parts this process made. All given parts are finished then.

        """
        wanted = list(range(self.count) if parts is None else parts)
        made, missing = 0, [part for part in wanted if not self.done(part)]
        finished = len(wanted) - len(missing)
        each(finished)
        while missing and self._begun():  # else another process has joined the parts
            waiting = []
            for part in missing:
                with self._claimed(part) as ours:
                    if not ours:
                        waiting.append(part)
                        continue
                    if not self.done(part):
                        self._make(part, make)
                        made += 1
                finished += 1
                each(finished)
            missing = waiting
            if missing:  # others make them, or have died
                time.sleep(PAUSE)
        return made

    def finish(self, join: Callable[[list[Path]], None]) -> bool:
        """Join the finished parts and remove the folder; only one process does, and the others wait for it.

        Parameters
        ----------
        join : callable
            Called with the files of the parts in order.

        Returns
        -------
        bool
            Whether this process joined them.

        """
        joined = False
        while self._begun():
            with self._claimed(self.count) as ours:
                if ours and self._begun():
                    join([self.path(part) for part in range(self.count)])
                    (self.folder / PLAN).unlink()
                    joined = True
                    continue
            time.sleep(PAUSE)
        shutil.rmtree(self.folder, ignore_errors=True)
        return joined

    def _begun(self) -> bool:
        return (self.folder / PLAN).exists()

    def _make(self, part: int, make: Callable[[int, Path], object]) -> None:
        with replacing(self.path(part)) as new:
            make(part, new)
            digest = _digest(new)
        with replacing(self._record(part)) as new:
            new.write_text(digest, "utf-8")

    def _record(self, part: int) -> Path:
        return self.path(part).with_suffix(".sha256")

    @contextlib.contextmanager
    def _claimed(self, part: int) -> Iterator[bool]:
        """Hold the lease of a part; False if another process that lives holds it."""
        lease = self.folder / f"{part:06d}.lease"
        if not (_created(lease) or (_abandoned(lease) and _taken_over(lease))):
            yield False
            return
        ended = threading.Event()
        beat = threading.Thread(target=_touch, args=(lease, ended), daemon=True)
        beat.start()
        try:
            yield True
        finally:
            ended.set()
            beat.join()
            lease.unlink(missing_ok=True)


def parts_folder(out: Path) -> Path:
    """Return where the parts of a result are: beside it, and of an address in the working folder.

    Parameters
    ----------
    out : Path
        The result.

    """
    beside = out.with_name(out.name + ".parts")
    return type(out)(beside.name) if output_address(out) else beside


def _created(lease: Path) -> bool:
    """Create a lease; False if it exists."""
    try:
        descriptor = os.open(lease, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    except FileNotFoundError:  # another process has joined the parts and removed the folder
        return False
    except OSError as e:
        raise NotWrittenError(
            f"{lease} could not be written ({e.strerror}): free disk space, or choose another place"
        ) from e
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(Owner.this_process()), file)
    return True


def _abandoned(lease: Path) -> bool:
    """Whether the owner of a lease has died, or has not touched it for long."""
    try:
        owner, touched = Owner.parse(lease.read_text("utf-8")), lease.stat().st_mtime
    except OSError:
        return True
    alive = None if owner is None else owner.alive()
    return alive is False or (alive is None and time.time() - touched > STALE)


def _taken_over(lease: Path) -> bool:
    """Remove an abandoned lease and create ours; False if another process was faster."""
    aside = lease.with_name(f"{lease.name}.{os.getpid()}")
    try:
        lease.rename(aside)
    except FileNotFoundError:
        pass
    else:
        aside.unlink(missing_ok=True)
    return _created(lease)


def _touch(lease: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(lease)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
