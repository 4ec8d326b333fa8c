"""Directories for work in progress, which never outlive it: not a crash, not a kill, not a power cut."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from cognitora_server.host.images.settings import ImageSettings
from cognitora_server.host.mounts import unmount_below

_LOCK_POLL_SECONDS = 0.2


@contextmanager
def scratch_directory(settings: ImageSettings, purpose: str) -> Iterator[Path]:
    """An empty directory for the time of the block. It is locked: `sweep` tells from that it is in use."""
    settings.scratch_dir.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=settings.scratch_dir))
    # Builders drop to other users while they download: they may pass through, not look.
    path.chmod(0o711)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield path
    finally:
        _remove(path)
        os.close(descriptor)


def sweep(settings: ImageSettings) -> int:
    """Remove what killed processes left; returns how many directories. Those in use stay."""
    if not settings.scratch_dir.is_dir():
        return 0
    return sum(_sweep_one(path) for path in settings.scratch_dir.iterdir())


@asynccontextmanager
async def exclusive(path: Path) -> AsyncIterator[None]:
    """Hold the lock file `path` against other processes and tasks; waits for its turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try_lock(descriptor):  # noqa: ASYNC110 - another process holds it: no event can tell
            await asyncio.sleep(_LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _sweep_one(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not _try_lock(descriptor):
            return False
        _remove(path)
        return True
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _remove(path: Path) -> None:
    # A killed builder may have left mounts: deleting through one would delete what it shows.
    unmount_below(path)
    shutil.rmtree(path, ignore_errors=True)
