"""The stable module for authors of methods in other packages.

Its names keep their meaning between releases; all other modules of the library may change. A package offers
a method by an entry point of the group ``trueward.methods`` whose value is the module or the class. See
docs/add_a_method.md.

- Contract: `Method`, `Claims`, `Opt`, `UsageError`, `TruewardError`.
- Data: `Feedback`, `Labelled`, `Columns`, `LogCapabilities`, `Tensor`.
- How the reward follows from the heads: `HeadLogit`, `MeanProbability`, `TargetColumn`, `RewardForm`.
- Losses (pure functions of tensors): `bce`, `brier`, `capped_bce`, `noisy_bce`, `entropy`, `log_mixture`,
  `mean_logit`, `wasserstein`; reductions: `masked_mean`, `weighted_mean`, `nonnegative`, `smallest`.
- Nuisances: `Nuisance`, `Derived`, `Computed`, `Estimable`, `Parameters`, and the shared `propensity`,
  `imputation`, `noisy`, `responds`, `clicked`, `scar`, `activity_rate`, `click_propensity`, `strata`.
- Rows and batches: `every`, `observed`, `population`, `shuffle`, `by_prompt`, `prompt_batches`, `pairs`.
- Random numbers: `numpy_stream`, `torch_stream`.
"""

from torch import Tensor

from .core.errors import TruewardError, UsageError
from .core.options import Opt
from .core.random import numpy_stream, torch_stream
from .data.capabilities import LogCapabilities
from .data.feedback import Columns, Feedback, Labelled
from .estimation.click_strata import strata
from .estimation.losses import (
    bce,
    brier,
    capped_bce,
    entropy,
    log_mixture,
    masked_mean,
    mean_logit,
    noisy_bce,
    nonnegative,
    smallest,
    wasserstein,
    weighted_mean,
)
from .estimation.method import Claims, Method
from .estimation.nuisance_types import Computed, Derived, Estimable, Nuisance, Parameters
from .estimation.nuisances import (
    activity_rate,
    click_propensity,
    clicked,
    imputation,
    noisy,
    propensity,
    responds,
    scar,
)
from .estimation.reward_form import HeadLogit, MeanProbability, RewardForm, TargetColumn
from .estimation.samplers import (
    by_prompt,
    every,
    observed,
    pairs,
    population,
    prompt_batches,
    shuffle,
)

__all__ = [
    "Claims",
    "Columns",
    "Computed",
    "Derived",
    "Estimable",
    "Feedback",
    "HeadLogit",
    "Labelled",
    "LogCapabilities",
    "MeanProbability",
    "Method",
    "Nuisance",
    "Opt",
    "Parameters",
    "RewardForm",
    "TargetColumn",
    "Tensor",
    "TruewardError",
    "UsageError",
    "activity_rate",
    "bce",
    "brier",
    "by_prompt",
    "capped_bce",
    "click_propensity",
    "clicked",
    "entropy",
    "every",
    "imputation",
    "log_mixture",
    "masked_mean",
    "mean_logit",
    "noisy",
    "noisy_bce",
    "nonnegative",
    "numpy_stream",
    "observed",
    "pairs",
    "population",
    "prompt_batches",
    "propensity",
    "responds",
    "scar",
    "shuffle",
    "smallest",
    "strata",
    "torch_stream",
    "wasserstein",
    "weighted_mean",
]
