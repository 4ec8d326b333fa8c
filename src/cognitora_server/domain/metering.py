"""What a container's meter adds to its account's ledger, and to the end that is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from .containers import Container
from .meters import Meter

_MICROSECOND = timedelta(microseconds=1)
#: The end that is shown follows the host's clock when that was set by more than this.
_DRIFT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a container used on one day (UTC): seconds, and millionths of a credit."""

    day: date
    seconds: int
    micro: int


def charges(container: Container, meter: Meter, now: datetime) -> Iterator[Charge]:
    """Tell what is added to the ledger when a container's meter goes on to `meter`, by days (UTC), until `now`.

    They add up: all charges of a container are its metered seconds and its bill, to the millionth.
    """
    before = container.meter
    start = now - timedelta(microseconds=meter.held - before.held)
    while before.held < meter.held:
        midnight = datetime.combine(start.date() + timedelta(days=1), time(), start.tzinfo)
        after = Meter(min(meter.held, before.held + (midnight - start) // _MICROSECOND))
        yield Charge(start.date(), after.seconds - before.seconds, container.bill(after) - container.bill(before))
        before, start = after, midnight


def shown_end(container: Container, meter: Meter, now: datetime) -> datetime:
    """Return when a container will end: what was shown before, unless the host's clock was set since."""
    if container.expires_fixed or container.expires_held is None:
        return container.expires_at
    end = now + timedelta(microseconds=container.expires_held - meter.held)
    return end if abs(end - container.expires_at) > _DRIFT else container.expires_at
