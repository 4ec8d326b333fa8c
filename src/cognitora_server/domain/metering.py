"""How long a container has been held, by a clock that never jumps, and what that adds to its account's ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from .clock import MICROSECONDS, Steady
from .credits import cost, micro_credits

if TYPE_CHECKING:
    from .containers import Container

_MICROSECOND = timedelta(microseconds=1)
#: The end that is shown follows the host's clock when that was set by more than this.
_DRIFT = timedelta(seconds=1)


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


@dataclass(frozen=True, slots=True)
class Charge:
    """What a container used on one day (UTC): seconds, and millionths of a credit."""

    day: date
    seconds: int
    micro: int


def bill(container: Container, meter: Meter) -> int:
    """Return what a container costs with its meter at `meter`, in millionths of a credit: never beyond its limit."""
    total = cost(container.resources, meter.seconds, container.prices).micro
    return min(total, micro_credits(container.max_cost_credits))


def charges(container: Container, meter: Meter, now: datetime) -> Iterator[Charge]:
    """Tell what is added to the ledger when a container's meter goes on to `meter`, by days (UTC), until `now`.

    They add up: all charges of a container are its metered seconds and its bill, to the millionth.
    """
    before = container.meter
    start = now - timedelta(microseconds=meter.held - before.held)
    while before.held < meter.held:
        midnight = datetime.combine(start.date() + timedelta(days=1), time(), start.tzinfo)
        after = Meter(min(meter.held, before.held + (midnight - start) // _MICROSECOND))
        yield Charge(start.date(), after.seconds - before.seconds, bill(container, after) - bill(container, before))
        before, start = after, midnight


def shown_end(container: Container, meter: Meter, now: datetime) -> datetime:
    """Return when a container will end: what was shown before, unless the host's clock was set since."""
    if container.expires_fixed or container.expires_held is None:
        return container.expires_at
    end = now + timedelta(microseconds=container.expires_held - meter.held)
    return end if abs(end - container.expires_at) > _DRIFT else container.expires_at
