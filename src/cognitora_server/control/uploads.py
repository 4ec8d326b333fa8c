"""Writes a request's files into a container."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cognitora_server.domain.containers import MIB
from cognitora_server.domain.errors import GuestError, GuestUnreachable, InvalidRequest
from cognitora_server.domain.executions import FileUpload

from .live import Live

#: From this size on a file goes through the inbox: the guest reads it from the host's disk, which is much faster.
_INBOX_FROM_BYTES = 4 * MIB


class FileRejected(InvalidRequest):
    """A file could not be written in the container."""

    code = "file_rejected"


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
    if live.guest is None:
        raise GuestUnreachable
    if len(file.content) < _INBOX_FROM_BYTES:
        user = live.process_defaults.user
        await live.guest.write_file(file.name, file.content, cwd=directory, user=user)
        return
    async with inbox_file(live) as path:
        await asyncio.to_thread(path.write_bytes, file.content)
        await write_from_inbox(live, path, file.name, directory)


@asynccontextmanager
async def inbox_file(live: Live) -> AsyncIterator[Path]:
    """Give the path of a new file on the host that the guest can read; it is removed afterwards."""
    if live.sandbox is None:
        raise GuestUnreachable
    path = Path(live.sandbox.inbox) / secrets.token_hex(16)
    try:
        yield path
    finally:
        await asyncio.to_thread(path.unlink, True)


async def write_from_inbox(live: Live, source: Path, name: str, directory: str) -> None:
    """Have the guest copy a file of its inbox to `name`, whole or not at all. Raises GuestError."""
    if live.guest is None:
        raise GuestUnreachable
    user = live.process_defaults.user
    await live.guest.write_file(name, cwd=directory, user=user, source=source.name)
