"""Trying a driver: a sandbox with nothing but the guest agent in it is booted and removed.

That alone shows whether kernel, control groups, disks and OCI runtime work together on this host.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cognitora_server.domain.errors import CognitoraError
from cognitora_server.domain.ids import CONTAINER, new_id
from cognitora_server.domain.images import Image, ImageConfig
from cognitora_server.domain.resources import Resources
from cognitora_server.drivers.base import SandboxSpec
from cognitora_server.drivers.oci.driver import OciDriver, OciHost
from cognitora_server.drivers.oci.ready import ReadyFolders
from cognitora_server.host.disks import DiskTools

IMAGE = Image(
    id="0" * 64, digest="sha256:" + "0" * 64, names=(), config=ImageConfig(), size_bytes=0,
    created_at=datetime.fromtimestamp(0, UTC),
)  # fmt: skip
_RESOURCES = Resources(cpu_cores=1, memory_mb=256, storage_gb=1)
_FOLDERS = ("proc", "dev", "sys", "tmp", "etc", ".cognitora")
_ETC_FILES = ("hosts", "hostname", "resolv.conf")

Maker = Callable[[OciHost], OciDriver]


class EmptyRootfs:
    """A root file system with mount points and nothing else, in the folder `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def mounted(self, image: Image) -> Path:
        """Return the folder, whatever the image."""
        return self._path

    async def layers(self, image: Image) -> Sequence[Path]:
        """Return the folder as the only layer."""
        return [self._path]

    def make(self) -> None:
        """Make the folder and what is in it."""
        for name in _FOLDERS:
            (self._path / name).mkdir(parents=True, exist_ok=True)
        for name in _ETC_FILES:
            (self._path / "etc" / name).touch()


async def why_not(make: Maker, host: OciHost) -> str | None:
    """Boot a sandbox with the driver that `make` returns, and remove it. None if it works, else the reason.

    Nothing is shared with the driver's real sandboxes, so this can be done while a server runs; what a trial
    that was killed left behind goes with the next one.
    """
    try:
        async with _place(make, host) as trial:
            driver = make(trial)
            await driver.start()
            try:
                await _boot(driver)
            finally:
                await driver.stop()
    except (CognitoraError, OSError) as error:
        return str(error)
    return None


async def _boot(driver: OciDriver) -> None:
    spec = SandboxSpec(new_id(CONTAINER), IMAGE, _RESOURCES)
    try:
        (await driver.create(spec)).close()
    finally:
        await driver.destroy(spec.container_id)


@asynccontextmanager
async def _place(make: Maker, host: OciHost) -> AsyncIterator[OciHost]:
    """A host of its own for a trial, in a folder that is locked for as long as the trial lasts."""
    trials = host.root.with_name(f"{host.root.name}-trials")
    trials.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as held:
        with _locked(trials):
            # Nobody else makes a folder meanwhile: what is not locked belongs to nobody any more.
            await _sweep(make, trials, host)
            folder = trials / secrets.token_hex(6)
            folder.mkdir(mode=0o700)
            held.enter_context(_locked(folder))
        try:
            yield _host_in(folder, host)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _host_in(folder: Path, host: OciHost) -> OciHost:
    rootfs = EmptyRootfs(folder / "rootfs")
    rootfs.make()
    ready = ReadyFolders(folder / "ready", DiskTools(host.data_dir / "templates"), 1, 0)
    return replace(host, root=folder / "sandboxes", rootfs=rootfs, ready=ready)


async def _sweep(make: Maker, trials: Path, host: OciHost) -> None:
    """Remove the trials that nobody holds any more."""
    for folder in list(trials.iterdir()):  # noqa: ASYNC240 - a handful
        with suppress(BlockingIOError), _locked(folder, fcntl.LOCK_NB):
            await _remove(make(_host_in(folder, host)))
            shutil.rmtree(folder, ignore_errors=True)


async def _remove(driver: OciDriver) -> None:
    for container_id in await driver.sandboxes():
        await driver.destroy(container_id)
    await driver.stop()


@contextmanager
def _locked(folder: Path, flags: int = 0) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
        yield
    finally:
        os.close(descriptor)
