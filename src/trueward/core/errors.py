"""Errors that a user can correct: wrong data or model (exit code 1), wrong request (exit code 2)."""


class TruewardError(ValueError):
    """The data or the model is wrong.

    The message says what was expected, what was found, and what to do.

    Attributes
    ----------
    exit_code : int
        Exit code of the command line: 1.

    """

    exit_code = 1


class NotWrittenError(TruewardError):
    """A file could not be written, or a process was lost; earlier results are unchanged."""


class NotFiniteError(TruewardError):
    """Training produced a value that is not finite; the last good state is kept."""


class UsageError(TruewardError):
    """The request is wrong: an unknown method or option, or a value out of range.

    Attributes
    ----------
    exit_code : int
        Exit code of the command line: 2.

    """

    exit_code = 2


def missing_extra(feature: str, package: str, extra: str) -> TruewardError:
    """Return the error about a package that is not installed.

    Parameters
    ----------
    feature : str
        What needs the package; begins the sentence.
    package : str
        Name of the missing package.
    extra : str
        Extra of trueward that installs it.

    Returns
    -------
    TruewardError
        The error, to be raised by the caller.

    Examples
    --------
    >>> print(missing_extra("a query", "duckdb", "sql"))
    a query needs duckdb, which is not installed: pip install 'trueward[sql]'

    """
    return TruewardError(
        f"{feature} needs {package}, which is not installed: pip install 'trueward[{extra}]'"
    )
