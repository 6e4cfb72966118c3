"""Surface features of an answer: length, lists, code, case, refusal, overlap, repetition."""

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

#: name -> regular expression that is counted in the response
COUNTED_IN_RESPONSE = {
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
#: name -> regular expression that the response matches (1) or not (0)
FLAGS_OF_RESPONSE = {
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
#: name -> regular expression that is counted in the prompt
COUNTED_IN_PROMPT = {
    "lines": r"\n",
    "questions": r"\?",
    "digits": r"\d",
    "foreign": COUNTED_IN_RESPONSE["foreign"],
    "code": COUNTED_IN_RESPONSE["code"],
}
PER_CHARACTER = ("upper", "digits", "punctuation", "foreign", "code")
PER_WORD = (
    *("commas", "titled", "first_person", "second_person", "negations", "hedges", "cautions"),
    "pointers",
)
SHARE_ONLY = ("upper", "punctuation")  # counts that enter as a share only, not as a logarithm
WAVES = 955  # number of random Fourier features
LENGTH = 20.0  # length scale of their Gaussian kernel, in units of the standardised features
WIDTH = len(SCALES) + WAVES


def surface_features(
    prompts: Sequence[str],
    responses: Sequence[str],
    size: Array,
    prompt_counts: sparse.csr_matrix,
    response_counts: sparse.csr_matrix,
) -> NDArray[np.float64]:
    """Return [u, cos(u w + b)]: standardised features u, random Fourier features with fixed w, b.

    The Fourier features let a linear head fit interactions and curvature of these few columns.
    They also give the block enough columns to keep its weight beside the other blocks.

    Parameters
    ----------
    prompts, responses : sequence of str, length n
        Texts as they are read, after any cut.
    size : ndarray of float64, (n, 2)
        Number of characters of prompt and response before any cut.
    prompt_counts, response_counts : csr_matrix, (n, vocabulary)
        Token counts of prompt and response.

    Returns
    -------
    ndarray of float64, (n, WIDTH)
        The features of a row depend on the texts of that row only.

    References
    ----------
    Rahimi and Recht (2007). Random features for large-scale kernel machines.

    """
    raw = surface_statistics(prompts, responses, size, prompt_counts, response_counts)
    centre, scale = np.array([SCALES[name] for name in raw]).T
    u = ((np.stack(list(raw.values()), axis=1) - centre) / scale).clip(-8, 8)
    w, b = _fourier_weights()
    # A sparse product sums row by row, so that a row does not depend on the other rows of the batch.
    waves = np.cos(np.asarray(sparse.csr_matrix(u.clip(-5, 5)) @ w) + b)
    return np.concatenate([u, waves], axis=1)


def surface_statistics(
    prompts: Sequence[str],
    responses: Sequence[str],
    size: Array,
    prompt_counts: sparse.csr_matrix,
    response_counts: sparse.csr_matrix,
) -> dict[str, Array]:
    """Return the surface features by name before standardisation, each (n,).

    The parameters are those of `surface_features`.
    """
    c = _pattern_counts(prompts, responses)
    p_size, r_size = size[:, 0], size[:, 1]
    characters = np.maximum(c["characters"], 1)  # after any cut, like the counts
    words = np.maximum(c["words"], 1)
    out = {
        f"log_{name}": np.log1p(c[name]) for name in COUNTED_IN_RESPONSE if name not in SHARE_ONLY
    }
    out |= {f"share_{name}": np.sqrt(c[name] / characters) for name in PER_CHARACTER}
    out |= {f"share_{name}": np.sqrt(c[name] / words) for name in PER_WORD}
    out |= {name: c[name] for name in FLAGS_OF_RESPONSE}
    out |= {f"prompt_{name}": np.log1p(c[f"prompt_{name}"]) for name in COUNTED_IN_PROMPT}
    out["log_characters"] = np.log1p(r_size)
    out["prompt_characters"] = np.log1p(p_size)
    out["log_ratio"] = np.log1p(r_size) - np.log1p(p_size)
    out["word_length"] = np.log1p(characters / words)
    out["sentence_length"] = np.log1p(words / np.maximum(c["sentences"], 1))
    out["line_length"] = np.log1p(characters / (c["lines"] + 1))
    prompt_foreign = np.sqrt(c["prompt_foreign"] / np.maximum(c["prompt_characters"], 1))
    out["foreign_shift"] = out["share_foreign"] - prompt_foreign
    return out | _token_statistics(characters, prompt_counts, response_counts)


def _pattern_counts(prompts: Sequence[str], responses: Sequence[str]) -> dict[str, Array]:
    frame = pl.DataFrame(
        {"p": prompts, "r": responses}, schema={"p": pl.String, "r": pl.String}, strict=True
    )
    p, r = pl.col("p"), pl.col("r")
    columns = [r.str.count_matches(regex).alias(k) for k, regex in COUNTED_IN_RESPONSE.items()]
    columns += [r.str.contains(regex).alias(k) for k, regex in FLAGS_OF_RESPONSE.items()]
    columns += [
        p.str.count_matches(regex).alias(f"prompt_{k}") for k, regex in COUNTED_IN_PROMPT.items()
    ]
    columns += [r.str.len_chars().alias("characters"), p.str.len_chars().alias("prompt_characters")]
    table = frame.select(columns).with_columns(pl.all().cast(pl.Float64))
    return {column.name: column.to_numpy() for column in table}


def _token_statistics(
    characters: Array, prompt_counts: sparse.csr_matrix, response_counts: sparse.csr_matrix
) -> dict[str, Array]:
    """Return repetition within the response and overlap with the prompt."""
    total = np.maximum(np.asarray(response_counts.sum(axis=1), np.float64).ravel(), 1)
    distinct = np.maximum(response_counts.getnnz(axis=1), 1)
    shared = prompt_counts.sign().multiply(response_counts.sign()).sum(axis=1)
    overlap = np.asarray(shared, np.float64).ravel()
    most = np.asarray(response_counts.max(axis=1).todense(), np.float64).ravel()
    return {
        "token_length": characters / total / 5,
        "distinct": distinct / total,
        "distinct_log": np.log(distinct) / np.log(total + 1),
        "most_common": np.sqrt(most / total),
        "overlap_response": overlap / distinct,
        "overlap_prompt": overlap / np.maximum(prompt_counts.getnnz(axis=1), 1),
    }


@cache
def _fourier_weights() -> tuple[Array, Array]:
    """Return the (features, waves) frequencies and the (waves,) phases."""
    w = normal(1, len(SCALES), WAVES) / LENGTH
    return w, 2 * np.pi * uniform(3, WAVES)
