"""The two ways a user can be told no: the data or the model is wrong (1), the request is wrong (2)."""


class TruewardError(ValueError):
    """The data or the model is wrong: what was wanted, what was found, what to do. Exit code 1."""

    exit_code = 1


class NotWrittenError(TruewardError):
    """A disk or a permission stood in the way; what was there, and what was done so far, is kept."""


class NotFiniteError(TruewardError):
    """Training ran into numbers that are not finite; the state before is kept."""

    exit_code = 1


class UsageError(TruewardError):
    """The request is wrong: an unknown method or option, a value out of range. Exit code 2."""

    exit_code = 2


def missing_extra(what: str, package: str, extra: str) -> TruewardError:
    """Say which extra has the package that is missing."""
    return TruewardError(
        f"{what} needs {package}, which is not installed: pip install 'trueward[{extra}]'"
    )
