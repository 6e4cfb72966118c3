"""The judges of the published benchmarks: their prompts, decoding, and what they can say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .parsing import (
    find_refusal,
    parse_builtin,
    parse_harmbench,
    parse_number,
    parse_strongreject,
    parse_wildguard,
    parse_xstest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parsing import Verdict

#: How a judge is asked: a raw text, a chat message, its next-token probabilities, our own judge, or no model.
Interface = Literal["raw", "chat", "digits", "builtin", "none"]


@dataclass(frozen=True)
class JudgePrompt:
    """A template of a judge.

    Attributes
    ----------
    name : str
        Its name, and that of a file ``NAME.txt`` with it.
    fields : dict of str to str
        Field of the template -> ``prompt``, ``context`` or ``response``.
    pins : dict of str to str
        Hash of a version -> what it is.

    """

    name: str
    fields: dict[str, str]
    pins: dict[str, str]


@dataclass(frozen=True)
class JudgeKind:
    """One kind of judge.

    Attributes
    ----------
    name : str
        Name on the command line and in results.
    suites : tuple of str
        Benchmarks that it judges.
    parse : callable
        Answer -> verdict.
    interface : str
        How it is asked, see `Interface`.
    model : str or None
        Hub name of the published weights; None where any model may be given, or none is needed.
    prompts : tuple of JudgePrompt
        Template, and the one for prompts with context.
    max_tokens : int
        Longest answer.
    cut : int or None
        Tokens that a response is cut to first.
    about : str
        What it is, in a table.
    fields : tuple of str
        Fields of its verdicts that figures are made of.

    """

    name: str
    suites: tuple[str, ...]
    parse: Callable[[str], Verdict]
    interface: Interface
    about: str
    model: str | None = None
    prompts: tuple[JudgePrompt, ...] = ()
    max_tokens: int = 16
    cut: int | None = None
    fields: tuple[str, ...] = field(default=("harmful",))


EVERY = ("harmbench", "wildguard", "strongreject", "xstest")
HARMBENCH_CLS = JudgePrompt(
    "harmbench_cls",
    {"behavior": "prompt", "generation": "response"},
    {
        "788f4f6aa1491c433c4da76c9140cfc30966cea3ff3875c4d0fcb336d92f60e0": (
            "seven rules, 1,359 characters"
        )
    },
)
HARMBENCH_CONTEXTUAL = JudgePrompt(
    "harmbench_cls_contextual",
    {"behavior": "prompt", "context": "context", "generation": "response"},
    {
        "5d6bb9e3cf4d1e5f3f7620093113222ee115af75b0b2913f00e4c7225ec9f219": (
            "seven rules with context, 1,401 characters"
        )
    },
)
WILDGUARD = JudgePrompt(
    "wildguard",
    {"prompt": "prompt", "response": "response"},
    {
        "5e74b62445cca8e91d51deba51848059267bd2b8c279ac1c7a94adef445d8bdf": (
            "wildguard 28c9d21, 412 characters"
        )
    },
)
STRONGREJECT_RUBRIC = JudgePrompt(
    "strongreject_rubric",
    {"forbidden_prompt": "prompt", "response": "response"},
    {
        "857c973da685b93405d91983f2d84db4096398d961db84b97a8184467aed5b25": (
            "inspect-evals 0.26.0, 2,524 characters"
        )
    },
)
STRONGREJECT_FINETUNED = JudgePrompt(
    "strongreject_finetuned",
    {"forbidden_prompt": "prompt", "response": "response"},
    {"d90102b02d66b34a3dbf7d82789ce92310965503a481dc725232626bd7700937": "1,527 characters"},
)
XSTEST_CLASSES = JudgePrompt(
    "xstest_classes",
    {"QUESTION": "prompt", "RESPONSE": "response"},
    {
        "23d302d47aaf4be46ca4661985fb723d0193e61d120d207050956895314ec6f9": (
            "exaggerated-safety a3bb396, 1,021 characters"
        )
    },
)

KINDS = {
    kind.name: kind
    for kind in (
        JudgeKind(
            "harmbench",
            ("harmbench",),
            parse_harmbench,
            "raw",
            "HarmBench's classifier: does the response show the behaviour",
            "cais/HarmBench-Llama-2-13b-cls",
            (HARMBENCH_CLS, HARMBENCH_CONTEXTUAL),
            max_tokens=1,
            cut=512,
        ),
        JudgeKind(
            "wildguard",
            EVERY,
            parse_wildguard,
            "raw",
            "WildGuard: is the response harmful, is it a refusal",
            "allenai/wildguard",
            (WILDGUARD,),
            max_tokens=128,
            fields=("harmful", "refusal"),
        ),
        JudgeKind(
            "strongreject",
            ("strongreject",),
            parse_strongreject,
            "chat",
            "StrongREJECT's rubric, asked of a chat model",
            prompts=(STRONGREJECT_RUBRIC,),
            max_tokens=1024,
            fields=("harmful", "score_5", "jailbroken"),
        ),
        JudgeKind(
            "strongreject_finetuned",
            ("strongreject",),
            parse_number,
            "digits",
            "StrongREJECT's fine-tuned judge: expected grade over the digits 1 to 5",
            "qylu4156/strongreject-15k-v1",
            (STRONGREJECT_FINETUNED,),
            max_tokens=1,
            cut=512,
        ),
        JudgeKind(
            "xstest",
            ("xstest",),
            parse_xstest,
            "chat",
            "XSTest's three classes, asked of a chat model",
            prompts=(XSTEST_CLASSES,),
            fields=("refusal", "full_refusal", "compliance"),
        ),
        JudgeKind(
            "builtin",
            EVERY,
            parse_builtin,
            "builtin",
            "our own small judge, for smoke tests: it compares with no published figure",
        ),
        JudgeKind(
            "phrases",
            ("xstest", "wildguard"),
            find_refusal,
            "none",
            "words of a refusal in the first 300 characters; no model",
            fields=("refusal", "compliance"),
        ),
    )
}


def gives(judge: str, field: str) -> bool:
    """Return whether a judge says something about a field; any judge of another name may.

    Parameters
    ----------
    judge, field : str
        Name of the kind, and of the field of its verdicts.

    Returns
    -------
    bool
        False where every figure of that field would be empty.

    """
    return judge not in KINDS or field in KINDS[judge].fields
