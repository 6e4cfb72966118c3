"""What an export starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.model.reward_model import RewardModel


@dataclass(frozen=True, eq=False)
class Order:
    """A model, what reads its text, its features of reference responses, and what was asked for."""

    model: RewardModel
    base: Any  # the backbone
    h: Tensor  # (n, d) float32
    distil: bool
    code: bool  # the folder may bring code of its own
    dtype: str | None

    def only_float32(self) -> None:
        """Refuse another precision where there is one."""
        if self.dtype not in (None, "float32"):
            raise UsageError(
                f"this folder is written in float32, not in {self.dtype}: leave --dtype out"
            )
