"""A driver for tests: the guest agent as a plain process of this host, without any isolation.

It needs no root, no image and no kernel feature, starts in milliseconds, and keeps the same contract as the
real ones. Workloads run as the server's own user and see the whole host: never offer it to anybody.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from cognitora_server.domain.containers import Isolation, Usage
from cognitora_server.domain.errors import CognitoraError, DriverError, SandboxGone
from cognitora_server.domain.ids import CONTAINER, is_id
from cognitora_server.drivers.base import Driver, Probe, SandboxExit, SandboxSpec
from cognitora_server.host.processes import (
    ProcessIdentity,
    descendants,
    open_process,
    spawn,
    wait_or_kill,
    wait_process,
)
from cognitora_server.host.sockets import connect_path, listen_at, open_socket

_SOCKET = "agent.sock"
_START_SECONDS, _END_SECONDS = 10.0, 8.0
_DETACH = 'file=$1; shift; "$@" & echo $! > "$file"'


class FakeSandbox:
    """See `drivers.base.Sandbox`. It uses nothing, as nothing is measured."""

    def __init__(self, container_id: str, folder: Path, identity: ProcessIdentity) -> None:
        self.container_id = container_id
        self._folder = folder
        self._identity = identity
        self._pidfd = open_process(identity)
        self._socket = open_socket(folder, _SOCKET)

    @property
    def handle(self) -> Mapping[str, object]:
        """The identity of the agent's process."""
        return asdict(self._identity)

    @property
    def guest_socket(self) -> str:
        """A path that leads to the agent's socket."""
        return connect_path(self._socket)

    @property
    def inbox(self) -> str:
        """The folder that the agent reads from."""
        return str(self._folder / "inbox")

    async def wait(self) -> SandboxExit:
        """Return when the agent has ended."""
        await wait_process(self._pidfd)
        return SandboxExit(detail="the guest agent ended")

    async def usage(self) -> Usage:
        """Return nothing used."""
        return Usage()

    async def oom_kills(self) -> int:
        """Return 0: nothing is limited."""
        return 0

    def close(self) -> None:
        """Close the descriptors."""
        for name in ("_pidfd", "_socket"):
            descriptor = getattr(self, name)
            if descriptor >= 0:
                setattr(self, name, -1)
                os.close(descriptor)


class FakeDriver(Driver):
    """Keeps a folder for each sandbox in `root`; `agent` is the guest agent's program."""

    isolation = Isolation.CONTAINER

    def __init__(self, root: Path, agent: Path) -> None:
        self._root = root
        self._agent = agent
        self._locks: dict[str, asyncio.Lock] = {}

    async def probe(self) -> Probe:
        """Say that it works if the agent was built."""
        built = await asyncio.to_thread(self._agent.is_file)
        return Probe(
            Isolation.CONTAINER,
            available=built,
            technology="fake: plain processes of this host, for tests",
            problem="" if built else "the guest agent was not built",
            remedy="" if built else "Run scripts/build-guest.",
            notes=("nothing is isolated and nothing is limited",),
        )

    async def create(self, spec: SandboxSpec) -> FakeSandbox:
        """Start an agent, or return the one that runs."""
        async with self._lock(spec.container_id):
            with suppress(SandboxGone):
                return self._open(spec.container_id, None)
            await self._remove(spec.container_id)
            try:
                return await self._start(spec.container_id)
            except BaseException as error:
                await asyncio.shield(self._remove(spec.container_id))
                if isinstance(error, OSError | ValueError):
                    raise DriverError(f"The guest agent could not be started: {error}") from error
                raise

    async def recover(self, container_id: str, handle: Mapping[str, object]) -> FakeSandbox:
        """Return the sandbox behind `handle` if its agent runs. Raises SandboxGone."""
        async with self._lock(container_id):
            return self._open(container_id, handle)

    async def destroy(self, container_id: str) -> None:
        """End the agent with all it has started. What an agent that was killed had started goes on."""
        async with self._lock(container_id):
            await asyncio.shield(self._remove(container_id))

    async def sandboxes(self) -> set[str]:
        """Return the names of the folders."""
        with suppress(FileNotFoundError):
            return {entry.name for entry in os.scandir(self._root) if is_id(entry.name, CONTAINER)}
        return set()

    async def _start(self, container_id: str) -> FakeSandbox:
        folder = self._root / container_id
        inbox = folder / "inbox"
        inbox.mkdir(parents=True)
        agent = (str(self._agent), "init", "--listen", "fd:3", "--inbox", str(inbox))
        # Through a shell that ends at once: the agent must not be this server's child, which it outlives.
        command = ("/bin/sh", "-c", _DETACH, "sh", str(folder / "pid"), *agent)
        output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with listen_at(folder, _SOCKET) as listener:
                shell = await spawn(command, output=output, environment=os.environ, hand_over=listener.fileno())
                await wait_or_kill(shell, _START_SECONDS)
        finally:
            os.close(output)
        identity = ProcessIdentity.of(int((folder / "pid").read_text()))
        (folder / "handle.new").write_text(json.dumps(asdict(identity)))
        (folder / "handle.new").rename(folder / "handle.json")
        return FakeSandbox(container_id, folder, identity)

    def _open(self, container_id: str, handle: Mapping[str, object] | None) -> FakeSandbox:
        folder = self._root / container_id
        try:
            kept = json.loads((folder / "handle.json").read_text())
            if handle is not None and dict(handle) != kept:
                raise SandboxGone
            return FakeSandbox(container_id, folder, ProcessIdentity(**kept))
        except (OSError, ValueError, TypeError) as error:
            raise SandboxGone from error

    async def _remove(self, container_id: str) -> None:
        folder = self._root / container_id
        while found := _started_for(folder):
            for identity in found:
                with suppress(OSError):
                    await _end(identity)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _lock(self, container_id: str) -> asyncio.Lock:
        if not is_id(container_id, CONTAINER):
            raise CognitoraError(f"{container_id!r} is no container id.")
        return self._locks.setdefault(container_id, asyncio.Lock())


def _started_for(folder: Path) -> list[ProcessIdentity]:
    """Find the agent of a sandbox, or the shell that is about to start it, by the folder in its arguments."""
    argument = os.fsencode(folder / "inbox")
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                if argument in Path(f"/proc/{entry.name}/cmdline").read_bytes().split(b"\0"):
                    identity = ProcessIdentity.of(int(entry.name))
                    os.close(open_process(identity))
                    found.append(identity)
    return found


async def _end(identity: ProcessIdentity) -> None:
    """Let the agent end what it has started, and itself; kill what is left. Raises OSError when it is gone."""
    pidfd = open_process(identity)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await wait_process(pidfd)
                return
        for pid in [identity.pid, *descendants(identity.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await wait_process(pidfd)
    finally:
        os.close(pidfd)
