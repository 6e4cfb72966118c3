"""What shows on the surface of an answer: length, lists, code, case, refusal, overlap, repetition."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy import sparse

from .hashing import normal, uniform
from .scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

COUNTED = {  # what is counted in the response
    "words": r"\w+",
    "sentences": r"[.!?。！？]+(?:\s|$)",
    "lines": r"\n",
    "paragraphs": r"\n\s*\n",
    "items": r"(?m)^\s*(?:[-*•+]|\d+[.)])\s",
    "numbered": r"(?m)^\s*\d+[.)]\s",
    "headings": r"(?m)^#{1,6}\s",
    "fences": r"```",
    "code": r"`[^`\n]+`|[{}\[\]=<>_;]",
    "bold": r"\*\*",
    "digits": r"\d",
    "upper": r"\p{Lu}",
    "caps": r"\b\p{Lu}{2,}\b",
    "foreign": r"[^\x00-\x7F]",
    "punctuation": r"[.,;:!?\-()'\"]",
    "commas": r",",
    "colons": r":",
    "questions": r"\?",
    "exclamations": r"!",
    "quotes": r"[\"“”«»]",
    "parentheses": r"\(",
    "maths": r"[=+*/^\\]|\$",
    "links": r"https?://|www\.",
    "titled": r"\b\p{Lu}\p{Ll}+",
    "first_person": r"(?i)\b(?:i|i'm|i've|i'd|me|my|mine|myself|we|our|us)\b",
    "second_person": r"(?i)\b(?:you|your|yours|yourself|you're)\b",
    "refusals": (
        r"(?i)\b(?:i(?:'m| am) (?:not able|unable)|i (?:can(?:no|')t|can’t|won't|will not|must "
        r"decline|do not feel|don't feel)|can(?:no|')t (?:assist|help|provide|fulfil|support|"
        r"comply)|not (?:appropriate|ethical|acceptable|able to)|against (?:my|the) |decline|"
        r"refuse|inappropriate|unethical)"
    ),
    "apologies": r"(?i)\b(?:sorry|apologi[sz]e|apologies|unfortunately|regret)\b",
    "assistant": (
        r"(?i)\b(?:as an? (?:\w+ )?(?:ai|assistant|language model)|language model|"
        r"my (?:programming|guidelines|purpose))\b"
    ),
    "cautions": (
        r"(?i)\b(?:illegal|unlawful|harm\w*|danger\w*|unsafe|consequences|important to|"
        r"should (?:not|never|always)|not recommended|advis\w+|responsib\w+|legal|law|"
        r"authorities|professional|consent|respect\w*)\b"
    ),
    "hedges": (
        r"(?i)\b(?:may|might|maybe|perhaps|possibly|could|likely|seems?|depends?|generally|"
        r"usually)\b"
    ),
    "negations": r"(?i)\b(?:no|not|never|none|nothing|without|cannot)\b|n['’]t\b",
    "steps": (
        r"(?i)\b(?:first|second|third|next|then|finally|step|here (?:are|is)|for example|"
        r"such as)\b"
    ),
    "reasons": r"(?i)\b(?:because|therefore|thus|hence|since|however|although|so that|as a result)\b",
    "pointers": r"(?i)\b(?:this|these|here's|why|what|how|who|when|watch|see|look)\b",
}
FOUND = {  # yes or no, in the response
    "ended": r"[.!?。！？:)\"'`”*}\]]\s*$",
    "asks": r"\?\s*$",
    "opens_refusing": (
        r"(?i)^\W*(?:i(?:'m| am)? (?:sorry|can|apolog|do not|cannot|understand)|sorry|as an|"
        r"unfortunately|no\b|it is (?:not|illegal)|i )"
    ),
    "opens_complying": (
        r"(?i)^\W*(?:sure|yes|of course|certainly|absolutely|here|step|1[.)]|great|title)"
    ),
    "opens_lower": r"^\p{Ll}",
}
ASKED = {  # what is counted in the prompt
    "lines": r"\n",
    "questions": r"\?",
    "digits": r"\d",
    "foreign": COUNTED["foreign"],
    "code": COUNTED["code"],
}
PER_CHARACTER = ("upper", "digits", "punctuation", "foreign", "code")
PER_WORD = (
    *("commas", "titled", "first_person", "second_person", "negations", "hedges", "cautions"),
    "pointers",
)
WAVES = 955  # random Fourier features
LENGTH = 20.0  # length scale of their Gaussian kernel, in units of the scaled features
WIDTH = len(SCALES) + WAVES


def surface(
    prompts: Sequence[str],
    responses: Sequence[str],
    size: Array,
    asked: sparse.csr_matrix,
    answered: sparse.csr_matrix,
) -> NDArray[np.float64]:
    """Give (n, WIDTH): u = the features in fixed units, and cos(w u + b) with fixed random w, b.

    The waves let a linear head bend and combine what is few columns, and keep these columns from
    being outvoted by the many of the other blocks. size: (n, 2) characters of prompt and response
    before any cut; asked, answered: (n, vocabulary) token counts. Reference: Rahimi and Recht
    (2007).
    """
    raw = measured(prompts, responses, size, asked, answered)
    centre, scale = np.array([SCALES[name] for name in raw]).T
    u = ((np.stack(list(raw.values()), axis=1) - centre) / scale).clip(-8, 8)
    w, b = _waves()
    # A sparse product adds row by row, so that a row does not depend on its neighbours.
    waves = np.cos(np.asarray(sparse.csr_matrix(u.clip(-5, 5)) @ w) + b)
    return np.concatenate([u, waves], axis=1)


def measured(
    prompts: Sequence[str],
    responses: Sequence[str],
    size: Array,
    asked: sparse.csr_matrix,
    answered: sparse.csr_matrix,
) -> dict[str, Array]:
    """Give the surface features of each row by name, before they are put into fixed units."""
    c = _counts(prompts, responses)
    p_size, r_size = size[:, 0], size[:, 1]
    characters = np.maximum(c["characters"], 1)  # as read, like the counts
    words = np.maximum(c["words"], 1)
    out = {f"log_{name}": np.log1p(c[name]) for name in COUNTED if name not in _SHARED_ONLY}
    out |= {f"share_{name}": np.sqrt(c[name] / characters) for name in PER_CHARACTER}
    out |= {f"share_{name}": np.sqrt(c[name] / words) for name in PER_WORD}
    out |= {name: c[name] for name in FOUND}
    out |= {f"prompt_{name}": np.log1p(c[f"prompt_{name}"]) for name in ASKED}
    out["log_characters"] = np.log1p(r_size)
    out["prompt_characters"] = np.log1p(p_size)
    out["log_ratio"] = np.log1p(r_size) - np.log1p(p_size)
    out["word_length"] = np.log1p(characters / words)
    out["sentence_length"] = np.log1p(words / np.maximum(c["sentences"], 1))
    out["line_length"] = np.log1p(characters / (c["lines"] + 1))
    asked_foreign = np.sqrt(c["prompt_foreign"] / np.maximum(c["prompt_characters"], 1))
    out["foreign_shift"] = out["share_foreign"] - asked_foreign
    return out | _tokens(characters, asked, answered)


_SHARED_ONLY = ("upper", "punctuation")


def _counts(prompts: Sequence[str], responses: Sequence[str]) -> dict[str, Array]:
    frame = pl.DataFrame(
        {"p": prompts, "r": responses}, schema={"p": pl.String, "r": pl.String}, strict=True
    )
    p, r = pl.col("p"), pl.col("r")
    wanted = [r.str.count_matches(pattern).alias(name) for name, pattern in COUNTED.items()]
    wanted += [r.str.contains(pattern).alias(name) for name, pattern in FOUND.items()]
    wanted += [p.str.count_matches(what).alias(f"prompt_{name}") for name, what in ASKED.items()]
    wanted += [r.str.len_chars().alias("characters"), p.str.len_chars().alias("prompt_characters")]
    table = frame.select(wanted).with_columns(pl.all().cast(pl.Float64))
    return {column.name: column.to_numpy() for column in table}


def _tokens(
    characters: Array, asked: sparse.csr_matrix, answered: sparse.csr_matrix
) -> dict[str, Array]:
    """Measure repetition within the response and overlap with the prompt."""
    total = np.maximum(np.asarray(answered.sum(axis=1), np.float64).ravel(), 1)
    distinct = np.maximum(answered.getnnz(axis=1), 1)
    both = np.asarray(asked.sign().multiply(answered.sign()).sum(axis=1), np.float64).ravel()
    most = np.asarray(answered.max(axis=1).todense(), np.float64).ravel()
    return {
        "token_length": characters / total / 5,
        "distinct": distinct / total,
        "distinct_log": np.log(distinct) / np.log(total + 1),
        "most_common": np.sqrt(most / total),
        "overlap_response": both / distinct,
        "overlap_prompt": both / np.maximum(asked.getnnz(axis=1), 1),
    }


@cache
def _waves() -> tuple[Array, Array]:
    """Give the (features, waves) frequencies and the (waves,) phases."""
    w = normal(1, len(SCALES), WAVES) / LENGTH
    return w, 2 * np.pi * uniform(3, WAVES)
