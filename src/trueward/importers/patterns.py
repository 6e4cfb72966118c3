"""What e-mail addresses, phone numbers and secrets look like in text.

A secret is known by its shape (a head that its issuer chose, and a body) or by the words before it. The
heads alone, in a syntax that Rust also reads, find the texts that must be read in full. Repetitions that
could start anywhere are bounded, so that time is linear in the length of a text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trueward.core.errors import UsageError, missing_extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EMAIL_HEAD = r"\w(?:@|%40)\w"
EMAIL = re.compile(
    r"(?<![\w.+-])(?!git@)\w[\w.+'-]{0,63}(?:@|%40)(?:\w[\w-]{0,62}\.){1,8}[^\W\d_]{2,24}(?!\w)"
)

PEM = r" [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
KEY_LINES = r"(?:(?:\\[nr]|\s){0,4}[A-Za-z0-9+/=]{20,})*"  # of a private key whose end is cut off
# (head, body) as the issuers document them
SHAPES = (
    (rf"-----BEGIN{PEM}", rf"(?:(?:(?!-----)[\s\S])*-----END{PEM}|{KEY_LINES})"),
    (r"\beyJ[A-Za-z0-9_-]{10,999}\.eyJ", r"[\w-]{4,}\.?[\w-]*"),  # a JSON web token
    (r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12}", r"[A-Z0-9]{4}\b"),
    (r"\bgh[pousr]_", r"[A-Za-z0-9]{30,}"),
    (r"\bgithub_pat_", r"\w{22,}"),
    (r"\bgl[a-z]{1,6}-", r"(?=[\w-]{0,99}\d)[\w-]{20,}"),
    (
        r"\bsk-",
        r"(?=[\w-]{0,99}\d)(?=[\w-]{0,99}[A-Z])[\w-]{20,}",
    ),  # OpenAI, Anthropic and many others
    (r"\b[srp]k_(?:live|test)_", r"[A-Za-z0-9]{16,}"),
    (r"\bwhsec_", r"[A-Za-z0-9+/=]{20,}"),
    (r"\bx(?:ox[a-z]|app)-", r"[\w-]{10,}"),
    (r"\bAIza", r"[\w-]{35}"),
    (r"\bya29\.", r"[\w-]{20,}"),
    (r"\bGOCSPX-", r"[\w-]{20,}"),
    (r"\bhf_", r"[A-Za-z0-9]{30,}"),
    (r"\bnpm_", r"[A-Za-z0-9]{36}"),
    (r"\bpypi-AgEI", r"[\w-]{50,}"),
    (r"\bSG\.[\w-]{16,}\.", r"[\w-]{16,}"),
    (r"\bdo[opr]_v1_", r"[a-f0-9]{64}"),
    (r"\bshp(?:at|ca|pa|ss)_", r"[a-fA-F0-9]{32}"),
    (r"\bglsa_", r"\w{30,}"),
    (r"\bAGE-SECRET-KEY-1", r"[A-Z0-9]{50,}"),
    (r"\b\d{8,10}:AA", r"[\w-]{33}\b"),  # Telegram
    (r"\b[A-Za-z0-9+/]{86}==", r""),  # Azure: 64 bytes
)

NAMES = (  # words that name the secret after them
    r"pass(?:word|wd|phrase|code)|pwd|secret(?:[_ -]?key)?|token|credential|(?:api|access|account|private"
    r"|auth|signing|encryption|master|subscription)[_ -]?key"
)
CHAR = r"[^\s\"'`<>(){}\[\],;]"
# (head, text after it that stays, secret); a secret has a letter and a digit, so that prose is left alone
NAMED_SHAPES = (
    (
        rf"(?i:{NAMES})[\"'`\]]{{0,2}}\s{{0,3}}(?::=|=>|[:=]|\bis\b)",
        r":?\s{0,3}[\"'`]?",
        rf"(?={CHAR}{{0,99}}[A-Za-z])(?={CHAR}{{0,99}}\d){CHAR}{{6,}}",
    ),
    (r"(?i:\bbearer\s)", r"\s{0,3}", r"(?=[\w.~+/=-]{0,99}\d)[\w.~+/=-]{16,}"),
    (
        r"(?i:authorization[\"'`]?\s{0,3}[:=]\s{0,3}[\"'`]?basic)",
        r"\s{1,3}",
        r"[A-Za-z0-9+/]{8,}={0,2}",
    ),
    (r"://[^/\s:@]{0,64}:", r"", r"(?!<)[^/\s@]{1,256}(?=@)"),
    (r"hooks\.slack\.com/services/", r"", r"[\w/]{20,}"),
    (r"discord(?:app)?\.com/api/webhooks/", r"", r"\d+/[\w-]{30,}"),
    (r"(?i:[?&](?:key|sig|signature|x-amz-signature))=", r"", r"[\w%+/=-]{16,}"),
)

SHAPE_HEAD, NAMED_HEAD = (
    "|".join(head for head, *_ in shapes) for shapes in (SHAPES, NAMED_SHAPES)
)
FAST = (r"\b", r"(?-u:\b)")  # word boundary -> ASCII word boundary, which Rust finds faster
SHAPE = re.compile("|".join(f"{head}{body}" for head, body in SHAPES))
NAMED = re.compile("|".join(f"(?P<k{i}>{h}{b}){v}" for i, (h, b, v) in enumerate(NAMED_SHAPES)))
# parts of a value in a message that shows its first characters only
CUT_EMAIL = re.compile(r"(?<!\S)\S*\w(?:@|%40)\S*")
CUT_SECRET = re.compile(rf"(?:{SHAPE_HEAD})\S*")
CUT = re.compile(r"(?<![^'\"])[^'\"]+\.\.\.")

BETWEEN = r"[\s()（）\[\].\-/~‐-―]{0,4}"  # digits of a phone number
PHONE_HEAD = rf"\d(?:{BETWEEN}\d){{6}}"
DIGITS = re.compile(rf"[+＋]?{BETWEEN}\d(?:{BETWEEN}\d){{6,}}")
CALL_WORDS = re.compile(  # before digits without separators, they mark a phone number
    r"(?i)\b(?:phone|tel|telephone|cell|mobile|call|text|sms|whatsapp|fax|handy|telefon|móvil|portable)\b"
)
WORDS_BEFORE = 40  # characters before a number that may hold one of CALL_WORDS
CONTEXT = (3, 16)  # characters before and after digits that may belong to a number or rule one out


class PhoneNumbers:
    """Finds phone numbers by the numbering plans of the package ``phonenumbers``.

    Parameters
    ----------
    regions : sequence of str
        Countries (ISO 3166, two letters) whose numbers are found as they are dialled there;
        international numbers are always found.

    Raises
    ------
    TruewardError
        If the package is not installed.
    UsageError
        If a region has no phone numbers.

    """

    def __init__(self, regions: Sequence[str]) -> None:
        try:
            import phonenumbers  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as e:
            raise missing_extra("redaction", "phonenumbers", "redact") from e
        if wrong := sorted(set(regions) - phonenumbers.SUPPORTED_REGIONS):
            raise UsageError(
                f"a region of phone numbers is the code of a country, such as US or DE, not {wrong[0]!r}"
            )
        self.matcher = phonenumbers.PhoneNumberMatcher
        self.plans = [(region, _digit_pattern(region)) for region in regions]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return start and end of each number; bare digits count only after a word such as phone.

        Parameters
        ----------
        text : str
            Any text.

        Returns
        -------
        list of (int, int)
            Sorted, without overlap.

        """
        spans: list[tuple[int, int]] = []
        for start, end in sorted(self._candidates(text)):
            before = text[max(0, start - WORDS_BEFORE) : start]
            if text[start:end].isdigit() and not CALL_WORDS.search(before):
                continue
            if spans and start < spans[-1][1]:
                spans[-1] = spans[-1][0], max(spans[-1][1], end)
            else:
                spans.append((start, end))
        return spans

    def _candidates(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the spans that are a number in some region; only text around digits is read."""
        before, after = CONTEXT
        for run in DIGITS.finditer(text):
            start = max(0, run.start() - before)
            part = text[start : run.end() + after]
            digits = re.sub(r"\D", "", run[0])
            regions: list[str | None] = [r for r, plan in self.plans if plan.search(digits)]
            if not regions and run[0][0] in "+＋":
                regions = [None]
            for region in regions:
                for match in self.matcher(part, region):
                    if start + match.start < run.end() and start + match.end > run.start():
                        yield start + match.start, start + match.end


def _digit_pattern(region: str) -> re.Pattern[str]:
    """Match digits that may hold a number of a region, or one dialled from there to another."""
    from phonenumbers import PhoneMetadata  # noqa: PLC0415 - an extra

    plan = PhoneMetadata.metadata_for_region(region, None)
    if plan.national_prefix_transform_rule or plan.international_prefix is None:
        return re.compile("")  # dialled with digits that are no part of the number
    return re.compile(f"{plan.international_prefix}|{plan.general_desc.national_number_pattern}")
