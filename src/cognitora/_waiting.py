"""The two ways to wait: each function here has a twin that blocks, for the sync client."""

from __future__ import annotations

import asyncio
import time
from typing import BinaryIO


async def async_sleep(seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)


async def async_read(file: BinaryIO, size: int) -> bytes:
    """Read at most `size` bytes, without stopping the event loop."""
    return await asyncio.to_thread(file.read, size)


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def read(file: BinaryIO, size: int) -> bytes:
    """Read at most `size` bytes."""
    return file.read(size)
