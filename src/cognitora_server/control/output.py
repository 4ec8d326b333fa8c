"""Collects what a process writes into text of bounded length."""

from __future__ import annotations

from cognitora_server.domain.executions import Output
from cognitora_server.guest.frames import Frame, Gap, Stderr, Stdout

#: The first 4/5 of an output and its last 1/5 are kept.
_HEAD_SHARE = 0.8
#: The marks of what was left out do not count against the limit.
_MARK_ROOM = 256


def head_and_tail(limit: int) -> tuple[int, int]:
    """Split an output limit into the bytes kept of the beginning and of the end."""
    head = int(limit * _HEAD_SHARE)
    return head, limit - head


class OutputCollector:
    """Takes frames; gives the output so far. Never holds more than twice `limit` bytes, whatever a guest sends."""

    def __init__(self, limit: int) -> None:
        self.offset = 0
        self._limit = limit + _MARK_ROOM
        self._omitted = 0
        self._combined = bytearray()
        self._stdout = bytearray()
        self._stderr = bytearray()

    def add(self, frame: Frame) -> None:
        """Take a frame. Others than output and gaps change nothing."""
        if isinstance(frame, Gap):
            self.offset = frame.offset + frame.omitted_bytes
            self._omit(frame.omitted_bytes)
        elif isinstance(frame, (Stdout, Stderr)):
            self.offset = frame.offset + len(frame.data)
            fits = frame.data[: max(0, self._limit - len(self._combined))]
            self._combined += fits
            stream = self._stdout if isinstance(frame, Stdout) else self._stderr
            stream.extend(fits)
            self._omitted += len(frame.data) - len(fits)

    def note(self, text: str) -> None:
        """Add a line of our own to standard error: why nothing could run."""
        line = text.encode("utf-8", "replace") + b"\n"
        self._combined += line
        self._stderr += line

    def output(self) -> Output:
        """Return all so far as text; bytes that are not UTF-8 become replacement characters."""
        return Output(_text(self._combined), _text(self._stdout), _text(self._stderr), self._omitted)

    def text(self) -> str:
        """Return what both streams have written so far, as it came."""
        return _text(self._combined)

    def _omit(self, count: int) -> None:
        self._omitted += count
        if len(self._combined) >= self._limit:
            return
        mark = f"\n[{count} bytes left out]\n".encode()
        self._combined += mark
        for stream in (self._stdout, self._stderr):
            if stream:
                stream.extend(mark)


def _text(data: bytearray) -> str:
    return data.decode("utf-8", "replace")
