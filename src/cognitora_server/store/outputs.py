"""What processes wrote, as it is kept: compressed, each text once.

An execution's row holds the beginning, for lists; a row of its own in `outputs` holds all, where that is longer.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from cognitora_server.domain.executions import Output

#: A list shows the beginning of each output only (in characters); the execution itself has all of it.
LISTED_OUTPUT = 16 * 1024

#: One more, so that who shows a list sees that there is more.
_PREVIEW = LISTED_OUTPUT + 1
_LENGTHS = struct.Struct(">qqq")
_SAME = -1
#: Text compresses to a quarter already at the first level, at 100 MB/s and more.
_LEVEL = 1
#: Beyond this (in characters, or bytes compressed) the work is done in a thread.
_LARGE = 64 * 1024


@dataclass(frozen=True, slots=True)
class PackedOutput:
    """An output's beginning (None: it is empty), and all of it unless the beginning is all."""

    preview: bytes | None
    content: bytes | None

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.preview or b"") + len(self.content or b"")


async def pack(output: Output) -> PackedOutput:
    """Return the output as it is kept."""
    if len(output.combined) + len(output.stdout) + len(output.stderr) > _LARGE:
        return await asyncio.to_thread(pack_now, output)
    return pack_now(output)


def pack_now(output: Output) -> PackedOutput:
    """Return the output as it is kept; a large one takes its time."""
    texts = (output.combined, output.stdout, output.stderr)
    if not any(texts):
        return PackedOutput(None, None)
    longer = any(len(text) > _PREVIEW for text in texts)
    return PackedOutput(_pack(*(text[:_PREVIEW] for text in texts)), _pack(*texts) if longer else None)


async def unpack(packed: bytes | None, omitted_bytes: int) -> Output:
    """Return the output that `pack` packed."""
    if packed is not None and len(packed) > _LARGE:
        return await asyncio.to_thread(unpack_now, packed, omitted_bytes)
    return unpack_now(packed, omitted_bytes)


def unpack_now(packed: bytes | None, omitted_bytes: int) -> Output:
    """Return the output that `pack` packed; a large one takes its time."""
    if packed is None:
        return Output(omitted_bytes=omitted_bytes)
    data = memoryview(zlib.decompress(packed))
    lengths, at = _LENGTHS.unpack_from(data), _LENGTHS.size
    texts: list[str] = []
    for length in lengths:
        if length == _SAME:
            texts.append(texts[0])
        else:
            texts.append(str(data[at : at + length], "utf-8", "surrogatepass"))
            at += length
    combined, stdout, stderr = texts
    return Output(combined, stdout, stderr, omitted_bytes)


def _pack(combined: str, *streams: str) -> bytes:
    parts = [combined.encode("utf-8", "surrogatepass")]
    lengths = [len(parts[0])]
    for text in streams:
        if text and text == combined:
            lengths.append(_SAME)
        else:
            parts.append(text.encode("utf-8", "surrogatepass"))
            lengths.append(len(parts[-1]))
    return zlib.compress(b"".join((_LENGTHS.pack(*lengths), *parts)), _LEVEL)


def row_output(fields: dict[str, Any]) -> Output:
    """Take the columns of an output out of a row's fields; return its beginning."""
    return unpack_now(fields.pop("preview"), fields.pop("omitted_bytes"))
