"""What an export starts from: the model, its backbone, and reference responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError
from trueward.data.log import Log
from trueward.data.pairs import pairs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from trueward.model.reward_model import RewardModel

DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, eq=False)
class ExportRequest:
    """A model, its features of reference responses, and the options of the user.

    Attributes
    ----------
    model : RewardModel
        The model to export.
    backbone : backbone of `trueward.features`
        Makes features from text.
    features : Tensor of shape (n, d), float32
        Features of the reference responses.
    group : Tensor of shape (n,)
        Number of each reference response's prompt.
    distil : bool
        Fit a linear head to a reward that is not linear.
    allow_code : bool
        The folder may carry code.
    dtype : {"float32", "bfloat16"} or None
        Precision of the weights; None takes that of the features.
    normalize : bool
        Export (reward - mean) / sd of the reference responses.

    """

    model: RewardModel
    backbone: Any
    features: Tensor
    group: Tensor
    distil: bool
    allow_code: bool
    dtype: str | None
    normalize: bool = False

    def require_float32(self) -> None:
        """Raise UsageError if another precision than float32 was requested."""
        if self.dtype not in (None, "float32"):
            raise UsageError(
                f"this folder is written in float32 only, and --dtype is {self.dtype}: leave --dtype out"
            )

    def refuse_normalize(self) -> None:
        """Raise UsageError if normalised rewards were requested of a folder that has none."""
        if self.normalize:
            raise UsageError(
                "--normalize is of stock classifiers with a linear head, and this folder gives the reward of "
                "the model: leave it out"
            )

    def weights_dtype(self) -> str:
        """Return the requested precision, or that of the features; UsageError for an unknown one."""
        dtype = self.dtype or self.backbone.reading.dtype
        if dtype not in DTYPES:
            raise UsageError(f"--dtype: expected {' or '.join(DTYPES)}, found {dtype!r}")
        return str(dtype)


def reference_texts(
    prompts: Log | Sequence[str] | None, responses: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return prompts and responses as two lists of equal length.

    Parameters
    ----------
    prompts : Log, table, sequence of str or None
        Prompts, or a log or a table, which has both; None gives no texts.
    responses : sequence of str or None
        One response for each prompt; None with a log.

    Returns
    -------
    tuple of two lists of str
        Prompts and responses.

    Raises
    ------
    UsageError
        If a log comes with responses, or the numbers of prompts and responses differ.

    """
    if isinstance(prompts, Log):
        if responses is not None:
            raise UsageError("a log has its own responses: give a log, or prompts and responses")
        return prompts.frame["prompt"].to_list(), prompts.frame["response"].to_list()
    if prompts is None:
        if responses is not None:
            raise UsageError("expected a prompt for each response, found none: give prompts, too")
        return [], []
    return pairs_of(prompts, responses)
