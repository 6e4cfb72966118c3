"""The lottery as code to paste: the same outcomes as `ask`, without any package."""

from __future__ import annotations

from importlib.resources import files

from trueward.core.errors import UsageError
from trueward.core.suggest import suggestion

LANGUAGES = ("py", "ts", "js")
PRODUCTS = ("generic", "langfuse", "otel", "posthog")


def code(language: str, product: str = "generic") -> str:
    """Return the lottery in a language, with what logs its outcome to a product.

    Parameters
    ----------
    language : {"py", "ts", "js"}
        Python 3.9 and newer, TypeScript, or JavaScript (an ES module; generic only).
    product : {"generic", "langfuse", "otel", "posthog"}, default "generic"
        Where the outcome is logged; generic leaves that to the product.

    Returns
    -------
    str
        A whole file.

    Raises
    ------
    UsageError
        If there is no such language or product.

    Examples
    --------
    >>> code("js").count("export const ask")
    1
    >>> "create_score" in code("py", "langfuse")
    True

    """
    for given, known in ((language, LANGUAGES), (product, PRODUCTS)):
        if given not in known:
            raise UsageError(f"there is no code for {given!r}: {suggestion(given, known)}")
    here = files(__package__)
    text = (here / f"ask.{language}").read_text("utf-8")
    if product == "generic":
        return text
    if language == "js":
        raise UsageError(f"the code for {product} is there in py and ts: write --lang ts")
    more = (here / f"for_{product}.{language}").read_text("utf-8")
    if language == "ts":  # imports first
        return f"{more}\n{text}"
    return f"{text}\n\n{more.replace('from __future__ import annotations', '')}"
