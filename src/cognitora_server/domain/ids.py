"""Identifiers: a prefix that says what it names, and 20 random characters (about 100 bits)."""

from __future__ import annotations

import re
import secrets

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
CONTAINER = "cnt"
EXECUTION = "exec"
ACCOUNT = "acc"
KEY = "key"
REQUEST = "req"
AUDIT = "aud"

_PATTERN = re.compile(rf"[a-z]{{3,4}}_[{ALPHABET}]{{20}}")


def new_id(prefix: str) -> str:
    """Return a new identifier such as `cnt_0123456789abcdefghjk`."""
    return f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(20))}"


def is_id(text: str, prefix: str) -> bool:
    """Say whether `text` has the form of an identifier with this prefix. Anything else never reaches the host."""
    return text.startswith(f"{prefix}_") and _PATTERN.fullmatch(text) is not None
