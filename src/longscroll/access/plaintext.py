"""What a key looks like: ``sk-ls-``, 43 random characters, 6 of checksum.

Owns the form of keys and the header they come in. Knows no store and no secret: pure functions. The checksum lets
typing errors and scanners be refused before any look-up.
"""

from __future__ import annotations

import secrets
import string
import zlib

PREFIX = "sk-ls-"
MAX_LENGTH = 512
N_RANDOM_BYTES = 32  # 43 characters of URL-safe base64
N_CHECKSUM = 6  # 62**6 exceeds 2**32
LENGTH = len(PREFIX) + 43 + N_CHECKSUM
DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


def new_plaintext() -> str:
    """Draw a key of 256 random bits."""
    body = PREFIX + secrets.token_urlsafe(N_RANDOM_BYTES)
    return body + _checksum(body)


def is_well_formed(plaintext: str) -> bool:
    """Tell whether a string can be a key: printable ASCII and, behind our prefix, a checksum that holds.

    An operator's own key may be any opaque string, so one without the prefix has no checksum to hold.
    """
    if not plaintext or len(plaintext) > MAX_LENGTH or not plaintext.isascii():
        return False
    if not plaintext.startswith(PREFIX):
        return plaintext.isprintable() and " " not in plaintext
    return len(plaintext) == LENGTH and _checksum(plaintext[:-N_CHECKSUM]) == plaintext[-N_CHECKSUM:]


def shown(plaintext: str) -> str:
    """Return what may be shown of a key: its beginning and its last four characters, less of a short one."""
    if plaintext.startswith(PREFIX):
        return f"{plaintext[: len(PREFIX) + 4]}…{plaintext[-4:]}"
    return f"…{plaintext[-4:]}" if len(plaintext) >= 20 else "…"


def bearer(authorization: str | None) -> str | None:
    """Take the key out of an ``Authorization`` header; the scheme in any case, spaces around both trimmed."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode("ascii"))
    digits = []
    for _ in range(N_CHECKSUM):
        number, digit = divmod(number, len(DIGITS))
        digits.append(DIGITS[digit])
    return "".join(reversed(digits))
