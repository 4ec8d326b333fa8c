"""What users do with files in a container."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from cognitora_server.domain.clock import Clock
from cognitora_server.domain.containers import GIB, MIB
from cognitora_server.domain.errors import Conflict, GuestError, TooLarge
from cognitora_server.settings import Settings
from cognitora_server.store import Store

from .access import usable_container, why_ended
from .live import Live
from .reconciler import Reconciler
from .uploads import FileRejected, inbox_file, write_from_inbox

#: So much of a file is in memory at once.
_PIECE_BYTES = 4 * MIB


class Files:
    """The verbs of files. Another account's container is NotFound."""

    def __init__(self, store: Store, reconciler: Reconciler, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._reconciler = reconciler
        self._settings = settings
        self._clock = clock

    async def write(self, account_id: str, container_id: str, path: str, content: AsyncIterator[bytes]) -> int:
        """Write a file of any size that fits the disk, whole or not at all; return its size in bytes.

        A relative path begins at the image's working directory. Waits for a container that is starting. Raises
        NotFound, Conflict, TooLarge, FileRejected.
        """
        live = await usable_container(self._store, self._reconciler.live, account_id, container_id, self._settings)
        if not await live.usable():
            raise Conflict(f"The container ended before the file could be written. {why_ended(live)}")
        live.active_at = self._clock.now()
        try:
            async with inbox_file(live) as source:
                size = await self._receive(live, content, source)
                await write_from_inbox(live, source, path, live.process_defaults.directory)
        except (GuestError, FileNotFoundError) as error:
            raise _rejected(live, path, error) from error
        return size

    async def _receive(self, live: Live, content: AsyncIterator[bytes], path: Path) -> int:
        most = live.container.resources.storage_gb * GIB
        size = 0
        piece = bytearray()
        with path.open("xb") as file:
            async for chunk in content:
                piece += chunk
                size += len(chunk)
                live.active_at = self._clock.now()
                if size > most:
                    raise TooLarge(f"The file does not fit the container's disk of {most // GIB} GiB.", largest=most)
                if len(piece) >= _PIECE_BYTES:
                    self._check_room(live, path)
                    await asyncio.to_thread(file.write, piece)
                    piece = bytearray()
            await asyncio.to_thread(file.write, piece)
        return size

    def _check_room(self, live: Live, path: Path) -> None:
        if live.end is not None or live.end_wanted.is_set():
            raise Conflict(f"The container ended before the file was written. {why_ended(live)}")
        if shutil.disk_usage(path.parent).free < self._settings.disk_reserve_bytes:
            raise FileRejected("The server's disk is nearly full: the file was not written.", field="path")


def _rejected(live: Live, path: str, error: GuestError | FileNotFoundError) -> Conflict | FileRejected:
    if live.end_wanted.is_set() or live.end is not None or not isinstance(error, GuestError):
        return Conflict(f"The container ended before the file was written. {why_ended(live)}")
    message = f"The file {path[:200]!r} could not be written: {error.message}"
    return FileRejected(message, field="path", reason=error.guest_code)
