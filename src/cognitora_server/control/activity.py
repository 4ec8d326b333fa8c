"""Tells by what goes on inside, not by API calls, whether a container is idle, and for how long.

Every guest agent is asked now and then. Active is a container whose processes printed, were written to, used the
processor or hold an open TCP connection, or to which the API brought a command or a file. One that only waits
(`sleep`, a server without clients) is not. A guest that does not answer changes nothing.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from cognitora_server.domain.clock import Clock
from cognitora_server.domain.containers import Activity, ContainerStatus, End, Reason
from cognitora_server.domain.errors import GuestError
from cognitora_server.guest import Counts
from cognitora_server.settings import Settings

from .live import Live

#: Timers of runtimes that wait (garbage collectors, event loops) stay below this share of a core.
IDLE_CPU_SHARE = 0.005
#: CPU time is counted in hundredths of a second, in several places.
_CPU_SLACK_SECONDS = 0.02
#: A guest is asked so often within the idle time, but not more or less often than between these.
_QUESTIONS = 10
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.5, 10.0
_PATIENCE_SECONDS = 5.0
_ASKED_AT_ONCE = 16
#: A busy container's activity is written down no more often than this.
_WRITE_SECONDS = 60.0

#: A clock that is brought to the right time little by little moves less than this from one question to the next.
_JUMP = timedelta(seconds=5)

_WATCHED = (ContainerStatus.RUNNING, ContainerStatus.IDLE)


@dataclass
class _Seen:
    """What is known of one container: when it was active, and when it was looked at, with the counts then.

    `ahead` is by how much the time of day was ahead of the clock that nobody can set.
    """

    due: datetime
    active: Activity | None
    last: Activity | None = None
    ahead: timedelta | None = None
    asking: bool = False


class ActivityWatch:
    """Keeps `Live.active_at` and the states RUNNING and IDLE, and ends what was idle for too long."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._idle_after = settings.idle_after_seconds
        self._clock = clock
        self._seen: WeakKeyDictionary[Live, _Seen] = WeakKeyDictionary()
        self._room = asyncio.Semaphore(_ASKED_AT_ONCE)

    def due(self, live: Live) -> bool:
        """Tell whether the guest is to be asked now; then `ask` must follow."""
        if live.container.status not in _WATCHED or live.guest is None or live.end_wanted.is_set():
            return False
        now, interval, seen = self._clock.now(), self._interval(live), self._of(live)
        if seen.asking or now < seen.due <= now + interval:
            return False
        seen.due, seen.asking = now + interval, True
        return True

    async def ask(self, live: Live) -> None:
        """Ask the guest, and act upon the answer."""
        seen = self._of(live)
        try:
            async with self._room:
                if live.guest is not None:
                    self._compare(live, seen, await live.guest.activity(_PATIENCE_SECONDS))
                    await self._judge(live, seen)
        except GuestError:
            return
        finally:
            seen.asking = False

    async def wake(self, live: Live) -> None:
        """Show an idle container to which the API brought something as running, without waiting for its guest."""
        if live.container.status is ContainerStatus.IDLE and self._idle_for(live) < self._idle_after:
            await self._write(live, ContainerStatus.RUNNING)

    def _of(self, live: Live) -> _Seen:
        seen = self._seen.get(live)
        if seen is None:
            # Somewhere in the interval, so that a server that finds many again does not ask all at once.
            first = self._clock.now() + random.random() * self._interval(live)  # noqa: S311 - nothing secret
            seen = self._seen[live] = _Seen(first, live.container.activity)
        return seen

    def _interval(self, live: Live) -> timedelta:
        shortest = min(self._idle_after, live.container.idle_timeout_seconds or self._idle_after)
        return timedelta(seconds=min(max(shortest / _QUESTIONS, _SHORTEST_SECONDS), _LONGEST_SECONDS))

    def _compare(self, live: Live, seen: _Seen, counts: Counts) -> None:
        now = self._clock.now()
        here = Activity(now, counts.cpu_seconds, counts.input_bytes, counts.output_bytes)
        connected = counts.processes > 0 and counts.connections > 0
        if self._clock_was_set(seen):
            live.active_at, seen.active = now, here  # how long it was idle cannot be told: it starts anew
        elif connected or seen.active is None or any(_went_on(then, here) for then in (seen.active, seen.last) if then):
            live.active_at, seen.active = max(live.active_at, now), here
        seen.last = here

    def _clock_was_set(self, seen: _Seen) -> bool:
        steady = timedelta(microseconds=self._clock.steady().microseconds)
        before, seen.ahead = seen.ahead, self._clock.now() - datetime.min.replace(tzinfo=UTC) - steady
        return before is not None and abs(seen.ahead - before) > _JUMP

    async def _judge(self, live: Live, seen: _Seen) -> None:
        container, idle = live.container, self._idle_for(live)
        if container.status not in _WATCHED:
            return
        limit = container.idle_timeout_seconds
        if limit is not None and idle >= limit:
            await live.want_end(_idle_end(limit))
            return
        status = ContainerStatus.IDLE if container.persistent and idle >= self._idle_after else ContainerStatus.RUNNING
        if status is not container.status or self._worth_writing(live, seen):
            await self._write(live, status)

    def _worth_writing(self, live: Live, seen: _Seen) -> bool:
        """Tell whether to write down more for the next server: all about the quiet, something of the busy."""
        written = live.container.active_at
        if written is None or live.container.activity is None:
            return True
        late = (live.active_at - written).total_seconds()
        return late > 0 and (seen.active is not seen.last or late >= _WRITE_SECONDS)

    def _idle_for(self, live: Live) -> float:
        return (self._clock.now() - live.active_at).total_seconds()

    async def _write(self, live: Live, status: ContainerStatus) -> None:
        changes: dict[str, Any] = {
            "active_at": live.active_at,
            "activity": self._of(live).active,
        }
        if status is not live.container.status:
            changes |= {"status": status, "updated_at": self._clock.now()}
        await live.change(**changes)


def _went_on(before: Activity, now: Activity) -> bool:
    """Tell whether bytes went in or out in between, or the processor was used for more than timers."""
    if (now.input_bytes, now.output_bytes) != (before.input_bytes, before.output_bytes):
        return True
    elapsed = max(0.0, (now.at - before.at).total_seconds())
    # Less than before is use too: a process ended whose parent does not ask for its time.
    used = abs(now.cpu_seconds - before.cpu_seconds)
    return used > IDLE_CPU_SHARE * elapsed + _CPU_SLACK_SECONDS


def _idle_end(seconds: int) -> End:
    return End(
        ContainerStatus.TIMEOUT,
        Reason.IDLE,
        f"Nothing went on in it for {seconds} s (idleTimeoutSeconds): no output, no input, no CPU use, no open "
        "connection. Give a larger idleTimeoutSeconds, or let what waits print something now and then.",
    )
