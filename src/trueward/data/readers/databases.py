"""The database that queries are put to: named by an environment variable only, and only read.

`TRUEWARD_DATABASE` is a URI: `postgresql://user:password@host/name`, `sqlite:/path`, `duckdb:/path`, or one
of another ADBC driver that is installed, as `snowflake://...`. Without it a query reads files, by DuckDB in
memory. No message repeats the URI, and what it holds of a password is taken out of what a driver says.
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
# types that only DuckDB knows keep their names; it uses the extensions that are there and fetches none
DUCKDB = {"arrow_lossless_conversion": "true", "autoinstall_known_extensions": "false"}
HOST = r"(?:\[[^\]@]*\]|[^:,@\[\]]*)(?::\d*)?"
HOSTS = re.compile(f"{HOST}(?:,{HOST})*")
SECRET = re.compile(r"pass|secret|token|key|pwd", re.IGNORECASE)


def refuse_uri(path: object) -> None:
    """Refuse an address where a file should be named, without repeating its password."""
    if re.match(r"[a-zA-Z][\w+.-]+:/", str(path)):
        raise UsageError(
            "an address is no file: download what it is of; a database is named by the environment variable "
            f"{VARIABLE}, never on the command line, which others can read, and asked by a .sql file"
        )


def place() -> str:
    """Say what is read, without its name or address."""
    return f"{_scheme()} ({VARIABLE})" if _uri() else FILES


@contextlib.contextmanager
def connected() -> Iterator[Any]:
    """Give a cursor of the database, in a transaction that only reads where the database has such."""
    with _opened() as connection, connection.cursor() as cursor:
        if _scheme() == "postgresql":
            cursor.execute("SET TRANSACTION READ ONLY")
        if _scheme() == "sqlite":  # it tells the type of a column from the first batch
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": "65536"})
        yield cursor


def failures() -> tuple[type[Exception], ...]:
    """Give what a driver raises, and Arrow while it reads rows."""
    try:
        from adbc_driver_manager import Error  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as e:
        raise missing_extra("a query", "adbc-driver-manager", "sql") from e
    return (Error, pa.ArrowException, OSError, UnicodeDecodeError)


def worded(e: Exception) -> str:
    """Give the database's own words in one line, without what is secret in the URI."""
    lines = [line for line in str(e).splitlines() if line.strip()] or [type(e).__name__]
    named = [m[1] for line in lines if (m := re.search(r"(?:ERROR|FATAL|Error): *(.+)", line))]
    plain = re.sub(r"^(?:[A-Z_]+: )?(?:\[\w+\] )?(?:Failed to [\w ]+: )?", "", lines[0])
    said = " ".join((named or [plain])[0].split())
    for secret in sorted(_secrets(), key=len, reverse=True):
        said = said.replace(secret, "***")
    return said[:300]


def _uri() -> str:
    return os.environ.get(VARIABLE, "").strip()


def _scheme() -> str:
    scheme = _uri().partition(":")[0].lower()
    return {"postgres": "postgresql", "": "duckdb"}.get(scheme, scheme)


def _opened() -> Any:
    uri, scheme = _uri(), _scheme()
    if uri and not re.match(r"[a-zA-Z]\w*:.", uri):
        raise TruewardError(
            f"{VARIABLE} should be a URI such as postgresql://user:password@host/name or sqlite:/path, "
            "and is none: correct it"
        )
    try:
        if scheme == "duckdb":
            return _duckdb({"path": str(_file()), "access_mode": "READ_ONLY"} if uri else {})
        if scheme == "sqlite":
            uri = f"file:{quote(str(_file()))}?mode=ro"
        else:
            _refuse_unclear(uri)
        return _driver(scheme, uri)
    except failures() as e:
        raise TruewardError(
            f"{place()} could not be opened ({worded(e)}): check the variable, and that the database is up"
        ) from None


def _duckdb(held: dict[str, str]) -> Any:
    try:
        import adbc_driver_duckdb  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as e:
        raise missing_extra("a query of files", "duckdb", "sql") from e
    from adbc_driver_manager import dbapi  # noqa: PLC0415 - an extra

    path, entry = adbc_driver_duckdb.driver_path(), "duckdb_adbc_init"
    return dbapi.connect(
        driver=path, entrypoint=entry, db_kwargs={**DUCKDB, **held}, autocommit=True
    )


def _driver(name: str, uri: str) -> Any:
    """Connect by the Python package of a driver, else by a driver that the system knows by name."""
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
    except failures() as e:
        raise TruewardError(
            f"reading {name} needs its ADBC driver ({worded(e)}): install it, as by pip install "
            f"adbc-driver-{name}"
        ) from None


def _file() -> Path:
    """Give the file of a database in a file: sqlite:/path or sqlite:///path."""
    said = _uri().partition(":")[2].partition("?")[0]
    said = said.removeprefix("//")
    path = next((p for p in (Path(said), Path(unquote(said))) if p.is_file()), None)
    if path is None:
        raise TruewardError(f"there is no database file {said}, which {VARIABLE} names: correct it")
    return path


def _refuse_unclear(uri: str) -> None:
    """Refuse a URI whose password a driver would take for a host or a port, and print."""
    authority, _, rest = uri.partition("://")[2].partition("/")
    authority, _, more = authority.partition("?")
    hosts = authority.partition("@")[2] if "@" in authority else authority
    if "@" in rest + more or "#" in uri or not HOSTS.fullmatch(hosts):
        raise TruewardError(
            f"{VARIABLE} should be a URI such as postgresql://user:password@host:5432/name, with @ : / ? # "
            "of a password written as %40 %3A %2F %3F %23: correct it"
        )


def _secrets() -> set[str]:
    """Give every spelling of what is secret in the URI."""
    try:
        parts = urlsplit(_uri())
        found = {parts.password or ""}
    except ValueError:
        return {_uri()}
    pairs = (pair.partition("=") for pair in parts.query.split("&"))
    found |= {value for key, _, value in pairs if SECRET.search(key)}
    return {spelled for value in found if value for spelled in (value, unquote(value))}
