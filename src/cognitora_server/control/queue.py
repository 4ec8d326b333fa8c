"""Who starts next: the host has room for so many containers, the others wait here in a fair order.

Within an account the first to come is the first to start. Between accounts the one that holds least goes next: by its
dominant share, the largest of its shares of the host's CPU, memory and places; among equals the oldest. What does not
fit may be overtaken, but only so often: then nothing passes it until it has started.

Nothing here must outlive the server: the next one puts it together again from the store.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heapreplace

from cognitora_server.domain.containers import Container
from cognitora_server.domain.resources import Resources

from .limits import HostCapacity

#: How many may start before one that was there earlier, or was its account's turn.
MOST_OVERTAKINGS = 20


@dataclass(frozen=True, slots=True)
class Room:
    """So much of a host: thousandths of CPU cores, MiB of memory, and places for containers."""

    millicores: int = 0
    memory_mb: int = 0
    places: int = 0

    @classmethod
    def of(cls, resources: Resources) -> Room:
        """Return what one container takes."""
        return cls(round(resources.cpu_cores * 1000), resources.memory_mb, 1)

    def __add__(self, other: Room) -> Room:
        return Room(
            self.millicores + other.millicores, self.memory_mb + other.memory_mb, self.places + other.places
        )  # fmt: skip

    def __sub__(self, other: Room) -> Room:
        return Room(
            self.millicores - other.millicores, self.memory_mb - other.memory_mb, self.places - other.places
        )  # fmt: skip

    def fits(self, free: Room) -> bool:
        """Say whether this fits into what is free."""
        return self.lacks(free) is None

    def lacks(self, free: Room) -> str | None:
        """Say what is too little in `free` for this; None if it fits."""
        if self.memory_mb > free.memory_mb:
            return f"it asks for {self.memory_mb} MiB of memory, {max(0, free.memory_mb)} MiB are free"
        if self.millicores > free.millicores:
            return f"it asks for {self.millicores / 1000:g} CPU cores, {max(0, free.millicores) / 1000:g} are free"
        return "all places for containers are taken" if self.places > free.places else None

    def share(self, whole: Room) -> float:
        """Return the largest share that this is of any part of `whole`."""
        return max(self.millicores / whole.millicores, self.memory_mb / whole.memory_mb, self.places / whole.places)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A container that waits, and how often others that should not have gone first did."""

    container: Container
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    overtaken: int = 0

    @property
    def room(self) -> Room:
        return Room.of(self.container.resources)

    @property
    def due(self) -> bool:
        return self.overtaken >= MOST_OVERTAKINGS


class Queue:
    """Who has room on this host, and who waits for it."""

    def __init__(self, host: HostCapacity) -> None:
        self._whole = Room(round(host.all_cpu_cores * 1000), max(1, int(host.all_memory_mb)), host.all_containers)
        self._free = self._whole
        self._held: dict[str, Container] = {}
        self._held_by: dict[str, Room] = {}
        self._waiting: dict[str, list[_Waiting]] = {}
        self._positions: dict[str, int] | None = None

    def hold(self, container: Container) -> None:
        """Take the room of a container that has started already, whether there is any left or not."""
        room = Room.of(container.resources)
        self._held[container.id] = container
        self._held_by[container.account_id] = self._held_by.get(container.account_id, Room()) + room
        self._free -= room

    def join(self, container: Container) -> asyncio.Event:
        """Let a container wait for room; the event happens when it may start, which may be at once."""
        waiting = _Waiting(container)
        if container.id in self._held:
            waiting.turn.set()
            return waiting.turn
        insort(self._waiting.setdefault(container.account_id, []), waiting, key=_age)
        self._admit()
        return waiting.turn

    def leave(self, container_id: str) -> None:
        """Give back a container's room, or its place in the queue. Idempotent."""
        container = self._held.pop(container_id, None)
        if container is not None:
            room = Room.of(container.resources)
            self._held_by[container.account_id] -= room
            if not self._held_by[container.account_id].places:
                del self._held_by[container.account_id]
            self._free += room
        else:
            for line in self._waiting.values():
                line[:] = [waiting for waiting in line if waiting.container.id != container_id]
        self._admit()

    def position(self, container_id: str) -> int | None:
        """Return a container's place in the order in which the waiting start (1: next); None if it does not wait."""
        if self._positions is None:
            self._positions = {one.container.id: place for place, one in enumerate(self._in_order(), start=1)}
        return self._positions.get(container_id)

    def seen(self, container: Container) -> Container:
        """Return the container with its place in the queue, and why it waits, if it does."""
        position = self.position(container.id)
        if position is None:
            return container
        lacking = Room.of(container.resources).lacks(self._free) or "others go first"
        progress = f"Waiting for room on this host, number {position} in the queue: {lacking}."
        return replace(container, queue_position=position, progress=progress)

    def _admit(self) -> None:
        self._positions = None
        self._waiting = {account: line for account, line in self._waiting.items() if line}
        while self._waiting and (chosen := self._next()) is not None:
            line = self._waiting[chosen.container.account_id]
            line.remove(chosen)
            if not line:
                del self._waiting[chosen.container.account_id]
            self.hold(chosen.container)
            chosen.turn.set()

    def _next(self) -> _Waiting | None:
        """Return who starts now, and count whom it overtakes; None when nobody can."""
        heads = sorted((line[0] for line in self._waiting.values()), key=self._rank)
        for place, head in enumerate(heads):
            if head.room.fits(self._free):
                for other in heads:
                    if other in heads[:place] or _age(other) < _age(head):
                        other.overtaken += 1
                return head
            if head.due:
                return None
        return None

    def _rank(self, head: _Waiting) -> tuple[bool, float, int]:
        return self._rank_with(head, self._held_by.get(head.container.account_id, Room()))

    def _rank_with(self, head: _Waiting, held: Room) -> tuple[bool, float, int]:
        return not head.due, 0.0 if head.due else held.share(self._whole), _age(head)

    def _in_order(self) -> Iterator[_Waiting]:
        """Yield all who wait as they would start if room appeared and nothing ended."""
        held = dict(self._held_by)
        lines = {account: iter(line) for account, line in self._waiting.items()}
        heads = [(self._rank(head), head) for head in map(next, lines.values())]
        heapify(heads)
        while heads:
            _, head = heads[0]
            yield head
            account = head.container.account_id
            held[account] = held.get(account, Room()) + head.room
            following = next(lines[account], None)
            if following is None:
                heappop(heads)
            else:
                heapreplace(heads, (self._rank_with(following, held[account]), following))


def _age(waiting: _Waiting) -> int:
    return waiting.container.sequence
