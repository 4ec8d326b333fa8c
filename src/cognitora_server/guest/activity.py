"""What a guest says about the activity in its sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cognitora_server.domain.errors import GuestError

_MOST = 1 << 53


@dataclass(frozen=True, slots=True)
class Counts:
    """Processes and open connections now; CPU seconds and bytes so far. The agent itself is not counted."""

    processes: int
    cpu_seconds: float
    input_bytes: int
    output_bytes: int
    connections: int


def counts_of(value: Any) -> Counts:
    """Return the counts that a JSON value holds. Raises GuestError for anything but whole numbers within bounds."""
    if not isinstance(value, Mapping):
        raise GuestError("The guest agent does not count activity.", guest_code="bad_answer")
    return Counts(
        processes=_count(value, "processes"),
        cpu_seconds=_count(value, "cpu_ms") / 1000,
        input_bytes=_count(value, "input_bytes"),
        output_bytes=_count(value, "output_bytes"),
        connections=_count(value, "connections"),
    )


def _count(value: Mapping[str, Any], name: str) -> int:
    number = value.get(name)
    if type(number) is not int or not 0 <= number <= _MOST:
        raise GuestError(f"The guest agent's count of {name} makes no sense.", guest_code="bad_answer")
    return number
