"""A file's content on its way to the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import TextIOBase
from pathlib import Path
from typing import Any, BinaryIO

from .._waiting import async_read

_CHUNK_BYTES = 1 << 18


class AsyncUpload:
    """Bytes, text (as UTF-8), a local file, or an open binary file from where it stands.

    Raises TypeError for anything else, before anything is sent.
    """

    def __init__(self, content: bytes | str | Path | BinaryIO) -> None:
        self._content = _bytes_of(content)
        #: Whether it can be sent again.
        self.repeatable = isinstance(self._content, bytes | Path) or self._content.seekable()
        self._start = 0 if isinstance(self._content, bytes | Path) or not self.repeatable else self._content.tell()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._content
        if isinstance(content, bytes):
            yield content
        elif isinstance(content, Path):
            with content.open("rb") as file:
                while chunk := await async_read(file, _CHUNK_BYTES):
                    yield chunk
        else:
            if self.repeatable:
                content.seek(self._start)
            while chunk := await async_read(content, _CHUNK_BYTES):
                yield chunk


def _bytes_of(content: Any) -> bytes | Path | BinaryIO:
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, bytearray):
        return bytes(content)
    if isinstance(content, TextIOBase) or not (isinstance(content, bytes | Path) or hasattr(content, "seekable")):
        kind = type(content).__name__
        raise TypeError(f"The content must be bytes, text, a Path or a file opened with 'rb', not {kind}.")
    found: bytes | Path | BinaryIO = content
    return found
