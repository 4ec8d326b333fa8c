"""What this process holds for a container that has not ended."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cognitora_server.domain.clock import Steady
from cognitora_server.domain.containers import Container, End, Reason
from cognitora_server.domain.executions import Execution
from cognitora_server.domain.images import Image
from cognitora_server.drivers.base import Driver, Sandbox
from cognitora_server.guest import GuestClient
from cognitora_server.store import Store

from .output import OutputCollector


@dataclass(frozen=True, slots=True)
class ProcessDefaults:
    """What the image says about processes in it: user, environment, working directory."""

    user: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"

    @classmethod
    def of(cls, image: Image) -> ProcessDefaults:
        """Return what this image says."""
        return cls(image.config.user, dict(image.config.env), image.config.working_dir or "/")


class Live:
    """A container on its way from accepted to ended. All state that matters is in the store; this is a view."""

    def __init__(self, container: Container, store: Store) -> None:
        self.container = container
        self.driver: Driver | None = None
        self.sandbox: Sandbox | None = None
        self.guest: GuestClient | None = None
        self.process_defaults = ProcessDefaults()
        self.progress: str | None = None
        self.ready = asyncio.Event()
        self.end_wanted = asyncio.Event()
        self.end_known = asyncio.Event()
        self.ended = asyncio.Event()
        self.end: End | None = None
        #: When its end began, if it was known to be held then.
        self.held_until: Steady | None = None
        self.main_output: OutputCollector | None = None
        self.outputs: dict[str, OutputCollector] = {}
        #: Held by whoever reads the deadline to write it: the start, and a user's change.
        self.deadline = asyncio.Lock()
        #: Why an execution failed, where its exit code does not say it.
        self.causes: dict[str, Reason] = {}
        self.executions: set[asyncio.Task[Execution]] = set()
        #: When something last went on inside, as far as is known here.
        self.active_at = container.active_at or container.started_at or container.created_at
        self._store = store
        self._wish = container.wanted_end
        if self._wish is not None:
            self.end_wanted.set()

    async def change(self, execution: Execution | None = None, **changes: Any) -> bool:
        """Change the record (and add an execution to it), here and in the store. False: it has ended."""
        changed = await self._store.containers.change(self.container.id, execution, **changes)
        if changed is not None:
            self.container = changed
        return changed is not None

    async def want_end(self, end: End) -> None:
        """Write down that the container shall end, and see to it. The first such wish counts, and none once it ends."""
        if self._wish is None and self.end is None:
            self._wish = end
            try:
                await self.change(wanted_end=end)
            except BaseException:
                self._wish = None
                raise
            self.end_wanted.set()

    def show_progress(self, text: str) -> None:
        """Show what the start is waiting for. Not kept in the store."""
        self.progress = text

    def environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """Return a process's environment: the image's, over it the container's, over it its `own`."""
        container = self.container
        return {**self.process_defaults.environment, **container.environment, **container.secrets, **own}

    def hold(self, work: Coroutine[Any, Any, Execution]) -> asyncio.Task[Execution]:
        """Run an execution's work as a task that lives as long as it needs, whoever waits for it."""
        task = asyncio.create_task(work)
        self.executions.add(task)
        task.add_done_callback(self.executions.discard)
        return task

    async def close(self) -> None:
        """Give back connections and descriptors. Idempotent."""
        guest, sandbox = self.guest, self.sandbox
        self.guest = self.sandbox = None
        if guest is not None:
            await guest.close()
        if sandbox is not None:
            sandbox.close()

    async def usable(self) -> bool:
        """Wait until commands can run in it; False if it ended instead."""
        await first_of(self.ready, self.ended)
        return self.ready.is_set() and self.end is None


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of these happens; return at once if one has happened."""
    if any(event.is_set() for event in events):
        return
    waits = {asyncio.ensure_future(event.wait()) for event in events}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


class LiveContainers:
    """All containers that have not ended, by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Live] = {}

    def __iter__(self) -> Iterator[Live]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, container_id: str) -> Live | None:
        """Return the live container of this id, if it has not ended."""
        return self._by_id.get(container_id)

    def add(self, live: Live) -> None:
        """Hold a container."""
        self._by_id[live.container.id] = live

    def remove(self, container_id: str) -> None:
        """Let go of a container that has ended."""
        self._by_id.pop(container_id, None)
