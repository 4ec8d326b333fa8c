"""Processes as the guest protocol describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to start. `id` is ours and makes the start idempotent; `timeout_ms` 0 means none.

    Of the output the first `head_bytes` and the last `tail_bytes` are kept.
    """

    id: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str = "/"
    user: str = ""
    timeout_ms: int = 0
    head_bytes: int = 1 << 20
    tail_bytes: int = 1 << 18

    def body(self) -> dict[str, Any]:
        """Return the request body. A missing working directory is made."""
        return {
            "id": self.id,
            "argv": self.argv,
            "env": dict(self.env),
            "cwd": self.cwd,
            "make_cwd": True,
            "user": self.user,
            "timeout_ms": self.timeout_ms,
            "output": {"head_bytes": self.head_bytes, "tail_bytes": self.tail_bytes},
        }


@dataclass(frozen=True, slots=True)
class Process:
    """A process's state. `exit_code` is None while it runs."""

    id: str
    exit_code: int | None
    timed_out: bool


def process_of(value: Any) -> Process:
    """Return the process that a JSON value describes. Raises ValueError, KeyError or TypeError on nonsense."""
    exit_code = value["exit_code"]
    if exit_code is not None:
        exit_code = int(exit_code) & 0xFF
    if value["state"] == "exited" and exit_code is None:
        raise ValueError("an ended process has no exit code")
    return Process(id=str(value["id"])[:64], exit_code=exit_code, timed_out=value["timed_out"] is True)
