"""Drivers under test, a way to run commands in their sandboxes, and a look at what is left of one on the host."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cognitora_server.domain.containers import Isolation
from cognitora_server.domain.ids import CONTAINER, new_id
from cognitora_server.domain.images import Image
from cognitora_server.domain.resources import Resources
from cognitora_server.drivers.base import Driver, Sandbox, SandboxSpec
from cognitora_server.drivers.fake import FakeDriver
from cognitora_server.drivers.oci import agent_binary, container_runtimes, find_runsc
from cognitora_server.drivers.oci.choices import Choice
from cognitora_server.drivers.oci.container import ContainerDriver
from cognitora_server.drivers.oci.driver import OciHost, RootfsProvider
from cognitora_server.drivers.oci.gvisor import GvisorDriver
from cognitora_server.drivers.oci.ready import ReadyFolders
from cognitora_server.guest.client import GuestClient
from cognitora_server.guest.frames import Exit, Stderr, Stdout
from cognitora_server.guest.process import ProcessSpec
from cognitora_server.host.disks import DiskTools
from cognitora_server.host.mounts import mounts

SMALL = Resources(cpu_cores=1, memory_mb=256, storage_gb=1)


@dataclass(frozen=True)
class Case:
    """One driver with one technology. A fake one isolates and limits nothing."""

    name: str
    isolation: Isolation
    program: Path | None = None

    @property
    def real(self) -> bool:
        return self.program is not None

    @property
    def gvisor(self) -> bool:
        return self.isolation is Isolation.GVISOR

    def driver(self, data_dir: Path, rootfs: RootfsProvider, choice: Choice | None = None) -> Driver:
        root = data_dir / "sandboxes" / self.name
        if self.program is None:
            return FakeDriver(root, agent_binary())
        ready = ReadyFolders(data_dir / "sandboxes" / "ready", DiskTools(data_dir / "templates"), 1, 0)
        host = OciHost(data_dir, root, rootfs, agent_binary(), ready)
        if self.gvisor:
            return GvisorDriver(self.program, host)
        return ContainerDriver([self.program], host, choice=choice)


def cases() -> list[Case]:
    """The fake, each runsc (COGNITORA_TEST_RUNSC names more, divided by colons), crun and runc."""
    named = os.environ.get("COGNITORA_TEST_RUNSC", "")
    runscs = [find_runsc(), Path(sys.executable).parents[1] / "libexec" / "runsc-debian", *map(Path, named.split(":"))]
    found = list({path.resolve(): path for path in runscs if path is not None and path.is_file()}.values())
    return [
        Case("fake", Isolation.CONTAINER),
        *(Case(f"gvisor{number or ''}", Isolation.GVISOR, path) for number, path in enumerate(found)),
        *(Case(path.name, Isolation.CONTAINER, path) for path in container_runtimes(None)),
    ]


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit code."""

    output: str
    exit_code: int


class Bench:
    """A driver that was started, and an image for its sandboxes."""

    def __init__(self, case: Case, driver: Driver, image: Image) -> None:
        self.case = case
        self.driver = driver
        self.image = image

    def spec(self, resources: Resources = SMALL, container_id: str | None = None) -> SandboxSpec:
        return SandboxSpec(container_id or new_id(CONTAINER), self.image, resources)

    async def import_file(self, sandbox: Sandbox, source: str, target: str) -> str:
        """Let the guest write `target` from the inbox's file `source`; return what it reads there, and remove it."""
        client = GuestClient(sandbox.guest_socket)
        try:
            await client.write_file(target, source=source)
        finally:
            await client.close()
        return (await shell(sandbox, f"cat {target}; rm -r {target}")).output

    @asynccontextmanager
    async def sandbox(self, resources: Resources = SMALL) -> AsyncIterator[Sandbox]:
        """A sandbox for the time of the block; afterwards nothing of it is left, or the test fails."""
        spec = self.spec(resources)
        sandbox = await self.driver.create(spec)
        try:
            yield sandbox
        finally:
            sandbox.close()
            await self.driver.destroy(spec.container_id)
        await assert_nothing_left(spec.container_id)


async def shell(sandbox: Sandbox, script: str, *, user: str = "", seconds: float = 30) -> Result:
    """Run `script` with sh in the sandbox and wait for its end."""
    return await run(sandbox, ("/bin/sh", "-c", script), user=user, seconds=seconds)


async def python(sandbox: Sandbox, script: str, *, seconds: float = 30) -> Result:
    """Run `script` with Python in the sandbox and wait for its end."""
    return await run(sandbox, ("python3", "-c", script), seconds=seconds)


async def run(sandbox: Sandbox, argv: tuple[str, ...], *, user: str = "", seconds: float = 30) -> Result:
    """Run a command in the sandbox, killed after `seconds`, and wait for its end."""
    client = GuestClient(sandbox.guest_socket)
    spec = ProcessSpec(secrets.token_hex(8), argv, user=user, timeout_ms=int(seconds * 1000))
    output = bytearray()
    try:
        async with asyncio.timeout(seconds + 15), client.run(spec) as frames:
            async for frame in frames:
                if isinstance(frame, Stdout | Stderr):
                    output += frame.data
                elif isinstance(frame, Exit):
                    assert frame.process.exit_code is not None
                    return Result(output.decode(errors="replace"), frame.process.exit_code)
    finally:
        await client.close()
    raise AssertionError("the guest agent's answer was cut off")


async def healthy(sandbox: Sandbox, seconds: float = 10) -> None:
    """Return if the guest agent answers within `seconds`. Raises GuestUnreachable."""
    client = GuestClient(sandbox.guest_socket)
    try:
        await client.ping(seconds)
    finally:
        await client.close()


async def assert_nothing_left(container_id: str) -> None:
    """Fail unless every trace of the container is gone. Loop devices let go a moment late."""
    for _ in range(100):
        left = leftovers(container_id)
        if not left:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(left)


def leftovers(container_id: str) -> list[str]:
    """List processes, mounts, control groups and loop devices with this id in one of their names."""
    found = [f"mount {point.target}" for point in mounts() if container_id in str(point.target)]
    # os.walk passes over what others remove meanwhile.
    found += [f"cgroup {folder}" for folder, names, _ in os.walk("/sys/fs/cgroup") if container_id in names]
    for file in Path("/sys/block").glob("loop*/loop/backing_file"):
        found += [f"{file.parts[3]}: {text}" for text in [_text(file)] if container_id in text]
    for process in Path("/proc").glob("[0-9]*"):
        text = _text(process / "cgroup") + _text(process / "cmdline")
        # Dead ones that init has not taken notice of yet are init's affair.
        if container_id in text and ") Z " not in _text(process / "stat") and process.name != str(os.getpid()):
            found.append(f"process {process.name}: {text}")
    return found


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode(errors="replace").replace("\0", " ").strip()
    except OSError:
        return ""
