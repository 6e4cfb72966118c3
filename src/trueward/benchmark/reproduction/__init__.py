"""The experiments of the two papers on their data: published figures beside ours, in two protocols."""

from .checks import check, require, sets_of
from .data_sources import PAPER_BACKBONE, Found
from .experiments import Settings
from .methods import PAPERS
from .run import Reproduced, reproduce

__all__ = [
    "PAPERS",
    "PAPER_BACKBONE",
    "Found",
    "Reproduced",
    "Settings",
    "check",
    "reproduce",
    "require",
    "sets_of",
]
