"""Writes a request's files into a container."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path

from cognitora_server.domain.containers import MIB
from cognitora_server.domain.errors import GuestError, GuestUnreachable
from cognitora_server.domain.executions import FileUpload

from .live import Live

#: From this size on a file goes through the inbox: the guest reads it from the host's disk, which is much faster.
_INBOX_FROM_BYTES = 4 * MIB


async def upload(live: Live, files: Sequence[FileUpload], directory: str) -> None:
    """Write files, each whole or not at all, in order; relative names land in `directory`.

    Raises GuestError, naming the file.
    """
    for file in files:
        try:
            await _write(live, file, directory)
        except GuestUnreachable:
            raise
        except GuestError as error:
            raise GuestError(
                f"The file {file.name[:200]!r} could not be written: {error.message}", guest_code=error.guest_code
            ) from error


async def _write(live: Live, file: FileUpload, directory: str) -> None:
    guest, inbox = live.guest, live.sandbox.inbox if live.sandbox else None
    if guest is None:
        raise GuestUnreachable
    if inbox is None or len(file.content) < _INBOX_FROM_BYTES:
        await guest.write_file(file.name, file.content, cwd=directory, user=live.process_defaults.user)
        return
    source = secrets.token_hex(16)
    path = Path(inbox) / source
    try:
        await asyncio.to_thread(path.write_bytes, file.content)
        await guest.write_file(file.name, cwd=directory, user=live.process_defaults.user, source=source)
    finally:
        await asyncio.to_thread(path.unlink, True)
