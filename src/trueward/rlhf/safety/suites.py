"""Benchmarks: their files, columns and known versions, and the suites that run them."""

from __future__ import annotations

from dataclasses import dataclass, field

PAGE = "docs/safety.md"
FORMATS = (".csv", ".parquet", ".jsonl", ".json")
HARMFUL = {"harmful": True, "unsafe": True, "unharmful": False, "safe": False}
SHOWN = 12  # digits of a hash in a message


@dataclass(frozen=True)
class PromptFile:
    """Where the prompts of a suite are in a file, and the versions that are known.

    Attributes
    ----------
    names : tuple of str
        File names without their ending, the first one that exists is read.
    prompt, harmful, category, id, context : tuple of str
        Columns that may hold it, in order.
    pins : dict of str to str
        Hash of a version -> what it is.
    all_harmful : bool
        Whether every row is harmful.
    rows : tuple of int
        Harmful and benign rows, for a version whose hash is not known.

    """

    names: tuple[str, ...]
    prompt: tuple[str, ...]
    category: tuple[str, ...]
    harmful: tuple[str, ...] = ()
    id: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    pins: dict[str, str] = field(default_factory=dict)
    all_harmful: bool = False
    rows: tuple[int, int] | None = None


SUITE_FILES = {
    "harmbench": PromptFile(
        ("harmbench_behaviors_text_all", "harmbench_behaviors_text_test", "harmbench"),
        ("Behavior", "prompt"),
        ("FunctionalCategory", "subset", "category"),
        id=("BehaviorID",),
        context=("ContextString", "context"),
        pins={
            "f6900b733a12046bf6c228a629ee4b30a13e54efa350860a0d3e83225473b3c3": "all, 400 rows",
            "890309e7e61737de4feaf3302d42ac6596e0f9b1bae6eef46bd39626abc994f2": "test, 320 rows",
            "495f0fee3003ffe730aa40d94a45f14c6b06a945505c526ec2f4985e55f750ed": "val, 80 rows",
        },
        all_harmful=True,
    ),
    "strongreject": PromptFile(
        ("strongreject_dataset", "strongreject"),
        ("forbidden_prompt", "prompt"),
        ("category",),
        pins={"b7af7b16657a09897de51f10465fd3df9752e93b37181fd262838035ecc17db4": "313 rows"},
        all_harmful=True,
    ),
    "wildguard": PromptFile(
        ("wildguard_test", "wildguardmix_test", "wildguardtest", "wildguard"),
        ("prompt",),
        ("subcategory", "category"),
        harmful=("prompt_harm_label", "harmful"),
        rows=(754, 945),
    ),
    "xstest": PromptFile(
        ("xstest_prompts", "xstest_v2_prompts", "xstest"),
        ("prompt",),
        ("type", "category"),
        harmful=("label", "unsafe_prompt", "harmful"),
        id=("id",),
        pins={
            "22030ddd96ca27424066d8f3cbcdf63a9132455cb3539d9b99971c182dc38c9d": "450 rows",
            "021c55a01e989273999f103ad4df12104d872661748c8a1b6455daf47f727df1": (
                "450 rows of the published completions of version 2"
            ),
        },
    ),
}
#: What --suite takes -> benchmarks that run. Over-refusal on XSTest is beside every one of them.
SUITES = {
    "paper": ("harmbench", "wildguard", "strongreject", "xstest"),
    "harmbench": ("harmbench", "xstest"),
    "strongreject": ("strongreject", "xstest"),
    "wildguard": ("wildguard", "xstest"),
    "xstest": ("xstest",),
}
