"""What a method of another package needs; these names keep their meaning between releases."""

from .core.errors import TruewardError, UsageError
from .core.options import Opt
from .core.random import numpy_stream, torch_stream
from .data.capabilities import LogCapabilities
from .data.feedback import Columns, Feedback, Labelled
from .estimation.losses import (
    bce,
    brier,
    capped_bce,
    entropy,
    log_mixture,
    masked_mean,
    mean_logit,
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
    strata,
)
from .estimation.samplers import by_prompt, every, observed, pairs, population, shuffle

__all__ = [
    "Claims",
    "Columns",
    "Computed",
    "Derived",
    "Estimable",
    "Feedback",
    "Labelled",
    "LogCapabilities",
    "Method",
    "Nuisance",
    "Opt",
    "Parameters",
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
    "nonnegative",
    "numpy_stream",
    "observed",
    "pairs",
    "population",
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
