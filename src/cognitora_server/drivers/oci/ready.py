"""Sandbox folders prepared ahead: with a mounted, empty disk, and the name of no container yet.

Taking one is a rename. Mounts below a folder move along with it, so nothing has to be undone when the server
is killed in between: a folder is either one of these (removed at the next start) or a container's.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from cognitora_server.drivers.oci.layout import SandboxFolder
from cognitora_server.host.disks import DiskTools, abandon_disk, mount_disk
from cognitora_server.host.mounts import MountFlag, bind, mounts, unmount_below

Value = TypeVar("Value")

_log = logging.getLogger(__name__)


class ReadyFolders:
    """Keeps `count` folders with disks of `size_gb` GiB ready in `root`. Drivers share it. 0: none is kept."""

    def __init__(self, root: Path, disks: DiskTools, size_gb: int, count: int) -> None:
        self._root = root
        self._disks = disks
        self._size_gb = size_gb
        self._count = count
        self._ready: list[Path] = []
        self._users = 0
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()

    async def start(self) -> None:
        """Remove what an earlier server had prepared, and begin to prepare."""
        self._users += 1
        if self._users > 1:
            return
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        await asyncio.to_thread(self._clean)
        if self._count:
            self._task = asyncio.create_task(self._keep_full())

    async def stop(self) -> None:
        """Remove what is prepared, when the last user stops."""
        self._users = max(0, self._users - 1)
        if self._users > 0:
            return
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._ready.clear()
        await asyncio.to_thread(self._clean)

    async def take(self, target: Path, size_gb: int) -> SandboxFolder:
        """Return the folder `target` with a mounted disk of `size_gb` GiB in it: a ready one, else a new one.

        `target` must not be there yet. Raises OSError; what is left then goes with the folder.
        """
        while self._ready and size_gb == self._size_gb:
            ready = self._ready.pop()
            self._wanted.set()
            with suppress(FileNotFoundError):
                ready.rename(target)
                return SandboxFolder(target)
        return await finish(asyncio.to_thread(self._make, target, size_gb))

    def _make(self, path: Path, size_gb: int) -> SandboxFolder:
        folder = SandboxFolder(path)
        folder.make()
        self._disks.create(folder.image, size_gb)
        mount_disk(folder.image, folder.disk)
        folder.fill_disk()
        bind(folder.inbox, folder.shown_inbox, MountFlag.RDONLY | MountFlag.NOSUID | MountFlag.NODEV)
        return folder

    async def _keep_full(self) -> None:
        while True:
            self._wanted.clear()
            while len(self._ready) < self._count:
                path = self._root / secrets.token_hex(6)
                try:
                    await finish(asyncio.to_thread(self._make, path, self._size_gb))
                except OSError as error:
                    _log.warning("no disk could be prepared: %s", error)
                    break
                self._ready.append(path)
            await self._wanted.wait()
            # A start is going on: it needs the processor more than this does.
            await asyncio.sleep(0.2)

    def _clean(self) -> None:
        for path in self._root.iterdir() if self._root.is_dir() else ():
            remove_folder(path)


def remove_folder(path: Path) -> None:
    """Remove a sandbox's folder with all that is mounted below. Gone already: no error. Blocks."""
    abandon_disk(SandboxFolder(path).disk)
    unmount_below(path)
    if mounts(path):
        # Never delete through a mount: behind it may be somebody else's files.
        raise OSError(f"{path.name} still has mounts")
    with suppress(FileNotFoundError):
        shutil.rmtree(path)


async def finish(work: Coroutine[Any, Any, Value]) -> Value:
    """Await `work` to its end even if this task is cancelled meanwhile; the cancellation comes after.

    For work in a thread, which cannot be stopped half-way, and for removals.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise
