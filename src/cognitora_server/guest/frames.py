"""Frames: how a process's output and end come from the guest. Layout in `spec/guest.yaml`."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from cognitora_server.domain.errors import GuestError

from .process import Process, process_of

if TYPE_CHECKING:
    from aiohttp import StreamReader

MAX_PAYLOAD = 64 * 1024

#: More bytes than any process can have written.
_MAX_COUNT = 1 << 53

_HEADER = struct.Struct(">BQI")
_STDOUT, _STDERR, _EXIT, _GAP, _STARTED, _KEEPALIVE = range(1, 7)


@dataclass(frozen=True, slots=True)
class Stdout:
    """Bytes written to standard output, and where they begin in the output of both streams together."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Stderr:
    """Bytes written to standard error."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Output that the guest left out, because the process wrote more than is kept."""

    offset: int
    omitted_bytes: int


@dataclass(frozen=True, slots=True)
class Started:
    """The process runs."""

    process: Process


@dataclass(frozen=True, slots=True)
class Exit:
    """The process has ended and its output is complete. The last frame."""

    process: Process


Frame = Stdout | Stderr | Gap | Started | Exit


async def read_frames(stream: StreamReader) -> AsyncIterator[Frame]:
    """Yield the frames of a stream until the exit frame or the stream's end. Raises GuestError on nonsense."""
    while True:
        try:
            kind, offset, length = _HEADER.unpack(await stream.readexactly(_HEADER.size))
            if length > MAX_PAYLOAD or offset > _MAX_COUNT:
                raise GuestError("The guest agent sent a frame that cannot be.", guest_code="bad_frame")
            payload = await stream.readexactly(length)
        except asyncio.IncompleteReadError:
            return
        frame = _frame(kind, offset, payload)
        if frame is not None:
            yield frame
        if kind == _EXIT:
            return


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
        raise ValueError("not a count")
    return value


def _frame(kind: int, offset: int, payload: bytes) -> Frame | None:
    if kind == _STDOUT:
        return Stdout(offset, payload)
    if kind == _STDERR:
        return Stderr(offset, payload)
    if kind == _KEEPALIVE:
        return None
    try:
        value = orjson.loads(payload)
        if kind == _GAP:
            return Gap(offset, _count(value["omitted_bytes"]))
        if kind in (_STARTED, _EXIT):
            process = process_of(value)
            return Exit(process) if kind == _EXIT else Started(process)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise GuestError("The guest agent sent a frame that makes no sense.", guest_code="bad_frame") from error
    raise GuestError(f"The guest agent sent a frame of unknown type {kind}.", guest_code="bad_frame")
