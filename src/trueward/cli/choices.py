"""Names that help texts list, written out so that no command imports what it does not run.

A test compares each with the part of the library that it names.
"""

from __future__ import annotations

from pathlib import Path

MECHANISMS = (
    *(
        "mcar",
        "rating",
        "annoyed",
        "u-shaped",
        "label",
        "mar",
        "context",
        "mar-z-confounded",
        "users",
    ),
    *("idn", "label-and-looks", "looks-like-quality"),
    *("lenient", "lenient-topics", "busy", "bots", "asked"),
    *("battles", "regenerations"),
    *("implicit", "misclick", "scar", "mu-z", "mu-x", "two-channel", "channels"),
    "channels-users",
)
CHECKS = (
    *("permuted_feedback", "placebo_feedback", "random_common_cause", "subset_stability"),
    *("duplicate_prompts", "leaked_label", "null_channel", "asked_arms"),
)
TRAINING_DATA = ("trl-pairs", "trl-kto", "nemo", "verl")
REPORT_ROWS = 20_000  # rows of a log or test that a report reads at most
LORA_RANK = 16


def products() -> list[str]:
    """Names of the products whose exports can be imported: one file each."""
    folder = Path(__file__).parents[1] / "importers" / "products"
    return sorted(p.stem for p in folder.glob("[!_]*.py"))
