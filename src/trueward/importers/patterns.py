"""What e-mail addresses and secrets look like in text.

A secret is known by its shape, a head that its issuer gives it and a body, or by the words before it. The
heads alone, in a syntax that Rust reads too, say which texts are worth a closer look. Repetitions that could
start anywhere are bounded, so that time grows with the length of a text and not with its square.
"""

from __future__ import annotations

import re

EMAIL_HEAD = r"\w(?:@|%40)\w"
EMAIL = re.compile(
    r"(?<![\w.+-])(?!git@)\w[\w.+'-]{0,63}(?:@|%40)(?:\w[\w-]{0,62}\.){1,8}[^\W\d_]{2,24}(?!\w)"
)

PEM = r" [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
LINES = r"(?:(?:\\[nr]|\s){0,4}[A-Za-z0-9+/=]{20,})*"  # of a key whose end was cut off
# head, body: as the issuers document them
SHAPES = (
    (rf"-----BEGIN{PEM}", rf"(?:(?:(?!-----)[\s\S])*-----END{PEM}|{LINES})"),
    (r"\beyJ[\w-]{10,}\.eyJ", r"[\w-]{4,}\.?[\w-]*"),  # a JSON web token
    (r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12}", r"[A-Z0-9]{4}\b"),
    (r"\bgh[pousr]_", r"[A-Za-z0-9]{30,}"),
    (r"\bgithub_pat_", r"\w{22,}"),
    (r"\bgl[a-z]{1,6}-", r"(?=[\w-]*\d)[\w-]{20,}"),
    (r"\bsk-", r"(?=[\w-]*\d)(?=[\w-]*[A-Z])[\w-]{20,}"),  # OpenAI, Anthropic and many others
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

NAMES = (  # what a secret is called where it is told
    r"pass(?:word|wd|phrase|code)|pwd|secret(?:[_ -]?key)?|token|credential|(?:api|access|account|private"
    r"|auth|signing|encryption|master|subscription)[_ -]?key"
)
CHAR = r"[^\s\"'`<>(){}\[\],;]"
# head, what follows it and stays, the secret: a value has a letter and a digit, so that prose is left alone
TOLD = (
    (
        rf"(?i:{NAMES})[\"'`\]]{{0,2}}\s{{0,3}}(?::=|=>|[:=]|\bis\b)",
        r":?\s{0,3}[\"'`]?",
        rf"(?={CHAR}*[A-Za-z])(?={CHAR}*\d){CHAR}{{6,}}",
    ),
    (r"(?i:\bbearer\s)", r"\s{0,3}", r"(?=[\w.~+/=-]*\d)[\w.~+/=-]{16,}"),
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

SHAPE_HEAD, TOLD_HEAD = ("|".join(head for head, *_ in found) for found in (SHAPES, TOLD))
FAST = (r"\b", r"(?-u:\b)")  # in Rust: the end of an ASCII word, which is quick to see in any text
SHAPE = re.compile("|".join(f"{head}{body}" for head, body in SHAPES))
AFTER = re.compile("|".join(f"(?P<k{i}>{h}{b}){v}" for i, (h, b, v) in enumerate(TOLD)))
# what is left of one where a message shows the first characters of a value only
CUT_EMAIL = re.compile(r"\S*\w(?:@|%40)\S*")
CUT_SECRET = re.compile(rf"(?:{SHAPE_HEAD})\S*")
CUT = re.compile(r"[^'\"]+\.\.\.")

BETWEEN = r"[\s()（）\[\].\-/~‐-―]{0,4}"  # digits of a phone number
PHONE_HEAD = rf"\d(?:{BETWEEN}\d){{6}}"
DIGITS = re.compile(rf"[+＋]?{BETWEEN}\d(?:{BETWEEN}\d){{6,}}")
CALLED = re.compile(  # words that make digits without a separator a number to call
    r"(?i)\b(?:phone|tel|telephone|cell|mobile|call|text|sms|whatsapp|fax|handy|telefon|móvil|portable)\b"
)
