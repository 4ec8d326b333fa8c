"""A driver whose sandboxes are empty: they are there until they are destroyed, and nothing runs in them.

For tests of what is kept about containers, with hundreds of them. It holds its sandboxes in memory, so they outlive
servers of the same process, as real ones outlive servers of the same host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from cognitora_server.domain.containers import Isolation, Usage
from cognitora_server.domain.errors import SandboxGone
from cognitora_server.drivers.base import Driver, Probe, SandboxExit, SandboxSpec


class HollowSandbox:
    """See `drivers.base.Sandbox`. Nobody answers at its socket."""

    guest_socket = inbox = "/nonexistent"

    def __init__(self, container_id: str, gone: asyncio.Event) -> None:
        self.container_id = container_id
        self._gone = gone

    @property
    def handle(self) -> Mapping[str, object]:
        return {}

    async def wait(self) -> SandboxExit:
        await self._gone.wait()
        return SandboxExit(detail="It was removed.")

    async def usage(self) -> Usage:
        return Usage()

    async def oom_kills(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing is open."""


class HollowDriver(Driver):
    """See `drivers.base.Driver`."""

    isolation = Isolation.CONTAINER

    def __init__(self) -> None:
        self._there: dict[str, asyncio.Event] = {}

    async def probe(self) -> Probe:
        return Probe(Isolation.CONTAINER, available=True, technology="hollow: empty sandboxes, for tests")

    async def create(self, spec: SandboxSpec) -> HollowSandbox:
        return HollowSandbox(spec.container_id, self._there.setdefault(spec.container_id, asyncio.Event()))

    async def recover(self, container_id: str, handle: Mapping[str, object]) -> HollowSandbox:
        if container_id not in self._there:
            raise SandboxGone
        return HollowSandbox(container_id, self._there[container_id])

    async def destroy(self, container_id: str) -> None:
        if (gone := self._there.pop(container_id, None)) is not None:
            gone.set()

    async def sandboxes(self) -> set[str]:
        return set(self._there)
