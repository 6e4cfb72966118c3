"""Answers of a judge on the disk, one a line, so that a run that was stopped pays for no answer twice."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueward.core.errors import NotWrittenError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """What a model wrote about one response.

    Attributes
    ----------
    text : str
        The whole answer.
    sent, received : int
        Tokens, as the server counted them; 0 if it did not.

    """

    text: str
    sent: int
    received: int


class Journal:
    """Answers by the id of their request; new ones are appended to a file.

    Parameters
    ----------
    file : Path, optional
        Where they are stored; without it they are in memory only. A last line that was cut is dropped.

    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.answers: dict[str, Answer] = {}
        if file is not None and file.exists():
            for line in file.read_bytes().split(b"\n"):
                try:
                    key, text, sent, received = json.loads(line)
                    self.answers[str(key)] = Answer(str(text), int(sent), int(received))
                except (ValueError, TypeError):
                    continue

    def add(self, key: str, answer: Answer) -> None:
        """Store one answer.

        Parameters
        ----------
        key : str
            Id of the request.
        answer : Answer
            The answer.

        Raises
        ------
        NotWrittenError
            If the disk refuses; the answers before are stored.

        """
        self.answers[key] = answer
        if self.file is None:
            return
        line = json.dumps([key, answer.text, answer.sent, answer.received])
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")  # apart from a line that was cut
        except OSError as e:
            raise NotWrittenError(
                f"{self.file} could not be written ({e.strerror}); the answers before it are stored: "
                "free some disk space, and run the same command again"
            ) from e

    def remove(self) -> None:
        """Remove the file, once all answers are in the output."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)
