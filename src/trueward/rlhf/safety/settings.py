"""What a safety evaluation asks and how."""

from __future__ import annotations

from dataclasses import dataclass

from trueward.core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class SafetySettings:
    """What a safety evaluation asks and how.

    Attributes
    ----------
    limit : int or None
        Most harmful and most benign prompts of each benchmark; by default all.
    samples : int
        Answers for each prompt; more than one needs a temperature.
    max_tokens : int
        Longest answer.
    temperature : float
        0 takes the likeliest token.
    seed : int
        Seed of the draws and of the folds of corrected figures.
    accept : tuple of str
        Hashes of other versions of prompts and templates that may be used.
    device : str or None
        ``cpu``, ``cuda:0`` ...; by default the GPU, if there is one.

    """

    limit: int | None = None
    samples: int = 1
    max_tokens: int = 512
    temperature: float = 0.0
    seed: int = 0
    accept: tuple[str, ...] = ()
    device: str | None = None

    def __post_init__(self) -> None:
        """Refuse several equal answers."""
        if self.samples > 1 and self.temperature == 0:
            raise UsageError(
                f"{self.samples} samples of one prompt are equal at temperature 0: add --temperature 0.7, or "
                "take --samples 1"
            )
