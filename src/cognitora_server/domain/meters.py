"""A container's meter: how long it has been held, by a clock that never jumps."""

from __future__ import annotations

from dataclasses import dataclass

from .clock import MICROSECONDS, Steady


@dataclass(frozen=True, slots=True)
class Meter:
    """Held for `held` microseconds when the steady clock of `boot` stood at `at`; `boot` None: it stands still."""

    held: int = 0
    boot: str | None = None
    at: int = 0

    @property
    def seconds(self) -> int:
        """Seconds to be paid for: each that has begun counts whole."""
        return -(-self.held // MICROSECONDS)

    def started(self, now: Steady) -> Meter:
        """Return it as it goes on from here."""
        return Meter(self.held, now.boot, now.microseconds)

    def read(self, now: Steady) -> Meter:
        """Return it as it stands now. Time before a reboot, after it was last read, is not counted."""
        if self.boot is None:
            return self
        if now.boot != self.boot:
            return self.started(now)
        at = max(self.at, now.microseconds)
        return Meter(self.held + at - self.at, self.boot, at)

    def stopped(self) -> Meter:
        """Return it standing still for ever."""
        return Meter(self.held)
