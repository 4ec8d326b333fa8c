"""Stops what writes to the image storage before it fills the disk or unpacks a bomb."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from cognitora_server.domain.images import ImagePullFailed, ImageTooLarge
from cognitora_server.host.images.settings import ImageSettings
from cognitora_server.host.images.storage import Storage, free_bytes

POLL_SECONDS = 0.2
"""A disk takes at most a few hundred megabytes in this time; the reserve is there for them."""

_SLACK_BYTES = 64 * 1024 * 1024
"""Metadata, and what podman writes besides layers."""


class WriteGuard:
    """Watches one process and its children while they write an image; raises when they have to stop."""

    def __init__(
        self,
        settings: ImageSettings,
        storage: Storage,
        scratch: Path,
        subject: str,
        on_poll: Callable[[int], None] = lambda received: None,
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._scratch = scratch
        self._subject = subject
        self._on_poll = on_poll
        self._written: dict[int, int] = {}
        self._received: dict[str, int] = {}

    async def __call__(self, pid: int) -> None:
        """Runs until cancelled. Raises `ImageTooLarge`, or `ImagePullFailed` when the disk gets full."""
        while True:
            self.check_disk()
            received = self._total_received()
            unpacked = self._total_written(pid) - received
            if unpacked > self._settings.image_max_bytes + _SLACK_BYTES:
                raise too_large(self._subject, self._settings.image_max_bytes)
            self._on_poll(received)
            await asyncio.sleep(POLL_SECONDS)

    def check_disk(self) -> None:
        """Raises `ImagePullFailed` when a disk that is written to has no more than its reserve left."""
        for place in (self._storage.graph_root, self._scratch):
            free = free_bytes(place)
            if free < self._settings.disk_reserve_bytes:
                raise ImagePullFailed(
                    f"{self._subject} was not fetched: the disk of {place} has {_mib(free)} MiB free, and "
                    f"{_mib(self._settings.disk_reserve_bytes)} MiB are kept in reserve. "
                    "Free some space, for example with 'cognitora images prune'.",
                    free_bytes=free,
                )

    def _total_received(self) -> int:
        """Bytes of all files that were ever seen in the scratch directory: podman removes each when it is done."""
        for path, size in file_sizes(self._scratch):
            self._received[path] = max(size, self._received.get(path, 0))
        return sum(self._received.values())

    def _total_written(self, pid: int) -> int:
        for process in _family(pid):
            with suppress(OSError, ValueError, IndexError):
                text = Path(f"/proc/{process}/io").read_text(encoding="ascii")
                self._written[process] = int(text.split("write_bytes:")[1].split()[0])
        # Children that ended count with what was last seen of them.
        return sum(self._written.values())


def too_large(subject: str, limit: int) -> ImageTooLarge:
    """The error for an image that passes the limit."""
    return ImageTooLarge(
        f"{subject} takes more than the {_mib(limit)} MiB that an image may have here, unpacked.",
        limit_bytes=limit,
    )


def file_sizes(path: Path) -> Iterator[tuple[str, int]]:
    """The files below `path` with their sizes in bytes, as far as they can be seen; links are not followed."""
    for directory, _, names in os.walk(path):
        for name in names:
            file = Path(directory) / name
            with suppress(OSError):
                yield str(file), file.lstat().st_size


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                yield from _family(int(child))


def _mib(count: int) -> int:
    return count // 1024**2
