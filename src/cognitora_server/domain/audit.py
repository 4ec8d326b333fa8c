"""The audit log: who did what, when, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Actor(StrEnum):
    """What kind of caller it was: one with a key, the command line on this host, or one without a valid key."""

    KEY = "key"
    CLI = "cli"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One action. Never a body, an environment, a command's arguments or a key.

    `status` is the HTTP status that it was answered with: None as long as it is at work, and for ever if the server
    was killed meanwhile; always None for the command line. `account_id` is None where it is not known.
    """

    id: str
    at: datetime
    actor: Actor
    action: str
    account_id: str | None = None
    key_id: str | None = None
    key_name: str | None = None
    request_id: str | None = None
    remote_address: str | None = None
    container_id: str | None = None
    execution_id: str | None = None
    status: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries to list: all conditions hold together. From `since` on, and before `until`."""

    account_id: str | None = None
    action: str | None = None
    container_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
