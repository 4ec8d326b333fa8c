"""Accounts and the keys that open them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

KEY_PREFIX = "cgk_"


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """What an account may spend in a calendar month (UTC), and hold at once. None: without limit."""

    budget_credits: float | None = None
    max_containers: int | None = None
    max_cpu_cores: float | None = None
    max_memory_mb: int | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Who owns containers. One account never sees another's.

    `limits` are its own, by the names of AccountLimits; what is not there is as the server's settings say.
    """

    id: str
    name: str
    created_at: datetime
    limits: Mapping[str, Any] = field(default_factory=dict)

    def limits_within(self, defaults: AccountLimits) -> AccountLimits:
        """Return the limits that hold: its own, and `defaults` for the rest."""
        return replace(defaults, **self.limits)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the store knows it: its hash and the first characters, never the key itself."""

    id: str
    account_id: str
    account_name: str
    name: str
    hint: str
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Authenticated:
    """What a valid key stands for: whose it is, and which key it was."""

    account: Account
    key_id: str
    key_name: str


def new_secret() -> str:
    """Return a new API key (256 random bits). It is shown once and only its hash is kept."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """Return what the store keeps of a key. A fast hash is right: a key is random, not a password."""
    return hashlib.sha256(secret.encode()).hexdigest()
