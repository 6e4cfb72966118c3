"""Tables at addresses such as ``s3://bucket/log.parquet``, through fsspec; credentials of the environment.

What is read is copied to a folder of temporary files first, so that every reader reads a file, and what is
written is uploaded when it is whole. Only an address that the user has given comes here.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import re
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from .errors import NotWrittenError, TruewardError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: scheme -> the package that speaks it; those without one are part of fsspec
PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "adlfs"),
    "hf": "huggingface_hub",
    "memory": "",
}
CREDENTIALS = {
    "s3fs": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL",
    "gcsfs": "GOOGLE_APPLICATION_CREDENTIALS",
    "adlfs": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
    "huggingface_hub": "HF_TOKEN",
}
ADDRESS = re.compile(rf"({'|'.join(PACKAGES)}):/+(?=[^/])")


def is_address(source: object) -> bool:
    """Return whether a source is the address of a table, such as ``s3://bucket/log.parquet``.

    Parameters
    ----------
    source : object
        What the user gave as a source.

    Examples
    --------
    >>> is_address("gs://bucket/log.parquet"), is_address("log.parquet"), is_address("http://host/log")
    (True, False, False)

    """
    return isinstance(source, str) and "://" in source and source.partition("://")[0] in PACKAGES


def output_address(path: str | Path) -> str | None:
    """Return the address of an output, of which a path has kept one slash; None for a path of this machine.

    Parameters
    ----------
    path : str or Path
        Where a command writes.

    Examples
    --------
    >>> output_address(Path("s3://bucket/scored.parquet")), output_address("scored.parquet")
    ('s3://bucket/scored.parquet', None)

    """
    found = ADDRESS.match(str(path))
    return f"{found[1]}://{str(path)[found.end() :]}" if found else None


def shown(path: str | Path) -> str:
    """Return an output as the user wrote it."""
    return output_address(path) or str(path)


def local_copy(address: str) -> Path:
    """Copy a file or a folder of a store to this machine; once in a process, unless it has changed.

    Parameters
    ----------
    address : str
        As the user gave it.

    Returns
    -------
    Path
        The copy, which is removed when the process ends.

    Raises
    ------
    TruewardError
        If the store cannot be reached, holds no such file, or this machine has too little disk.

    """
    store, path = _store(address)
    if path.endswith(".sql"):
        raise UsageError(f"{address} is a query, which is run from a file of this machine only")
    with _sentences(address, "read"):
        about = store.info(path)
        whole = about["type"] == "directory"
        files = store.find(path, detail=True) if whole else {path: about}
        if not files:
            raise FileNotFoundError(address)
        place = (
            Path(_copies())
            / hashlib.sha256(f"{address}{sorted(files.items())}".encode()).hexdigest()
        )
        target = place / (PurePosixPath(path).name or "table")
        if target.exists():
            return target
        _require_disk(address, sum(int(facts.get("size") or 0) for facts in files.values()))
        partial = place / "partial"
        for name in files:
            inner = (
                PurePosixPath(name).relative_to(PurePosixPath(path)) if whole else PurePosixPath()
            )
            if ".." in inner.parts or inner.is_absolute():
                raise TruewardError(f"{address} holds the name {inner}, which is not read")
            (partial / inner).parent.mkdir(parents=True, exist_ok=True)
            store.get_file(name, str(partial / inner))
        partial.rename(target)
    return target


def local_path(source: str | os.PathLike[str]) -> Path:
    """Return a path of this machine: that of the copy, for an address.

    Parameters
    ----------
    source : str or path
        As the user gave it.

    """
    return local_copy(str(source)) if is_address(source) else Path(source)


def local_paths(sources: Sequence[str | os.PathLike[str]] | str | os.PathLike[str]) -> list[Path]:
    """Return the paths of one or several sources, see `local_path`.

    Parameters
    ----------
    sources : path or sequence of paths
        As the user gave them.

    """
    named = [sources] if isinstance(sources, str | os.PathLike) else sources
    return [local_path(source) for source in named]


@contextlib.contextmanager
def uploading(address: str) -> Iterator[Path]:
    """Yield a temporary path, and upload what was written there; nothing on an exception.

    Parameters
    ----------
    address : str
        Where the file goes.

    Yields
    ------
    Path
        A path with the name of the file.

    Raises
    ------
    NotWrittenError
        If the store refuses it.

    """
    store, path = _store(address)
    with tempfile.TemporaryDirectory(prefix="trueward-upload-") as folder:
        new = Path(folder) / PurePosixPath(path).name
        yield new
        with _sentences(address, "written"):
            store.put_file(str(new), path)


def exists(address: str) -> bool:
    """Return whether a store holds a file.

    Parameters
    ----------
    address : str
        Its address.

    Raises
    ------
    TruewardError
        If the store cannot be reached.

    """
    store, path = _store(address)
    with _sentences(address, "read"):
        return bool(store.exists(path))


def _store(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it."""
    scheme, _, rest = address.partition("://")
    if not rest.strip("/") or "@" in rest.partition("/")[0] or "?" in rest:
        raise UsageError(
            "an address should be like s3://bucket/log.parquet, without a user, a password or a query: "
            "credentials come from the environment"
        )
    package = PACKAGES[scheme]
    try:
        core = importlib.import_module("fsspec.core")
        with _sentences(address, "read"):
            store, path = core.url_to_fs(address)
    except ImportError:
        raise TruewardError(
            f"{scheme}:// needs {package or 'fsspec'}, which is not installed: pip install 'trueward[cloud]'"
        ) from None
    return store, str(path)


@functools.cache
def _copies() -> str:
    """Return the folder of the copies of this process; it goes when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="trueward-copies-", ignore_cleanup_errors=True)
    _KEPT.append(folder)
    return folder.name


_KEPT: list[Any] = []


def _require_disk(address: str, size: int) -> None:
    free = shutil.disk_usage(_copies()).free
    if size > free:
        raise TruewardError(
            f"{address} has {size / 1e9:,.1f} GB, and {tempfile.gettempdir()} has {free / 1e9:,.1f} GB free: "
            "free disk space, or set TMPDIR to a larger disk"
        )


@contextlib.contextmanager
def _sentences(address: str, done: str) -> Iterator[None]:
    """Turn the errors of a store, which are of many types, into one sentence without credentials."""
    try:
        yield
    except (TruewardError, ImportError, KeyboardInterrupt):
        raise
    except FileNotFoundError as e:
        if done == "read":
            raise TruewardError(f"there is no file {address}: check the address") from e
        raise NotWrittenError(f"{address} could not be written: there is no such bucket") from e
    except Exception as e:
        package = PACKAGES[address.partition("://")[0]]
        reason = " ".join(str(e).split())[:200] or type(e).__name__
        names = CREDENTIALS.get(package)
        kind = TruewardError if done == "read" else NotWrittenError
        raise kind(
            f"{address} could not be {done} ({reason}): check the address"
            + (f" and the credentials in the environment ({names})" if names else "")
        ) from e
