"""Time, passed in wherever it matters, so that tests never wait for it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

MICROSECONDS = 1_000_000

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Steady:
    """A reading of the clock that nobody can set: microseconds of a boot of the host, named by `boot`.

    Readings of one boot can be compared, whichever process took them; those of different boots cannot.
    """

    boot: str
    microseconds: int


class Clock(Protocol):
    """Tells the time of day, always in UTC, and how much time passes."""

    def now(self) -> datetime:
        """Return the current time with its zone (UTC). It jumps when the host's clock is set."""
        ...

    def steady(self) -> Steady:
        """Return a reading that never jumps, for durations."""
        ...


class SystemClock:
    """The host's clock."""

    def __init__(self) -> None:
        self._boot: str | None = None

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)

    def steady(self) -> Steady:
        """Return the time that this boot has been awake: while a laptop sleeps nothing runs, and nothing is counted."""
        if self._boot is None:
            self._boot = _BOOT_ID.read_text().strip()
        return Steady(self._boot, time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)


class ManualClock:
    """A clock that stands still until it is moved: for tests of deadlines and bills."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._boots = 1
        self._microseconds = 0

    def now(self) -> datetime:
        """Return the time it was set to."""
        return self._now

    def steady(self) -> Steady:
        """Return how far it was advanced since it was made, or booted."""
        return Steady(f"boot-{self._boots}", self._microseconds)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        passed = round(seconds * MICROSECONDS)
        self._now += timedelta(microseconds=passed)
        self._microseconds += passed

    def jump(self, seconds: float) -> None:
        """Set the time of day `seconds` forward (or back) without any time passing."""
        self._now += timedelta(seconds=seconds)

    def reboot(self) -> None:
        """Begin another boot: its steady readings have nothing to do with those before."""
        self._boots += 1
        self._microseconds = 0
