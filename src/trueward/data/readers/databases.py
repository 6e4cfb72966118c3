"""Read-only connection to the database that queries run on; named by an environment variable only.

`TRUEWARD_DATABASE` is a URI: `postgresql://user:password@host/name`, `sqlite:/path`, `duckdb:/path`, or one
of another ADBC driver that is installed, as `snowflake://...`. Without it a query reads files, by DuckDB in
memory. No message contains the URI, and passwords are removed from the messages of drivers.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import pyarrow as pa

from trueward.core.errors import TruewardError, UsageError, missing_extra

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "TRUEWARD_DATABASE"
FILES = "files, as no TRUEWARD_DATABASE is set"
SHIPPED = ("postgresql", "sqlite")
# types that only DuckDB has keep their names; no extension is downloaded or loaded, so no query reaches the
# network; no query changes these options
DUCKDB_OPTIONS = {
    "arrow_lossless_conversion": "true",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    "lock_configuration": "true",
}
# the views of a database may come from somebody else, so they read its own tables only
DUCKDB_DATABASE = {"access_mode": "READ_ONLY", "enable_external_access": "false"}
HOST = r"(?:\[[^\]@]*\]|[^:,@\[\]]*)(?::\d*)?"
HOSTS = re.compile(f"{HOST}(?:,{HOST})*")
SECRET = re.compile(r"pass|secret|token|key|pwd", re.IGNORECASE)


def refuse_uri(path: object) -> None:
    """Raise if a path is a URI; the message does not contain it, because it may hold a password.

    Parameters
    ----------
    path : object
        What the user gave as a file.

    Raises
    ------
    UsageError
        If it starts like ``scheme:/``.

    """
    if re.match(r"[a-zA-Z][\w+.-]+:/", str(path)):
        raise UsageError(
            "expected a file, but this is a URI: download its content first. For a database, set the "
            f"environment variable {VARIABLE} (other users can read the command line) and name a .sql file"
        )


def description() -> str:
    """Return what queries read, without its name or address: ``sqlite (TRUEWARD_DATABASE)``."""
    return f"{_scheme()} ({VARIABLE})" if _uri() else FILES


@contextlib.contextmanager
def connected() -> Iterator[Any]:
    """Yield a cursor of the database, which can only read.

    Yields
    ------
    adbc_driver_manager.dbapi.Cursor
        In a read-only transaction (PostgreSQL) or on a file opened for reading (SQLite, DuckDB).

    Raises
    ------
    TruewardError
        If the database cannot be opened, or its driver is not installed.

    """
    with _connection() as connection, connection.cursor() as cursor:
        if _scheme() == "postgresql":
            cursor.execute("SET TRANSACTION READ ONLY")
        if _scheme() == "sqlite":  # SQLite infers the type of a column from the first batch
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": "65536"})
        yield cursor


def driver_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of a driver, and of Arrow while it reads rows.

    Returns
    -------
    tuple of type
        For use in ``except``.

    Raises
    ------
    TruewardError
        If the ADBC driver manager is not installed.

    """
    try:
        from adbc_driver_manager import Error  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as e:
        raise missing_extra("a query", "adbc-driver-manager", "sql") from e
    return (Error, pa.ArrowException, OSError, UnicodeDecodeError)


def error_text(e: Exception) -> str:
    """Return the message of a database on one line, without the secrets of the URI.

    Parameters
    ----------
    e : Exception
        Raised by a driver.

    Returns
    -------
    str
        At most 300 characters; secrets are replaced by ``***``.

    """
    lines = [line for line in str(e).splitlines() if line.strip()] or [type(e).__name__]
    reasons = [m[1] for line in lines if (m := re.search(r"(?:ERROR|FATAL|Error): *(.+)", line))]
    first = re.sub(r"^(?:[A-Z_]+: )?(?:\[\w+\] )?(?:Failed to [\w ]+: )?", "", lines[0])
    text = " ".join((reasons or [first])[0].split())
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text[:300]


def _uri() -> str:
    return os.environ.get(VARIABLE, "").strip()


def _scheme() -> str:
    scheme = _uri().partition(":")[0].lower()
    return {"postgres": "postgresql", "": "duckdb"}.get(scheme, scheme)


def _connection() -> Any:
    uri, scheme = _uri(), _scheme()
    if uri and not re.match(r"[a-zA-Z]\w*:.", uri):
        raise TruewardError(
            f"{VARIABLE} should be a URI such as postgresql://user:password@host/name or sqlite:/path, "
            "but is not one: correct it"
        )
    try:
        if scheme == "duckdb":
            return _duckdb({"path": str(_file()), **DUCKDB_DATABASE} if uri else {})
        if scheme == "sqlite":
            uri = f"file:{quote(str(_file()))}?mode=ro"
        else:
            _refuse_unclear(uri)
        return _driver(scheme, uri)
    except driver_errors() as e:
        raise TruewardError(
            f"{description()} could not be opened ({error_text(e)}): check the variable, and "
            "that the database is running"
        ) from None


def _duckdb(options: dict[str, str]) -> Any:
    try:
        import adbc_driver_duckdb  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as e:
        raise missing_extra("a query of files", "duckdb", "sql") from e
    from adbc_driver_manager import dbapi  # noqa: PLC0415 - an extra

    path, entry = adbc_driver_duckdb.driver_path(), "duckdb_adbc_init"
    return dbapi.connect(
        driver=path, entrypoint=entry, db_kwargs={**DUCKDB_OPTIONS, **options}, autocommit=True
    )


def _driver(name: str, uri: str) -> Any:
    """Connect by the Python package of a driver, else by a driver that is installed on the system."""
    try:
        package = importlib.import_module(f"adbc_driver_{name}.dbapi")
    except ModuleNotFoundError as e:
        if name in SHIPPED:
            raise missing_extra(f"reading {name}", f"adbc-driver-{name}", "sql") from e
    else:
        return package.connect(uri, autocommit=name != "postgresql")
    from adbc_driver_manager import dbapi  # noqa: PLC0415 - an extra

    try:
        return dbapi.connect(driver=name, db_kwargs={"uri": uri}, autocommit=True)
    except driver_errors() as e:
        raise TruewardError(
            f"reading {name} needs its ADBC driver ({error_text(e)}): install it, e.g. by pip install "
            f"adbc-driver-{name}"
        ) from None


def _file() -> Path:
    """Return the file in a URI: sqlite:/path or sqlite:///path."""
    name = _uri().partition(":")[2].partition("?")[0].removeprefix("//")
    path = next((p for p in (Path(name), Path(unquote(name))) if p.is_file()), None)
    if path is None:
        raise TruewardError(f"there is no database file {name}, as set in {VARIABLE}: correct it")
    return path


def _refuse_unclear(uri: str) -> None:
    """Raise about a URI whose password a driver would mistake for a host or port, and print."""
    authority, _, rest = uri.partition("://")[2].partition("/")
    authority, _, more = authority.partition("?")
    hosts = authority.partition("@")[2] if "@" in authority else authority
    if "@" in rest + more or "#" in uri or not HOSTS.fullmatch(hosts):
        raise TruewardError(
            f"{VARIABLE} should be a URI such as postgresql://user:password@host:5432/name, with @ : / ? # "
            "of a password written as %40 %3A %2F %3F %23: correct it"
        )


def _secrets() -> set[str]:
    """Return the secrets of the URI, plain and percent-encoded."""
    try:
        parts = urlsplit(_uri())
        secrets = {parts.password or ""}
    except ValueError:
        return {_uri()}
    pairs = (pair.partition("=") for pair in parts.query.split("&"))
    secrets |= {value for key, _, value in pairs if SECRET.search(key)}
    return {spelled for value in secrets if value for spelled in (value, unquote(value))}
