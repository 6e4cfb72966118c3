"""Checks and limits of the texts that every backbone reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# The first characters show what the answer is about, the last ones whether it is complete.
HEAD, TAIL = 12_000, 4_000  # characters that are read of a longer text
SLICE_ROWS, SLICE_CHARACTERS = 512, 1_000_000  # limits of one slice: they bound memory only


class BadRowError(TruewardError):
    """A row that a backbone cannot encode as finite numbers.

    Parameters
    ----------
    row : int
        Number of the row in the block that was encoded, from 0.
    problem : str
        What is wrong with the row and what to do. The message is ``row {row + 1} {problem}``.

    """

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(f"row {row + 1} {problem}")
        self.row, self.problem = row, problem

    def shifted(self, rows: int) -> BadRowError:
        """Return the same error with the row number of the whole table.

        Parameters
        ----------
        rows : int
            Number of rows of the table before the block.

        """
        return BadRowError(self.row + rows, self.problem)


def truncate_middle(text: str) -> str:
    r"""Cut a long text to its first 12,000 and last 4,000 characters; replace lone surrogates.

    Parameters
    ----------
    text : str
        Any Python string.

    Returns
    -------
    str
        A text that every tokenizer accepts.

    Examples
    --------
    >>> truncate_middle("caf\u00e9 \ud800")
    'café ?'

    """
    if len(text) > HEAD + TAIL:
        text = text[:HEAD] + "\n" + text[-TAIL:]
    return replace_surrogates(text)


def replace_surrogates(text: str) -> str:
    """Replace each lone surrogate with ``?``, which every tokenizer accepts."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def row_slices(
    sizes: Sequence[int], max_rows: int = SLICE_ROWS, max_characters: int = SLICE_CHARACTERS
) -> Iterator[slice]:
    """Split the rows of a table into consecutive slices of bounded size.

    Parameters
    ----------
    sizes : sequence of int, length n
        Number of characters of each row.
    max_rows : int, default 512
        Largest number of rows of a slice.
    max_characters : int, default 1,000,000
        Largest number of characters of a slice; a single row may have more.

    Yields
    ------
    slice
        Rows of one slice.

    Examples
    --------
    >>> list(row_slices([3, 3, 9, 1], max_characters=8))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]

    """
    start, total = 0, 0
    for i, size in enumerate(sizes):
        if i > start and (i - start >= max_rows or total + size > max_characters):
            yield slice(start, i)
            start, total = i, 0
        total += size
    if start < len(sizes):
        yield slice(start, len(sizes))


def check_pairs(prompts: Sequence[str], responses: Sequence[str]) -> None:
    """Check that prompts and responses are lists of strings of equal length.

    Raises
    ------
    TruewardError
        For a single string, an entry that is not a string, or different lengths.

    """
    for name, texts in (("prompts", prompts), ("responses", responses)):
        if isinstance(texts, str):
            raise TruewardError(
                f"{name} should be a list of texts, and is one text: write [text] for a single row"
            )
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise TruewardError(
                    f"{name} should be strings, but row {i + 1} is {type(text).__name__}: "
                    "convert or drop that row"
                )
    if len(prompts) != len(responses):
        raise TruewardError(
            f"each response needs its prompt, but there are {len(prompts)} prompts and "
            f"{len(responses)} responses: repeat the prompt for every response"
        )
