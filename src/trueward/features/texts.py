"""Any Python string becomes a text that every tokenizer takes; long ones keep head and tail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# The opening says what an answer is, the ending whether it was finished.
HEAD, TAIL = 12_000, 4_000  # characters that are read of a longer text
SLICE_ROWS, SLICE_CHARACTERS = 512, 1_000_000  # bound the memory of one step, not the result


class BadRowError(TruewardError):
    """A row of a block that a backbone cannot turn into finite numbers; who knows the block shifts it."""

    def __init__(self, row: int, said: str) -> None:
        super().__init__(f"row {row + 1} {said}")
        self.row, self.said = row, said

    def after(self, rows: int) -> BadRowError:
        """Give the same of a table in which ``rows`` others stand before."""
        return BadRowError(self.row + rows, self.said)


def readable(text: str) -> str:
    r"""Give ``text`` with its middle left out if it is long and lone surrogates as ``?``.

    >>> readable("caf\u00e9 \ud800")
    'café ?'
    """
    if len(text) > HEAD + TAIL:
        text = text[:HEAD] + "\n" + text[-TAIL:]
    return sound(text)


def sound(text: str) -> str:
    """Give text that every tokenizer takes: lone surrogates as ``?``."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def slices(prompts: Sequence[str], responses: Sequence[str]) -> Iterator[slice]:
    """Cut the rows into runs of bounded size; a single row is never larger than one run."""
    start, size = 0, 0
    for i in range(len(prompts)):
        row = len(prompts[i]) + len(responses[i])
        if i > start and (i - start >= SLICE_ROWS or size + row > SLICE_CHARACTERS):
            yield slice(start, i)
            start, size = i, 0
        size += row
    if start < len(prompts):
        yield slice(start, len(prompts))


def check_pairs(prompts: Sequence[str], responses: Sequence[str]) -> None:
    """Refuse texts that are not pairs of strings."""
    for name, texts in (("prompts", prompts), ("responses", responses)):
        if isinstance(texts, str):
            raise TruewardError(
                f"{name} should be a list of texts, and is one text: write [text] for a single row"
            )
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise TruewardError(
                    f"{name} should be texts, but row {i + 1} is {type(text).__name__}: "
                    "flatten or drop that row"
                )
    if len(prompts) != len(responses):
        raise TruewardError(
            f"each response needs its prompt, but there are {len(prompts)} prompts and "
            f"{len(responses)} responses: repeat the prompt for every response"
        )
